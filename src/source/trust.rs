//! Trust: who may sign what, from `trust.yaml`.
//!
//! Rules are deny by default: a path that no rule matches may not be changed by anybody. How overlapping rules
//! combine is written at [`RuleFile`], from where it reaches the JSON Schema. [`Trust::lack`] is the whole of it.

use std::collections::{BTreeMap, BTreeSet};

use super::glob::Glob;
use super::signature::Key;
use crate::desired::files::yaml;
use crate::finding::Finding;
use crate::names::PrincipalName;
use crate::secrets::Recipient;

mod file;
mod read;

pub use file::{PrincipalFile, RuleFile, TrustFile};
pub use read::canonical_fingerprint;

/// Where the trust file stands in the tree.
pub const PATH: &str = "trust.yaml";

/// A trust file that was read and holds together.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Its version.
    pub version: u64,
    /// The keys, each with whose it is.
    pub keys: Vec<(PrincipalName, Key)>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Fingerprints that are not believed.
    pub revoked: BTreeSet<String>,
    /// The files below `keys/` that it refers to.
    pub key_files: BTreeSet<String>,
    /// What each person can decrypt with.
    pub recipients: BTreeMap<PrincipalName, BTreeSet<Recipient>>,
}

/// Who may change what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its place in the file, from 1.
    pub number: usize,
    /// What it is about.
    pub paths: Vec<Glob>,
    /// Who may sign.
    pub signers: BTreeSet<PrincipalName>,
    /// How many of them must.
    pub need: usize,
}

/// What one path still lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// No rule matches: nobody may.
    NoRule,
    /// None of those who signed is among a rule's signers.
    NotTheirs {
        /// The rule's number.
        rule: usize,
        /// Who may.
        signers: BTreeSet<PrincipalName>,
    },
    /// Too few of a rule's signers have signed.
    More {
        /// The rule's number.
        rule: usize,
        /// How many are needed.
        need: usize,
        /// Who has signed.
        have: BTreeSet<PrincipalName>,
        /// Who else may.
        others: BTreeSet<PrincipalName>,
    },
}

impl Trust {
    /// Reads a trust file. `key_file` gives the bytes of a file of the same tree. All findings at once; a file with a
    /// finding is no trust file (R7).
    pub fn parse(bytes: &[u8], key_file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Self, Vec<Finding>> {
        let file = yaml::parse(PATH, bytes).map_err(|finding| vec![finding])?;
        read::read(file, key_file)
    }

    /// What is missing for `signed` to change `path`; `None` when nothing is.
    pub fn lack(&self, path: &str, signed: &BTreeSet<PrincipalName>) -> Option<Lack> {
        let account =
            path.strip_prefix("zones/").and_then(|rest| rest.split_once('/')).map(|(account, _)| account);
        let mut general = Vec::new();
        let mut own = Vec::new();
        for rule in &self.rules {
            for glob in rule.paths.iter().filter(|glob| glob.matches(path)) {
                let mut prefix = glob.literal_prefix();
                let names_it =
                    prefix.next() == Some("zones") && account.is_some() && prefix.next() == account;
                let group = if names_it { &mut own } else { &mut general };
                if group.last().is_none_or(|last: &&Rule| last.number != rule.number) {
                    group.push(rule);
                }
            }
        }
        let groups: Vec<Vec<&Rule>> = [own, general].into_iter().filter(|group| !group.is_empty()).collect();
        if groups.is_empty() {
            return Some(Lack::NoRule);
        }
        // An alternative may ask for more signatures than the rule that it stands in for, never for fewer.
        let alternative = groups.len() > 1;
        let least = groups.iter().flatten().map(|rule| rule.need).max().filter(|_| alternative).unwrap_or(0);
        let lacks: Vec<Lack> = groups
            .into_iter()
            .map(|group| group.into_iter().find_map(|rule| rule.lack(rule.need.max(least), signed)))
            .collect::<Option<_>>()?;
        // Of two alternatives, tell of the one that is nearer to being met.
        lacks.into_iter().min_by_key(|lack| !matches!(lack, Lack::More { .. }))
    }

    /// Who may take part in a change of this path: the signers of every rule that matches it.
    pub fn signers_of(&self, path: &str) -> BTreeSet<&PrincipalName> {
        let matching = self.rules.iter().filter(|rule| rule.paths.iter().any(|glob| glob.matches(path)));
        matching.flat_map(|rule| &rule.signers).collect()
    }

    /// Whose key has one of these fingerprints.
    pub fn principal_of(&self, fingerprint: &str) -> Option<&PrincipalName> {
        let has = |key: &Key| key.fingerprints().iter().any(|own| own == fingerprint);
        self.keys.iter().find(|(_, key)| has(key)).map(|(name, _)| name)
    }
}

impl Rule {
    fn lack(&self, need: usize, signed: &BTreeSet<PrincipalName>) -> Option<Lack> {
        let have: BTreeSet<_> = self.signers.intersection(signed).cloned().collect();
        if have.len() >= need {
            None
        } else if have.is_empty() {
            Some(Lack::NotTheirs { rule: self.number, signers: self.signers.clone() })
        } else {
            let others = self.signers.difference(signed).cloned().collect();
            Some(Lack::More { rule: self.number, need, have, others })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const NAT: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOYDOeBylyhoDvKQ2kBkJcvCPqlCeiJNGyDUMfV6jxk";
    const CLAIRE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIODjHpdG29MtS+QVgvfhJNt1Ja7PpJ1p5hcmJrvigCkV";
    pub(super) const MIKE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKaJiGo/HwsKoLyw5C7fiGE9neB1hHRCr7/D3nk8K+fY";

    pub(super) fn file(rules: &str) -> String {
        format!(
            "version: 7\nprincipals:\n  nat: {{ keys: [\"{NAT}\"] }}\n  claire: {{ keys: [\"{CLAIRE}\"] }}\n  \
             mike: {{ keys: [\"{MIKE}\"] }}\nrules:\n{rules}"
        )
    }

    pub(super) fn parse(text: &str) -> Result<Trust, Vec<Finding>> {
        Trust::parse(text.as_bytes(), &|_| None)
    }

    fn trust(rules: &str) -> Trust {
        parse(&file(rules)).unwrap()
    }

    fn people(names: &[&str]) -> BTreeSet<PrincipalName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Who of the three alone may change a path.
    fn may(trust: &Trust, path: &str) -> Vec<&'static str> {
        ["claire", "mike", "nat"]
            .into_iter()
            .filter(|name| trust.lack(path, &people(&[name])).is_none())
            .collect()
    }

    #[test]
    fn the_rules_of_an_account_are_an_alternative_to_the_general_ones() {
        let trust = trust(
            "- { paths: [\"zones/**\"], signers: [nat, claire], need: 1 }\n\
             - { paths: [\"zones/mike/**\"], signers: [mike, nat], need: 1 }\n\
             - { paths: [\"peers/**\", \"network.yaml\"], signers: [nat, claire], need: 2 }\n",
        );
        assert_eq!(may(&trust, "zones/mike/example.org.yaml"), ["claire", "mike", "nat"]);
        assert_eq!(may(&trust, "zones/other/example.org.yaml"), ["claire", "nat"]);
        assert_eq!(may(&trust, "zones/mikes/example.org.yaml"), ["claire", "nat"]);
        assert_eq!(may(&trust, "zones/mike"), ["claire", "nat"]);
        assert_eq!(may(&trust, "README.md"), [""; 0]);
        assert_eq!(trust.lack("README.md", &people(&["nat", "claire", "mike"])), Some(Lack::NoRule));
        assert_eq!(
            trust.lack("network.yaml", &people(&["nat", "mike"])),
            Some(Lack::More { rule: 3, need: 2, have: people(&["nat"]), others: people(&["claire"]) })
        );
        assert_eq!(trust.lack("network.yaml", &people(&["nat", "claire"])), None);
        assert_eq!(
            trust.lack("network.yaml", &people(&["mike"])),
            Some(Lack::NotTheirs { rule: 3, signers: people(&["nat", "claire"]) })
        );
    }

    #[test]
    fn elsewhere_every_rule_that_matches_must_be_met() {
        let trust = trust(
            "- { paths: [\"**\"], signers: [nat, mike], need: 1 }\n\
             - { paths: [\"trust.yaml\"], signers: [nat, claire], need: 1 }\n\
             - { paths: [\"zones/*/shared.zone\"], signers: [claire, nat], need: 1 }\n\
             - { paths: [\"zones/mike/**\"], signers: [claire], need: 1 }\n",
        );
        assert_eq!(may(&trust, "trust.yaml"), ["nat"]);
        assert_eq!(may(&trust, "network.yaml"), ["mike", "nat"]);
        assert_eq!(may(&trust, "zones/other/shared.zone"), ["nat"]);
        // Either claire by the account's rule, or nat by both of the general ones.
        assert_eq!(may(&trust, "zones/mike/shared.zone"), ["claire", "nat"]);
    }

    #[test]
    fn an_alternative_does_not_ask_for_fewer() {
        let stricter = trust(
            "- { paths: [\"zones/**\"], signers: [nat, claire], need: 1 }\n\
             - { paths: [\"zones/mike/**\"], signers: [nat, mike], need: 2 }\n",
        );
        let laxer = trust(
            "- { paths: [\"zones/**\"], signers: [nat, claire], need: 2 }\n\
             - { paths: [\"zones/mike/**\"], signers: [mike, nat], need: 1 }\n",
        );
        for trust in [stricter, laxer] {
            assert_eq!(may(&trust, "zones/mike/a"), [""; 0]);
            assert_eq!(trust.lack("zones/mike/a", &people(&["nat", "mike"])), None);
            assert_eq!(trust.lack("zones/mike/a", &people(&["nat", "claire"])), None);
            assert!(trust.lack("zones/mike/a", &people(&["claire", "mike"])).is_some());
        }
    }
}
