//! The fields of a record, from its data to text: the way back from `fields`, `params` and `grammar`.
//!
//! One spelling for each: names in full, numbers for mnemonics, nothing that depends on an origin or a default. What the
//! reader would not make the same octets of has no spelling, so that its data is written in the generic form.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use base64ct::{Base64, Encoding};

use super::fields;
use super::lexer::Lexer;
use crate::dns::embedded::rdata::{self, Field, name_length, type_name};
use crate::names::DomainName;

/// The types whose text BIND, NSD, Knot and PowerDNS all read.
pub(super) const COMMON: &[u16] = &[
    1, 2, 5, 6, 12, 13, 14, 15, 16, 17, 18, 28, 29, 33, 35, 36, 37, 39, 42, 43, 44, 45, 46, 47, 48, 49, 50,
    51, 52, 53, 59, 60, 61, 62, 63, 64, 65, 99, 104, 105, 106, 107, 108, 109, 256, 257,
];

/// The data of a record as text, its fields with spaces between; `None` where it has only a generic form.
pub(crate) fn text_of(rtype: u16, rdata: &[u8]) -> Option<String> {
    let fields = rdata::fields(rtype)?;
    let mut words = Vec::new();
    let mut rest = rdata;
    for &field in fields {
        let (spelt, after) = match (rtype, field) {
            // The tag of CAA is a word of letters and digits (RFC 8659 section 4.1.1).
            (257, Field::Text) => {
                let (tag, after) = counted(rest)?;
                let plain = !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric);
                (plain.then(|| String::from_utf8_lossy(tag).into_owned())?, after)
            }
            _ => spell(field, rest)?,
        };
        if !spelt.is_empty() {
            words.push(spelt);
        }
        rest = after;
    }
    let text = words.join(" ");
    (rest.is_empty() && reads_as(rtype, &text, rdata)).then_some(text)
}

/// Whether the reader makes these octets of that text.
fn reads_as(rtype: u16, text: &str, rdata: &[u8]) -> bool {
    let (mut lexer, root) = (Lexer::new(text), DomainName::root());
    let Some(Ok(entry)) = lexer.next_entry() else { return false };
    let read = fields::data(rtype, &mut fields::Cursor::new(&entry, &root));
    read.is_ok_and(|read| read == rdata) && lexer.next_entry().is_none()
}

/// One field: its text, and the octets after it.
fn spell(field: Field, octets: &[u8]) -> Option<(String, &[u8])> {
    let whole = |text: String| Some((text, &octets[octets.len()..]));
    match field {
        Field::U8 | Field::Algorithm => {
            let (number, rest) = octets.split_first()?;
            Some((number.to_string(), rest))
        }
        Field::U16 | Field::Certificate => {
            let (number, rest) = number(octets)?;
            Some((number.to_string(), rest))
        }
        Field::Type => {
            let (number, rest) = number(octets)?;
            Some((common_name(number), rest))
        }
        Field::U32 | Field::Duration => {
            let (number, rest) = octets.split_first_chunk()?;
            Some((u32::from_be_bytes(*number).to_string(), rest))
        }
        Field::Time => {
            let (seconds, rest) = octets.split_first_chunk()?;
            Some((time(u32::from_be_bytes(*seconds)), rest))
        }
        Field::Ipv4 => {
            let (address, rest) = octets.split_first_chunk()?;
            Some((Ipv4Addr::from(*address).to_string(), rest))
        }
        Field::Ipv6 => {
            let (address, rest) = octets.split_first_chunk()?;
            Some((ipv6(*address), rest))
        }
        Field::Name => name(octets),
        Field::Text => {
            let (text, rest) = counted(octets)?;
            Some((quoted(text), rest))
        }
        Field::Texts => {
            let (mut texts, mut rest) = (Vec::new(), octets);
            while !rest.is_empty() {
                let (text, after) = counted(rest)?;
                texts.push(quoted(text));
                rest = after;
            }
            whole(texts.join(" "))
        }
        Field::TextOrNone if octets.is_empty() => whole(String::new()),
        Field::TextOrNone => spell(Field::Text, octets),
        Field::TextToEnd => whole(quoted(octets)),
        Field::Hex => whole(hex(octets)),
        Field::Base64 | Field::Base64OrNone => whole(Base64::encode_string(octets)),
        Field::Salt => {
            let (salt, rest) = counted(octets)?;
            Some((if salt.is_empty() { "-".to_owned() } else { hex(salt) }, rest))
        }
        Field::Hash => {
            let (hash, rest) = counted(octets)?;
            Some((base32hex(hash), rest))
        }
        Field::Types => whole(types(octets)?.into_iter().map(common_name).collect::<Vec<_>>().join(" ")),
        Field::Params => whole(params(octets)?),
        Field::Groups => {
            let (octets, rest) = octets.split_first_chunk::<8>()?;
            let groups = octets.as_chunks::<2>().0.iter().map(|group| hex(group));
            Some((groups.collect::<Vec<_>>().join(":"), rest))
        }
        Field::Pairs(count) => {
            let (octets, rest) = octets.split_at_checked(count)?;
            Some((octets.iter().map(|octet| hex(&[*octet])).collect::<Vec<_>>().join("-"), rest))
        }
        Field::Dotted => whole(format!("0x{}", hex(octets))),
        Field::Location => whole(location(octets)?),
        Field::Prefixes => whole(prefixes(octets)?),
        Field::HostIdentity => whole(host_identity(octets)?),
        Field::Gateway => {
            let (&[precedence, form, algorithm], rest) = octets.split_first_chunk()?;
            let (gateway, key) = place(form, rest)?;
            let key = Base64::encode_string(key);
            whole(format!("{precedence} {form} {algorithm} {gateway} {key}").trim_end().to_owned())
        }
        Field::Relay => {
            let (&[precedence, form], rest) = octets.split_first_chunk()?;
            let (relay, _) = place(form & 0x7f, rest)?;
            whole(format!("{precedence} {} {} {relay}", form >> 7, form & 0x7f))
        }
        Field::Opaque => None,
    }
}

fn number(octets: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = octets.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

/// A length octet, and as many octets.
fn counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// A type by the name that everybody knows, or by its number.
pub(super) fn common_name(rtype: u16) -> String {
    if COMMON.contains(&rtype) { type_name(rtype).into_owned() } else { format!("TYPE{rtype}") }
}

/// A name in full, in the case that it has.
fn name(octets: &[u8]) -> Option<(String, &[u8])> {
    let (mut rest, after) = octets.split_at_checked(name_length(octets)?)?;
    let mut text = String::new();
    while let Some((label, others)) = counted(rest).filter(|(label, _)| !label.is_empty()) {
        for &octet in label {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*' | b'/' => {
                    text.push(char::from(octet))
                }
                _ => {
                    let _ = write!(text, "\\{octet:03}");
                }
            }
        }
        text.push('.');
        rest = others;
    }
    if text.is_empty() {
        text.push('.');
    }
    Some((text, after))
}

/// A text in quotes.
fn quoted(octets: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(octet));
            }
            b' '..=b'~' => text.push(char::from(octet)),
            _ => {
                let _ = write!(text, "\\{octet:03}");
            }
        }
    }
    text.push('"');
    text
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Without padding (RFC 5155 section 3.3).
fn base32hex(octets: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0);
    let digit = |value: u32| char::from_digit(value & 31, 32).unwrap_or('0');
    for &octet in octets {
        held = (held << 8 | u32::from(octet)) & 0xfff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(held >> bits));
        }
    }
    if bits > 0 {
        text.push(digit(held << (5 - bits)));
    }
    text
}

/// Groups of hexadecimal digits alone: not everybody reads an IPv4 address at the end of one.
fn ipv6(octets: [u8; 16]) -> String {
    let address = Ipv6Addr::from(octets);
    let text = address.to_string();
    if !text.contains('.') {
        return text;
    }
    address.segments().map(|segment| format!("{segment:x}")).join(":")
}

/// YYYYMMDDHHmmSS of seconds since 1970.
fn time(seconds: u32) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u32::from(is_leap(year)) {
        days -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u32::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}{month:02}{:02}{hour:02}{minute:02}{second:02}", days + 1)
}

/// The types of a bitmap.
fn types(mut octets: &[u8]) -> Option<Vec<u16>> {
    let mut types = Vec::new();
    while let Some((window, rest)) = octets.split_first() {
        let (bits, rest) = counted(rest)?;
        for (at, octet) in (0_u16..).zip(bits) {
            let set = (0..8).filter(|bit| octet & 0x80 >> bit != 0);
            types.extend(set.map(|bit| u16::from(*window) << 8 | at << 3 | bit));
        }
        octets = rest;
    }
    Some(types)
}

/// Service parameters. Those that came after RFC 9460 by number: names that are new are not known to everybody.
fn params(mut octets: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while !octets.is_empty() {
        let (key, rest) = number(octets)?;
        let (length, rest) = number(rest)?;
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        octets = rest;
        words.push(match key {
            0 => {
                const NAMES: [&str; 7] =
                    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];
                let keys = value.as_chunks::<2>().0.iter().map(|key| u16::from_be_bytes(*key));
                let name = |key: u16| {
                    NAMES.get(usize::from(key)).map_or(format!("key{key}"), |name| (*name).to_owned())
                };
                format!("mandatory={}", keys.map(name).collect::<Vec<_>>().join(","))
            }
            1 => format!("alpn={}", protocols(value)?),
            2 => "no-default-alpn".to_owned(),
            3 => format!("port={}", number(value)?.0),
            4 => {
                let addresses =
                    value.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets).to_string());
                format!("ipv4hint={}", addresses.collect::<Vec<_>>().join(","))
            }
            5 => format!("ech={}", Base64::encode_string(value)),
            6 => {
                let addresses = value.as_chunks::<16>().0.iter().map(|octets| ipv6(*octets));
                format!("ipv6hint={}", addresses.collect::<Vec<_>>().join(","))
            }
            key if value.is_empty() => format!("key{key}"),
            key => format!("key{key}={}", quoted(value)),
        });
    }
    Some(words.join(" "))
}

/// Protocols between commas; one that is part of a protocol has a backslash before it (RFC 9460 appendix A.1), besides what
/// quotes need.
fn protocols(mut value: &[u8]) -> Option<String> {
    let mut list = Vec::new();
    while !value.is_empty() {
        let (item, rest) = counted(value)?;
        if !list.is_empty() {
            list.push(b',');
        }
        for &octet in item {
            if matches!(octet, b',' | b'\\') {
                list.push(b'\\');
            }
            list.push(octet);
        }
        value = rest;
    }
    let is_plain = list.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-._/,".contains(octet));
    Some(if is_plain { String::from_utf8_lossy(&list).into_owned() } else { quoted(&list) })
}

/// A place on earth.
fn location(octets: &[u8]) -> Option<String> {
    let (&[0, size, horizontal, vertical], rest) = octets.split_first_chunk()? else { return None };
    let mut numbers = rest.as_chunks().0.iter().map(|octets| u32::from_be_bytes(*octets));
    let (latitude, longitude, altitude) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let metres = |centimetres: u64| format!("{}.{:02}m", centimetres / 100, centimetres % 100);
    let sphere = |octet: u8| {
        let (digit, exponent) = (u64::from(octet >> 4), u32::from(octet & 15));
        metres(digit.saturating_mul(10_u64.pow(exponent)))
    };
    let altitude = i64::from(altitude) - 10_000_000;
    let sign = if altitude < 0 { "-" } else { "" };
    Some(format!(
        "{} {} {sign}{} {} {} {}",
        angle(latitude, ['N', 'S']),
        angle(longitude, ['E', 'W']),
        metres(altitude.unsigned_abs()),
        sphere(size),
        sphere(horizontal),
        sphere(vertical),
    ))
}

fn angle(angle: u32, hemispheres: [char; 2]) -> String {
    let middle = 1_u32 << 31;
    let hemisphere = hemispheres[usize::from(angle < middle)];
    let thousandths = angle.abs_diff(middle);
    let (degrees, minutes) = (thousandths / 3_600_000, thousandths / 60_000 % 60);
    let (seconds, thousandths) = (thousandths / 1_000 % 60, thousandths % 1_000);
    format!("{degrees} {minutes} {seconds}.{thousandths:03} {hemisphere}")
}

/// Prefixes with what was left out of their addresses.
fn prefixes(mut octets: &[u8]) -> Option<String> {
    let mut items = Vec::new();
    while !octets.is_empty() {
        let (&[high, low, length, negated], rest) = octets.split_first_chunk()?;
        let (address, rest) = rest.split_at_checked(usize::from(negated & 0x7f))?;
        let family = u16::from_be_bytes([high, low]);
        let mut padded = [0; 16];
        padded.get_mut(..address.len())?.copy_from_slice(address);
        let address = match family {
            1 => Ipv4Addr::from(*padded.first_chunk::<4>()?).to_string(),
            2 => ipv6(padded),
            _ => return None,
        };
        items.push(format!("{}{family}:{address}/{length}", if negated & 0x80 == 0 { "" } else { "!" }));
        octets = rest;
    }
    Some(items.join(" "))
}

fn host_identity(octets: &[u8]) -> Option<String> {
    let (&[identity, algorithm, high, low], rest) = octets.split_first_chunk()?;
    let (identity, rest) = rest.split_at_checked(usize::from(identity))?;
    let (key, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    let mut text = format!("{algorithm} {} {}", hex(identity), Base64::encode_string(key));
    while !rest.is_empty() {
        let (server, after) = name(rest)?;
        let _ = write!(text, " {server}");
        rest = after;
    }
    Some(text)
}

/// Nothing, written as a dot; an address; or a name. And what follows.
fn place(form: u8, octets: &[u8]) -> Option<(String, &[u8])> {
    match form {
        0 => Some((".".to_owned(), octets)),
        1 => spell(Field::Ipv4, octets),
        2 => spell(Field::Ipv6, octets),
        3 => name(octets),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
