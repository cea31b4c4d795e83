//! What `bgpctl -j` shows, understood.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::conf;
use crate::routing::external::idle;
use crate::routing::{
    Announcement, MessageCounts, Negotiated, ObservedSession, RoutingConfig, SessionConfig, SessionName,
    SessionState,
};

/// A neighbour, with what we look at.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Neighbor {
    #[serde(default)]
    description: String,
    pub(super) remote_addr: IpAddr,
    remote_as: Value,
    #[serde(default)]
    bgpid: Option<Ipv4Addr>,
    state: String,
    #[serde(default)]
    last_updown_sec: i64,
    #[serde(default)]
    config: Settings,
    #[serde(default)]
    stats: Counts,
    #[serde(default)]
    session: Option<Session>,
    #[serde(default)]
    my_shutdown_reason: Option<String>,
    #[serde(default)]
    last_shutdown_reason: Option<String>,
    #[serde(default)]
    last_error_sent: Option<String>,
    #[serde(default)]
    last_error_received: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    down: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Counts {
    prefixes: Directions<u64>,
    message: Directions<Messages>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Directions<T> {
    sent: T,
    received: T,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Messages {
    open: u64,
    notifications: u64,
    updates: u64,
    keepalives: u64,
    route_refresh: u64,
}

impl Messages {
    fn counts(&self) -> MessageCounts {
        MessageCounts {
            opens: self.open,
            updates: self.updates,
            notifications: self.notifications,
            keepalives: self.keepalives,
            route_refreshes: self.route_refresh,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Session {
    holdtime: u64,
    keepalive: u64,
    local: End,
    remote: End,
}

#[derive(Debug, Clone, Deserialize)]
struct End {
    address: IpAddr,
    #[serde(default)]
    capabilities: Map<String, Value>,
}

/// A route.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Route {
    pub(super) prefix: IpNet,
    #[serde(default)]
    aspath: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    metric: u64,
    #[serde(default)]
    communities: Vec<String>,
    #[serde(default)]
    large_communities: Vec<String>,
    #[serde(default)]
    extended_communities: Vec<String>,
}

/// A network that was added, and how it is announced; `None` where not as we would have added it.
pub(super) type Network = (IpNet, Option<Announcement>);

impl Neighbor {
    /// The session that it is; `None` if it is none of ours.
    pub(super) fn session(&self) -> Option<SessionName> {
        SessionName::parse(&self.description)
    }

    pub(super) fn is_established(&self) -> bool {
        self.state() == SessionState::Established
    }

    fn state(&self) -> SessionState {
        SessionState::named(&self.state)
    }

    fn asn(&self) -> u32 {
        let number = match self.remote_as.as_str() {
            Some(text) => text.parse().ok(),
            None => self.remote_as.as_u64().and_then(|number| number.try_into().ok()),
        };
        number.unwrap_or(0)
    }

    /// How many routes the peer offers.
    pub(super) fn offered(&self) -> u64 {
        self.stats.prefixes.received
    }

    fn last_error(&self) -> Option<String> {
        if self.config.down {
            let why = self.my_shutdown_reason.as_deref().unwrap_or("no reason given");
            return Some(format!("disabled: {why}"));
        }
        let sent = self.last_error_sent.as_ref().map(|error| format!("sent: {error}"));
        let received = self.last_error_received.as_ref().map(|error| match &self.last_shutdown_reason {
            Some(reason) => format!("received: {error}: {reason}"),
            None => format!("received: {error}"),
        });
        let errors: Vec<String> = received.into_iter().chain(sent).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    /// The session as we describe sessions.
    pub(super) fn observed(
        &self,
        name: &SessionName,
        config: Option<&SessionConfig>,
        sent: BTreeSet<IpNet>,
        discarded: u64,
    ) -> ObservedSession {
        let open = self.session.as_ref().filter(|_| self.is_established());
        let seen = idle(name.family, config);
        let negotiated = open.zip(self.bgpid).map(|(open, identifier)| Negotiated {
            identifier,
            hold_time_s: open.holdtime,
            keepalive_s: open.keepalive,
            capabilities: capabilities(&open.remote.capabilities),
        });
        ObservedSession {
            local: open.map_or(seen.local, |open| open.local.address),
            neighbor: self.remote_addr,
            asn: self.asn(),
            state: self.state(),
            since_s: self.last_updown_sec.try_into().unwrap_or(0),
            prefixes_sent: sent,
            routes_discarded: discarded,
            messages_received: self.stats.message.received.counts(),
            messages_sent: self.stats.message.sent.counts(),
            negotiated,
            last_error: self.last_error(),
            ..seen
        }
    }
}

fn capabilities(said: &Map<String, Value>) -> Vec<String> {
    let word = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let one = |(name, value): (&String, &Value)| match value {
        Value::Bool(true) | Value::Object(_) => vec![word(name)],
        Value::String(text) => vec![word(&format!("{name}-{text}"))],
        Value::Array(all) => {
            all.iter().filter_map(|one| Some(word(&format!("{name}-{}", one.as_str()?)))).collect()
        }
        Value::Bool(false) | Value::Null | Value::Number(_) => Vec::new(),
    };
    said.iter().flat_map(one).collect()
}

impl Route {
    /// Whether it comes from here. All sessions are external.
    pub(super) fn is_ours(&self) -> bool {
        self.source == "internal"
    }

    /// How it is announced; `None` where not as we would have added it. The path of one of ours can only have us in it.
    pub(super) fn announcement(&self) -> Option<Announcement> {
        let prepends = self.aspath.split_whitespace().count();
        let plain = self.origin == "IGP"
            && self.metric == 0
            && self.large_communities.is_empty()
            && self.extended_communities.is_empty();
        match self.communities.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] if plain && prepends == 0 => Some(Announcement::Normal),
            ["GRACEFUL_SHUTDOWN"] if plain => {
                Some(Announcement::Draining { prepend: prepends.try_into().ok()? })
            }
            _ => None,
        }
    }
}

/// The things of a kind in an answer; none where it names none of them.
///
/// Before 8.1, texts are not escaped in it, and some of them come from peers. Each stands on a line of its own, so it is
/// clear where it ends.
pub(super) fn all<T: DeserializeOwned>(text: &str, escaped: bool, kind: &str) -> Result<Vec<T>, String> {
    let lines = || text.lines().map(escape).collect::<Vec<_>>().join("\n");
    let answer: Result<Value, _> =
        if escaped { serde_json::from_str(text) } else { serde_json::from_str(&lines()) };
    let answer = answer.map_err(|error| error.to_string())?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        return Err(error.to_owned());
    }
    match answer.get(kind) {
        Some(things) => Vec::deserialize(things).map_err(|error| error.to_string()),
        None => Ok(Vec::new()),
    }
}

fn escape(line: &str) -> String {
    let (bare, comma) = match line.strip_suffix(',') {
        Some(bare) => (bare, ","),
        None => (line, ""),
    };
    let parts = || {
        let (key, text) = bare.split_once("\": \"")?;
        Some((key, text.strip_suffix('"')?))
    };
    match parts() {
        Some((key, text)) => format!("{key}\": {}{comma}", Value::from(text)),
        None => line.to_owned(),
    }
}

/// Which configuration the daemon has read last, from its sets; `None` if none of ours.
pub(super) fn mark(sets: &[Value]) -> Option<&str> {
    sets.iter().find_map(|set| set.get("name")?.as_str()?.strip_prefix(conf::MARK))
}

/// What there should not be, or is missing.
pub(super) fn drift(neighbors: &[Neighbor], networks: &[Network], config: &RoutingConfig) -> Option<String> {
    let wanted = |neighbor: &Neighbor| neighbor.session().and_then(|name| config.sessions.get(&name));
    let foreign = neighbors
        .iter()
        .filter(|neighbor| wanted(neighbor).is_none_or(|one| one.neighbor != neighbor.remote_addr))
        .map(|neighbor| format!("it has a neighbor {}, which is not ours", neighbor.remote_addr));
    let present: BTreeSet<SessionName> = neighbors.iter().filter_map(Neighbor::session).collect();
    let missing = config
        .sessions
        .keys()
        .filter(|name| !present.contains(name))
        .map(|name| format!("its session {name} is gone"));
    let disabled = neighbors
        .iter()
        .filter(|neighbor| neighbor.config.down)
        .map(|neighbor| format!("its session {} was disabled", neighbor.description));
    let strange = networks.iter().filter_map(|(prefix, how)| match how {
        _ if !config.prefixes.contains(prefix) => {
            Some(format!("it has a network {prefix}, which is not ours"))
        }
        None => Some(format!("its network {prefix} was added with other attributes")),
        Some(_) => None,
    });
    foreign.chain(missing).chain(disabled).chain(strange).next()
}
