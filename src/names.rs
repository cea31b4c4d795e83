//! Parsed names and numbers: each is checked once, where it is made, and never again.
//!
//! A value of one of these types is valid by construction, so it can be written into a path, a log or a
//! daemon's configuration without another look (trust.md calls this *config is data*).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod community;
mod domain_name;

pub use community::Community;
pub use domain_name::DomainName;

/// Why a text is not the name or number it should be. The message says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub String);

/// A newtype over a short identifier: 1 to 63 of `a-z`, `0-9` and `-`, with a letter or digit at both ends.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_identifier(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError(format!(
                        concat!("{:?} is not a ", $what, ": use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"),
                        text
                    )))
                }
            }
        }

        text_traits!($name, $what, "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
    };
}

/// `Display`, serde and JSON Schema for a type that is written as text.
macro_rules! text_traits {
    ($name:ident, $what:literal, $pattern:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        serde_by_text!($name, $what, $pattern);
    };
}

/// Serde by `Display` and `FromStr`, and a JSON Schema of a string with a pattern.
macro_rules! serde_by_text {
    ($name:ident, $what:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $what, "pattern": $pattern })
            }
        }
    };
}

fn is_identifier(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    matches!(bytes, [first, .., last] if alphanumeric(first) && alphanumeric(last))
        && bytes.len() <= 63
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
        || matches!(bytes, [only] if alphanumeric(only))
}

identifier! {
    /// The network's name, pinned in every node's local configuration.
    NetworkName, "network name"
}
identifier! {
    /// A node: one machine, named by its file under `nodes/`.
    NodeName, "node name"
}
identifier! {
    /// A BGP peer of one node, named by its file under `peers/<node>/`.
    PeerName, "peer name"
}
identifier! {
    /// An account: who a zone belongs to, named by its folder under `zones/`.
    AccountName, "account name"
}
identifier! {
    /// A secret, named by its file under `secrets/`.
    SecretName, "secret name"
}
identifier! {
    /// Somebody who signs commits, as `trust.yaml` names them.
    PrincipalName, "principal name"
}

/// An autonomous system number (RFC 6793), written as a plain decimal number; never 0, 23456 or the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Asn(u32);

impl Asn {
    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Asn {
    type Error = NameError;

    fn try_from(number: u32) -> Result<Self, NameError> {
        match number {
            // RFC 7607 (0), RFC 6793 (AS_TRANS), RFC 7300 (the last of each size).
            0 | 23456 | 65535 | u32::MAX => Err(NameError(format!("{number} is a reserved AS number"))),
            _ => Ok(Self(number)),
        }
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Asn {
    fn schema_name() -> Cow<'static, str> {
        "Asn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "description": "AS number", "minimum": 1, "maximum": 4_294_967_294u32 })
    }
}

/// A SOA serial number. There is deliberately no `Ord`: serials compare by RFC 1982, and some pairs do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Serial(pub u32);

impl Serial {
    /// RFC 1982 section 3.2: how `self` compares to `other`; `None` where the RFC leaves it undefined.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match self.0.wrapping_sub(other.0) {
            0 => Some(Ordering::Equal),
            0x8000_0000 => None,
            forward if forward < 0x8000_0000 => Some(Ordering::Greater),
            _ => Some(Ordering::Less),
        }
    }

    /// Whether `self` is newer than `other`.
    pub fn is_newer_than(self, other: Self) -> bool {
        self.compare(other) == Some(Ordering::Greater)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A commit of the network's repository, by its SHA-1 object id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub [u8; 20]);

impl Revision {
    /// The first ten digits, as people write it.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Revision {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError(format!("{text:?} is not a commit id: expected 40 hexadecimal digits"));
        if text.len() != 40 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut id = [0; 20];
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(id))
    }
}

serde_by_text!(Revision, "commit id", "^[0-9a-f]{40}$");
serde_by_text!(DomainName, "domain name, without the final dot", "^[!-~]{1,255}$");

serde_by_text!(
    Community,
    "BGP community, standard, large or extended",
    "^([0-9]+:[0-9]+(:[0-9]+)?|r[to]:[0-9.]+:[0-9]+|generic:0x[0-9a-fA-F]+:0x[0-9a-fA-F]+)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_short_and_plain() {
        for good in ["a", "london-a", "64", "x1"] {
            assert_eq!(good.parse::<NodeName>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "a-", "London", "a b", "a/b", "..", "a\n", &"x".repeat(64)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn serials_compare_around_the_wrap() {
        assert!(Serial(0).is_newer_than(Serial(u32::MAX)));
        assert!(!Serial(u32::MAX).is_newer_than(Serial(0)));
        assert_eq!(Serial(0).compare(Serial(0x8000_0000)), None);
        assert!(!Serial(7).is_newer_than(Serial(7)));
    }
}
