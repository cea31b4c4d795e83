//! Status: what the agent says of itself, as one snapshot.
//!
//! A client connects to the Unix socket `status.sock` in the state folder, sends nothing, and reads one JSON
//! document until the end of the stream. Orders go to another socket (`control`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::health::{Counts, State};
use crate::names::{DomainName, NetworkName, NodeName, Revision};
use crate::routing::{MessageCounts, Negotiated, NotificationSeen};

pub mod control;
mod socket;

pub use socket::read;
pub(crate) use socket::{bind, serve};

/// The agent at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which node.
    pub node: NodeName,
    /// Of which network.
    pub network: NetworkName,
    /// The agent's version.
    pub version: String,
    /// The agent's process id.
    pub pid: u32,
    /// Since the agent started.
    pub uptime_ms: u64,
    /// From start to the first settled state; `None` until then.
    pub settled_after_ms: Option<u64>,
    /// Whether the last plan had nothing to do and nothing to wait for.
    pub settled: bool,
    /// The revision that is applied.
    pub revision: Option<Revision>,
    /// The last candidate that was refused, until a later one is applied.
    pub refusal: Option<Refusal>,
    /// Why the repository could not be fetched at the last try; `None` when it could.
    pub fetch_error: Option<String>,
    /// What the last plan wanted done, in words.
    pub actions: Vec<String>,
    /// What the last plan waits for, in words.
    pub waits: Vec<String>,
    /// What was found changed by hand and put right, the newest last; at most 32.
    pub repaired: Vec<String>,
    /// The name server in use, and the one selected where that is another.
    pub name_server: Daemon,
    /// The routing daemon in use, and the one selected where that is another.
    pub routing_daemon: Daemon,
    /// Whether it may announce, and why not.
    pub gate: GateStatus,
    /// Who withdraws this node where there is no agent.
    #[serde(default)]
    pub watchdog: WatchdogStatus,
    /// What is announced, and how.
    pub announced: BTreeMap<IpNet, String>,
    /// BGP sessions.
    pub sessions: BTreeMap<String, SessionStatus>,
    /// Zones.
    pub zones: BTreeMap<DomainName, ZoneStatus>,
    /// Catalog zones (RFC 9432), consumed and offered.
    #[serde(default)]
    pub catalogs: BTreeMap<DomainName, CatalogStatus>,
    /// Which configuration runs, and what becomes of the newest; `None` before there is any.
    #[serde(default)]
    pub rollout: Option<RolloutStatus>,
    /// The earlier revision that the zones are of, where the gate froze after the newest ones; `waits` says why.
    #[serde(default)]
    pub zones_of: Option<Revision>,
    /// Mesh links, by node.
    pub mesh: BTreeMap<NodeName, LinkStatus>,
}

/// A candidate that was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The commit at which it ended.
    pub revision: Revision,
    /// The rule of the trust model (`R2`, `R3`, …), or `check` when the contents have findings.
    pub rule: String,
    /// What was refused, why, and what to do.
    pub why: String,
}

/// A daemon in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// What runs.
    pub running: String,
    /// What the node's file selects.
    pub selected: String,
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStatus {
    /// Where the node is.
    pub state: State,
    /// For how long.
    pub since_ms: u64,
    /// The class of what is wrong: `HARD`, `PARTIAL`, `DATA`, `STALE` or `ISOLATED`.
    pub class: Option<String>,
    /// What is wrong.
    pub why: Option<String>,
    /// For how long.
    pub class_since_ms: u64,
    /// Where each prefix is.
    pub prefixes: BTreeMap<IpNet, State>,
    /// How often the node was asked of late, where its name server counts: in the last minute, or in the last ten seconds while
    /// it drains. What name servers and agents ask each other is left out.
    #[serde(default)]
    pub queries_per_second: Option<u32>,
    /// Why each prefix goes on being announced where something is wrong. The waits of a plan say so, too, but a plan
    /// takes a look at daemons, and those may hang.
    #[serde(default)]
    pub held: BTreeMap<IpNet, String>,
    /// By family: N, the nodes that are meant to announce, H, the others that do, and W, those withdrawn or drained.
    pub counts: BTreeMap<String, Counts>,
    /// What the other nodes said last.
    pub beats: BTreeMap<NodeName, BeatStatus>,
}

/// What another node said last of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatStatus {
    /// Milliseconds since it came.
    pub age_ms: u64,
    /// Whether it still counts.
    pub fresh: bool,
    /// Where the node is.
    pub state: State,
    /// The class of what is wrong with it.
    pub class: Option<String>,
    /// The families that it announces.
    pub announces: Vec<String>,
    /// The beginning of its revision.
    pub revision: String,
    /// The beginning of the fingerprint of its zones.
    pub zones_digest: String,
    /// How often it is asked, where its name server counts.
    pub queries_per_second: Option<u32>,
    /// The beginning of the digest of the configuration that it runs, and `good` or `trying`.
    #[serde(default)]
    pub configuration: Option<(String, String)>,
    /// The beginning of the digest of the one that failed there.
    #[serde(default)]
    pub rejects: Option<String>,
}

/// The watchdog, which there is beside an external routing daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WatchdogStatus {
    /// Why there is none, where there should be.
    pub fault: Option<String>,
    /// What it withdrew last, within a day.
    pub withdrew: Option<WithdrawalStatus>,
}

/// What the watchdog withdrew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalStatus {
    /// How many seconds ago.
    pub age_s: u64,
    /// The routing daemons that it ended.
    pub ended: String,
    /// What was met.
    pub why: String,
}

/// One BGP session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Our end.
    pub local: IpAddr,
    /// The peer's end.
    pub neighbor: IpAddr,
    /// The peer's AS number.
    pub asn: u32,
    /// The state of RFC 4271 section 8.2.2, in snake case.
    pub state: String,
    /// How long it has been in it.
    pub since_s: u64,
    /// Seconds until the next attempt to open it; `None` while it is open or being opened.
    pub retry_in_s: Option<u64>,
    /// Prefixes that the peer has from us.
    pub prefixes_sent: Vec<IpNet>,
    /// Routes that it offered and we discarded, since it was established.
    pub routes_discarded: u64,
    /// Malformed UPDATEs that did not end it (RFC 7606).
    pub updates_malformed: u64,
    /// How often it was established and ended.
    pub losses: u64,
    /// Messages from the peer.
    pub messages_received: MessageCounts,
    /// Messages to the peer.
    pub messages_sent: MessageCounts,
    /// What the OPENs came to.
    pub negotiated: Option<Negotiated>,
    /// How BFD stands where it is asked for: `up`, `down` or `absent`.
    pub bfd: Option<String>,
    /// The last NOTIFICATION to the peer.
    pub notification_sent: Option<NotificationSeen>,
    /// The last NOTIFICATION from the peer.
    pub notification_received: Option<NotificationSeen>,
    /// Why it was last closed, or cannot be opened.
    pub last_error: Option<String>,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// The serial served.
    pub serial: Option<u32>,
    /// `served`, `empty` or `expired`.
    pub state: String,
    /// Why it is empty or expired, or served as it was although a primary has something newer.
    pub why: Option<String>,
}

/// One catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogStatus {
    /// Whether it is offered by this node; else it is consumed.
    pub is_offered: bool,
    /// Of the version that counts; `None` if none was read yet.
    pub serial: Option<u32>,
    /// How many of the zones that it lists are served, or are to be.
    pub members: usize,
    /// Members that are not, and why; at most a hundred.
    pub refused: BTreeMap<DomainName, String>,
    /// How many those are in all.
    pub refusals: usize,
    /// Why the version that counts is not the newest one, or may not be.
    pub problem: Option<String>,
}

/// How far the node is with a change of routing, daemons or network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// The configuration that runs.
    pub runs: ConfigurationStatus,
    /// `trying` until the node has been well with it for long enough, then `good`.
    pub state: String,
    /// For how long it runs.
    pub since_s: u64,
    /// Why the node is not well with it.
    pub lacks: Option<String>,
    /// The number of the node's wave, from 1, and how many there are; `None` where all change at once.
    pub wave: Option<(u32, u32)>,
    /// The configuration that it goes back to if this one fails.
    pub before: Option<ConfigurationStatus>,
    /// The newest one, where it is rejected.
    pub rejected: Option<ConfigurationStatus>,
    /// Why it is.
    pub why: Option<String>,
    /// Why the newest one does not run, or one that is rejected does.
    pub waits: Option<String>,
}

/// A configuration, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationStatus {
    /// A revision that has it.
    pub revision: Revision,
    /// The beginning of its digest.
    pub digest: String,
}

/// One mesh link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Whether nothing has come for long, so that nothing is sent there.
    #[serde(default)]
    pub is_silent: bool,
    /// Seconds since the last handshake; `None` if there was none.
    pub handshake_age_s: Option<u64>,
    /// Octets received.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
}
