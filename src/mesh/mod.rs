//! The mesh: a WireGuard link from every node to every other, carrying only their loopbacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use async_trait::async_trait;

use crate::names::{NameError, NodeName};

pub mod key;
mod links;
mod silence;
mod transport;
mod userspace;
mod wireguard;

pub use wireguard::WireGuardMesh;

/// The name of the WireGuard interface on a real node.
pub const INTERFACE: &str = "shoestring";

/// A WireGuard public key: 32 octets, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wireguard_control::Key(self.0).to_base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for PublicKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        wireguard_control::Key::from_base64(text).map(|key| Self(key.0)).map_err(|_| {
            NameError(format!("{text:?} is not a WireGuard public key: expected 44 characters of base64"))
        })
    }
}

/// What one node's end of the mesh should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshConfig {
    /// The UDP port to listen on.
    pub port: u16,
    /// This node's own loopbacks, a /32 and a /128.
    pub loopbacks: BTreeSet<IpAddr>,
    /// The other nodes.
    pub links: BTreeMap<NodeName, LinkConfig>,
}

/// A link to one other node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// Who it is.
    pub public_key: PublicKey,
    /// Where to send to first; `None` when only it can call us.
    pub endpoint: Option<SocketAddr>,
    /// Its loopbacks: all that the link carries, and all that is routed into it.
    pub loopbacks: BTreeSet<IpAddr>,
}

impl LinkConfig {
    /// The link as it is seen once it is set up, before the first packet.
    pub fn untouched(&self) -> ObservedLink {
        ObservedLink {
            endpoint: self.endpoint,
            roamed_from: None,
            loopbacks: self.loopbacks.clone(),
            is_silent: false,
            handshake_age_s: None,
            received: 0,
            sent: 0,
        }
    }
}

/// The mesh as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedMesh {
    /// `None` when there is no interface.
    pub port: Option<u16>,
    /// Of the key in use.
    pub public_key: Option<PublicKey>,
    /// The loopbacks that stand on the interface.
    pub loopbacks: BTreeSet<IpAddr>,
    /// Host routes into the interface.
    pub routes: BTreeSet<IpAddr>,
    /// Loopbacks that have an unreachable route instead.
    pub unreachable: BTreeSet<IpAddr>,
    /// By the other side's key.
    pub links: BTreeMap<PublicKey, ObservedLink>,
}

/// One link as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedLink {
    /// Where it was last heard from, or where we were told to send.
    pub endpoint: Option<SocketAddr>,
    /// Where we were told to send, when it has since been heard from elsewhere.
    pub roamed_from: Option<SocketAddr>,
    /// What the link carries.
    pub loopbacks: BTreeSet<IpAddr>,
    /// Whether nothing has come for long, whatever was sent.
    pub is_silent: bool,
    /// Seconds since the last handshake; `None` if there was none.
    pub handshake_age_s: Option<u64>,
    /// Octets received.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
}

/// Why the mesh could not be observed or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {why}")]
pub struct MeshError {
    /// What was being done, and to what.
    pub operation: String,
    /// What was met.
    pub why: String,
}

/// This node's end of the mesh.
#[async_trait]
pub trait Mesh: Send + Sync {
    /// Reads what there is. No interface is not an error.
    async fn observe(&self) -> Result<ObservedMesh, MeshError>;

    /// Makes it so: interface, key, loopbacks, links and routes. A link that did not change keeps its session.
    /// A loopback that is unreachable stays so.
    async fn configure(&self, config: &MeshConfig) -> Result<(), MeshError>;

    /// Makes these loopbacks of other nodes unreachable, and routes those that were into the interface again. What is sent
    /// to one that is unreachable fails at once, so that whoever has another to ask does not wait for it.
    async fn reroute(&self, unreachable: &BTreeSet<IpAddr>) -> Result<(), MeshError>;
}
