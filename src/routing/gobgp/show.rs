//! What GoBGP says of its neighbors and its table, in JSON, where whatever is zero is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::conf::{self, File};
use crate::names::Community;
use crate::routing::external::idle;
use crate::routing::{
    Announcement, MessageCounts, Negotiated, ObservedSession, Origination, RoutingConfig, SessionName,
    SessionState,
};

/// After what time a neighbor that was cut off for offering too much may try again.
pub(super) const HOLD_OFF_S: u64 = 60;
const ESTABLISHED: u8 = 6;
const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;
const COMMUNITIES: u8 = 8;
const MP_REACH_NLRI: u8 = 14;

/// A neighbor.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Neighbor {
    conf: Conf,
    state: State,
    timers: Timers,
    transport: Transport,
    afi_safis: Vec<AfiSafi>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conf {
    description: String,
    neighbor_address: Option<IpAddr>,
    peer_asn: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    session_state: u8,
    admin_state: u8,
    router_id: Option<Ipv4Addr>,
    messages: Messages,
    remote_cap: Vec<Capability>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Messages {
    received: Counts,
    sent: Counts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    open: u64,
    update: u64,
    notification: u64,
    keepalive: u64,
    refresh: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capability {
    type_url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timers {
    state: TimersState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TimersState {
    keepalive_interval: u64,
    negotiated_hold_time: u64,
    uptime: Option<Time>,
    downtime: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Time {
    seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Transport {
    local_address: Option<IpAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AfiSafi {
    state: AfiSafiState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AfiSafiState {
    received: u64,
}

/// A table: the paths to each prefix.
pub(super) type Table = BTreeMap<IpNet, Vec<Path>>;

/// A path.
#[derive(Debug, Deserialize)]
pub(super) struct Path {
    /// `None` for one that is originated here.
    #[serde(rename = "neighbor-ip", default)]
    neighbor: Option<String>,
    attrs: Vec<Attribute>,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    as_paths: Vec<Segment>,
    #[serde(default)]
    communities: Vec<u32>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    #[serde(default)]
    asns: Vec<u64>,
}

impl From<&Counts> for MessageCounts {
    fn from(counts: &Counts) -> Self {
        Self {
            opens: counts.open,
            updates: counts.update,
            notifications: counts.notification,
            keepalives: counts.keepalive,
            route_refreshes: counts.refresh,
        }
    }
}

impl Neighbor {
    /// Its address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.conf.neighbor_address
    }

    /// Which session it is; `None` if none of ours.
    pub(super) fn session(&self) -> Option<SessionName> {
        SessionName::parse(&self.conf.description)
    }

    pub(super) fn is_established(&self) -> bool {
        self.state.session_state == ESTABLISHED
    }

    /// Whether somebody has disabled it.
    pub(super) fn is_disabled(&self) -> bool {
        self.state.admin_state == 1
    }

    /// For how long it has been cut off, since it offered too much.
    pub(super) fn cut_off_s(&self, now: u64) -> Option<u64> {
        (self.state.admin_state == 2).then(|| self.since_s(now))
    }

    /// Whether it is as a file says.
    pub(super) fn is(&self, wanted: &Value) -> bool {
        wanted["config"]["description"] == *self.conf.description
            && wanted["config"]["peer-as"] == self.conf.peer_asn
            && wanted["transport"]["config"]["local-address"].as_str().and_then(|text| text.parse().ok())
                == self.transport.local_address
    }

    fn since_s(&self, now: u64) -> u64 {
        let state = &self.timers.state;
        let time = if self.is_established() { &state.uptime } else { &state.downtime };
        time.as_ref().map_or(0, |time| now.saturating_sub(time.seconds))
    }

    fn negotiated(&self) -> Option<Negotiated> {
        let named = self.state.remote_cap.iter().filter_map(|one| {
            let name = one.type_url.rsplit_once('.')?.1.strip_suffix("Capability")?;
            (name != "MultiProtocol").then(|| kebab_case(name))
        });
        self.is_established().then(|| Negotiated {
            identifier: self.state.router_id.unwrap_or(Ipv4Addr::UNSPECIFIED),
            hold_time_s: self.timers.state.negotiated_hold_time,
            keepalive_s: self.timers.state.keepalive_interval,
            capabilities: named.collect(),
        })
    }

    /// The session as we describe sessions.
    pub(super) fn observed(
        &self,
        name: &SessionName,
        config: Option<&RoutingConfig>,
        now: u64,
        sent: BTreeSet<IpNet>,
        imported: u64,
    ) -> ObservedSession {
        let state = match self.state.session_state {
            ESTABLISHED => SessionState::Established,
            5 => SessionState::OpenConfirm,
            4 => SessionState::OpenSent,
            3 => SessionState::Active,
            2 => SessionState::Connect,
            _ => SessionState::Idle,
        };
        let seen = idle(name.family, config.and_then(|config| config.sessions.get(name)));
        let cut_off = self.cut_off_s(now);
        let offered =
            || format!("it offered more than {} routes, so the session was closed", conf::RECEIVE_LIMIT);
        let disabled = || self.is_disabled().then(|| "somebody has disabled it".to_owned());
        let received: u64 = self.afi_safis.iter().map(|family| family.state.received).sum();
        ObservedSession {
            local: self.transport.local_address.unwrap_or(seen.local),
            neighbor: self.conf.neighbor_address.unwrap_or(seen.neighbor),
            asn: self.conf.peer_asn,
            state,
            since_s: self.since_s(now),
            retry_in_s: cut_off.map(|since| HOLD_OFF_S.saturating_sub(since)),
            prefixes_sent: sent,
            routes_discarded: received.saturating_sub(imported),
            messages_received: (&self.state.messages.received).into(),
            messages_sent: (&self.state.messages.sent).into(),
            negotiated: self.negotiated(),
            last_error: cut_off.map(|_| offered()).or_else(disabled),
            ..seen
        }
    }
}

fn kebab_case(name: &str) -> String {
    let mut text = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && after_lower {
            text.push('-');
        }
        after_lower = letter.is_lowercase();
        text.extend(letter.to_lowercase());
    }
    text
}

impl Path {
    pub(super) fn is_local(&self) -> bool {
        self.neighbor.is_none()
    }

    pub(super) fn is_of(&self, neighbor: IpAddr) -> bool {
        self.neighbor.as_ref().and_then(|text| text.parse().ok()) == Some(neighbor)
    }

    fn attribute(&self, kind: u8) -> Option<&Attribute> {
        self.attrs.iter().find(|attribute| attribute.kind == kind)
    }

    fn path(&self) -> Vec<u64> {
        let segments = self.attribute(AS_PATH).map_or(&[][..], |attribute| &attribute.as_paths);
        segments.iter().flat_map(|segment| segment.asns.iter().copied()).collect()
    }

    fn communities(&self) -> &[u32] {
        self.attribute(COMMUNITIES).map_or(&[], |attribute| &attribute.communities)
    }

    /// How it announces its prefix: a drain has its prepends in the path, and its community.
    pub(super) fn how(&self) -> Announcement {
        match self.communities().contains(&graceful_shutdown()) {
            false => Announcement::Normal,
            true => Announcement::Draining { prepend: u8::try_from(self.path().len()).unwrap_or(u8::MAX) },
        }
    }

    /// Whether it has what we give to one that announces so, and nothing else.
    pub(super) fn is_exact(&self, asn: u64) -> bool {
        let communities: &[u32] = match self.how() {
            Announcement::Normal if !self.path().is_empty() => return false,
            Announcement::Normal => &[],
            Announcement::Draining { .. } => &[graceful_shutdown()],
        };
        let known = [ORIGIN, AS_PATH, NEXT_HOP, COMMUNITIES, MP_REACH_NLRI];
        self.communities() == communities
            && self.path().iter().all(|hop| *hop == asn)
            && self.attribute(ORIGIN).is_some_and(|origin| origin.value == 0)
            && self.attrs.iter().all(|attribute| known.contains(&attribute.kind))
    }
}

fn graceful_shutdown() -> u32 {
    match Community::GRACEFUL_SHUTDOWN {
        Community::Standard(upper, lower) => u32::from(upper) << 16 | u32::from(lower),
        Community::Large(..) | Community::Extended(_) => 0,
    }
}

/// What is announced of our prefixes, or at all where it is not known which they are.
pub(super) fn announced(table: &Table, ours: Option<&BTreeSet<IpNet>>) -> Origination {
    table
        .iter()
        .filter(|(prefix, _)| ours.is_none_or(|ours| ours.contains(*prefix)))
        .filter_map(|(prefix, paths)| Some((*prefix, paths.iter().find(|path| path.is_local())?.how())))
        .collect()
}

/// Prefixes that are originated here and are not ours, or not as we originate them.
pub(super) fn foreign(table: &Table, file: &File) -> BTreeSet<IpNet> {
    let (ours, asn) = (file.prefixes(), file.asn().unwrap_or_default());
    let is_foreign =
        |prefix: &IpNet, path: &Path| path.is_local() && !(ours.contains(prefix) && path.is_exact(asn));
    let foreign = table.iter().filter(|(prefix, paths)| paths.iter().any(|path| is_foreign(prefix, path)));
    foreign.map(|(prefix, _)| *prefix).collect()
}

/// What there should not be, or is missing.
pub(super) fn drift(neighbors: &[Neighbor], table: &Table, file: &File) -> Option<String> {
    let wanted = file.neighbors();
    let present: BTreeSet<IpAddr> = neighbors.iter().filter_map(Neighbor::address).collect();
    let changed = neighbors.iter().filter_map(|neighbor| {
        let address = neighbor.address()?;
        match wanted.get(&address) {
            None => Some(format!("it has a neighbor {address}, which is not ours")),
            Some(wanted) if !neighbor.is(wanted) => Some(format!("its neighbor {address} was changed")),
            Some(_) if neighbor.is_disabled() => Some(format!("its neighbor {address} was disabled")),
            Some(_) => None,
        }
    });
    let missing = wanted.keys().filter(|address| !present.contains(*address));
    let missing = missing.map(|address| format!("its neighbor {address} is gone"));
    let foreign = foreign(table, file);
    let routes = foreign.iter().map(|prefix| format!("it originates {prefix}, but not for us"));
    changed.chain(missing).chain(routes).next()
}
