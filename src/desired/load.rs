//! Load: the whole way from a tree of files to the desired state, or to everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::check;
use super::files::layout::{self, Kind};
use super::files::{NetworkFile, NodeFile, PeerFile, ZoneFile, yaml};
use super::model::{DesiredState, SealedSecret};
use crate::finding::Finding;
use crate::fingerprint::Fingerprint;
use crate::names::{AccountName, DomainName, NodeName, PeerName, SecretName};
use crate::tree::{Content, File, Tree};

/// A file that was read, with its path.
#[derive(Debug)]
pub(crate) struct Located<T> {
    /// In the repository.
    pub(crate) path: Arc<str>,
    /// When it last changed, in first-parent commits.
    pub(crate) changed: u32,
    /// Its shape.
    pub(crate) file: T,
}

/// Every file whose structure could be read. The checks that compare files work on this, so that a fault in one
/// file hides none in another.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) network: Option<Located<NetworkFile>>,
    pub(crate) nodes: BTreeMap<NodeName, Located<NodeFile>>,
    pub(crate) peers: BTreeMap<(NodeName, PeerName), Located<PeerFile>>,
    pub(crate) zones: BTreeMap<(DomainName, AccountName), Located<ZoneFile>>,
    pub(crate) records: BTreeMap<(DomainName, AccountName), Located<Arc<str>>>,
    pub(crate) secrets: BTreeMap<SecretName, Located<Arc<[u8]>>>,
    pub(crate) trust: Option<Located<Arc<[u8]>>>,
    pub(crate) keys: BTreeMap<String, Arc<[u8]>>,
}

/// The desired state that a tree describes, or every finding against it, sorted by place.
///
/// For plans and drafts: nothing says that anybody signed the tree. A node applies only what came
/// through a verified revision.
pub fn read(tree: &Tree) -> Result<DesiredState, Vec<Finding>> {
    let mut findings = Vec::new();
    let files = sort(tree, &mut findings);
    let state = convert(&files, &mut findings);
    check::all(&files, &mut findings);
    verdict(state, findings)
}

/// As [`read`], with the findings that are for people alone, beside those for which a node refuses a revision. For
/// `shoestring check`.
///
/// # Errors
/// Every finding, sorted by place.
pub fn check(tree: &Tree) -> Result<DesiredState, Vec<Finding>> {
    let mut findings = Vec::new();
    let files = sort(tree, &mut findings);
    let state = convert(&files, &mut findings);
    check::all(&files, &mut findings);
    check::advice(&files, state.as_ref(), &mut findings);
    verdict(state, findings)
}

fn verdict(state: Option<DesiredState>, mut findings: Vec<Finding>) -> Result<DesiredState, Vec<Finding>> {
    match state {
        Some(state) if findings.is_empty() => Ok(state),
        _ => {
            findings.sort();
            findings.dedup();
            Err(findings)
        }
    }
}

/// The desired state without the checks that compare files: for commands that put such findings right.
///
/// # Errors
/// Every value that is wrong by itself.
pub(crate) fn values(tree: &Tree) -> Result<DesiredState, Vec<Finding>> {
    let mut findings = Vec::new();
    let files = sort(tree, &mut findings);
    let state = convert(&files, &mut findings).filter(|_| findings.is_empty());
    state.ok_or(findings)
}

/// Every file to its kind and its shape.
fn sort(tree: &Tree, findings: &mut Vec<Finding>) -> Files {
    let mut files = Files::default();
    for (path, File { bytes, changed }) in &tree.files {
        let kind = match layout::classify(path) {
            Ok(kind) => kind,
            Err(why) => {
                findings.push(Finding::new(&**path, None, why).with_hint(layout::EXPECTED));
                continue;
            }
        };
        let mut place = Place { path, bytes, changed: *changed, findings };
        match kind {
            Kind::Network => files.network = place.yaml(),
            Kind::Trust => files.trust = Some(place.located(bytes.octets())),
            Kind::Node(node) => files.nodes.extend(place.yaml().map(|file| (node, file))),
            Kind::Peer(node, peer) => files.peers.extend(place.yaml().map(|file| ((node, peer), file))),
            Kind::Zone(account, zone) => files.zones.extend(place.yaml().map(|file| ((zone, account), file))),
            Kind::Records(account, zone) => {
                files.records.extend(place.text().map(|file| ((zone, account), file)));
            }
            Kind::Secret(secret) => {
                files.secrets.insert(secret, place.located(bytes.octets()));
            }
            Kind::Key => {
                files.keys.insert(path.to_string(), bytes.octets());
            }
            Kind::Ignored => {}
        }
    }
    files
}

/// One file on its way to its shape.
struct Place<'a> {
    path: &'a Arc<str>,
    bytes: &'a Content,
    changed: u32,
    findings: &'a mut Vec<Finding>,
}

impl Place<'_> {
    fn located<T>(&self, file: T) -> Located<T> {
        Located { path: Arc::clone(self.path), changed: self.changed, file }
    }

    fn yaml<T: serde::de::DeserializeOwned>(&mut self) -> Option<Located<T>> {
        match yaml::parse(self.path, self.bytes) {
            Ok(file) => Some(self.located(file)),
            Err(finding) => {
                self.findings.push(finding);
                None
            }
        }
    }

    fn text(&mut self) -> Option<Located<Arc<str>>> {
        match yaml::text(self.path, self.bytes) {
            Ok(text) => Some(self.located(match self.bytes {
                Content::Text(text) => Arc::clone(text),
                Content::Octets(_) => text.into(),
            })),
            Err(finding) => {
                self.findings.push(finding);
                None
            }
        }
    }
}

/// Every shape to its domain type; `None` if one has a wrong value, after all were looked at.
fn convert(files: &Files, findings: &mut Vec<Finding>) -> Option<DesiredState> {
    let Files { network, nodes, peers, zones, records, secrets, trust: _, keys: _ } = files;
    if network.is_none() && !findings.iter().any(|finding| finding.path == "network.yaml") {
        findings.push(
            Finding::new("network.yaml", None, "the file is missing")
                .with_hint("`shoestring init` makes the files of a network"),
        );
    }
    let network = network.as_ref().and_then(|located| located.file.convert(&located.path, findings));
    let mesh = network.as_ref().map(|network| &network.mesh);
    let nodes: Vec<_> = nodes
        .iter()
        .map(|(name, located)| {
            Some((name.clone(), located.file.convert(name, mesh, &located.path, findings)?))
        })
        .collect();
    let peers: Vec<_> = peers
        .iter()
        .map(|(key, located)| {
            Some((key.clone(), located.file.convert(&key.0, &key.1, &located.path, findings)?))
        })
        .collect();
    let zones: Vec<_> = zones
        .iter()
        .map(|(key, located)| {
            let (zone, account) = key;
            let records = records.get(key).map(|records| super::files::Records {
                path: records.path.clone(),
                text: records.file.clone(),
                changed: records.changed.max(located.changed),
            });
            let file = located.file.convert(account, zone, records, &located.path, findings)?;
            Some((zone.clone(), file))
        })
        .collect();
    Some(DesiredState {
        network: network?,
        nodes: nodes.into_iter().collect::<Option<_>>()?,
        peers: peers.into_iter().collect::<Option<_>>()?,
        zones: zones.into_iter().collect::<Option<_>>()?,
        secrets: secrets.iter().map(|(name, located)| (name.clone(), sealed(located))).collect(),
    })
}

fn sealed(located: &Located<Arc<[u8]>>) -> SealedSecret {
    SealedSecret {
        path: located.path.to_string(),
        octets: located.file.clone(),
        sealed: Fingerprint::of(&[&located.file]),
    }
}

/// The files of a folder on disk, as a draft of a revision: `.git` left out.
///
/// # Errors
/// When a folder or a file cannot be read, or something in it is neither: the text names it.
pub fn read_folder(folder: &Path) -> Result<Tree, String> {
    let (tree, findings) = scan_folder(folder)?;
    match findings.first() {
        None => Ok(tree),
        Some(finding) => Err(format!("{}: {finding}", folder.display())),
    }
}

/// As [`read_folder`], with a finding for each entry that is neither a file nor a folder.
pub(crate) fn scan_folder(folder: &Path) -> Result<(Tree, Vec<Finding>), String> {
    /// More than any network needs; guards against a `check /`.
    const MAX_FILES: usize = 1_000_000;
    /// In octets, of all files together.
    const MAX_TOTAL: u64 = 2 << 30;
    let mut tree = Tree::default();
    let mut findings = Vec::new();
    let mut total = 0;
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name();
            let failed = |error: std::io::Error| format!("{}: {error}", path.display());
            let kind = entry.file_type().map_err(failed)?;
            let Some(name) = name.to_str() else {
                let path = format!("{prefix}{}", name.to_string_lossy());
                findings.push(Finding::new(path, None, "the file's name is not UTF-8"));
                continue;
            };
            let place = format!("{prefix}{name}");
            if name == ".git" {
                continue;
            } else if kind.is_dir() {
                folders.push((path, place + "/"));
            } else if kind.is_file() {
                let bytes = std::fs::read(&path).map_err(failed)?;
                total += bytes.len() as u64;
                tree.files.insert(place.into(), File { bytes: bytes.into(), changed: 0 });
            } else {
                let finding = Finding::new(place, None, "neither a file nor a folder");
                findings.push(finding.with_hint("a network's repository has no symbolic links or devices"));
            }
            if tree.files.len() > MAX_FILES || total > MAX_TOTAL {
                return Err(format!("{}: far too much for a network's repository", folder.display()));
            }
        }
    }
    Ok((tree, findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_no_findings() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
        let state = read(&read_folder(&folder).unwrap()).unwrap();
        assert_eq!(state.nodes.len(), 12);
        assert!(state.zones.len() >= 20);
    }
}
