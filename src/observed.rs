//! Observed: what a node sees of itself.
//!
//! Unknown is not absent: an observation that failed is [`Seen::Unknown`], and nothing is ever removed on the
//! strength of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::dns::ObservedNameServer;
use crate::mesh::ObservedMesh;
use crate::routing::ObservedRouting;

/// What an observation gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<T> {
    /// It is so.
    Known(T),
    /// It could not be observed.
    Unknown {
        /// What was met.
        why: String,
    },
}

impl<T> Seen<T> {
    /// What was seen, if anything.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Seen<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown { why: error.to_string() },
        }
    }
}

/// One node as it sees itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedNode {
    /// The addresses on the loopback interface, the machine's own left out.
    pub service_addresses: Seen<BTreeSet<IpAddr>>,
    /// Its end of the mesh.
    pub mesh: Seen<ObservedMesh>,
    /// Its name server.
    pub name_server: Seen<ObservedNameServer>,
    /// Its routing daemon.
    pub routing: Seen<ObservedRouting>,
}
