//! Rollout: when a node takes on another configuration, and when it goes back to the one before.
//!
//! ```text
//!                      ┌─ waits for the waves before it: are they heard, and well with it? ←─ beats ─┐
//! newest revision ─→ candidate                                                                      │
//!                      └─ taken on ─→ on trial ──well for the soak──→ good ────────→ beat ─→ the next wave
//!                                        └── a class, a change taken back, not well by the deadline,
//!                                            or another node rejects it ──→ rejected: the one before, and a beat
//! ```
//! The *configuration* of a revision is all of it that goes in waves (`desired::configuration`); by its *digest* nodes tell
//! each other which one they run. The *candidate* is that of the newest revision. A node is *well* with one when there is
//! nothing left to do, no class of failure, as many sessions established as before, and announced what was announced
//! before. A switch of daemons takes its own time and its turn, so the deadline begins after it. *Good* is a configuration
//! that a node was well with for the soak. One that is *rejected* is taken on by nobody
//! who hears of it, and those that run it go back, for as long as the rollout may still be going on: the failed wave at once,
//! the waves before it one by one, the last first, each when those after it are back and well. So no more nodes change at
//! the same time on the way back than on the way there.
//!
//! There is nobody who leads: each node folds what it sees of itself and hears of the others. A node that is not heard holds
//! up the waves after its own. The way on is a commit that changes the waves or the node's state, since the newest revision
//! says what the waves are. A node that never ran anything takes the candidate on at once, and stays with it, since there is
//! none to go back to: it is on trial until it is well, however long that takes. Every node of a network without a rollout
//! takes it on at once, too, and there only a frozen gate (`health`) makes it go back. Zones do not go in waves, and have that way
//! back, too (`zones`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::desired::model::{DesiredState, NodeState, RolloutPolicy};
use crate::fingerprint::Fingerprint;
use crate::health::beat::{ConfigurationBeat, Heard};
use crate::names::{NodeName, Revision};

mod fold;
mod memory;
#[cfg(test)]
mod tests;
mod zones;

pub use fold::{Phase, Rollout};
pub use memory::{Memory, Rejected, Runs};
pub use zones::{PROOF, RejectedZones, Zones, ZonesId, ZonesMemory};

/// A configuration, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationId {
    /// A revision that has it.
    pub revision: Revision,
    /// What tells it from others.
    pub digest: Fingerprint,
}

impl fmt::Display for ConfigurationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration of {}", self.revision.short())
    }
}

/// A node's place among the waves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waves {
    /// How long a node has to be well.
    pub soak: Duration,
    /// How long it may take for that.
    pub deadline: Duration,
    /// The number of its wave, from 1.
    pub own: u32,
    /// How many waves there are.
    pub count: u32,
    /// The live nodes of the waves before its own.
    pub before: BTreeSet<NodeName>,
    /// And of those after it.
    pub after: BTreeSet<NodeName>,
}

impl Waves {
    /// `None` for a network in which all change at once.
    pub fn of(state: &DesiredState, node: &NodeName) -> Option<Self> {
        let policy = state.network.rollout.as_ref()?;
        let own = policy.wave_of(node);
        let live = state.nodes.values().filter(|node| node.state == NodeState::Live);
        let (mut before, mut after, mut last) = (BTreeSet::new(), BTreeSet::new(), own);
        for other in live {
            let wave = policy.wave_of(&other.name);
            last = last.max(wave);
            match wave.cmp(&own) {
                std::cmp::Ordering::Less => drop(before.insert(other.name.clone())),
                std::cmp::Ordering::Greater => drop(after.insert(other.name.clone())),
                std::cmp::Ordering::Equal => {}
            }
        }
        let number = |wave: usize| u32::try_from(wave + 1).unwrap_or(u32::MAX);
        let RolloutPolicy { soak, deadline, .. } = policy;
        Some(Self { soak: *soak, deadline: *deadline, own: number(own), count: number(last), before, after })
    }
}

/// What a node sees of itself, with the configuration that it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Own {
    /// What is left to do, or could not be seen.
    pub undone: Option<String>,
    /// What of the configuration was tried, failed and was taken back.
    pub failed: Option<String>,
    /// Which daemon takes the place of which; it waits for its turn to leave, or is on trial.
    pub switching: Option<String>,
    /// What is wrong with it, isolation aside, and since when.
    pub class: Option<(String, Duration)>,
    /// Why the gate is frozen.
    pub frozen: Option<String>,
    /// How many sessions it should have.
    pub configured: usize,
    /// How many are established.
    pub established: usize,
    /// What it is meant to announce.
    pub meant: BTreeSet<IpNet>,
    /// What it announces.
    pub announced: BTreeSet<IpNet>,
}

/// What a node did before it took on a configuration, and has to do with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    /// How many sessions were established.
    pub sessions: usize,
    /// What was announced.
    pub announced: BTreeSet<IpNet>,
    /// Whether something was wrong with it already: then that it still is says nothing.
    pub ill: bool,
    /// What was in the way already.
    pub obstacles: BTreeSet<String>,
}

impl Own {
    fn expected(&self) -> Expected {
        Expected {
            sessions: self.established,
            announced: self.announced.clone(),
            ill: self.class.is_some(),
            obstacles: self.undone.iter().chain(&self.failed).cloned().collect(),
        }
    }

    /// What failed, and had not failed before.
    fn failed(&self, expected: &Expected) -> Option<&String> {
        self.failed.as_ref().filter(|why| !expected.obstacles.contains(*why))
    }

    /// Whether it is well; if not, why not.
    fn is_well(&self, expected: &Expected) -> Result<(), String> {
        let Self {
            undone,
            failed: _,
            switching,
            class,
            frozen: _,
            configured,
            established,
            meant,
            announced,
        } = self;
        let undone = undone.as_ref().filter(|why| !expected.obstacles.contains(*why));
        let class = class.as_ref().map(|(why, _)| why);
        if let Some(why) = self.failed(expected).or(class).or(switching.as_ref()).or(undone) {
            return Err(why.clone());
        }
        let sessions = expected.sessions.min(*configured);
        if *established < sessions {
            return Err(format!(
                "of {configured} sessions {established} are established, and were {sessions}"
            ));
        }
        let missing: Vec<String> = expected
            .announced
            .iter()
            .filter(|prefix| meant.contains(*prefix) && !announced.contains(*prefix))
            .map(ToString::to_string)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{} not announced, as before", missing.join(", ")))
        }
    }
}

/// All that one fold has to go on.
pub struct Look<'a> {
    /// Now.
    pub now: Duration,
    /// The configuration of the newest revision.
    pub candidate: ConfigurationId,
    /// The node's place among the waves; `None` where all change at once.
    pub waves: Option<&'a Waves>,
    /// What came from the others.
    pub heard: &'a BTreeMap<NodeName, Heard>,
    /// What the node sees of itself.
    pub own: &'a Own,
}

impl Look<'_> {
    /// What another says, if it was heard of lately.
    fn says(&self, node: &NodeName) -> Result<ConfigurationBeat, &'static str> {
        let heard = self.heard.get(node).filter(|heard| heard.is_fresh(self.now)).ok_or("is not heard")?;
        heard.beat.configuration.ok_or("says nothing of it, and runs an older agent")
    }

    /// Who rejects this configuration.
    fn rejected_by(&self, digest: Fingerprint) -> Option<&NodeName> {
        let rejects = |node: &&NodeName| self.says(node).is_ok_and(|says| says.rejects == digest.start());
        self.heard.keys().find(rejects)
    }

    /// Whether all nodes of the waves before are well with this one; if not, who is not.
    fn is_ready(&self, digest: Fingerprint) -> Result<(), String> {
        let Some(waves) = self.waves else { return Ok(()) };
        let lacks = |node: &NodeName| match self.says(node) {
            Err(why) => Some(format!("{node} {why}")),
            Ok(says) if says.runs != digest.start() => Some(format!("{node} does not run it")),
            Ok(says) if !says.good => Some(format!("{node} is trying it")),
            Ok(_) => None,
        };
        let lacking: Vec<String> = waves.before.iter().filter_map(lacks).collect();
        match lacking.is_empty() {
            true => Ok(()),
            false => {
                Err(format!("wave {} of {} comes later: {}", waves.own, waves.count, lacking.join(", ")))
            }
        }
    }

    /// Whether anybody is trying this one.
    fn is_tried(&self, digest: Fingerprint) -> bool {
        let is_trying = |says: ConfigurationBeat| says.runs == digest.start() && !says.good;
        self.heard.keys().any(|node| self.says(node).is_ok_and(is_trying))
    }

    /// Whether all nodes of the waves after that are heard are back from this one; if not, who is not.
    fn are_back(&self, digest: Fingerprint) -> Result<(), String> {
        let Some(waves) = self.waves else { return Ok(()) };
        let is_open =
            |node: &&NodeName| self.says(node).is_ok_and(|says| says.runs == digest.start() || !says.good);
        let open: Vec<&str> = waves.after.iter().filter(is_open).map(NodeName::as_str).collect();
        match open.is_empty() {
            true => Ok(()),
            false => Err(format!("{} first", open.join(", "))),
        }
    }
}
