//! Secrets: each that a file names is there.

use super::Site;
use crate::desired::load::Files;
use crate::finding::Finding;
use crate::names::SecretName;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    for (secret, Site { path, at }) in references(files) {
        if !files.secrets.contains_key(secret) {
            let hint = format!("`shoestring secret set {secret}` adds it; or correct the name");
            findings.push(Finding::new(path, at, format!("there is no secret {secret}")).with_hint(hint));
        }
    }
}

/// Every place where a file names a secret.
fn references(files: &Files) -> Vec<(&SecretName, Site<'_>)> {
    let network = files.network.iter().map(|file| (file.path.as_str(), file.file.cookie_secret.as_ref()));
    let peers = files.peers.values().map(|file| (file.path.as_str(), file.file.password.as_ref()));
    let zones = files.zones.values().flat_map(|file| {
        let primaries = file.file.primaries.iter().flatten();
        primaries.map(|primary| (file.path.as_str(), primary.tsig_key.as_ref()))
    });
    let all = network.chain(peers).chain(zones);
    all.filter_map(|(path, field)| {
        let (secret, at) = field?.located()?;
        Some((secret, Site { path, at }))
    })
    .collect()
}
