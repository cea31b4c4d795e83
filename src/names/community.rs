//! BGP communities, of all three kinds, and how they are written.
//!
//! ```text
//! 64496:100                  standard (RFC 1997)
//! 64496:1:2                  large (RFC 8092)
//! rt:64496:100               extended (RFC 4360): a route target, of an AS or of an IPv4 address
//! ro:192.0.2.1:100           extended: a route origin
//! generic:0x43000000:0x10    extended: any other, as its two halves
//! ```

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::NameError;

/// A BGP community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Community {
    /// Two 16-bit numbers.
    Standard(u16, u16),
    /// Three 32-bit numbers, the first an AS number.
    Large(u32, u32, u32),
    /// Eight octets, the type first.
    Extended(u64),
}

// The types of RFC 4360 section 3 and RFC 5668 section 2: what the number of six octets begins with.
const OF_SHORT_AS: u64 = 0x00;
const OF_ADDRESS: u64 = 0x01;
const OF_LONG_AS: u64 = 0x02;

// The subtypes of RFC 4360 sections 4 and 5, and their names.
const SUBTYPES: [(&str, u64); 2] = [("rt", 0x02), ("ro", 0x03)];

impl Community {
    /// RFC 8326: the routes of a session that is about to go away.
    pub const GRACEFUL_SHUTDOWN: Self = Self::Standard(65535, 0);
    /// RFC 7999: discard the traffic. Never ours to send for a prefix that we serve.
    pub const BLACKHOLE: Self = Self::Standard(65535, 666);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(a, b) => write!(f, "{a}:{b}"),
            Self::Large(a, b, c) => write!(f, "{a}:{b}:{c}"),
            Self::Extended(octets) => extended(*octets, f),
        }
    }
}

fn extended(octets: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [kind, subtype, a, b, c, d, g, h] = octets.to_be_bytes();
    let name = SUBTYPES.iter().find(|(_, number)| *number == u64::from(subtype)).map(|(name, _)| *name);
    let (upper, lower) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([g, h]));
    match (name, u64::from(kind)) {
        (Some(name), OF_SHORT_AS) => {
            write!(f, "{name}:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, g, h]))
        }
        (Some(name), OF_ADDRESS) => write!(f, "{name}:{}:{lower}", Ipv4Addr::from(upper)),
        // A number that fits two octets would be read back as one of two.
        (Some(name), OF_LONG_AS) if upper > u16::MAX.into() => write!(f, "{name}:{upper}:{lower}"),
        _ => write!(f, "generic:{:#x}:{:#x}", octets >> 32, octets & u64::from(u32::MAX)),
    }
}

impl FromStr for Community {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parts: Vec<&str> = text.split(':').take(4).collect();
        parse(&parts).ok_or_else(|| {
            NameError(format!(
                "{text:?} is not a community: write 64496:100, large, 64496:1:2, or extended, rt:64496:100"
            ))
        })
    }
}

fn parse(parts: &[&str]) -> Option<Community> {
    match *parts {
        [a, b] => Some(Community::Standard(number(a)?, number(b)?)),
        ["generic", high, low] => Some(Community::Extended(half(high)? << 32 | half(low)?)),
        [kind, administrator, value] => match SUBTYPES.iter().find(|(name, _)| *name == kind) {
            Some((_, subtype)) => administered(*subtype, administrator, value).map(Community::Extended),
            None => Some(Community::Large(number(kind)?, number(administrator)?, number(value)?)),
        },
        _ => None,
    }
}

/// An extended community of an AS, or of whom an address belongs to.
fn administered(subtype: u64, administrator: &str, value: &str) -> Option<u64> {
    let of = |kind: u64, upper: u64, lower: u64| kind << 56 | subtype << 48 | upper | lower;
    if administrator.contains('.') {
        let address = u32::from(administrator.parse::<Ipv4Addr>().ok()?);
        return Some(of(OF_ADDRESS, u64::from(address) << 16, number::<u16>(value)?.into()));
    }
    let asn: u32 = number(administrator)?;
    if asn <= u16::MAX.into() {
        Some(of(OF_SHORT_AS, u64::from(asn) << 32, number::<u32>(value)?.into()))
    } else {
        Some(of(OF_LONG_AS, u64::from(asn) << 16, number::<u16>(value)?.into()))
    }
}

/// Digits only: no sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// 32 bits in hexadecimal.
fn half(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let plain = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten().map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_read_back() {
        let texts = [
            "64496:100",
            "65535:0",
            "65536:1:4294967295",
            "rt:64496:4294967295",
            "ro:64496:7",
            "rt:65536:65535",
            "ro:192.0.2.1:9",
            "generic:0x43000000:0x10",
            // A route target of four octets whose AS number would fit two.
            "generic:0x2020000:0xfbf00007",
        ];
        for text in texts {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bad = [
            "",
            "1",
            "65536:1",
            "a:b",
            "1:2:3:4",
            "-1:2",
            "+1:2",
            "1:",
            "rt:1",
            "rt:65536:65536",
            "soo:1:2",
            "ro:192.0.2.1:65536",
            "ro:192.0.2:1",
            "generic:1:2",
            "generic:0x:0x1",
            "generic:0x1ffffffff:0x0",
        ];
        for bad in bad {
            assert!(bad.parse::<Community>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn extended_communities_are_laid_out_as_in_rfc_4360() {
        let octets = |text: &str| match text.parse() {
            Ok(Community::Extended(octets)) => octets,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(octets("rt:64496:100"), 0x0002_fbf0_0000_0064);
        assert_eq!(octets("ro:192.0.2.1:7"), 0x0103_c000_0201_0007);
        assert_eq!(octets("rt:65536:7"), 0x0202_0001_0000_0007);
    }
}
