//! Trust: who may sign what, from `trust.yaml`.
//!
//! Rules are deny by default: a path that no rule matches may not be changed by anybody. How overlapping rules
//! combine is written at [`RuleFile`], from where it reaches the JSON Schema.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::{Location, Spanned};

use super::glob::Glob;
use super::signature::{Key, openpgp, ssh};
use crate::desired::files::yaml;
use crate::finding::{Finding, Position};
use crate::names::PrincipalName;

/// Where the trust file stands in the tree.
pub const PATH: &str = "trust.yaml";

/// `trust.yaml`: who may sign what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Goes up by exactly one with each change of this file.
    #[schemars(with = "u64", range(min = 1))]
    pub version: Spanned<u64>,
    /// The people who sign, by name.
    pub principals: BTreeMap<PrincipalName, PrincipalFile>,
    /// Who may change which paths. A path that no rule matches may not be changed by anybody. Of the rules that
    /// match a path every one must be met, with one exception for accounts: see a rule's description.
    pub rules: Vec<RuleFile>,
    /// Fingerprints of keys that are no longer believed: `SHA256:…` of an SSH key, hexadecimal of an OpenPGP key or
    /// subkey. Applies to every commit that a node has not yet applied, also to those before this entry.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub revoked: Vec<Spanned<String>>,
}

/// One of the people who sign. Several keys of one person count once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalFile {
    /// SSH public keys as in `authorized_keys`, or `openpgp: keys/<name>.asc` for an OpenPGP key in this repository.
    /// A change of such a key file is also judged as a change of `trust.yaml`.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub keys: Vec<Spanned<String>>,
}

/// Who may change the paths that match. Every rule that matches a path must be met, by `need` different people among
/// its signers. One exception, for accounts: below `zones/<account>/`, the rules whose pattern names that account
/// and the more general ones are alternatives, and it is enough that either all of the former or all of the latter
/// are met; the number needed is then the greatest `need` of them all. So with `zones/**` for nat and claire and
/// `zones/mike/**` for mike, each of the three alone may change the zones of mike, and a rule for an account can
/// give its zones to more people and ask for more signatures, but not for fewer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Patterns of paths: `*` stands for any text within one segment, `**` for any number of segments (at the end of
    /// a pattern for at least one). Nothing else has a meaning.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub paths: Vec<Spanned<String>>,
    /// Who may sign, by their names under `principals`.
    #[schemars(with = "Vec<PrincipalName>", length(min = 1))]
    pub signers: Vec<Spanned<String>>,
    /// How many of them must.
    #[schemars(with = "u32", range(min = 1))]
    pub need: Spanned<u32>,
}

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
        let mut reader = Reader { findings: Vec::new(), key_file, key_files: BTreeSet::new() };
        let trust = reader.trust(file);
        if reader.findings.is_empty() { Ok(trust) } else { Err(reader.findings) }
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

/// A fingerprint as we compare it, or `None` if it is none: `SHA256:` and base64, or 40 or 64 hexadecimal digits.
pub fn canonical_fingerprint(text: &str) -> Option<String> {
    if text.starts_with("SHA256:") {
        return text.parse::<ssh_key::Fingerprint>().ok().map(|fingerprint| fingerprint.to_string());
    }
    let hexadecimal = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| text.to_ascii_uppercase())
}

fn place(location: &Location) -> Position {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: number(location.line()), column: number(location.column()) }
}

struct Reader<'a> {
    findings: Vec<Finding>,
    key_file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    key_files: BTreeSet<String>,
}

impl Reader<'_> {
    fn say<T>(&mut self, at: &Spanned<T>, message: impl Into<String>, hint: &str) {
        let finding = Finding::new(PATH, place(&at.referenced), message);
        self.findings.push(if hint.is_empty() { finding } else { finding.with_hint(hint) });
    }

    fn trust(&mut self, file: TrustFile) -> Trust {
        let TrustFile { version, principals, rules, revoked } = file;
        if version.value == 0 {
            self.say(&version, "versions begin at 1", "");
        }
        let mut names = BTreeSet::new();
        let mut keys = Vec::new();
        for (principal, PrincipalFile { keys: lines }) in principals {
            names.insert(principal.clone());
            if lines.is_empty() {
                let finding = Finding::new(PATH, None, format!("{principal} has no key"));
                self.findings.push(finding.with_hint("give a key, or remove the principal"));
            }
            for line in lines {
                self.key(&principal, &line, &mut keys);
            }
        }
        let rules =
            rules.into_iter().enumerate().map(|(index, rule)| self.rule(index + 1, rule, &names)).collect();
        let mut distrusted = BTreeSet::new();
        for entry in revoked {
            match canonical_fingerprint(&entry.value) {
                Some(fingerprint) => drop(distrusted.insert(fingerprint)),
                None => self.say(
                    &entry,
                    format!("{:?} is not a fingerprint", entry.value),
                    "give SHA256:… as `ssh-keygen -l` prints it, or the 40 or 64 digits of an OpenPGP key",
                ),
            }
        }
        let key_files = std::mem::take(&mut self.key_files);
        Trust { version: version.value, keys, rules, revoked: distrusted, key_files }
    }

    fn principal(&mut self, name: &Spanned<String>) -> Option<PrincipalName> {
        name.value.parse().map_err(|error: crate::names::NameError| self.say(name, error.0, "")).ok()
    }

    fn key(
        &mut self,
        principal: &PrincipalName,
        line: &Spanned<String>,
        keys: &mut Vec<(PrincipalName, Key)>,
    ) {
        let key = match line.value.strip_prefix("openpgp:") {
            None => ssh::parse_key(&line.value).map(|key| Key::Ssh(Box::new(key))),
            Some(path) => self.certificate(path.trim()),
        };
        let key = match key {
            Ok(key) => key,
            Err(why) => return self.say(line, format!("a key of {principal}: {why}"), ""),
        };
        // One key of two people would be two signatures by one hand.
        let taken = |other: &Key| key.fingerprints().iter().any(|one| other.fingerprints().contains(one));
        match keys.iter().find(|(_, other)| taken(other)) {
            Some((owner, _)) => {
                self.say(
                    line,
                    format!("a key of {principal} is already a key of {owner}"),
                    "list each key once",
                );
            }
            None => keys.push((principal.clone(), key)),
        }
    }

    fn certificate(&mut self, path: &str) -> Result<Key, String> {
        if !path.starts_with("keys/") {
            return Err(format!("{path:?} is not below keys/"));
        }
        let Some(bytes) = (self.key_file)(path) else { return Err(format!("there is no file {path}")) };
        let certificate = openpgp::Certificate::parse(&bytes).map_err(|why| format!("{path}: {why}"))?;
        self.key_files.insert(path.to_owned());
        Ok(Key::OpenPgp(Box::new(certificate)))
    }

    fn rule(&mut self, number: usize, rule: RuleFile, known: &BTreeSet<PrincipalName>) -> Rule {
        let RuleFile { paths, signers, need } = rule;
        let mut globs = Vec::new();
        for path in &paths {
            match Glob::parse(&path.value) {
                Ok(glob) => globs.push(glob),
                Err(why) => self.say(path, format!("the pattern {:?}: {why}", path.value), ""),
            }
        }
        let mut names = BTreeSet::new();
        for signer in &signers {
            let Some(name) = self.principal(signer) else { continue };
            if !known.contains(&name) {
                self.say(
                    signer,
                    format!("there is no principal {name}"),
                    "add it under `principals`, with its keys",
                );
            }
            if !names.insert(name) {
                self.say(signer, format!("{} stands twice", signer.value), "people are counted once");
            }
        }
        if paths.is_empty() || signers.is_empty() {
            self.say(
                &need,
                format!("rule {number} has no paths or no signers"),
                "give both, or remove the rule",
            );
        }
        let needed = usize::try_from(need.value).unwrap_or(usize::MAX);
        if needed == 0 || needed > names.len().max(1) {
            let message = format!("rule {number} needs {needed} of {} signers", names.len());
            self.say(&need, message, "need at least one, and no more than there are");
        }
        Rule { number, paths: globs, signers: names, need: needed.max(1) }
    }
}
