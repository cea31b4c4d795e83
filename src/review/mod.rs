//! Review: what would become of the network, were it to go from one desired state to another.
//!
//! No node is asked. Each is taken to be settled on the base, and the planner that the agents run says what they
//! would do on the way to the head; so the review cannot promise what a node would not do.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::desired::model::{DesiredState, NodeState};
use crate::desired::slice::{DesiredNode, Intent, slice};
use crate::finding::Finding;
use crate::health::Verdict;
use crate::names::NodeName;
use crate::observed::ObservedNode;
use crate::plan::plan;

mod configuration;
mod markdown;
mod secrets;
mod text;
mod zones;

pub use markdown::markdown;
pub use text::text;

/// Everything that a reviewer wants to see of a change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Review {
    /// What the change starts from, as it was asked for.
    pub base: String,
    /// What it leads to.
    pub head: String,
    /// What `check` holds against the head; with any of these no node would apply it.
    pub findings: Vec<Finding>,
    /// Zones whose records, place or origin change.
    pub zones: Vec<ZoneReview>,
    /// What nodes would do, the same plan named once.
    pub nodes: Vec<NodeReview>,
    /// The configuration that each node would be given, where it changes.
    pub configurations: Vec<ConfigurationReview>,
    /// BGP sessions that come, go or change, with what would be announced over them.
    pub bgp: Vec<SessionReview>,
    /// The waves in which the live nodes take on all but zones and the mesh; empty where none of that changes, or all at
    /// once.
    pub waves: Vec<Vec<String>>,
    /// Secrets that a node could read which no longer needs them, and what to do.
    pub secrets: Vec<String>,
    /// Commits between the two, and who still has to sign; empty between folders.
    pub signatures: Vec<SignatureReview>,
}

/// What happens to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It differs.
    Changed,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ZoneReview {
    /// Its apex.
    pub zone: String,
    /// What happens to it.
    pub change: Change,
    /// Where its records come from, before and after, where that differs.
    pub origin: Option<String>,
    /// Records that go, in presentation format; the SOA's serial aside.
    pub removed: Vec<String>,
    /// Records that come.
    pub added: Vec<String>,
}

impl ZoneReview {
    /// Whether all that changes is how the zone file is written.
    fn is_serial_alone(&self) -> bool {
        let Self { zone: _, change, origin, removed, added } = self;
        *change == Change::Changed && origin.is_none() && removed.is_empty() && added.is_empty()
    }
}

/// Nodes that would do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeReview {
    /// Which nodes.
    pub nodes: Vec<String>,
    /// What they would do, in order.
    pub actions: Vec<String>,
    /// What they would wait for.
    pub waits: Vec<String>,
}

/// One part of the configuration of the nodes in which it changes alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConfigurationReview {
    /// Which nodes.
    pub nodes: Vec<String>,
    /// Which part: `name server`, `routing` or `mesh`.
    pub part: String,
    /// Lines that go.
    pub removed: Vec<String>,
    /// Lines that come.
    pub added: Vec<String>,
}

/// One BGP session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SessionReview {
    /// Which node.
    pub node: String,
    /// Which session.
    pub session: String,
    /// What happens to it.
    pub change: Change,
    /// The neighbour, and what it is sent.
    pub terms: String,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignatureReview {
    /// Its id.
    pub revision: String,
    /// Who signed it, where it is accepted.
    pub signer: Option<String>,
    /// Why nodes would refuse it, and who has to sign; `None` when they would not.
    pub refused: Option<String>,
}

/// Reviews the way from `base` (`None`: from nothing) to `head`.
pub fn review(base: Option<&DesiredState>, head: &DesiredState) -> Review {
    let (configurations, bgp) = configuration::changes(base, head);
    let (zones, nodes) = (zones::changes(base, head), nodes(base, head));
    let secrets = secrets::changes(base, head);
    let waves = base.map(|base| waves(base, head)).unwrap_or_default();
    Review { zones, nodes, configurations, bgp, waves, secrets, ..Review::default() }
}

/// In which order the live nodes take on another configuration.
fn waves(base: &DesiredState, head: &DesiredState) -> Vec<Vec<String>> {
    let Some(policy) = &head.network.rollout else { return Vec::new() };
    if base.configuration().digest() == head.configuration().digest() {
        return Vec::new();
    }
    let mut waves: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for node in head.nodes.values().filter(|node| node.state == NodeState::Live) {
        waves.entry(policy.wave_of(&node.name)).or_default().push(node.name.to_string());
    }
    waves.into_values().collect()
}

/// The plan of every node of either state, nodes with the same plan together.
fn nodes(base: Option<&DesiredState>, head: &DesiredState) -> Vec<NodeReview> {
    let mut plans: BTreeMap<(Vec<String>, Vec<String>), Vec<String>> = BTreeMap::new();
    for name in names(base, head) {
        let before = base.and_then(|base| slice(base, name));
        // A node whose file is gone keeps what it has: nothing tells it what to be.
        let Some(after) = slice(head, name) else {
            let gone = vec!["its file is gone: it keeps its last state; retire it first".to_owned()];
            plans.entry((Vec::new(), gone)).or_default().push(name.to_string());
            continue;
        };
        let observed = before.as_ref().map_or_else(ObservedNode::bare, ObservedNode::settled);
        let plan = plan(&after, &observed, &Verdict::well(&after));
        if !plan.is_settled() {
            let actions = plan.actions.iter().map(ToString::to_string).collect();
            let waits = plan.waits.iter().map(ToString::to_string).collect();
            plans.entry((actions, waits)).or_default().push(name.to_string());
        }
    }
    plans.into_iter().map(|((actions, waits), nodes)| NodeReview { nodes, actions, waits }).collect()
}

fn names<'a>(base: Option<&'a DesiredState>, head: &'a DesiredState) -> BTreeSet<&'a NodeName> {
    base.into_iter().chain([head]).flat_map(|state| state.nodes.keys()).collect()
}

/// Whether the node would announce.
fn announces(node: &DesiredNode) -> bool {
    node.intent == Intent::Announce
}
