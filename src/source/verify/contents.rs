//! What verification itself reads of a revision: the commit, the trust file, the network's name.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Broken, Judge, broken};
use crate::desired::files::yaml;
use crate::finding::Finding;
use crate::names::{NetworkName, Revision};
use crate::source::commit::Commit;
use crate::source::hygiene::{self, Change, Kind};
use crate::source::trust::{self, Trust};

impl Judge<'_> {
    pub(super) fn commit(&self, revision: Revision) -> Result<Commit, Broken> {
        let raw = self.objects.commit(revision)?;
        Commit::parse(&raw).map_err(|error| Broken { rule: "R8", why: error.to_string() })
    }

    /// R7: a trust file that is missing or cannot be read means stop.
    pub(super) fn trust(&self, tree: Revision) -> Result<Trust, Broken> {
        let Some(bytes) = self.file(tree, trust::PATH)? else {
            return broken("R7", "there is no trust.yaml; without one nobody may sign anything");
        };
        let key_file = |path: &str| self.file(tree, path).ok().flatten();
        Trust::parse(&bytes, &key_file).map_err(|findings| {
            let findings: Vec<String> = findings.iter().map(Finding::to_string).collect();
            Broken { rule: "R7", why: format!("the trust file cannot be used: {}", findings.join("; ")) }
        })
    }

    /// The bytes of one file of a tree.
    fn file(&self, tree: Revision, path: &str) -> Result<Option<Vec<u8>>, Broken> {
        let mut tree = tree;
        let mut folder = String::new();
        for segment in path.split('/') {
            let entries = hygiene::read_tree(&self.objects.tree(tree)?, &folder)?;
            let Some(entry) = entries.get(segment) else { return Ok(None) };
            folder = format!("{folder}{segment}/");
            match entry.kind {
                Kind::Folder => tree = entry.id,
                Kind::File { .. } if folder.len() == path.len() + 1 => {
                    return Ok(Some(self.objects.blob(entry.id)?));
                }
                Kind::File { .. } => return Ok(None),
            }
        }
        Ok(None)
    }

    /// R1: a repository of another network is not ours, even where the same people sign it. A `network.yaml` that
    /// cannot be read is for `check` to tell of.
    pub(super) fn same_network(&self, changes: &BTreeMap<String, Change>) -> Result<(), Broken> {
        #[derive(Deserialize)]
        struct Named {
            name: NetworkName,
        }
        let Some(file) = changes.get("network.yaml").and_then(|change| change.after) else { return Ok(()) };
        let bytes = self.objects.blob(file.id)?;
        match yaml::parse::<Named>("network.yaml", &bytes) {
            Ok(Named { name }) if name != self.terms.network => broken(
                "R1",
                format!(
                    "network.yaml is that of the network {name}; this node belongs to {}",
                    self.terms.network
                ),
            ),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
