//! Cycle: all that one fold of the gate has to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::beat::Heard;
use super::rate::Count;
use super::sample::Sample;
use crate::names::{NodeName, Serial};
use crate::routing::ObservedRouting;

/// What an operator of this machine ordered; it outlives the agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// Drain, and stay silent.
    pub maintenance: bool,
    /// What was announced that is not ours, until a person has looked at it.
    pub fenced: Option<String>,
}

/// What is known of the zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZoneCounts {
    /// How many there should be.
    pub wanted: usize,
    /// How many have data.
    pub served: usize,
    /// How many are past their SOA expire time.
    pub expired: usize,
    /// The beginning of the fingerprint of all.
    pub digest: u64,
}

/// All that one fold has to go on.
#[derive(Debug, Clone, Default)]
pub struct Cycle {
    /// When its probes were sent.
    pub began: Duration,
    /// Now.
    pub now: Duration,
    /// What they met.
    pub sample: Sample,
    /// The addresses on the interface; `None` if they could not be read.
    pub present: Option<BTreeSet<IpAddr>>,
    /// The zones; `None` if they were never seen.
    pub zones: Option<ZoneCounts>,
    /// The serials that the canary may have; empty for any.
    pub canary: Vec<Serial>,
    /// What is announced; `None` if it could not be seen.
    pub routing: Option<ObservedRouting>,
    /// How many queries the name server counts.
    pub queries: Count,
    /// What came from the others.
    pub heard: BTreeMap<NodeName, Heard>,
    /// The beginning of the id of the revision; zero for none.
    pub revision: u64,
    /// Why the repository cannot be fetched.
    pub fetch_error: Option<String>,
    /// What an operator ordered.
    pub orders: Orders,
}
