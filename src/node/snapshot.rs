//! The snapshot: what the agent knows after a step, for `shoestring status`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::follow::Followed;
use super::reconcile::Step;
use crate::config::LocalConfig;
use crate::desired::slice::DesiredNode;
use crate::dns::{ObservedZone, ZoneState, ZoneTable};
use crate::health::beat::Heard;
use crate::health::{Gate, Stance};
use crate::names::{DomainName, NodeName, Revision};
use crate::routing::{Announcement, Family, ObservedSession};
use crate::status::{
    BeatStatus, CatalogStatus, Daemon, GateStatus, LinkStatus, RolloutStatus, SessionStatus, Snapshot,
    WatchdogStatus, WithdrawalStatus, ZoneStatus,
};
use crate::watchdog::Withdrawal;

/// What a snapshot is made of.
pub(super) struct Facts<'a> {
    config: &'a LocalConfig,
    started: Instant,
    followed: &'a Followed,
    /// The step that was just made.
    pub(super) step: Option<(&'a Arc<DesiredNode>, Step)>,
    /// Waits beside those of the plan.
    pub(super) waits: Vec<String>,
    /// From start to the first settled state.
    pub(super) settled_after: Option<Duration>,
    /// What was put right.
    pub(super) repaired: Vec<String>,
    /// What became of catalogs.
    pub(super) catalogs: BTreeMap<DomainName, CatalogStatus>,
    /// Which configuration runs.
    pub(super) rollout: Option<RolloutStatus>,
    /// Which revision the zones are of, where the newest ones are rejected.
    pub(super) zones_of: Option<Revision>,
}

/// What the agent knew after a step. The zones, of which there may be many, are put into words when somebody asks.
pub(super) struct Published {
    /// Without zones.
    snapshot: Snapshot,
    zones: ZoneTable<ObservedZone>,
}

impl Published {
    /// Before the first step.
    pub(super) fn starting(config: &LocalConfig) -> Self {
        Self { snapshot: starting(config), zones: ZoneTable::default() }
    }

    /// In one line.
    pub(super) fn in_short(&self) -> String {
        let Snapshot { revision, settled, actions, waits, announced, .. } = &self.snapshot;
        let revision =
            revision.map_or_else(|| "no revision yet".to_owned(), |of| format!("revision {}", of.short()));
        let next = actions.iter().chain(waits).next().map_or("on its way", String::as_str);
        let progress = if *settled { "settled" } else { next };
        let announced: Vec<String> = announced.keys().map(ToString::to_string).collect();
        match announced.is_empty() {
            true => format!("{revision}, {progress}; announces nothing"),
            false => format!("{revision}, {progress}; announces {}", announced.join(", ")),
        }
    }

    /// With everything.
    pub(super) fn whole(&self, gate: GateStatus, watchdog: WatchdogStatus) -> Snapshot {
        let zones = self.zones.iter().map(|(name, seen)| (name.clone(), zone(seen))).collect();
        Snapshot { zones, gate, watchdog, ..self.snapshot.clone() }
    }
}

impl<'a> Facts<'a> {
    pub(super) fn new(config: &'a LocalConfig, started: Instant, followed: &'a Followed) -> Self {
        let (waits, repaired) = (Vec::new(), Vec::new());
        let (catalogs, rollout) = (BTreeMap::new(), None);
        Self {
            config,
            started,
            followed,
            step: None,
            waits,
            settled_after: None,
            repaired,
            catalogs,
            rollout,
            zones_of: None,
        }
    }

    pub(super) fn publish(self) -> Published {
        let name_server = self.step.as_ref().and_then(|(_, step)| step.observed.name_server.known());
        let zones = name_server.map(|seen| seen.zones.clone()).unwrap_or_default();
        Published { snapshot: self.snapshot(), zones }
    }

    fn snapshot(self) -> Snapshot {
        let mut snapshot = starting(self.config);
        snapshot.uptime_ms = millis(self.started.elapsed());
        snapshot.settled_after_ms = self.settled_after.map(millis);
        snapshot.revision = self.followed.state.as_ref().map(|state| state.revision());
        snapshot.refusal.clone_from(&self.followed.refusal);
        snapshot.fetch_error.clone_from(&self.followed.fetch_error);
        snapshot.waits = self.waits;
        snapshot.repaired = self.repaired;
        snapshot.catalogs = self.catalogs;
        snapshot.rollout = self.rollout;
        snapshot.zones_of = self.zones_of;
        if let Some(node) =
            self.followed.state.as_ref().and_then(|state| state.state().nodes.get(&self.config.node))
        {
            snapshot.name_server.selected = lower(&node.dns);
            snapshot.routing_daemon.selected = lower(&node.routing);
        }
        let Some((node, step)) = self.step else { return snapshot };
        snapshot.settled = step.plan.is_settled() && snapshot.waits.is_empty();
        snapshot.actions = step.plan.actions.iter().map(ToString::to_string).collect();
        snapshot.actions.extend(step.failures.iter().map(|failure| format!("failed: {failure}")));
        snapshot.waits.extend(step.plan.waits.iter().map(ToString::to_string));
        if let Some(name_server) = step.observed.name_server.known() {
            snapshot.name_server.running = name_server.running.to_string();
        }
        if let Some(routing) = step.observed.routing.known() {
            snapshot.routing_daemon.running = routing.running.to_string();
            let how = |how: &Announcement| match how {
                Announcement::Normal => "announced".to_owned(),
                Announcement::Draining { .. } => "draining".to_owned(),
            };
            snapshot.announced = routing.originated.iter().map(|(prefix, is)| (*prefix, how(is))).collect();
            snapshot.sessions =
                routing.sessions.iter().map(|(name, seen)| (name.to_string(), session(seen))).collect();
        }
        if let (Some(mesh), Some(wanted)) = (step.observed.mesh.known(), &node.mesh) {
            let link = |(name, link): (&_, &crate::mesh::LinkConfig)| {
                let seen = mesh.links.get(&link.public_key)?;
                let link = LinkStatus {
                    is_silent: seen.is_silent,
                    handshake_age_s: seen.handshake_age_s,
                    received: seen.received,
                    sent: seen.sent,
                };
                Some((Clone::clone(name), link))
            };
            snapshot.mesh = wanted.links.iter().filter_map(link).collect();
        }
        snapshot
    }
}

/// An agent that has only just started.
fn starting(config: &LocalConfig) -> Snapshot {
    let embedded = || Daemon { running: "embedded".to_owned(), selected: "embedded".to_owned() };
    Snapshot {
        node: config.node.clone(),
        network: config.network.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: 0,
        settled_after_ms: None,
        settled: false,
        revision: None,
        refusal: None,
        fetch_error: None,
        actions: Vec::new(),
        waits: Vec::new(),
        repaired: Vec::new(),
        name_server: embedded(),
        routing_daemon: embedded(),
        gate: gate_status(&Gate::default(), &BTreeMap::new(), Duration::ZERO),
        watchdog: WatchdogStatus::default(),
        announced: [].into(),
        sessions: [].into(),
        zones: [].into(),
        catalogs: [].into(),
        rollout: None,
        zones_of: None,
        mesh: [].into(),
    }
}

/// What the gate says now, and what was heard of the others.
pub(super) fn gate_status(gate: &Gate, heard: &BTreeMap<NodeName, Heard>, now: Duration) -> GateStatus {
    let verdict = gate.verdict();
    let since = |at: Duration| millis(now.saturating_sub(at));
    let beat = |heard: &Heard| {
        let says = &heard.beat;
        let announced = Family::ALL.into_iter().filter(|family| says.reach(*family).announces);
        BeatStatus {
            age_ms: millis(now.saturating_sub(heard.at)),
            fresh: heard.is_fresh(now),
            state: says.state,
            class: says.class.map(|class| class.to_string()),
            announces: announced.map(|family| family.to_string()).collect(),
            revision: format!("{:010x}", says.revision >> 24),
            zones_digest: format!("{:016x}", says.digest),
            queries_per_second: says.queries_per_second,
            configuration: says.configuration.map(|says| {
                let state = if says.good { "good" } else { "trying" };
                (format!("{:016x}", says.runs), state.to_owned())
            }),
            rejects: says
                .configuration
                .filter(|says| says.rejects != 0)
                .map(|says| format!("{:016x}", says.rejects)),
        }
    };
    GateStatus {
        state: verdict.state,
        since_ms: since(verdict.since),
        class: verdict.class.as_ref().map(|(class, _)| class.to_string()),
        why: verdict.class.as_ref().map(|(_, why)| why.clone()),
        class_since_ms: since(verdict.class_since),
        prefixes: verdict.states.clone(),
        queries_per_second: gate.queries_per_second(),
        held: verdict
            .stances
            .iter()
            .filter_map(|(prefix, stance)| match stance {
                Stance::Announce(held) | Stance::Drain { held, .. } => Some((*prefix, held.clone()?)),
                Stance::Keep(_) | Stance::Silent { .. } => None,
            })
            .collect(),
        counts: verdict.counts.iter().map(|(family, counts)| (family.to_string(), *counts)).collect(),
        beats: heard.iter().map(|(name, heard)| (name.clone(), beat(heard))).collect(),
    }
}

/// Why there is no watchdog, and what it withdrew last.
pub(super) fn watchdog_status(fault: Option<String>, folder: &Path) -> WatchdogStatus {
    let withdrew = Withdrawal::last(folder).map(|(last, age_s)| WithdrawalStatus {
        age_s,
        ended: last.names(),
        why: last.why,
    });
    WatchdogStatus { fault, withdrew }
}

fn session(seen: &ObservedSession) -> SessionStatus {
    SessionStatus {
        local: seen.local,
        neighbor: seen.neighbor,
        asn: seen.asn,
        state: lower(&seen.state),
        since_s: seen.since_s,
        retry_in_s: seen.retry_in_s,
        prefixes_sent: seen.prefixes_sent.iter().copied().collect(),
        routes_discarded: seen.routes_discarded,
        updates_malformed: seen.updates_malformed,
        losses: seen.losses,
        messages_received: seen.messages_received,
        messages_sent: seen.messages_sent,
        negotiated: seen.negotiated.clone(),
        bfd: seen.bfd.as_ref().map(lower),
        notification_sent: seen.notification_sent.clone(),
        notification_received: seen.notification_received.clone(),
        last_error: seen.last_error.clone(),
    }
}

fn zone(seen: &ObservedZone) -> ZoneStatus {
    let (state, why) = match &seen.state {
        ZoneState::Served => ("served", seen.problem.clone()),
        ZoneState::Empty(why) => ("empty", Some(why.clone())),
        ZoneState::Expired(why) => ("expired", Some(why.clone())),
    };
    ZoneStatus { serial: seen.serial.map(|serial| serial.0), state: state.to_owned(), why }
}

/// A unit variant as its serde form writes it.
fn lower(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
