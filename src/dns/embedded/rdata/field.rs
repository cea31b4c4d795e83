//! Fields: what record data is made of, and how long each is.

use super::name_length;

/// One field of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// One octet.
    U8,
    /// Two octets.
    U16,
    /// Four octets.
    U32,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A domain name, uncompressed.
    Name,
    /// A character string: a length octet, then as many octets.
    Text,
    /// One character string or more, to the end.
    Texts,
    /// Octets to the end, written as text.
    TextToEnd,
    /// Octets to the end, written in hexadecimal.
    Hex,
    /// Octets to the end, written in base64.
    Base64,
    /// A length octet, then as many octets, written in hexadecimal; `-` for none.
    Salt,
    /// A length octet, then as many octets, written in base32hex.
    Hash,
    /// A type.
    Type,
    /// A bitmap of types to the end (RFC 4034 section 4.1.2).
    Types,
    /// Seconds, written as such or as YYYYMMDDHHmmSS (RFC 4034 section 3.2).
    Time,
    /// Seconds, written as such or with units.
    Duration,
    /// Service parameters to the end (RFC 9460 section 2.2).
    Params,
    /// A DNSSEC algorithm: one octet, written as a number or a mnemonic (RFC 4034 appendix A.1).
    Algorithm,
    /// What a certificate is: two octets, written as a number or a mnemonic (RFC 4398 section 2.1).
    Certificate,
    /// Eight octets, written as four groups of hexadecimal digits with colons between them (RFC 6742 section 2.1).
    Groups,
    /// So many octets, written as pairs of hexadecimal digits with hyphens between them (RFC 7043 section 3.2).
    Pairs(usize),
    /// Octets to the end, possibly none, written in base64.
    Base64OrNone,
    /// A character string, or nothing.
    TextOrNone,
    /// Octets to the end, written as 0x and hexadecimal digits with dots anywhere (RFC 1706 section 7).
    Dotted,
    /// A place on earth (RFC 1876).
    Location,
    /// Prefixes of addresses to the end (RFC 3123).
    Prefixes,
    /// An identity, its key and its rendezvous servers, to the end (RFC 8005 section 5).
    HostIdentity,
    /// Precedence, a gateway and its key, to the end (RFC 4025 section 2).
    Gateway,
    /// Precedence and a relay, to the end (RFC 8777 section 4).
    Relay,
    /// Octets to the end, written in the generic form alone.
    Opaque,
}

use Field::{
    Algorithm, Base64, Base64OrNone, Certificate, Dotted, Duration, Gateway, Groups, Hash, Hex, HostIdentity,
    Ipv4, Ipv6, Location, Name, Opaque, Pairs, Params, Prefixes, Relay, Salt, Text, TextOrNone, TextToEnd,
    Texts, Time, Type, Types, U8, U16, U32,
};

/// The part of `octets` that one field takes; `None` if it is not there or malformed.
pub(super) fn field_length(field: Field, octets: &[u8]) -> Option<usize> {
    let length = match field {
        U8 | Algorithm => 1,
        U16 | Type | Certificate => 2,
        U32 | Ipv4 | Time | Duration => 4,
        Ipv6 => 16,
        Groups => 8,
        Pairs(count) => count,
        Name => name_length(octets)?,
        Text | Salt | Hash => 1 + usize::from(*octets.first()?),
        TextOrNone => octets.first().map_or(0, |length| 1 + usize::from(*length)),
        Texts => {
            let mut at = 0;
            while let Some(length) = octets.get(at) {
                at += 1 + usize::from(*length);
            }
            if at == 0 {
                return None;
            }
            at
        }
        TextToEnd | Hex | Base64 | Base64OrNone | Opaque => octets.len(),
        Dotted if octets.is_empty() => return None,
        Dotted => octets.len(),
        // RFC 1876 section 2: only version 0 is known.
        Location if octets.first()? == &0 => 16,
        Location => octets.len(),
        Prefixes => prefixes_length(octets)?,
        HostIdentity => identity_length(octets)?,
        Gateway => {
            place_length(*octets.get(1)?, octets.get(3..)?)?;
            octets.len()
        }
        Relay => 2 + place_length(*octets.get(1)? & 0x7f, octets.get(2..)?)?,
        Types => chunks(octets, |rest| {
            let (&[window, length], _) = rest.split_first_chunk()?;
            (1..=32).contains(&length).then_some((u16::from(window), 2 + usize::from(length)))
        })?,
        Params => chunks(octets, |rest| {
            let (&[key_high, key_low, high, low], _) = rest.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes([high, low]));
            Some((u16::from_be_bytes([key_high, key_low]), 4 + length))
        })?,
    };
    (length <= octets.len()).then_some(length)
}

/// The length of a run of chunks whose keys must rise; `next` tells a chunk's key and length.
fn chunks(octets: &[u8], next: impl Fn(&[u8]) -> Option<(u16, usize)>) -> Option<usize> {
    let mut at = 0;
    let mut last = None;
    while at < octets.len() {
        let (key, length) = next(&octets[at..])?;
        if last.is_some_and(|last| key <= last) {
            return None;
        }
        last = Some(key);
        at += length;
    }
    Some(at)
}

/// What follows the octet that says how a gateway or a relay is written: nothing, an address, or a name. What is not
/// known is opaque.
fn place_length(form: u8, octets: &[u8]) -> Option<usize> {
    let length = match form {
        0 => 0,
        1 => 4,
        2 => 16,
        3 => name_length(octets)?,
        _ => octets.len(),
    };
    (length <= octets.len()).then_some(length)
}

/// Items of family, prefix, length and address, to the end (RFC 3123 section 4).
fn prefixes_length(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < octets.len() {
        at += 4 + usize::from(octets.get(at + 3)? & 0x7f);
    }
    Some(at)
}

/// Two lengths and an algorithm, the identity, the key, and names to the end (RFC 8005 section 5).
fn identity_length(octets: &[u8]) -> Option<usize> {
    let (&[identity, _, high, low], _) = octets.split_first_chunk()?;
    let mut at = 4 + usize::from(identity) + usize::from(u16::from_be_bytes([high, low]));
    while at < octets.len() {
        at += name_length(&octets[at..])?;
    }
    Some(at)
}
