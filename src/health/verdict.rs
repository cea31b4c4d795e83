//! Verdict: what the gate says.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::class::Class;
use super::others::Counts;
use super::prefix::Stance;
use super::state::State;
use crate::desired::slice::{DesiredNode, Intent};
use crate::routing::Family;

/// Why a node is silent that its file drains.
pub(super) const DRAINED: &str = "the node is drained";

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Where the node is: where the prefix is that is furthest from announcing.
    pub state: State,
    /// Since when.
    pub since: Duration,
    /// The worst that counts, and what was met.
    pub class: Option<(Class, String)>,
    /// Since when.
    pub class_since: Duration,
    /// What is to be done about each prefix.
    pub stances: BTreeMap<IpNet, Stance>,
    /// Where each prefix is.
    pub states: BTreeMap<IpNet, State>,
    /// N, H and W.
    pub counts: BTreeMap<Family, Counts>,
    /// What raised the fence: all sessions are to be shut.
    pub fenced: Option<String>,
    /// Why no node may withdraw for its class: too many came into it together.
    pub frozen: Option<String>,
    /// Whether an operator of this machine drained it.
    pub maintenance: bool,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            state: State::Boot,
            since: Duration::ZERO,
            class: None,
            class_since: Duration::ZERO,
            stances: BTreeMap::new(),
            states: BTreeMap::new(),
            counts: BTreeMap::new(),
            fenced: None,
            frozen: None,
            maintenance: false,
        }
    }
}

impl Verdict {
    /// What it comes to once all is well: what a plan is made with when there is no node to ask.
    pub fn well(node: &DesiredNode) -> Self {
        let stance = match node.intent {
            Intent::Announce | Intent::Switch(_) => Stance::Announce(None),
            Intent::Silent => Stance::Drain { why: DRAINED.to_owned(), left: node.drain.wait, held: None },
        };
        let state = match node.intent {
            Intent::Announce | Intent::Switch(_) => State::Announce,
            Intent::Silent => State::Draining,
        };
        let reached = |prefix: &&IpNet| node.service_addresses.iter().any(|address| prefix.contains(address));
        let prefixes = || node.routing.prefixes.iter().filter(reached);
        Self {
            state,
            stances: prefixes().map(|prefix| (*prefix, stance.clone())).collect(),
            states: prefixes().map(|prefix| (*prefix, state)).collect(),
            ..Self::default()
        }
    }

    /// What is to be done about a prefix. One that the gate knows nothing of is left as it is.
    pub fn stance(&self, prefix: &IpNet) -> Stance {
        let unknown = || Stance::Keep("the gate has not judged it yet".to_owned());
        self.stances.get(prefix).cloned().unwrap_or_else(unknown)
    }
}
