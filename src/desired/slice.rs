//! Slice: what one node should be, out of the whole network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::desired::model::{DrainPolicy, HealthPolicy};
use crate::dns::{NameServerConfig, ZoneConfig};
use crate::mesh::MeshConfig;
use crate::names::{DomainName, NodeName};
use crate::routing::RoutingConfig;

/// Everything that one node needs to know of the desired state, and nothing more.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredNode {
    /// Which node.
    pub name: NodeName,
    /// The anycast addresses that stand on its loopback interface. Empty unless it is an edge.
    pub service_addresses: BTreeSet<IpAddr>,
    /// Its mesh links. `None` for a network of one node, or for a node without a key.
    pub mesh: Option<MeshConfig>,
    /// How its name server is set up.
    pub name_server: NameServerConfig,
    /// What its name server serves.
    pub zones: BTreeMap<DomainName, Arc<ZoneConfig>>,
    /// Its BGP sessions.
    pub routing: RoutingConfig,
    /// Whether it is meant to announce.
    pub intent: Intent,
    /// How it judges its own name server.
    pub health: HealthPolicy,
    /// How it goes away on purpose.
    pub drain: DrainPolicy,
}

/// Whether a node is meant to announce, health aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Announce once its name server answers.
    Announce,
    /// Drain, then stay silent.
    Silent,
}
