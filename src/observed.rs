//! Observed: what a node sees of itself.
//!
//! Unknown is not absent: an observation that failed is [`Seen::Unknown`], and nothing is ever removed on the
//! strength of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::desired::slice::{DesiredNode, Intent};
use crate::dns::{ObservedNameServer, ObservedZone, ZoneConfig, ZoneRecords, ZoneState};
use crate::mesh::ObservedMesh;
use crate::names::Serial;
use crate::routing::{Announcement, ObservedRouting};

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

impl ObservedNode {
    /// A machine on which nothing was set up yet.
    pub fn bare() -> Self {
        Self {
            service_addresses: Seen::Known(BTreeSet::new()),
            mesh: Seen::Known(ObservedMesh::default()),
            name_server: Seen::Known(ObservedNameServer::default()),
            routing: Seen::Known(ObservedRouting::default()),
        }
    }

    /// How the node sees itself once it is as desired: what a plan for another desired state starts from when there
    /// is no node to ask.
    pub fn settled(desired: &DesiredNode) -> Self {
        let mesh = desired.mesh.as_ref().map_or_else(ObservedMesh::default, |mesh| ObservedMesh {
            port: Some(mesh.port),
            public_key: None,
            loopbacks: mesh.loopbacks.clone(),
            routes: mesh.remote_loopbacks(),
            unreachable: BTreeSet::new(),
            links: mesh.links.values().map(|link| (link.public_key, link.untouched())).collect(),
        });
        let announced = match desired.intent {
            Intent::Announce | Intent::Switch(_) => desired.routing.prefixes.clone(),
            Intent::Silent => BTreeSet::new(),
        };
        Self {
            service_addresses: Seen::Known(desired.service_addresses.clone()),
            mesh: Seen::Known(mesh),
            name_server: Seen::Known(ObservedNameServer {
                config: Some(desired.name_server.clone()),
                running: desired.name_server.daemon,
                fault: None,
                zones: desired.zones.iter().map(|(name, zone)| (name.clone(), settled_zone(zone))).collect(),
            }),
            routing: Seen::Known(ObservedRouting {
                config: Some(desired.routing.clone()),
                running: desired.routing.daemon,
                fault: None,
                originated: announced.into_iter().map(|prefix| (prefix, Announcement::Normal)).collect(),
                sessions: [].into(),
                taken_back: None,
            }),
        }
    }
}

fn settled_zone(zone: &ZoneConfig) -> ObservedZone {
    let serial = match zone.source {
        ZoneRecords::File { serial, .. } => serial,
        ZoneRecords::Transfer(_) => Serial(0),
    };
    ObservedZone {
        fingerprint: zone.fingerprint(),
        serial: Some(serial),
        state: ZoneState::Served,
        problem: None,
    }
}
