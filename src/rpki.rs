//! RPKI: what the owners of prefixes have signed, and whether what this network announces agrees with it.
//!
//! ```text
//! a validator's export ─read→ Vrps that cover our prefixes ─judge→ Verdict: valid, invalid or not found (RFC 6811)
//! ```
//!
//! A *VRP* (validated ROA payload) says that an AS may originate a prefix, and longer ones down to its maxLength. The
//! export is the JSON that Routinator (`json`, `jsonext`), rpki-client, OctoRPKI and others write: an object whose `roas`
//! is a list of `{"asn": 64496 or "AS64496", "prefix": "192.0.2.0/24", "maxLength": 24}`, other keys aside. It is read as
//! a stream, and only what covers a prefix of ours is kept: an export holds half a million of them.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::names::Asn;

/// A validated ROA payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Vrp {
    /// What may be originated.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// How long a prefix inside of it may be.
    pub max_length: u8,
    /// Who may; 0 is nobody (RFC 6483).
    pub asn: u32,
}

impl Vrp {
    /// Whether it has a say in who originates a prefix.
    fn covers(&self, prefix: &IpNet) -> bool {
        self.prefix.contains(prefix)
    }

    /// Why it does not make a prefix that it covers valid.
    fn mismatch(&self, prefix: &IpNet, asn: Asn) -> Option<String> {
        if self.asn == 0 {
            Some(format!("{self} lets nobody originate it"))
        } else if self.asn != asn.get() {
            Some(format!("{self} is of another AS"))
        } else if prefix.prefix_len() > self.max_length {
            Some(format!("{self} ends at maxLength {}", self.max_length))
        } else {
            None
        }
    }

    /// How many prefixes it permits.
    fn permitted(&self) -> u128 {
        let longer = u32::from(self.max_length.saturating_sub(self.prefix.prefix_len()));
        1u128.checked_shl(longer + 1).map_or(u128::MAX, |count| count - 1)
    }

    /// Whether it permits more than what is announced, so that others may forge the rest (RFC 9319).
    pub(crate) fn is_loose(&self, announced: &[IpNet]) -> bool {
        let inside: BTreeSet<_> = announced
            .iter()
            .filter(|prefix| self.covers(prefix) && prefix.prefix_len() <= self.max_length)
            .collect();
        self.max_length > self.prefix.prefix_len() && (inside.len() as u128) < self.permitted()
    }
}

impl fmt::Display for Vrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} AS{}", self.prefix, self.max_length, self.asn)
    }
}

/// How a route stands to the VRPs (RFC 6811 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// A VRP covers it and permits it.
    Valid,
    /// VRPs cover it, and none permits it: many networks drop it.
    Invalid,
    /// No VRP covers it.
    NotFound,
}

/// What the VRPs say about one announced prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdict {
    /// The prefix.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// The AS that originates it.
    pub asn: Asn,
    /// Whether it may.
    pub validity: Validity,
    /// Every VRP that covers it.
    pub covering: Vec<Vrp>,
}

impl Verdict {
    /// Of a prefix that an AS originates.
    pub(crate) fn of(prefix: IpNet, asn: Asn, vrps: &BTreeSet<Vrp>) -> Self {
        let covering: Vec<Vrp> = vrps.iter().filter(|vrp| vrp.covers(&prefix)).copied().collect();
        let validity = if covering.is_empty() {
            Validity::NotFound
        } else if covering.iter().any(|vrp| vrp.mismatch(&prefix, asn).is_none()) {
            Validity::Valid
        } else {
            Validity::Invalid
        };
        Self { prefix, asn, validity, covering }
    }

    /// Why each VRP that covers it does not permit it, the ones that do left out.
    pub(crate) fn mismatches(&self) -> impl Iterator<Item = String> {
        self.covering.iter().filter_map(|vrp| vrp.mismatch(&self.prefix, self.asn))
    }

    /// The VRPs that permit it.
    pub(crate) fn permitting(&self) -> impl Iterator<Item = &Vrp> {
        self.covering.iter().filter(|vrp| vrp.mismatch(&self.prefix, self.asn).is_none())
    }
}

/// The VRPs of an export that cover one of the prefixes.
///
/// # Errors
/// Where the text is not such an export, and what was expected there.
pub(crate) fn read(export: impl Read, prefixes: &[IpNet]) -> Result<BTreeSet<Vrp>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_reader(export);
    let vrps = Export(prefixes).deserialize(&mut json)?;
    json.end()?;
    Ok(vrps)
}

/// The whole text.
struct Export<'a>(&'a [IpNet]);

impl<'de> DeserializeSeed<'de> for Export<'_> {
    type Value = BTreeSet<Vrp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Export<'_> {
    type Value = BTreeSet<Vrp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a validator's export: an object with the key `roas`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut vrps = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "roas" {
                map.next_value::<IgnoredAny>()?;
            } else if vrps.replace(map.next_value_seed(Roas(self.0))?).is_some() {
                return Err(A::Error::custom("a second key `roas`; expected one"));
            }
        }
        vrps.ok_or_else(|| {
            A::Error::custom(format_args!("no key `roas`; expected {}", &self as &dyn Expected))
        })
    }
}

/// The list of VRPs.
struct Roas<'a>(&'a [IpNet]);

impl<'de> DeserializeSeed<'de> for Roas<'_> {
    type Value = BTreeSet<Vrp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Roas<'_> {
    type Value = BTreeSet<Vrp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of VRPs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut vrps = BTreeSet::new();
        let mut is_empty = true;
        while let Some(entry) = list.next_element::<Entry>()? {
            is_empty = false;
            let vrp = entry.vrp().map_err(A::Error::custom)?;
            if self.0.iter().any(|prefix| vrp.covers(prefix)) {
                vrps.insert(vrp);
            }
        }
        // A validator that has just started exports this; every prefix would be not found.
        match is_empty {
            true => Err(A::Error::custom(
                "`roas` is empty; expected the export of a validator that has finished a run",
            )),
            false => Ok(vrps),
        }
    }
}

/// One VRP as it is written.
#[derive(Deserialize)]
struct Entry {
    asn: Origin,
    prefix: Prefix,
    #[serde(rename = "maxLength")]
    max_length: Option<u8>,
}

impl Entry {
    fn vrp(self) -> Result<Vrp, String> {
        let Self { asn: Origin(asn), prefix: Prefix(prefix), max_length } = self;
        // RFC 9582: what is left out is the length of the prefix.
        let max_length = max_length.unwrap_or(prefix.prefix_len());
        let lengths = prefix.prefix_len()..=prefix.max_prefix_len();
        if lengths.contains(&max_length) {
            Ok(Vrp { prefix, max_length, asn })
        } else {
            let (least, most) = lengths.into_inner();
            Err(format!("maxLength {max_length} for {prefix}; expected {least} to {most}"))
        }
    }
}

/// The beginning of a text, for a message.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// An AS number that may be 0: 64496 or "AS64496".
struct Origin(u32);

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Origin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AS number, as 64496 or \"AS64496\"")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Origin, E> {
                u32::try_from(number)
                    .map(Origin)
                    .map_err(|_| E::custom(format_args!("{number} is not {}", &self as &dyn Expected)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Origin, E> {
                let digits = text.strip_prefix("AS").unwrap_or(text);
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
                digits.parse().ok().filter(|_| is_number).map(Origin).ok_or_else(|| {
                    E::custom(format_args!("{} is not {}", quoted(text), &self as &dyn Expected))
                })
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// A prefix without bits beyond its length.
struct Prefix(IpNet);

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Prefix;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a prefix, such as \"192.0.2.0/24\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Prefix, E> {
                let prefix = text.parse::<IpNet>().ok().filter(|prefix| prefix.trunc() == *prefix);
                prefix.map(Prefix).ok_or_else(|| {
                    E::custom(format_args!("{} is not {}", quoted(text), &self as &dyn Expected))
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests;
