//! Report: everything that a run measured, as `--report` writes it.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::scenario::ScenarioName;
use super::{Context, SimulationError};
use crate::names::NodeName;

/// Everything that a run measured. Figures are whole numbers, named by their unit (`_ms`, `_bytes`) or by what they
/// count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The version of the program.
    pub version: String,
    /// Whether every node settled and every scenario that ran held.
    pub passed: bool,
    /// The nodes that ran, by name.
    pub nodes: Vec<NodeReport>,
    /// The clients, and who answers them when all is well.
    pub clients: Vec<ClientReport>,
    /// The scenarios that ran, in their order.
    pub scenarios: Vec<ScenarioReport>,
    /// The scenarios that this network cannot show.
    pub skipped: Vec<Skipped>,
}

/// One node, after the network settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeReport {
    /// Which.
    pub name: NodeName,
    /// Its country's flag, and its city.
    pub place: String,
    /// From the start of the first agent until this node announced, served every zone and had nothing left to do,
    /// in milliseconds; null if that did not happen.
    pub settled_ms: Option<u64>,
    /// The memory that its agent holds (resident set size), in octets.
    pub rss_bytes: Option<u64>,
    /// The name server that runs, and the one selected where that is another.
    pub name_server: String,
    /// The routing daemon that runs, and the one selected where that is another.
    pub routing_daemon: String,
    /// BGP sessions that are established, and all.
    pub sessions: Count,
    /// Zones that are served, and all.
    pub zones: Count,
    /// Mesh links that had a handshake, and all.
    pub mesh_links: Count,
}

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Count {
    /// As they should be.
    pub up: usize,
    /// All.
    pub all: usize,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientReport {
    /// Its region.
    pub region: String,
    /// The node that its queries reach; null if none announces.
    pub node: Option<NodeName>,
}

/// One scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScenarioReport {
    /// Which.
    pub name: ScenarioName,
    /// Whether every condition held.
    pub passed: bool,
    /// What happened, in that order.
    pub steps: Vec<Step>,
    /// The conditions that did not hold.
    pub failures: Vec<String>,
    /// What was measured.
    pub figures: BTreeMap<String, u64>,
}

/// One thing that happened in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// What was done to the network.
    Did(String),
    /// What was seen of it.
    Saw(String),
}

/// A scenario that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Skipped {
    /// Which.
    pub name: ScenarioName,
    /// What this network lacks.
    pub why: String,
}

impl Report {
    /// Makes the file, empty: better to fail before a run than after it.
    pub(crate) fn reserve(path: &Path) -> Result<(), SimulationError> {
        std::fs::write(path, "").context(|| format!("write the report to {}", path.display()))
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), SimulationError> {
        let mut text = serde_json::to_string_pretty(self).context(|| "render the report".into())?;
        text.push('\n');
        std::fs::write(path, text).context(|| format!("write the report to {}", path.display()))
    }
}
