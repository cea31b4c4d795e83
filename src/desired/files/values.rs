//! What the scalars of the files can be: our own small types, and how the shared ones are written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as PlainError, StrDeserializer};

use super::field::Value;
use super::zone::ZoneKind;
use crate::desired::model::{
    CostPeriod, Import, NameServerKind, NodeState, Relation, Role, RoutingDaemonKind,
};
use crate::mesh::PublicKey;
use crate::names::{Asn, Community, DomainName, NetworkName, NodeName, SecretName};
use crate::secrets::Recipient;

/// A quotation of what was written, short enough for a message.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Types that are parsed by `FromStr`, whose errors say little.
macro_rules! by_from_str {
    ($($type:ty, $what:literal, $schema:tt;)+) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!(concat!("{} is not ", $what), quoted(text)))
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

by_from_str! {
    IpAddr, "an IP address, such as 192.0.2.1 or 2001:db8::1", { "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] };
    Ipv4Addr, "an IPv4 address, such as 192.0.2.1", { "type": "string", "format": "ipv4" };
    Ipv6Addr, "an IPv6 address, such as 2001:db8::1", { "type": "string", "format": "ipv6" };
    IpNet, "an address with a prefix length, such as 192.0.2.0/24 or 2001:db8::/48", { "type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$" };
    Ipv4Net, "an IPv4 prefix, such as 192.0.2.0/24", { "type": "string", "pattern": "^[0-9.]+/[0-9]{1,2}$" };
    Ipv6Net, "an IPv6 prefix, such as 2001:db8::/48", { "type": "string", "pattern": "^[0-9a-fA-F:.]+/[0-9]{1,3}$" };
    SocketAddr, "an address with a port, such as 192.0.2.1:51820 or [2001:db8::1]:51820", { "type": "string", "pattern": "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$" };
    bool, "true or false", { "type": "boolean" };
    u8, "a whole number from 0 to 255", { "type": "integer", "minimum": 0, "maximum": 255 };
    u16, "a whole number from 0 to 65535", { "type": "integer", "minimum": 0, "maximum": 65535 };
    u32, "a whole number from 0 to 4294967295", { "type": "integer", "minimum": 0, "maximum": 4_294_967_295u32 };
}

/// Parsed names, whose errors already say what was expected.
macro_rules! by_name {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                Self::from_str(text).map_err(|error| error.to_string())
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                <Self as JsonSchema>::json_schema(generator)
            }
        }
    )+};
}

by_name!(NetworkName, NodeName, DomainName, Community);

impl Value for SecretName {
    /// The text is not quoted: it may be the value itself, put where its name belongs.
    fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|_| {
            "this is not the name of a secret: use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends; \
             its value is set by `shoestring secret set NAME`"
                .to_owned()
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Self as JsonSchema>::json_schema(generator)
    }
}

impl Value for Asn {
    fn parse(text: &str) -> Result<Self, String> {
        u32::parse(text)
            .map_err(|_| format!("{} is not an AS number, such as 64496", quoted(text)))?
            .try_into()
            .map_err(|error: crate::names::NameError| error.to_string())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Self as JsonSchema>::json_schema(generator)
    }
}

impl Value for PublicKey {
    fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|error| error.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$" })
    }
}

impl Value for Recipient {
    fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|error| format!("{} is no key to encrypt to: {error}", quoted(text)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(age1[a-z0-9]+|ssh-ed25519 [A-Za-z0-9+/=]+( .*)?)$" })
    }
}

/// Closed choices: the words are serde's, and the message lists them.
macro_rules! choices {
    ($($type:ty, $what:literal;)+) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                let word: StrDeserializer<'_, PlainError> = text.into_deserializer();
                Self::deserialize(word).map_err(|error| {
                    let error = error.to_string();
                    let choices = error.split_once(", expected ").map_or("", |(_, choices)| choices);
                    format!(concat!("{} is not ", $what, ": expected {}"), quoted(text), choices.replace('`', ""))
                })
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                <Self as JsonSchema>::json_schema(generator)
            }
        }
    )+};
}

choices! {
    Role, "a role";
    NameServerKind, "a name server that shoestring knows";
    RoutingDaemonKind, "a routing daemon that shoestring knows";
    NodeState, "a state of a node";
    Relation, "a relation to a peer";
    Import, "an import policy";
    CostPeriod, "a period";
    ZoneKind, "a kind of zone";
}

/// Whether a character could hide or reorder what a reviewer sees: controls, and the bidirectional formatting
/// characters of UAX #9.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// One line for people: 1 to 200 characters, none of them a control or bidirectional formatting character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl Value for Text {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(bad) = text.chars().find(|c| is_deceptive(*c)) {
            return Err(format!(
                "{} has the character U+{:04X}: write one line without control or bidirectional characters",
                quoted(text),
                u32::from(bad)
            ));
        }
        match text.chars().count() {
            0 => Err("the text is empty".to_owned()),
            1..=200 => Ok(Self(text.to_owned())),
            length => Err(format!("the text has {length} characters; 200 is the most")),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 200 })
    }
}

/// Declares a newtype over a text that must satisfy a condition.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Value for $name {
            fn parse(text: &str) -> Result<Self, String> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!(concat!("{} is not ", $what), quoted(text)))
                }
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

checked_text! {
    /// ISO 3166-1 alpha-2, in upper case.
    CountryCode, "a country code of two capital letters (ISO 3166-1), such as GB", "^[A-Z]{2}$",
    |text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}
checked_text! {
    /// ISO 4217.
    CurrencyCode, "a currency of three capital letters (ISO 4217), such as USD", "^[A-Z]{3}$",
    |text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}
checked_text! {
    /// As the kernel takes it: 1 to 15 characters without a slash or white space.
    InterfaceName, "a network interface's name: 1 to 15 of letters, digits and . _ - @", "^[A-Za-z0-9][A-Za-z0-9._@-]{0,14}$",
    |text| (1..=15).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b))
}
checked_text! {
    /// `YYYY-MM-DD`.
    Date, "a date, such as 2014-03-01", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", is_date
}
checked_text! {
    /// A flag: two regional indicator symbols.
    Flag, "a country's flag: one emoji", "^\\S+$",
    |text| text.chars().count() == 2 && text.chars().all(|c| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c))
}

impl Flag {
    /// The country code that the two symbols spell.
    pub fn country_iso(&self) -> String {
        let letter = |c: char| char::from_u32(u32::from(c) - 0x1f1e6 + u32::from('A'));
        self.0.chars().filter_map(letter).collect()
    }
}

fn is_date(text: &str) -> bool {
    let number = |part: &str, length: usize| {
        (part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days: u32 = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Degrees of latitude (`90`) or longitude (`180`), within plus or minus the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degrees<const LIMIT: u8>(pub f64);

impl<const LIMIT: u8> Value for Degrees<LIMIT> {
    fn parse(text: &str) -> Result<Self, String> {
        let limit = f64::from(LIMIT);
        match text.parse::<f64>() {
            Ok(degrees) if (-limit..=limit).contains(&degrees) => Ok(Self(degrees)),
            _ => Err(format!("{} is not a number of degrees from -{LIMIT} to {LIMIT}", quoted(text))),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": -i16::from(LIMIT), "maximum": LIMIT })
    }
}

/// An amount of money with up to two decimals, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cents(pub u64);

impl Value for Cents {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{} is not an amount, such as 7 or 3.50", quoted(text));
        let (whole, hundredths) = text.split_once('.').unwrap_or((text, "00"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || whole.len() > 12 || !digits(hundredths) || hundredths.len() > 2 {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let part: u64 = format!("{hundredths:0<2}").parse().map_err(|_| wrong())?;
        Ok(Self(whole * 100 + part))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]{1,12}(\\.[0-9]{1,2})?$" })
    }
}

/// A length of time: a whole number of `ms`, `s`, `m` or `h`, at most a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Value for Period {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{} is not a length of time up to a week, such as 500ms, 2s, 5m or 1h", quoted(text));
        let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(unit);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let total = number.checked_mul(milliseconds).filter(|total| *total <= 7 * 24 * 3_600_000);
        total.map(|total| Self(Duration::from_millis(total))).ok_or_else(wrong)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
    }
}

/// A DNS server: an address, and a port if it is not 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress(pub SocketAddr);

impl Value for ServerAddress {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(SocketAddr::new(address, 53)));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Self(address)),
            _ => Err(format!(
                "{} is not the address of a server: write 192.0.2.1, 192.0.2.1:5353, 2001:db8::1 or [2001:db8::1]:5353",
                quoted(text)
            )),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+)(:[0-9]{1,5})?$|^[0-9a-fA-F:.]+$" })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T: Value>(text: &str) -> T {
        T::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn bad<T: Value>(texts: &[&str]) {
        for text in texts {
            assert!(T::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn periods() {
        assert_eq!(good::<Period>("500ms").0, Duration::from_millis(500));
        assert_eq!(good::<Period>("168h").0, Duration::from_secs(7 * 24 * 3600));
        bad::<Period>(&["", "5", "s", "1.5s", "-1s", "169h", "5 s", "99999999999999999999s", "5d", "５s"]);
    }

    #[test]
    fn money() {
        assert_eq!(good::<Cents>("7").0, 700);
        assert_eq!(good::<Cents>("3.5").0, 350);
        assert_eq!(good::<Cents>("0.05").0, 5);
        bad::<Cents>(&["", ".", "1.", ".5", "1.234", "-1", "1e3", "9999999999999", "NaN"]);
    }

    #[test]
    fn dates() {
        for text in ["2014-03-01", "2000-02-29", "2024-12-31"] {
            good::<Date>(text);
        }
        bad::<Date>(&[
            "2014-3-1",
            "1900-02-29",
            "2014-04-31",
            "2014-13-01",
            "2014-00-10",
            "2014-01-01-01",
            "x",
        ]);
    }

    #[test]
    fn flags_and_degrees() {
        assert_eq!(good::<Flag>("🇬🇧").country_iso(), "GB");
        bad::<Flag>(&["", "GB", "🏴", "🇬🇧🇬🇧"]);
        bad::<Degrees<90>>(&["90.1", "NaN", "inf", "-91", "north"]);
        assert_eq!(good::<Degrees<180>>("-180").0, -180.0);
    }

    #[test]
    fn servers() {
        for (text, expected) in [
            ("203.0.113.10", "203.0.113.10:53"),
            ("203.0.113.10:5353", "203.0.113.10:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
        ] {
            assert_eq!(good::<ServerAddress>(text).to_string(), expected);
        }
        bad::<ServerAddress>(&["", "ns.example", "203.0.113.10:0", "203.0.113.10:", "[2001:db8::1]"]);
    }

    #[test]
    fn a_choice_lists_the_choices() {
        assert_eq!(good::<NameServerKind>("knot"), NameServerKind::Knot);
        assert_eq!(
            NameServerKind::parse("coredns").unwrap_err(),
            "\"coredns\" is not a name server that shoestring knows: expected one of embedded, bind, nsd, knot, powerdns"
        );
    }

    #[test]
    fn deceptive_text_is_refused() {
        bad::<Text>(&["", "a\nb", "a\u{202e}b", "\u{7}", "\u{200b}", &"x".repeat(201)]);
        good::<Text>("Łódź, 🇵🇱 — 3rd floor");
    }
}
