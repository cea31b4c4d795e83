//! What BIRD shows, understood.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::conf;
use super::control::Answer;
use crate::routing::external::idle;
use crate::routing::{
    Negotiated, ObservedSession, Origination, RoutingConfig, SessionConfig, SessionName, SessionState,
};

/// One protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: String,
    kind: String,
    state: String,
    since: u64,
    /// As they are indented.
    details: Vec<String>,
}

impl Protocol {
    pub(super) fn is_up(&self) -> bool {
        self.state == "up"
    }

    /// Whether somebody has disabled it: what only waits is starting.
    fn is_disabled(&self) -> bool {
        self.state == "down"
    }

    /// The session that it is; `None` if it is none.
    pub(super) fn session(&self) -> Option<SessionName> {
        (self.kind == "BGP").then(|| SessionName::parse(&self.name)).flatten()
    }

    /// What comes after a label, wherever it stands.
    fn value(&self, label: &str) -> Option<&str> {
        self.details.iter().find_map(|line| Some(line.trim().strip_prefix(label)?.trim()))
    }

    /// What both sides came to; `None` unless the session is established.
    fn negotiated(&self) -> Option<Negotiated> {
        let identifier: Ipv4Addr = self.value("Neighbor ID:")?.parse().ok()?;
        let of = |label| self.value(label)?.rsplit_once('/')?.1.trim().parse().ok();
        let theirs = self.details.iter().skip_while(|line| line.trim() != "Neighbor capabilities").skip(1);
        let indented = |line: &str| line.len() - line.trim_start().len();
        let capabilities = theirs
            .take_while(|line| indented(line) > 4)
            .map(|line| line.trim().to_lowercase().replace(": ", "-").replace(' ', "-"))
            .filter(|line| line != "multiprotocol");
        Some(Negotiated {
            identifier,
            hold_time_s: of("Hold timer:")?,
            keepalive_s: of("Keepalive timer:")?,
            capabilities: capabilities.collect(),
        })
    }

    /// Columns received and accepted.
    fn discarded(&self) -> u64 {
        let columns = self.value("Import updates:").unwrap_or_default();
        let number = |column: Option<&str>| column.and_then(|column| column.parse().ok()).unwrap_or(0u64);
        let columns: Vec<&str> = columns.split_whitespace().collect();
        number(columns.first().copied()).saturating_sub(number(columns.last().copied()))
    }

    /// The session as we describe sessions.
    pub(super) fn observed(
        &self,
        name: &SessionName,
        config: Option<&SessionConfig>,
        now: u64,
        sent: BTreeSet<IpNet>,
    ) -> ObservedSession {
        let state = match self.value("BGP state:") {
            Some("Established") => SessionState::Established,
            Some("OpenConfirm") => SessionState::OpenConfirm,
            Some("OpenSent") => SessionState::OpenSent,
            Some("Connect") => SessionState::Connect,
            Some("Active" | "Passive") => SessionState::Active,
            Some(_) | None => SessionState::Idle,
        };
        let mut seen = idle(name.family, config);
        if let Some(address) = self.value("Neighbor address:").and_then(|address| address.parse().ok()) {
            seen.neighbor = address;
        }
        if let Some(address) = self.value("Source address:").and_then(|address| address.parse().ok()) {
            seen.local = address;
        }
        if let Some(asn) = self.value("Neighbor AS:").and_then(|asn| asn.parse().ok()) {
            seen.asn = asn;
        }
        let retry = ["Error wait:", "Connect delay:"].iter().find_map(|label| self.value(label));
        let seconds = retry.and_then(|retry| retry.split('.').next()?.parse::<u64>().ok());
        let message = self.value("Message:").map(|message| format!("disabled: {message}"));
        ObservedSession {
            state,
            since_s: now.saturating_sub(self.since),
            retry_in_s: seconds.map(|seconds| seconds + 1),
            prefixes_sent: sent,
            routes_discarded: self.discarded(),
            negotiated: self.negotiated(),
            last_error: message.or_else(|| self.value("Last error:").map(str::to_owned)),
            ..seen
        }
    }
}

/// The answer to `show protocols all`.
pub(super) fn protocols(answer: &Answer) -> Vec<Protocol> {
    let mut protocols: Vec<Protocol> = Vec::new();
    for (code, line) in &answer.0 {
        match code {
            1002 => {
                let mut words = line.split_whitespace().map(str::to_owned);
                let (Some(name), Some(kind), Some(_table), Some(state)) =
                    (words.next(), words.next(), words.next(), words.next())
                else {
                    continue;
                };
                let since = words.next().and_then(|since| since.parse().ok()).unwrap_or(0);
                protocols.push(Protocol { name, kind, state, since, details: Vec::new() });
            }
            1006 => {
                if let Some(protocol) = protocols.last_mut() {
                    protocol.details.push(line.clone());
                }
            }
            _ => {}
        }
    }
    protocols
}

/// The prefixes in the answer to `show route`: one that has several routes is named once.
pub(super) fn prefixes(answer: &Answer) -> BTreeSet<IpNet> {
    let lines = answer.0.iter().filter(|(code, _)| *code == 1007);
    lines.filter_map(|(_, line)| line.split_whitespace().next()?.parse().ok()).collect()
}

/// The neighbours in the answer to `show bfd sessions`, and whether they are heard.
pub(super) fn heard(answer: &Answer) -> BTreeMap<IpAddr, bool> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.nth(1)? == "Up"))
    };
    answer.0.iter().filter(|(code, _)| *code == 1020).filter_map(|(_, line)| of(line)).collect()
}

/// What the static protocols announce.
pub(super) fn announced(protocols: &[Protocol]) -> Origination {
    protocols
        .iter()
        .filter(|protocol| protocol.is_up())
        .filter_map(|one| conf::announced(&one.name))
        .collect()
}

/// The time that an answer to `show status` gives, in seconds since 1970, whole ones; and how many microseconds after its start
/// it last read a configuration.
///
/// BIRD keeps both moments by a clock that only goes on, and works out anew what time of day each was: two looks differ by
/// microseconds, and by whatever the clock of the machine was put right. The difference is exact.
pub(super) fn status(answer: &Answer) -> Option<(u64, i64)> {
    let of = |label: &str| {
        let time = answer.0.iter().find_map(|(_, line)| line.strip_prefix(label))?;
        let (seconds, fraction) = time.split_once('.')?;
        // Three digits in the files of agents before this one.
        let fraction = format!("{fraction:0<6}").parse().ok()?;
        seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
    };
    let now = u64::try_from(of("Current server time is ")? / 1_000_000).ok()?;
    Some((now, of("Last reconfiguration on ")?.checked_sub(of("Last reboot on ")?)?))
}

/// What there should not be, or is missing.
pub(super) fn drift(protocols: &[Protocol], config: &RoutingConfig) -> Option<String> {
    let statics = config
        .prefixes
        .iter()
        .flat_map(|prefix| conf::ways(config).into_iter().map(|how| conf::static_name(*prefix, how)));
    let sessions = config.sessions.keys().map(ToString::to_string);
    let wanted = statics.chain(sessions).chain([conf::LINKS.to_owned()]);
    let archive = config.archive.map(|_| conf::ARCHIVE.to_owned());
    let bfd = conf::speaks_bfd(config).then(|| conf::FAILURES.to_owned());
    let wanted: BTreeSet<String> = wanted.chain(archive).chain(bfd).collect();
    let present: BTreeSet<String> = protocols.iter().map(|protocol| protocol.name.clone()).collect();
    let foreign =
        present.difference(&wanted).map(|name| format!("it has a protocol {name}, which is not ours"));
    let missing = wanted.difference(&present).map(|name| format!("its protocol {name} is gone"));
    let disabled = protocols
        .iter()
        .filter(|protocol| protocol.is_disabled() && protocol.session().is_some())
        .map(|protocol| format!("its session {} was disabled", protocol.name));
    foreign.chain(missing).chain(disabled).next()
}
