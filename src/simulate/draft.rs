//! Draft: the copy of the desired state that the simulation runs, and the edits that make it run here.
//!
//! Of a node's file, its two keys are the only things that cannot be simulated: the private halves are on the real node.
//! So every node that runs gets new ones, the operator a new one to sign with, and each secret a new value (`secrets`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Context, SimulationError};
use crate::desired::load;
use crate::desired::model::{DesiredState, NameServerKind, Node, NodeState, Role, RoutingDaemonKind};
use crate::mesh::PublicKey;
use crate::names::NodeName;
use crate::secrets::Recipient;
use crate::tree::{File, Tree};

/// The longest that a drain is waited for here, but in its own scenario; a network's own policy is for resolvers of the whole
/// internet.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a node has to be well with another configuration here.
const SOAK: Duration = Duration::from_secs(3);
/// And how long it may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// And how long a withdrawal lasts at least.
const HOLD_DOWN: Duration = Duration::from_secs(2);

/// A desired state being edited: the files, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The files.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Draft {
    /// The files of a tree.
    pub(crate) fn of(tree: &Tree) -> Self {
        Self {
            files: tree.files.iter().map(|(path, file)| (path.to_string(), file.bytes.to_vec())).collect(),
        }
    }

    /// What it says.
    pub(crate) fn load(&self) -> Result<DesiredState, SimulationError> {
        load::read(&self.tree()).map_err(|findings| SimulationError {
            operation: "read the desired state".into(),
            why: findings.iter().fold("`shoestring check` shows more".to_owned(), |text, finding| {
                format!("{text}\n  {finding}")
            }),
        })
    }

    /// The files as those of a revision.
    pub(crate) fn tree(&self) -> Tree {
        let file = |bytes: &Vec<u8>| File { bytes: bytes.as_slice().into(), changed: 1 };
        Tree { files: self.files.iter().map(|(path, bytes)| (path.as_str().into(), file(bytes))).collect() }
    }

    /// Changes one YAML file. Its comments are lost: this copy is for machines.
    pub(crate) fn edit(
        &mut self,
        path: &str,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), SimulationError> {
        let operation = || format!("edit {path}");
        let bytes = self.files.get(path).map(Vec::as_slice).unwrap_or_default();
        let text = std::str::from_utf8(bytes).context(operation)?;
        let mut map: Map<String, Value> = serde_yaml::from_str(text).context(operation)?;
        change(&mut map);
        let text = serde_yaml::to_string(&map).context(operation)?;
        self.files.insert(path.to_owned(), text.into_bytes());
        Ok(())
    }

    /// Puts a file there.
    pub(crate) fn write(&mut self, path: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), text.into());
    }

    /// Adds a line at the end of a file.
    pub(crate) fn append(&mut self, path: &str, line: &str) {
        let text = String::from_utf8_lossy(self.files.get(path).map(Vec::as_slice).unwrap_or_default());
        let text = format!("{}\n{line}\n", text.trim_end());
        self.write(path, text);
    }

    /// Removes a node and its peers.
    pub(crate) fn remove_node(&mut self, node: &NodeName) {
        self.files.remove(&node_path(node));
        let peers = format!("peers/{node}/");
        self.files.retain(|path, _| !path.starts_with(&peers));
    }

    /// Sets what a node's life has come to.
    pub(crate) fn set_state(&mut self, node: &NodeName, state: NodeState) -> Result<(), SimulationError> {
        self.edit(&node_path(node), |file| {
            file.insert("state".into(), json!(state));
        })
    }

    /// Sets which name server a node runs.
    pub(crate) fn set_name_server(
        &mut self,
        node: &NodeName,
        kind: NameServerKind,
    ) -> Result<(), SimulationError> {
        self.edit(&node_path(node), |file| {
            file.insert("dns".into(), json!(kind));
        })
    }

    /// Sets which routing daemon a node runs.
    pub(crate) fn set_routing_daemon(
        &mut self,
        node: &NodeName,
        kind: RoutingDaemonKind,
    ) -> Result<(), SimulationError> {
        self.edit(&node_path(node), |file| {
            file.insert("routing".into(), json!(kind));
        })
    }

    /// Sets a node's mesh key.
    pub(crate) fn set_key(&mut self, node: &NodeName, key: &PublicKey) -> Result<(), SimulationError> {
        self.edit(&node_path(node), |file| {
            if let Some(Value::Object(mesh)) = file.get_mut("mesh") {
                mesh.insert("public_key".into(), json!(key.to_string()));
            }
        })
    }

    /// Sets what a node's secrets are encrypted to.
    pub(crate) fn set_recipient(
        &mut self,
        node: &NodeName,
        recipient: &Recipient,
    ) -> Result<(), SimulationError> {
        self.edit(&node_path(node), |file| {
            file.insert("age_recipient".into(), json!(recipient.to_string()));
        })
    }

    /// Makes one key sign everything, alone.
    pub(crate) fn set_operator(&mut self, key: &str) {
        let text = format!(
            "# Made for this simulation: one operator, who signs everything.\n\
             version: 1\n\
             principals:\n  operator:\n    keys:\n      - {key}\n\
             rules:\n  - {{ paths: [\"**\"], signers: [operator], need: 1 }}\n\
             revoked: []\n"
        );
        self.write("trust.yaml", text);
    }

    /// Shortens what a node waits for after a withdrawal.
    pub(crate) fn shorten_hold_down(&mut self) -> Result<String, SimulationError> {
        self.edit("network.yaml", |file| {
            if let Some(Value::Object(health)) = file.get_mut("health") {
                health.insert("hold_down".into(), json!(format!("{}s", HOLD_DOWN.as_secs())));
            }
        })?;
        Ok(format!("a node that was withdrawn is held down for {} s here at first", HOLD_DOWN.as_secs()))
    }

    /// Takes a rollout away, which the scenario that shows one brings itself: the others change one thing at a time. Says so
    /// if there was one.
    pub(crate) fn drop_rollout(&mut self) -> Result<Option<String>, SimulationError> {
        let note = "changes go to all nodes at once here, but for the scenario canary";
        Ok(self.set_rollout(None)?.map(|_| note.to_owned()))
    }

    /// Makes changes of configuration go in these waves, as fast as they go here, or in those that a file had before.
    pub(crate) fn set_rollout(&mut self, rollout: Option<Value>) -> Result<Option<Value>, SimulationError> {
        let mut before = None;
        self.edit("network.yaml", |file| {
            before = file.remove("rollout");
            file.extend(rollout.map(|rollout| ("rollout".to_owned(), rollout)));
        })?;
        Ok(before)
    }

    /// Sets how long a drain takes at most.
    pub(crate) fn set_drain(&mut self, wait: Duration) -> Result<(), SimulationError> {
        self.edit("network.yaml", |file| {
            if let Some(Value::Object(drain)) = file.get_mut("drain") {
                drain.insert("wait".into(), json!(format!("{}s", wait.as_secs())));
            }
        })
    }

    /// Shortens a drain. Says so if it did.
    pub(crate) fn shorten_drain(&mut self, state: &DesiredState) -> Result<Option<String>, SimulationError> {
        let wait = state.network.drain.wait;
        if wait <= DRAIN {
            return Ok(None);
        }
        self.set_drain(DRAIN)?;
        Ok(Some(format!("a drain waits {} s here instead of {} s", DRAIN.as_secs(), wait.as_secs())))
    }
}

/// Where a node's file is.
pub(crate) fn node_path(node: &NodeName) -> String {
    format!("nodes/{node}.yaml")
}

/// Waves of these nodes, as fast as they go here.
pub(crate) fn waves(waves: &[Vec<NodeName>]) -> Value {
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    json!({ "waves": waves, "soak": seconds(SOAK), "deadline": seconds(DEADLINE) })
}

/// Reads a folder.
pub(crate) fn read_folder(folder: &Path) -> Result<Draft, SimulationError> {
    let operation = || format!("read {}", folder.display());
    load::read_folder(folder).map(|tree| Draft::of(&tree)).context(operation)
}

/// Whether anything runs on a node.
pub(crate) fn runs(node: &Node) -> bool {
    match node.state {
        NodeState::Live | NodeState::Drained => true,
        NodeState::Planned | NodeState::Retired => false,
    }
}

/// Which of the nodes run when so many are asked for: hubs first, then those in service, then planned ones.
pub(crate) fn choose(state: &DesiredState, count: usize) -> Vec<NodeName> {
    let mut nodes: Vec<&Node> =
        state.nodes.values().filter(|node| node.state != NodeState::Retired).collect();
    // Two hubs are enough where there is little room.
    let mut hubs: Vec<&NodeName> = nodes
        .iter()
        .filter(|node| runs(node) && node.roles.contains(&Role::Hub))
        .map(|node| &node.name)
        .collect();
    hubs.truncate(2);
    nodes.sort_by_key(|node| (!hubs.contains(&&node.name), !runs(node), &node.name));
    nodes.into_iter().take(count).map(|node| node.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Draft {
        read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state")).unwrap()
    }

    #[test]
    fn an_edit_that_changes_nothing_keeps_the_meaning() {
        let mut draft = example();
        let before = draft.load().unwrap();
        let paths: Vec<String> = draft
            .files
            .keys()
            .filter(|path| path.ends_with(".yaml") && *path != "trust.yaml")
            .cloned()
            .collect();
        for path in paths {
            draft.edit(&path, |_| {}).unwrap();
        }
        assert_eq!(draft.load().unwrap(), before);
    }

    #[test]
    fn the_edits_do_what_they_say() {
        let mut draft = example();
        let state = draft.load().unwrap();
        let node = state.nodes.values().find(|node| runs(node)).unwrap().name.clone();
        draft.set_state(&node, NodeState::Drained).unwrap();
        draft.set_key(&node, &PublicKey([7; 32])).unwrap();
        draft
            .set_operator("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOYDOeBylyhoDvKQ2kBkJcvCPqlCeiJNGyDUMfV6jxk");
        assert!(draft.shorten_drain(&state).unwrap().is_some());
        let edited = draft.load().unwrap();
        assert_eq!(edited.nodes[&node].state, NodeState::Drained);
        assert_eq!(edited.nodes[&node].mesh.public_key, Some(PublicKey([7; 32])));
        assert_eq!(edited.network.drain.wait, DRAIN);
        assert!(draft.drop_rollout().unwrap().is_some());
        assert_eq!(draft.load().unwrap().network.rollout, None);
        draft.shorten_hold_down().unwrap();
        assert_eq!(draft.load().unwrap().network.health.hold_down, HOLD_DOWN);
        draft.remove_node(&node);
        assert!(!draft.load().unwrap().peers.keys().any(|(of, _)| *of == node));
    }
}
