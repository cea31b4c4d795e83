//! Secrets: each that a file names is there and of the right kind, and is encrypted to those who need it: the nodes
//! whose slices name it, and the operators, who are those that may change it. What its file says of its readers is
//! believed here (`secrets/header.rs` has what that is worth).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Site, Unique, push};
use crate::desired::audience::Audience;
use crate::desired::files::ZoneFile;
use crate::desired::load::{Files, Located};
use crate::desired::model::DesiredState;
use crate::desired::needs::{Needs, Use, needs};
use crate::finding::{Finding, Position};
use crate::keyring::SecretKind;
use crate::names::SecretName;
use crate::secrets::{Header, Recipient};
use crate::source::trust::Trust;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    let headers = headers(files, findings);
    for Reference { secret, kind, site: Site { path, at } } in references(files) {
        if !files.secrets.contains_key(secret) {
            let hint = format!("`shoestring secret set {secret}` adds it; or correct the name");
            findings.push(Finding::new(path, at, format!("there is no secret {secret}")).with_hint(hint));
        } else if let Some(header) = headers.get(secret).filter(|header| header.kind != kind) {
            let message = format!("the secret {secret} is {}, and {kind} is wanted here", header.kind);
            findings.push(Finding::new(path, at, message).with_hint("name another secret"));
        }
    }
    one_key_each(files, findings);
}

/// Who can read each secret, and who should.
pub(super) fn readers(
    files: &Files,
    state: Option<&DesiredState>,
    trust: Option<&Trust>,
    findings: &mut Vec<Finding>,
) {
    let named: BTreeSet<&SecretName> =
        references(files).into_iter().map(|reference| reference.secret).collect();
    for (name, file) in files.secrets.iter().filter(|(name, _)| !named.contains(name)) {
        let hint = format!("`shoestring secret rm {name}` removes it; or name it where it is wanted");
        push(findings, file, None, format!("nothing uses the secret {name}"), &hint);
    }
    let (Some(state), Some(trust)) = (state, trust) else { return };
    let needs = needs(state);
    for (name, header) in headers(files, &mut Vec::new()) {
        if let Some(file) = files.secrets.get(name) {
            let audience = Audience::of(name, state, &needs, trust);
            Judge { name, file, state, trust, audience }.readers(&header, findings);
        }
    }
    without_key(state, &needs, findings);
}

fn headers<'a>(files: &'a Files, findings: &mut Vec<Finding>) -> BTreeMap<&'a SecretName, Header> {
    let secrets = files.secrets.iter();
    secrets.filter_map(|(name, file)| Some((name, header(name, file, findings)?))).collect()
}

fn header(name: &SecretName, file: &Located<Arc<[u8]>>, findings: &mut Vec<Finding>) -> Option<Header> {
    match Header::parse(&file.file) {
        Ok(header) => Some(header),
        Err(error) => {
            let hint = format!("`shoestring secret set {name}` writes it anew");
            push(findings, file, Position { line: error.line, column: 1 }, error.why, &hint);
            None
        }
    }
}

/// One place where a file names a secret.
struct Reference<'a> {
    secret: &'a SecretName,
    /// What is wanted there.
    kind: SecretKind,
    site: Site<'a>,
}

fn references(files: &Files) -> Vec<Reference<'_>> {
    let network = files.network.iter();
    let network = network.map(|file| (&*file.path, SecretKind::Cookie, file.file.cookie_secret.as_ref()));
    let peers = files.peers.values();
    let peers = peers.map(|file| (&*file.path, SecretKind::Password, file.file.password.as_ref()));
    let zones = files.zones.values().flat_map(|file| {
        let ZoneFile { primaries, transfer_to, notify, members, kind: _, serial_offset: _ } = &file.file;
        let members = members.iter();
        let servers = members.clone().flat_map(|members| [&members.primaries, &members.notify]);
        let servers = servers.chain([primaries, notify]).flatten().flatten();
        let servers = servers.map(|server| server.tsig_key.as_ref());
        let clients = members.map(|members| &members.transfer_to).chain([transfer_to]).flatten().flatten();
        let clients = clients.map(|client| client.tsig_key.as_ref());
        servers.chain(clients).map(|key| (&*file.path, SecretKind::Tsig, key))
    });
    let all = network.chain(peers).chain(zones);
    all.filter_map(|(path, kind, field)| {
        let (secret, at) = field?.located()?;
        Some(Reference { secret, kind, site: Site { path, at } })
    })
    .collect()
}

/// One key of two machines could not be taken from one of them.
fn one_key_each(files: &Files, findings: &mut Vec<Finding>) {
    let mut keys = Unique::new();
    for node in files.nodes.values() {
        if let Some((key, at)) = node.file.age_recipient.as_ref().and_then(|field| field.located()) {
            keys.note("the key", key.clone(), Site { path: &node.path, at }, findings);
        }
    }
}

/// A secret, and what its readers are judged by.
struct Judge<'a> {
    name: &'a SecretName,
    file: &'a Located<Arc<[u8]>>,
    state: &'a DesiredState,
    trust: &'a Trust,
    audience: Audience<'a>,
}

impl Judge<'_> {
    /// Who can read it and who should.
    fn readers(&self, header: &Header, findings: &mut Vec<Finding>) {
        let mut say = |line, message: String, hint: &str| {
            push(findings, self.file, Position { line, column: 1 }, message, hint);
        };
        let hint = format!("run `shoestring secret rotate --keep-value {}`", self.name);
        let can = |recipient: &Recipient| header.readers.iter().any(|(reader, _)| reader == recipient);
        for (node, uses) in &self.audience.nodes {
            if node.age_recipient.as_ref().is_some_and(|recipient| !can(recipient)) {
                say(1, format!("{} needs it{} and cannot read it", node.name, purpose(uses)), &hint);
            }
        }
        for (operator, keys) in &self.audience.operators {
            if keys.iter().any(|recipient| !can(recipient)) {
                say(1, format!("{operator} may change it and cannot read it"), &hint);
            }
        }
        if self.audience.operators.iter().all(|(_, keys)| keys.is_empty()) {
            let message = "only nodes can read it: lose them, and it is lost".to_owned();
            let hint = "give somebody who may change it an ssh-ed25519 key or `age_recipients` in trust.yaml";
            say(1, message, hint);
        }
        let wanted = self.audience.recipients();
        let hint =
            format!("run `shoestring secret rotate {}`: who could read it may have kept it", self.name);
        for (reader, line) in header.readers.iter().filter(|(reader, _)| !wanted.contains(reader)) {
            say(*line, self.excess(reader), &hint);
        }
    }

    /// Whose key it is that should not be there.
    fn excess(&self, reader: &Recipient) -> String {
        if let Some(node) = self.state.nodes.values().find(|node| node.age_recipient.as_ref() == Some(reader))
        {
            return format!("{} can read it and does not need it", node.name);
        }
        match self.trust.recipients.iter().find(|(_, keys)| keys.contains(reader)) {
            Some((person, _)) => format!("{person} can read it and may not change it"),
            None => format!("{reader} can read it, which is no node's and no operator's"),
        }
    }
}

/// What a node needs a secret for: the first of its uses.
fn purpose(uses: &[Use<'_>]) -> String {
    uses.first().map(|what| format!(" for {what}")).unwrap_or_default()
}

/// Nodes that nothing can be encrypted to.
fn without_key(state: &DesiredState, needs: &Needs<'_>, findings: &mut Vec<Finding>) {
    for (secret, nodes) in needs {
        for (node, uses) in nodes {
            if state.nodes[*node].age_recipient.is_none() && state.secrets.contains_key(*secret) {
                let what = purpose(uses);
                let message =
                    format!("{node} needs the secret {secret}{what} and has no key to encrypt it to");
                let hint = "add `age_recipient:` with what `shoestring join` prints on the machine, then run \
                            `shoestring secret rotate --keep-value --all`";
                findings.push(Finding::new(format!("nodes/{node}.yaml"), None, message).with_hint(hint));
            }
        }
    }
}
