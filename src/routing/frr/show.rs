//! What FRR shows, understood.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::routing::external::idle;
use crate::routing::{
    Family, MessageCounts, Negotiated, ObservedSession, RoutingConfig, SessionName, SessionState,
};

/// One neighbour, as `show bgp neighbors json` has it: what we need of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Neighbor {
    remote_as: u32,
    nbr_desc: String,
    remote_router_id: String,
    bgp_state: String,
    bgp_timer_up_msec: u64,
    bgp_timer_hold_time_msecs: u64,
    bgp_timer_keep_alive_interval_msecs: u64,
    neighbor_capabilities: BTreeMap<String, serde_json::Value>,
    message_stats: Messages,
    last_reset_timer_msecs: u64,
    last_reset_due_to: Option<String>,
    last_notification_reason: Option<String>,
    last_shutdown_description: Option<String>,
    next_start_timer_due_in_msecs: Option<u64>,
    next_connect_timer_due_in_msecs: Option<u64>,
    connections_established: u64,
    update_source: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Messages {
    opens_sent: u64,
    opens_recv: u64,
    notifications_sent: u64,
    notifications_recv: u64,
    updates_sent: u64,
    updates_recv: u64,
    keepalives_sent: u64,
    keepalives_recv: u64,
    route_refresh_sent: u64,
    route_refresh_recv: u64,
}

impl Neighbor {
    pub(super) fn is_established(&self) -> bool {
        self.bgp_state == "Established"
    }

    /// The session that it is; `None` if it is none of ours.
    pub(super) fn session(&self) -> Option<SessionName> {
        SessionName::parse(&self.nbr_desc)
    }

    /// What both sides came to; `None` unless the session is established.
    fn negotiated(&self) -> Option<Negotiated> {
        let of_peer = |(name, said): (&String, &serde_json::Value)| {
            said.as_str().is_some_and(|said| said.to_lowercase().contains("received")).then(|| name.clone())
        };
        self.is_established().then_some(Negotiated {
            identifier: self.remote_router_id.parse().ok()?,
            hold_time_s: self.bgp_timer_hold_time_msecs / 1000,
            keepalive_s: self.bgp_timer_keep_alive_interval_msecs / 1000,
            capabilities: self.neighbor_capabilities.iter().filter_map(of_peer).collect(),
        })
    }

    /// Why it was last closed, or cannot be opened.
    fn last_error(&self) -> Option<String> {
        let said = [&self.last_notification_reason, &self.last_shutdown_description, &self.last_reset_due_to];
        let said: Vec<&str> = said.into_iter().flatten().map(String::as_str).collect();
        // Before it has been established, it calls it a reset that it was set up.
        let is_news = self.connections_established > u64::from(self.is_established())
            || self.last_notification_reason.is_some();
        (is_news && !said.is_empty()).then(|| said.join("; "))
    }

    /// The session as we describe sessions.
    pub(super) fn observed(
        &self,
        name: &SessionName,
        neighbor: IpAddr,
        config: Option<&RoutingConfig>,
        sent: BTreeSet<IpNet>,
    ) -> ObservedSession {
        let config = config.and_then(|config| config.sessions.get(name));
        let known = idle(name.family, config);
        let state = SessionState::named(&self.bgp_state);
        let since = if self.is_established() { self.bgp_timer_up_msec } else { self.last_reset_timer_msecs };
        let retry = self.next_start_timer_due_in_msecs.or(self.next_connect_timer_due_in_msecs);
        let messages = self.message_stats;
        ObservedSession {
            local: self.update_source.parse().unwrap_or(known.local),
            neighbor,
            asn: self.remote_as,
            state,
            since_s: since / 1000,
            retry_in_s: retry.map(|retry| retry.div_ceil(1000)),
            prefixes_sent: sent,
            messages_received: MessageCounts {
                opens: messages.opens_recv,
                updates: messages.updates_recv,
                notifications: messages.notifications_recv,
                keepalives: messages.keepalives_recv,
                route_refreshes: messages.route_refresh_recv,
            },
            messages_sent: MessageCounts {
                opens: messages.opens_sent,
                updates: messages.updates_sent,
                notifications: messages.notifications_sent,
                keepalives: messages.keepalives_sent,
                route_refreshes: messages.route_refresh_sent,
            },
            negotiated: self.negotiated(),
            last_error: self.last_error(),
            ..known
        }
    }
}

/// The question to which `neighbors` understands the answer.
pub(super) const NEIGHBORS: &str = "show bgp neighbors json";

/// All neighbours.
pub(super) fn neighbors(text: &str) -> Result<BTreeMap<IpAddr, Neighbor>, serde_json::Error> {
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(text)?;
    let neighbors = all.into_iter().filter_map(|(address, neighbor)| {
        let address = address.parse().ok()?;
        Some(serde_json::from_value(neighbor).map(|neighbor| (address, neighbor)))
    });
    neighbors.collect()
}

/// The question to which `told` understands the answer.
pub(super) fn advertised(neighbor: IpAddr) -> String {
    let family = Family::of(neighbor).word();
    format!("show bgp {family} unicast neighbors {neighbor} advertised-routes json")
}

/// What a neighbour was really told, after all filters.
pub(super) fn told(text: &str) -> Result<BTreeSet<IpNet>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Told {
        advertised_routes: BTreeMap<String, serde_json::Value>,
    }
    let told: Told = serde_json::from_str(text)?;
    Ok(told.advertised_routes.keys().filter_map(|prefix| prefix.parse().ok()).collect())
}

/// The question to bfdd to which `heard` understands the answer.
pub(super) const HEARD: &str = "show bfd peers json";

/// The neighbours that bfdd listens for, and whether they are heard.
pub(super) fn heard(text: &str) -> Result<BTreeMap<IpAddr, bool>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Peer {
        peer: IpAddr,
        status: String,
    }
    let peers: Vec<Peer> = serde_json::from_str(text)?;
    Ok(peers.into_iter().map(|peer| (peer.peer, peer.status == "up")).collect())
}
