//! Action: one change, with everything that is needed to carry it out.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::dns::{NameServerConfig, ZoneChanges};
use crate::health::{Stance, Verdict};
use crate::mesh::MeshConfig;
use crate::routing::{Announcement, Origination, RoutingConfig};

/// One change to the node.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make neighbours prefer another node, before a withdrawal that is planned.
    Drain {
        /// What is announced from then on.
        origination: Origination,
    },
    /// Stop announcing.
    Withdraw {
        /// These prefixes.
        prefixes: BTreeSet<IpNet>,
        /// What stays announced.
        origination: Origination,
        /// The reason.
        why: String,
    },
    /// Take an anycast address off the loopback interface.
    RemoveAddress(IpAddr),
    /// Set up the mesh.
    ConfigureMesh {
        /// As this.
        config: MeshConfig,
        /// What differs.
        why: Vec<String>,
    },
    /// Send to silent nodes no longer, or to those that are heard again.
    RerouteMesh {
        /// What nothing is sent to from then on.
        unreachable: BTreeSet<IpAddr>,
        /// Which nodes are silent or heard.
        why: Vec<String>,
    },
    /// Put an anycast address on the loopback interface.
    AddAddress(IpAddr),
    /// Set up the name server, its zones aside.
    ConfigureNameServer {
        /// As this.
        config: NameServerConfig,
        /// What differs.
        why: String,
    },
    /// Add, change and remove zones.
    ChangeZones(ZoneChanges),
    /// Set up the BGP sessions.
    ConfigureRouting {
        /// As this.
        config: RoutingConfig,
        /// What differs.
        why: Vec<String>,
    },
    /// Announce, last of all.
    Announce {
        /// What is announced from then on.
        origination: Origination,
    },
}

impl Action {
    /// Whether this must have succeeded before anything new is announced.
    pub fn guards_announcement(&self) -> bool {
        match self {
            Self::Withdraw { .. } | Self::Drain { .. } => true,
            Self::RemoveAddress(_)
            | Self::ConfigureMesh { .. }
            | Self::RerouteMesh { .. }
            | Self::AddAddress(_)
            | Self::ConfigureNameServer { .. }
            | Self::ChangeZones(_)
            | Self::ConfigureRouting { .. }
            | Self::Announce { .. } => false,
        }
    }
}

impl Action {
    /// Whether what the gate says by now still lets it be done. Only announcing needs to be asked about: it may be late.
    pub fn is_allowed_by(&self, verdict: &Verdict) -> bool {
        let (Self::Announce { origination } | Self::Drain { origination }) = self else { return true };
        let is_out = |prefix| matches!(verdict.stance(prefix), Stance::Silent { .. });
        !origination.keys().any(is_out)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain { origination } => write!(f, "drain {}", prefixes(origination)),
            Self::Withdraw { prefixes, origination: _, why } => {
                write!(f, "withdraw {}: {why}", list(prefixes))
            }
            Self::RemoveAddress(address) => write!(f, "remove address {address}"),
            Self::ConfigureMesh { config: _, why } => write!(f, "set up the mesh: {}", list(why)),
            Self::RerouteMesh { unreachable: _, why } => write!(f, "reroute the mesh: {}", list(why)),
            Self::AddAddress(address) => write!(f, "add address {address}"),
            Self::ConfigureNameServer { config: _, why } => write!(f, "set up the name server: {why}"),
            Self::ChangeZones(ZoneChanges { set, remove }) => {
                let set = set.iter().map(|zone| format!("set zone {}", zone.name));
                let remove = remove.iter().map(|zone| format!("remove zone {zone}"));
                write!(f, "{}", list(set.chain(remove)))
            }
            Self::ConfigureRouting { config: _, why } => write!(f, "set up BGP: {}", list(why)),
            Self::Announce { origination } => write!(f, "announce {}", prefixes(origination)),
        }
    }
}

/// How many things one line names before it counts the rest.
const NAMED: usize = 6;

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut items = items.into_iter();
    let named: Vec<String> = items.by_ref().take(NAMED).map(|item| item.to_string()).collect();
    match items.count() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn prefixes(origination: &Origination) -> String {
    list(origination.iter().map(|(prefix, how)| match how {
        Announcement::Normal => prefix.to_string(),
        Announcement::Draining { .. } => format!("{prefix} (graceful shutdown)"),
    }))
}
