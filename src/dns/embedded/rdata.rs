//! Record data: which fields each type has, and whether a record's octets have them.
//!
//! One table serves the reading of zone files, the checking of what arrives by transfer, and the finding of names
//! inside data. A type that is not in it is opaque (RFC 3597).

use std::borrow::Cow;

/// The types that this server treats in a way of their own.
pub mod rtype {
    /// Host address.
    pub const A: u16 = 1;
    /// Authoritative name server.
    pub const NS: u16 = 2;
    /// Canonical name of an alias.
    pub const CNAME: u16 = 5;
    /// Start of authority.
    pub const SOA: u16 = 6;
    /// Domain name pointer.
    pub const PTR: u16 = 12;
    /// Host information; also the answer to ANY where there is nothing better (RFC 8482).
    pub const HINFO: u16 = 13;
    /// Mail exchange.
    pub const MX: u16 = 15;
    /// Text.
    pub const TXT: u16 = 16;
    /// Signature over a transaction (RFC 2931).
    pub const SIG: u16 = 24;
    /// IPv6 host address.
    pub const AAAA: u16 = 28;
    /// Server selection.
    pub const SRV: u16 = 33;
    /// Redirection of what is below a name (RFC 6672).
    pub const DNAME: u16 = 39;
    /// EDNS; never in a zone.
    pub const OPT: u16 = 41;
    /// Delegation signer: at a cut, in the parent's zone.
    pub const DS: u16 = 43;
    /// Signature over one RRset.
    pub const RRSIG: u16 = 46;
    /// Next name, and the types here.
    pub const NSEC: u16 = 47;
    /// Next hashed name, and the types of the name that was hashed (RFC 5155).
    pub const NSEC3: u16 = 50;
    /// How names are hashed.
    pub const NSEC3PARAM: u16 = 51;
    /// Digest over a zone (RFC 8976).
    pub const ZONEMD: u16 = 63;
    /// Shared secret, for messages only (RFC 2930).
    pub const TKEY: u16 = 249;
    /// Transaction signature, for messages only (RFC 8945).
    pub const TSIG: u16 = 250;
    /// Incremental zone transfer.
    pub const IXFR: u16 = 251;
    /// Zone transfer.
    pub const AXFR: u16 = 252;
    /// Any type.
    pub const ANY: u16 = 255;
}

mod field;

pub(crate) use field::Field;
use field::field_length;

use Field::{
    Algorithm, Base64, Base64OrNone, Certificate, Dotted, Duration, Gateway, Groups, Hash, Hex, HostIdentity,
    Ipv4, Ipv6, Location, Name, Opaque, Pairs, Params, Prefixes, Relay, Salt, Text, TextOrNone, TextToEnd,
    Texts, Time, Type, Types, U8, U16, U32,
};

/// The types whose fields are known: number, mnemonic, fields.
const TYPES: &[(u16, &str, &[Field])] = &[
    (1, "A", &[Ipv4]),
    (2, "NS", &[Name]),
    (3, "MD", &[Name]),
    (4, "MF", &[Name]),
    (5, "CNAME", &[Name]),
    (6, "SOA", &[Name, Name, U32, Duration, Duration, Duration, Duration]),
    (7, "MB", &[Name]),
    (8, "MG", &[Name]),
    (9, "MR", &[Name]),
    (10, "NULL", &[Opaque]),
    (11, "WKS", &[Opaque]),
    (12, "PTR", &[Name]),
    (13, "HINFO", &[Text, Text]),
    (14, "MINFO", &[Name, Name]),
    (15, "MX", &[U16, Name]),
    (16, "TXT", &[Texts]),
    (17, "RP", &[Name, Name]),
    (18, "AFSDB", &[U16, Name]),
    (19, "X25", &[Text]),
    (20, "ISDN", &[Text, TextOrNone]),
    (21, "RT", &[U16, Name]),
    (22, "NSAP", &[Dotted]),
    (23, "NSAP-PTR", &[Name]),
    (24, "SIG", &[Type, Algorithm, U8, U32, Time, Time, U16, Name, Base64]),
    (25, "KEY", &[U16, U8, Algorithm, Base64OrNone]),
    (26, "PX", &[U16, Name, Name]),
    (27, "GPOS", &[Text, Text, Text]),
    (28, "AAAA", &[Ipv6]),
    (29, "LOC", &[Location]),
    // Its bitmap has a form of its own (RFC 2535 section 5.2), which nobody writes any more.
    (30, "NXT", &[Name, Opaque]),
    (31, "EID", &[Hex]),
    (32, "NIMLOC", &[Hex]),
    (33, "SRV", &[U16, U16, U16, Name]),
    (34, "ATMA", &[Opaque]),
    (35, "NAPTR", &[U16, U16, Text, Text, Text, Name]),
    (36, "KX", &[U16, Name]),
    (37, "CERT", &[Certificate, U16, Algorithm, Base64]),
    (38, "A6", &[Opaque]),
    (39, "DNAME", &[Name]),
    (40, "SINK", &[U8, U8, U8, Base64OrNone]),
    (42, "APL", &[Prefixes]),
    (43, "DS", &[U16, Algorithm, U8, Hex]),
    (44, "SSHFP", &[U8, U8, Hex]),
    (45, "IPSECKEY", &[Gateway]),
    (46, "RRSIG", &[Type, Algorithm, U8, U32, Time, Time, U16, Name, Base64]),
    (47, "NSEC", &[Name, Types]),
    (48, "DNSKEY", &[U16, U8, Algorithm, Base64]),
    (49, "DHCID", &[Base64]),
    (50, "NSEC3", &[U8, U8, U16, Salt, Hash, Types]),
    (51, "NSEC3PARAM", &[U8, U8, U16, Salt]),
    (52, "TLSA", &[U8, U8, U8, Hex]),
    (53, "SMIMEA", &[U8, U8, U8, Hex]),
    (55, "HIP", &[HostIdentity]),
    (56, "NINFO", &[Texts]),
    (57, "RKEY", &[U16, U8, Algorithm, Base64]),
    (58, "TALINK", &[Name, Name]),
    (59, "CDS", &[U16, Algorithm, U8, Hex]),
    (60, "CDNSKEY", &[U16, U8, Algorithm, Base64]),
    (61, "OPENPGPKEY", &[Base64]),
    (62, "CSYNC", &[U32, U16, Types]),
    (63, "ZONEMD", &[U32, U8, U8, Hex]),
    (64, "SVCB", &[U16, Name, Params]),
    (65, "HTTPS", &[U16, Name, Params]),
    (66, "DSYNC", &[Type, U8, U16, Name]),
    (67, "HHIT", &[Base64]),
    (68, "BRID", &[Base64]),
    (99, "SPF", &[Texts]),
    (100, "UINFO", &[Opaque]),
    (101, "UID", &[Opaque]),
    (102, "GID", &[Opaque]),
    (103, "UNSPEC", &[Opaque]),
    (104, "NID", &[U16, Groups]),
    (105, "L32", &[U16, Ipv4]),
    (106, "L64", &[U16, Groups]),
    (107, "LP", &[U16, Name]),
    (108, "EUI48", &[Pairs(6)]),
    (109, "EUI64", &[Pairs(8)]),
    (256, "URI", &[U16, U16, TextToEnd]),
    (257, "CAA", &[U8, Text, TextToEnd]),
    (258, "AVC", &[Texts]),
    (259, "DOA", &[U32, U32, U8, Text, Base64OrNone]),
    (260, "AMTRELAY", &[Relay]),
    (261, "RESINFO", &[Texts]),
    (262, "WALLET", &[Texts]),
    (263, "CLA", &[Texts]),
    (264, "IPN", &[Opaque]),
    (32768, "TA", &[U16, Algorithm, U8, Hex]),
    (32769, "DLV", &[U16, Algorithm, U8, Hex]),
];

/// The fields of a type, if they are known.
pub(crate) fn fields(rtype: u16) -> Option<&'static [Field]> {
    TYPES.binary_search_by_key(&rtype, |(number, ..)| *number).ok().map(|at| TYPES[at].2)
}

/// A type as text: its mnemonic, or `TYPE` and its number (RFC 3597 section 5).
pub fn type_name(rtype: u16) -> Cow<'static, str> {
    match TYPES.binary_search_by_key(&rtype, |(number, ..)| *number) {
        Ok(at) => TYPES[at].1.into(),
        Err(_) => format!("TYPE{rtype}").into(),
    }
}

/// A type from text, in any case.
pub fn type_number(text: &str) -> Option<u16> {
    if let Some((number, ..)) = TYPES.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text)) {
        return Some(*number);
    }
    let (prefix, digits) = text.split_at_checked(4)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (prefix.eq_ignore_ascii_case("TYPE") && plain).then(|| digits.parse().ok())?
}

/// Whether a type is for questions or for messages only, never for a zone (RFC 6895 section 3.1).
pub(crate) fn is_meta(rtype: u16) -> bool {
    matches!(rtype, 0 | rtype::OPT | 128..=255)
}

/// The length of the uncompressed name at the start of these octets; `None` if there is none.
pub(crate) fn name_length(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match usize::from(*octets.get(at)?) {
            0 => return (at < 255).then_some(at + 1),
            // RFC 1035 section 4.1.4: what looks longer is a compression pointer.
            64.. => return None,
            length => at += 1 + length,
        }
    }
}

/// Walks the fields of well-formed data: each with its octets. `None` at the end if the data is malformed.
fn walk(rtype: u16, rdata: &[u8], mut visit: impl FnMut(Field, std::ops::Range<usize>)) -> Option<()> {
    let Some(fields) = fields(rtype) else { return Some(()) };
    let mut at = 0;
    for &field in fields {
        let length = field_length(field, &rdata[at..])?;
        visit(field, at..at + length);
        at += length;
    }
    (at == rdata.len()).then_some(())
}

/// Whether the data has exactly the fields of its type; always true for a type that is not known.
pub fn is_well_formed(rtype: u16, rdata: &[u8]) -> bool {
    rdata.len() <= usize::from(u16::MAX) && walk(rtype, rdata, |_, _| ()).is_some()
}

/// The data with the names in it in lower case: equal for equal records (RFC 4034 section 6.2).
pub(crate) fn folded(rtype: u16, rdata: &[u8]) -> Cow<'_, [u8]> {
    let mut folded = Cow::Borrowed(rdata);
    // Malformed data was refused before; were it not, it would only stay as it is.
    let _ = walk(rtype, rdata, |field, range| {
        if field == Name && rdata[range.clone()].iter().any(u8::is_ascii_uppercase) {
            folded.to_mut()[range].make_ascii_lowercase();
        }
    });
    folded
}

/// The name in a record's data whose addresses an asker will want next, at the start of what is returned: of NS, MX,
/// AFSDB, SRV, KX, SVCB and HTTPS (RFC 1035 section 3.3, RFC 1183, 2782, 2230, RFC 9460 section 4.1).
pub(crate) fn target(rtype: u16, rdata: &[u8]) -> Option<&[u8]> {
    match rtype {
        rtype::NS => Some(rdata),
        rtype::MX | 18 | 36 | 64 | 65 => rdata.get(2..),
        rtype::SRV => rdata.get(6..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_read_back() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
        for (number, name, _) in TYPES {
            assert_eq!(type_number(&name.to_lowercase()), Some(*number));
            assert_eq!(type_name(*number), *name);
        }
        assert_eq!(type_number("type65280"), Some(65280));
        assert_eq!(type_name(65280), "TYPE65280");
        for bad in ["", "TYPE", "TYPE65536", "TYPE+1", "TYPE-1", "BOGUS", "éééé"] {
            assert_eq!(type_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn data_is_checked_against_its_fields() {
        for (rtype, good) in [
            (1, &b"\xc0\0\x02\x01"[..]),
            (15, b"\0\x0a\x02mx\x07example\0"),
            (16, b"\x01a\0"),
            (47, b"\x01a\0\0\x01\x40\x01\x01\x80"),
            (64, b"\0\x01\0\0\x01\0\x02\x01h\0\x03\0\x02\x01\xbb"),
            (65280, b"\xff"),
            (65280, b""),
        ] {
            assert!(is_well_formed(rtype, good), "{rtype} {good:?}");
        }
        for (rtype, bad) in [
            (1, &b"\xc0\0\x02"[..]),
            (1, b"\xc0\0\x02\x01\x01"),
            (2, b""),
            (2, b"\x02ns"),
            (2, b"\xc0\x0c"),
            (4, b"\xc0\x0c"),
            (15, b"\0\x0a"),
            (16, b""),
            (16, b"\x02a"),
            (47, b"\x01a\0\x01\x01\x40\0\x01\x80"),
            (64, b"\0\x01\0\0\x03\0\0\0\x01\0\0"),
        ] {
            assert!(!is_well_formed(rtype, bad), "{rtype} {bad:?}");
        }
        assert_eq!(name_length(&[1, b'a'].repeat(127).into_iter().chain([0]).collect::<Vec<_>>()), Some(255));
        assert_eq!(name_length(&[1, b'a'].repeat(128).into_iter().chain([0]).collect::<Vec<_>>()), None);
    }

    #[test]
    fn only_names_are_folded() {
        assert_eq!(*folded(15, b"\0\x41\x01A\0"), *b"\0\x41\x01a\0");
        assert_eq!(*folded(16, b"\x01A"), *b"\x01A");
    }
}
