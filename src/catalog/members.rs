//! Members: what a catalog zone lists, by RFC 9432.
//!
//! ```text
//! version.<catalog>            TXT "2"          exactly one
//! <id>.zones.<catalog>         PTR <member>     one for each id, one id for each member
//! coo.<id>.zones.<catalog>     PTR <catalog>    the catalog that the member goes over to (change of ownership)
//! ```
//!
//! A catalog that breaks one of these rules is broken, and nothing is taken from it (section 5.1). Everything else in it
//! is passed over: groups, which nothing here is made to depend on, and extensions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::zone::{Rrset, Zone, leading_name};
use crate::names::DomainName;

/// The members, by name.
pub type Members = BTreeMap<DomainName, Member>;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The label that it has in the catalog, as a name of its own. Another one is another zone of the same name: what was
    /// known of the one before is to be forgotten (section 5.4).
    pub id: DomainName,
    /// The catalog that it goes over to, as soon as that lists it (section 4.4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_to: Option<DomainName>,
}

/// More than any account has, and as much as is kept in memory for one.
const MOST: usize = 100_000;

/// Why a catalog is broken, or is taken for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No version.
    #[error("it has no record version.{0} TXT \"2\": it is no catalog zone")]
    NoVersion(DomainName),
    /// Several versions, or one that is not known.
    #[error("its version is {0}; only one TXT record \"2\" is known here")]
    Version(String),
    /// An id that stands for several members.
    #[error("{0} has {1} PTR records where there has to be one")]
    Several(DomainName, usize),
    /// Far too many members.
    #[error("it lists more than {MOST} zones, the most that one may")]
    TooMany,
    /// A member with several ids.
    #[error("it lists {member} twice, as {} and as {}", ids[0], ids[1])]
    Twice {
        /// The member.
        member: DomainName,
        /// Two of its ids.
        ids: [DomainName; 2],
    },
}

/// The members that a catalog lists.
///
/// # Errors
/// When it is broken.
pub fn members(catalog: &Zone) -> Result<Members, Broken> {
    let depth = catalog.apex().labels().count();
    let mut version = None;
    let mut members = Members::new();
    let mut heirs = BTreeMap::new();
    for set in catalog.rrsets() {
        let owner = set.owner();
        let labels: Vec<&[u8]> = owner.labels().collect();
        match (&labels[..labels.len() - depth], set.rtype()) {
            ([b"version"], rtype::TXT) => version = Some(is_known(&set)?),
            ([id, b"zones"], rtype::PTR) => {
                let (id, name) = (label(id), only(&set)?);
                if let Some(other) = members.insert(name.clone(), Member { id: id.clone(), goes_to: None }) {
                    return Err(Broken::Twice { member: name, ids: [other.id, id] });
                }
                if members.len() > MOST {
                    return Err(Broken::TooMany);
                }
            }
            ([b"coo", id, b"zones"], rtype::PTR) => {
                heirs.insert(label(id), only(&set)?);
            }
            _ => {}
        }
    }
    if version.is_none() {
        return Err(Broken::NoVersion(catalog.apex().clone()));
    }
    if !heirs.is_empty() {
        members.values_mut().for_each(|member| member.goes_to = heirs.remove(&member.id));
    }
    Ok(members)
}

fn is_known(version: &Rrset<'_>) -> Result<(), Broken> {
    let texts: Vec<&[u8]> = version.rdatas().collect();
    match texts[..] {
        [b"\x012"] => Ok(()),
        [text] => {
            Err(Broken::Version(format!("{:?}", String::from_utf8_lossy(text.get(1..).unwrap_or(&[])))))
        }
        _ => Err(Broken::Version(format!("given by {} records", texts.len()))),
    }
}

/// The name in the only record of a set.
fn only(set: &Rrset<'_>) -> Result<DomainName, Broken> {
    let several = || Broken::Several(set.owner(), set.count());
    let mut all = set.rdatas();
    match (all.next(), all.next()) {
        // The zone was built of records that could be read.
        (Some(data), None) => leading_name(data).ok_or_else(several),
        _ => Err(several()),
    }
}

fn label(label: &[u8]) -> DomainName {
    let length = u8::try_from(label.len()).unwrap_or_default();
    DomainName::from_wire(&[&[length], label, &[0]].concat()).unwrap_or_else(DomainName::root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::embedded::zonefile;

    fn read(records: &str) -> Result<Members, Broken> {
        let text = format!("$TTL 0\n@ SOA invalid. invalid. 1 3600 600 86400 0\n@ NS invalid.\n{records}");
        members(&zonefile::read("c", &text, &"catalog.example".parse().unwrap(), None).unwrap())
    }

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn members_are_listed_and_the_rest_is_passed_over() {
        let listed = read(
            "version TXT \"2\"\n\
             nj2xg5b.zones PTR a.example.\n\
             group.nj2xg5b.zones TXT \"one\"\n\
             NVXXEZJ.zones PTR B.Example.\n\
             coo.nvxxezj.zones PTR other.example.\n\
             coo.nobody.zones PTR other.example.\n\
             coo.zones PTR c.example.\n\
             some.ext TXT \"what\"\n\
             x.zones TXT \"no member\"\n\
             y.nozones PTR no.example.\n",
        );
        let member = |id: &str, goes_to: Option<&str>| Member { id: name(id), goes_to: goes_to.map(name) };
        let wanted = [
            (name("a.example"), member("nj2xg5b", None)),
            (name("b.example"), member("nvxxezj", Some("other.example"))),
            // An id like any other.
            (name("c.example"), member("coo", None)),
        ];
        assert_eq!(listed, Ok(wanted.into()));
        assert_eq!(read("version TXT \"2\"\n"), Ok(Members::new()), "one without members is none the worse");
    }

    #[test]
    fn a_broken_catalog_lists_nothing() {
        for (records, why) in [
            (
                "a.zones PTR a.example.\n",
                "it has no record version.catalog.example TXT \"2\": it is no catalog zone",
            ),
            (
                "version PTR a.example.\n",
                "it has no record version.catalog.example TXT \"2\": it is no catalog zone",
            ),
            ("version TXT \"1\"\n", "its version is \"1\"; only one TXT record \"2\" is known here"),
            (
                "version TXT \"2\" \"2\"\n",
                "its version is \"2\\u{1}2\"; only one TXT record \"2\" is known here",
            ),
            (
                "version TXT \"2\"\nversion TXT \"3\"\n",
                "its version is given by 2 records; only one TXT record \"2\" is known here",
            ),
            (
                "version TXT \"2\"\na.zones PTR a.example.\na.zones PTR b.example.\n",
                "a.zones.catalog.example has 2 PTR records where there has to be one",
            ),
            (
                "version TXT \"2\"\na.zones PTR a.example.\ncoo.a.zones PTR b.example.\ncoo.a.zones PTR c.example.\n",
                "coo.a.zones.catalog.example has 2 PTR records where there has to be one",
            ),
            (
                "version TXT \"2\"\na.zones PTR x.example.\nb.zones PTR X.example.\n",
                "it lists x.example twice, as a and as b",
            ),
        ] {
            assert_eq!(read(records).unwrap_err().to_string(), why);
        }
    }
}
