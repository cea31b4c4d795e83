//! Routing daemons: one trait, one file per daemon.
//!
//! A node is a stub: it announces its own prefixes, exactly, to its peers, and takes nothing from them. Sessions
//! are configured without announcing anything; `originate` says what is announced, and is the only thing that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desired::model::{Import, Relation};
use crate::keyring::SecretRef;
use crate::names::{Asn, Community, PeerName};

mod archive;
mod bfd;
mod bird;
pub mod embedded;
pub mod external;
mod frr;
mod gobgp;
mod openbgpd;
mod refuse;
mod selected;

pub use archive::Archive;
pub use bfd::{Bfd, BfdState};
pub use selected::{RoutingDaemons, SelectedRouting};

/// The routing daemons to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoutingDaemonKind {
    /// In this binary.
    #[default]
    Embedded,
    /// BIRD 2.
    Bird,
    /// FRRouting.
    Frr,
    /// GoBGP.
    Gobgp,
    /// OpenBGPD.
    Openbgpd,
}

impl fmt::Display for RoutingDaemonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::Gobgp => "gobgp",
            Self::Openbgpd => "openbgpd",
        })
    }
}

/// How a routing daemon is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoutingConfig {
    /// Which one it should be.
    pub daemon: RoutingDaemonKind,
    /// Our AS number.
    pub asn: Asn,
    /// The BGP identifier.
    pub router_id: Ipv4Addr,
    /// What may be originated, and nothing else ever.
    pub prefixes: BTreeSet<IpNet>,
    /// The sessions.
    pub sessions: BTreeMap<SessionName, SessionConfig>,
    /// How many prepends more a draining prefix has: daemons that are only switched have to know it before.
    pub drain_prepend: u8,
    /// How long sessions that a change resets may take to come back, before the change is taken back.
    pub trial: Duration,
    /// What is written into its archive, by a daemon that has one; `None` for no archive.
    pub archive: Option<Archive>,
}

impl RoutingConfig {
    /// What may be originated of a family.
    pub(crate) fn prefixes_of(&self, family: Family) -> impl Iterator<Item = &IpNet> {
        self.prefixes.iter().filter(move |prefix| Family::of(prefix.addr()) == family)
    }

    /// Those that there are prefixes of.
    pub(crate) fn families(&self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(|family| self.prefixes_of(*family).next().is_some())
    }

    /// The trial of a network that says nothing of it: a peer that was cut off may wait a minute before it listens again.
    pub const TRIAL: Duration = Duration::from_secs(120);
}

/// Hold time of every session (RFC 4271 section 4.2); keepalives go out three times as often.
pub const HOLD_TIME: Duration = Duration::from_secs(30);

/// A session's name: the peer's, and the address family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionName {
    /// Which peer.
    pub peer: PeerName,
    /// Which family.
    pub family: Family,
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.peer, self.family)
    }
}

impl SessionName {
    /// The session of this name, as it is displayed: daemons keep it as a name or a description.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (peer, family) = text.rsplit_once('-')?;
        let family = Family::ALL.into_iter().find(|one| one.to_string() == family)?;
        Some(Self { peer: peer.parse().ok()?, family })
    }
}

impl Serialize for SessionName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// What BIRD, FRR and GoBGP call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// Its default route.
    pub(crate) fn default_route(self) -> &'static str {
        match self {
            Self::V4 => "0.0.0.0/0",
            Self::V6 => "::/0",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        })
    }
}

/// One session, for one address family: that of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionConfig {
    /// Our end.
    pub local: IpAddr,
    /// The peer's end.
    pub neighbor: IpAddr,
    /// The peer's AS number.
    pub asn: Asn,
    /// What the peer is to us.
    pub relation: Relation,
    /// RFC 9234: refuse the session unless the peer sends its role.
    pub strict_role: bool,
    /// Communities on what we announce.
    pub communities: BTreeSet<Community>,
    /// How often our AS number is prepended.
    pub prepend: u8,
    /// What is accepted.
    pub import: Import,
    /// Hops to the peer; `None` for a neighbour on the link, guarded by GTSM (RFC 5082).
    pub multihop: Option<u8>,
    /// How soon it notices that nothing comes through any more, where the daemon has BFD.
    pub bfd: Option<Bfd>,
    /// The password of TCP MD5 (RFC 2385).
    pub password: Option<SecretRef>,
}

/// How a prefix is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Announcement {
    /// To attract traffic.
    Normal,
    /// With the graceful-shutdown community (RFC 8326) and this many prepends more, so that traffic leaves.
    Draining {
        /// Prepends on top of the session's own.
        prepend: u8,
    },
}

/// What is announced; a prefix that is not in it is withdrawn.
pub type Origination = BTreeMap<IpNet, Announcement>;

/// What a routing daemon says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObservedRouting {
    /// How it is set up now; `None` when it has not been configured since it started.
    pub config: Option<RoutingConfig>,
    /// Which one runs: another than selected where that one is not installed.
    pub running: RoutingDaemonKind,
    /// Why it has no configuration, where it should: it has ended, hangs, or was changed by hand.
    pub fault: Option<String>,
    /// What it originates.
    pub originated: Origination,
    /// Its sessions as they are.
    pub sessions: BTreeMap<SessionName, ObservedSession>,
    /// The last change that cut sessions off, and so was taken back.
    pub taken_back: Option<TakenBack>,
}

/// A configuration that was tried and taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Which.
    pub config: RoutingConfig,
    /// What was met.
    pub why: String,
}

/// One session as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservedSession {
    /// Our end.
    pub local: IpAddr,
    /// The peer's end.
    pub neighbor: IpAddr,
    /// The peer's AS number.
    pub asn: u32,
    /// The state of RFC 4271 section 8.2.2.
    pub state: SessionState,
    /// How long it has been in it, in seconds.
    pub since_s: u64,
    /// Seconds until the next attempt to open it; `None` while it is open or being opened.
    pub retry_in_s: Option<u64>,
    /// Prefixes that the peer has from us.
    pub prefixes_sent: BTreeSet<IpNet>,
    /// Routes that it offered and we discarded, since it was established.
    pub routes_discarded: u64,
    /// Malformed UPDATEs that did not end it (RFC 7606).
    pub updates_malformed: u64,
    /// How often it was established and ended.
    pub losses: u64,
    /// Messages from the peer, over all connections.
    pub messages_received: MessageCounts,
    /// Messages to the peer, over all connections.
    pub messages_sent: MessageCounts,
    /// What the OPENs came to; `None` until the peer's was accepted.
    pub negotiated: Option<Negotiated>,
    /// How BFD stands; `None` where nobody has asked for it.
    pub bfd: Option<BfdState>,
    /// The last NOTIFICATION to the peer.
    pub notification_sent: Option<NotificationSeen>,
    /// The last NOTIFICATION from the peer.
    pub notification_received: Option<NotificationSeen>,
    /// Why it was last closed, from either side, or cannot be opened.
    pub last_error: Option<String>,
}

/// Messages by their type (RFC 4271 section 4.1, RFC 2918).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageCounts {
    /// OPEN.
    pub opens: u64,
    /// UPDATE.
    pub updates: u64,
    /// NOTIFICATION.
    pub notifications: u64,
    /// KEEPALIVE.
    pub keepalives: u64,
    /// ROUTE-REFRESH.
    pub route_refreshes: u64,
}

impl std::ops::Add for MessageCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            opens: self.opens + other.opens,
            updates: self.updates + other.updates,
            notifications: self.notifications + other.notifications,
            keepalives: self.keepalives + other.keepalives,
            route_refreshes: self.route_refreshes + other.route_refreshes,
        }
    }
}

/// What both OPENs came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    /// The peer's BGP identifier.
    pub identifier: Ipv4Addr,
    /// Seconds of silence that end the session; zero for any number.
    pub hold_time_s: u64,
    /// Seconds between our keepalives; zero for none.
    pub keepalive_s: u64,
    /// What the peer says it can.
    pub capabilities: Vec<String>,
}

/// A NOTIFICATION that ended a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSeen {
    /// Its code, what that means, and the operator's message if there is one (RFC 9003).
    pub text: String,
    /// Seconds since then.
    pub age_s: u64,
}

/// RFC 4271 section 8.2.2, in the order in which a session comes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Not trying.
    Idle,
    /// Waiting for TCP.
    Connect,
    /// Waiting to try again.
    Active,
    /// OPEN sent.
    OpenSent,
    /// OPEN received.
    OpenConfirm,
    /// Routes flow.
    Established,
}

impl SessionState {
    /// The state of this name, as RFC 4271 spells it; what is no name counts as Idle.
    pub(crate) fn named(text: &str) -> Self {
        match text {
            "Established" => Self::Established,
            "OpenConfirm" => Self::OpenConfirm,
            "OpenSent" => Self::OpenSent,
            "Connect" => Self::Connect,
            "Active" => Self::Active,
            _ => Self::Idle,
        }
    }
}

/// Why a routing daemon could not be observed or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {why}")]
pub struct RoutingError {
    /// What was being done, and to what.
    pub operation: String,
    /// What was met.
    pub why: String,
}

/// A routing daemon, embedded or external.
#[async_trait]
pub trait RoutingDaemon: Send + Sync {
    /// Reads how it is set up, what it originates and how its sessions stand.
    async fn observe(&self) -> Result<ObservedRouting, RoutingError>;

    /// Sets up the sessions. One that did not change is not reset; what is originated stays.
    async fn configure(&self, config: &RoutingConfig) -> Result<(), RoutingError>;

    /// Makes exactly this be announced to every peer of the prefix's family.
    async fn originate(&self, origination: &Origination) -> Result<(), RoutingError>;
}
