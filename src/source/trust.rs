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
use crate::secrets::Recipient;
use crate::secrets::recipient::RecipientError;

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
    /// What the secrets that this person may change are encrypted to, beside the nodes' keys: age1…, or an SSH key
    /// ssh-ed25519 …. Left out, it is those of `keys` that are of the kind ssh-ed25519.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub age_recipients: Vec<Spanned<String>>,
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

/// A fingerprint as we compare it, or `None` if it is none: `SHA256:` and base64, or 40 or 64 hexadecimal digits.
pub fn canonical_fingerprint(text: &str) -> Option<String> {
    if text.starts_with("SHA256:") {
        return text.parse::<ssh_key::Fingerprint>().ok().map(|fingerprint| fingerprint.to_string());
    }
    let hexadecimal = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| text.to_ascii_uppercase())
}

/// What can be encrypted to a signing key: nothing, unless it is a plain ed25519 key.
fn recipient_of(key: &Key) -> Option<Recipient> {
    match key {
        Key::Ssh(key) => key.to_openssh().ok()?.parse().ok(),
        Key::OpenPgp(_) => None,
    }
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
        let mut recipients = BTreeMap::new();
        for (principal, PrincipalFile { keys: lines, age_recipients }) in principals {
            names.insert(principal.clone());
            if lines.is_empty() {
                let finding = Finding::new(PATH, None, format!("{principal} has no key"));
                self.findings.push(finding.with_hint("give a key, or remove the principal"));
            }
            for line in lines {
                self.key(&principal, &line, &mut keys);
            }
            let given: BTreeSet<_> =
                age_recipients.iter().filter_map(|text| self.recipient(&principal, text)).collect();
            recipients.insert(principal, given);
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
        for (principal, given) in &mut recipients {
            if given.is_empty() {
                let believed = keys.iter().filter(|(owner, key): &&(PrincipalName, Key)| {
                    owner == principal && !key.fingerprints().iter().any(|one| distrusted.contains(one))
                });
                given.extend(believed.filter_map(|(_, key)| recipient_of(key)));
            }
        }
        let key_files = std::mem::take(&mut self.key_files);
        Trust { version: version.value, keys, rules, revoked: distrusted, key_files, recipients }
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

    fn recipient(&mut self, principal: &PrincipalName, text: &Spanned<String>) -> Option<Recipient> {
        let wrong = |error| format!("a key of {principal} to encrypt to: {error}");
        text.value.parse().map_err(|error: RecipientError| self.say(text, wrong(error), "")).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAT: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOYDOeBylyhoDvKQ2kBkJcvCPqlCeiJNGyDUMfV6jxk";
    const CLAIRE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIODjHpdG29MtS+QVgvfhJNt1Ja7PpJ1p5hcmJrvigCkV";
    const MIKE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKaJiGo/HwsKoLyw5C7fiGE9neB1hHRCr7/D3nk8K+fY";

    fn file(rules: &str) -> String {
        format!(
            "version: 7\nprincipals:\n  nat: {{ keys: [\"{NAT}\"] }}\n  claire: {{ keys: [\"{CLAIRE}\"] }}\n  \
             mike: {{ keys: [\"{MIKE}\"] }}\nrules:\n{rules}"
        )
    }

    fn parse(text: &str) -> Result<Trust, Vec<Finding>> {
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

    #[test]
    fn faults_are_found_all_at_once_and_where_they_stand() {
        let text = file(
            "- { paths: [\"a?\"], signers: [nat, nat, eve], need: 4 }\n\
             - { paths: [], signers: [], need: 0 }\n\
             revoked: [\"SHA256:short\"]\n",
        );
        let findings = parse(&text.replace(MIKE, NAT)).unwrap_err();
        let words = [
            "already a key",
            "pattern",
            "stands twice",
            "no principal eve",
            "needs 4",
            "no paths",
            "needs 0",
            "not a fingerprint",
        ];
        for word in words {
            assert!(findings.iter().any(|finding| finding.message.contains(word)), "{word}: {findings:?}");
        }
        assert_eq!(findings.len(), words.len(), "{findings:?}");
        let lines: Vec<_> = findings.iter().filter_map(|finding| Some(finding.position?.line)).collect();
        assert_eq!(lines, [3, 7, 7, 7, 7, 8, 8, 9]);
    }

    #[test]
    fn what_is_no_trust_file() {
        let rule = "- { paths: [\"**\"], signers: [nat], need: 1 }\n";
        assert!(parse(&file(rule)).is_ok());
        for bad in [
            String::new(),
            file(rule).replace("version: 7", "version: 0"),
            file(rule).replace("version: 7", "version: -1"),
            file(rule).replace("version: 7\n", ""),
            file(rule).replace("need", "needs"),
            file(rule) + "unknown: 1\n",
            file(rule) + "version: 7\n",
            file(rule).replace("nat: {", "mike: {"),
            file(rule).replace("nat: {", "Nat: {"),
            file(rule).replace(&format!("\"{NAT}\""), ""),
            file(rule).replace(NAT, "openpgp: keys/nat.asc"),
            file(rule).replace(NAT, "openpgp: ../nat.asc"),
            file(rule).replace(NAT, "ssh-ed25519 AAAA"),
            file(rule) + "revoked: [\"0123\"]\n",
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fingerprints_have_one_form() {
        let ssh = "SHA256:5xYkqPQGkhZM8Ur1f7UsNfvwTqW7zBgKHPlQ3vJGlMI";
        assert_eq!(canonical_fingerprint(ssh).as_deref(), Some(ssh));
        let lower = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(canonical_fingerprint(lower), Some(lower.to_uppercase()));
        for bad in [
            "",
            "SHA256:",
            "SHA256:AAAA",
            "MD5:00",
            "0123",
            &lower[1..],
            "g123456789abcdef0123456789abcdef01234567",
        ] {
            assert_eq!(canonical_fingerprint(bad), None, "{bad}");
        }
    }
}
