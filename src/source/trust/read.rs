//! From the file to what it says: names that are known, keys that are keys, rules that can be met.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Location, Spanned};

use super::file::{PrincipalFile, RuleFile, TrustFile};
use super::{PATH, Rule, Trust};
use crate::finding::{Finding, Position};
use crate::names::PrincipalName;
use crate::secrets::Recipient;
use crate::secrets::recipient::RecipientError;
use crate::source::glob::Glob;
use crate::source::signature::{Key, openpgp, ssh};

/// All findings at once.
pub(super) fn read(
    file: TrustFile,
    key_file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Trust, Vec<Finding>> {
    let mut reader = Reader { findings: Vec::new(), key_file, key_files: BTreeSet::new() };
    let trust = reader.trust(file);
    if reader.findings.is_empty() { Ok(trust) } else { Err(reader.findings) }
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
    use super::super::tests::{MIKE, NAT, file, parse};
    use super::*;

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
