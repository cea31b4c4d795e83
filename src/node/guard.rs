//! Guard: asks, folds, and withdraws at once where the gate says so.
//!
//! It goes on while the reconciler waits for a daemon that hangs: what it needs to see, to ask and to withdraw has
//! nothing to do with the name server's control. Everything else it leaves to the plan.
//!
//! ```text
//! probes ──────────────┐
//! addresses, routing ──┤                ┌→ withdraw, shut
//! zones, as last seen ─┼→ Gate::fold ───┼→ Verdict → reconciler, status
//! beats, orders, git ──┤                └→ beats
//! queries, counted ────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::beats::Ear;
use super::follow::Followed;
use super::manager::SignsOfLife;
use super::orders::KeptOrders;
use super::parts::Parts;
use super::queries::Counter;
use super::round::Round;
use crate::desired::slice::DesiredNode;
use crate::dns::serials::by_udp;
use crate::dns::{ObservedZone, ZoneRecords, ZoneState, ZoneTable};
use crate::health::probe::probe;
use crate::health::sample::Sample;
use crate::health::{Cycle, Gate, State, ZoneCounts, sweep};
use crate::names::{DomainName, Serial};
use crate::observed::{ObservedNode, Seen};
use crate::plan::urgent;
use crate::pulse;
use crate::routing::{ObservedRouting, RoutingDaemonKind, RoutingDaemons};
use crate::watchdog::{Keeper, Mandate};

/// How long the addresses and the routing daemon may take to be seen.
const LOOK: Duration = Duration::from_secs(2);
/// Who was stopped for so long begins like an agent that starts: the watchdog may have withdrawn the node meanwhile.
const AWAY: Duration = Duration::from_secs(30);

/// Asks and folds for as long as there is a node.
pub(super) struct Guard {
    pub(super) parts: Parts,
    pub(super) started: Instant,
    pub(super) orders: KeptOrders,
    pub(super) ear: Ear,
    /// What the node should be.
    pub(super) desired: watch::Receiver<Option<Arc<DesiredNode>>>,
    /// The repository.
    pub(super) followed: watch::Receiver<Followed>,
    /// The zones, as the name server was last seen to have them.
    pub(super) zones: watch::Receiver<Option<ZoneTable<ObservedZone>>>,
    /// Where the gate is shown.
    pub(super) gate: watch::Sender<Gate>,
    /// Who withdraws when nobody is on guard.
    pub(super) watchdog: Keeper,
    /// Those that it would end.
    pub(super) daemons: RoutingDaemons,
    /// That it goes on, for systemd.
    pub(super) signs: SignsOfLife,
}

impl Guard {
    pub(super) async fn run(mut self) {
        let mut orders = self.orders.follow();
        let (mut round, mut counter) = (Round::default(), Counter::default());
        let (mut rested, mut interval) = (self.started.elapsed(), Duration::ZERO);
        loop {
            self.signs.give();
            let Some(node) = self.desired.borrow_and_update().clone() else {
                tokio::select! {
                    () = tokio::time::sleep_until(pulse::within(LOOK)) => {}
                    changed = self.desired.changed() => if changed.is_err() { return },
                }
                rested = self.started.elapsed();
                continue;
            };
            orders.mark_unchanged();
            self.forget_if_away(rested + interval);
            let cycle = self.cycle(&node, &mut round, &mut counter).await;
            self.forget_if_away(cycle.began);
            let before = self.gate.borrow().clone();
            let mut gate = before.fold(&node, &cycle);
            tell(&before, &gate);
            interval = gate.interval(&node.health);
            // Once and at once: whoever takes the fence down meanwhile means this one.
            if gate.breach().is_some_and(|why| self.orders.fence(why)) {
                gate.forget_breach();
            }
            self.gate.send_replace(gate.clone());
            self.sign(&node, &gate, cycle.routing.as_ref());
            self.withdraw(&node, &gate, cycle.routing).await;
            rested = self.started.elapsed();
            tokio::select! {
                () = tokio::time::sleep_until(pulse::within(interval)) => {}
                changed = self.desired.changed() => if changed.is_err() { return },
                changed = orders.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Forgets what the gate knew, where this should have gone on long ago.
    fn forget_if_away(&self, since: Duration) {
        let away = self.started.elapsed().saturating_sub(since);
        if away >= AWAY {
            warn!(seconds = away.as_secs(), "this agent was stopped; it judges anew");
            self.gate.send_replace(Gate::default());
        }
    }

    /// Everything that one fold has to go on.
    async fn cycle(&mut self, node: &DesiredNode, round: &mut Round, counter: &mut Counter) -> Cycle {
        let began = self.started.elapsed();
        let table = self.zones.borrow().clone();
        let size = sweep::size(node.zones.len(), round.since(began).unwrap_or(node.health.interval));
        let is_wanted = |zone: &DomainName| node.zones.contains_key(zone);
        let asked = table.as_ref().map(|table| round.next(table, size, is_wanted)).unwrap_or_default();
        let name_server = &self.parts.name_server;
        let due = counter.due(name_server.pace(), &self.gate.borrow().verdict().states);
        let (answers, zones, hub, look, queries) = tokio::join!(
            probe(&node.service_addresses, &node.name_server.identity, &node.health),
            name_server.serials(&asked, node.health.timeout),
            hub_serials(node, &asked),
            self.parts.observe_edge(LOOK),
            counter.count(name_server, self.started, due, node.health.timeout),
        );
        // Where nothing answers, that says nothing of a zone.
        let zones = zones.unwrap_or_default();
        round.asked(&asked, &zones, began);
        let followed = self.followed.borrow();
        let revision = followed.state.as_ref().and_then(|state| state.revision().0.first_chunk().copied());
        Cycle {
            began,
            now: self.started.elapsed(),
            sample: Sample { answers, zones, hub },
            present: look.addresses.known().cloned(),
            zones: table.as_ref().map(|table| counts(node, table)),
            canary: canary(node, table.as_ref()),
            routing: look.routing.known().cloned(),
            queries,
            heard: self.ear.heard(),
            revision: revision.map_or(0, u64::from_be_bytes),
            fetch_error: followed.fetch_error.clone(),
            orders: self.orders.follow().borrow().clone(),
        }
    }

    /// Tells the watchdog that somebody is on guard, once the gate judges: before, it leaves what is announced as it is. The
    /// embedded speaker needs no watchdog: it ends with the agent.
    fn sign(&mut self, node: &DesiredNode, gate: &Gate, routing: Option<&ObservedRouting>) {
        if gate.verdict().states.values().all(|state| *state == State::Boot) {
            return;
        }
        if routing.is_some_and(|routing| routing.running == RoutingDaemonKind::Embedded) {
            return self.watchdog.dismiss();
        }
        self.watchdog.sign(Mandate {
            service_addresses: node.service_addresses.clone(),
            identity: node.name_server.identity.clone(),
            health: node.health.clone(),
            daemons: self.daemons.clone(),
        });
    }

    /// Takes back what may not be announced.
    async fn withdraw(&self, node: &DesiredNode, gate: &Gate, routing: Option<ObservedRouting>) {
        let Some(routing) = routing else { return };
        let observed = ObservedNode { routing: Seen::Known(routing), ..ObservedNode::bare() };
        let plan = urgent(node, &observed, gate.verdict());
        for action in &plan.actions {
            info!(%action, "acting at once");
        }
        for failure in self.parts.apply(&plan, |action| action.is_allowed_by(gate.verdict())).await {
            error!(action = %failure.action, why = %failure.why, "a withdrawal failed");
        }
    }
}

/// Says what changed, to whoever reads the log.
fn tell(before: &Gate, after: &Gate) {
    let (before, after) = (before.verdict(), after.verdict());
    if before.class.as_ref().map(|class| class.0) != after.class.as_ref().map(|class| class.0) {
        match &after.class {
            Some((class, why)) => warn!(%class, why, "something is wrong with this node"),
            None => info!("nothing is wrong with this node any more"),
        }
    }
    for (prefix, state) in &after.states {
        let from = before.states.get(prefix).copied().unwrap_or(State::Boot);
        if from == *state {
            continue;
        }
        let why = after.stance(prefix).to_string();
        match state {
            State::Held | State::Fenced | State::Withdrawn => {
                warn!(%prefix, %from, to = %state, why, "the gate moved");
            }
            State::Announce | State::Boot | State::Standby | State::Draining | State::Maintenance => {
                info!(%prefix, %from, to = %state, why, "the gate moved")
            }
        }
    }
}

/// What a hub has of some of these zones.
async fn hub_serials(node: &DesiredNode, asked: &[DomainName]) -> BTreeMap<DomainName, Serial> {
    let from_hub = |name: &DomainName| match &node.zones.get(name)?.source {
        // Only a hub is asked from an address of ours.
        ZoneRecords::Transfer(sources) => {
            sources.iter().find_map(|source| Some((name.clone(), source.address, source.from?)))
        }
        ZoneRecords::File { .. } => None,
    };
    let from_hub: Vec<_> = asked.iter().filter_map(from_hub).take(sweep::LEAST).collect();
    let Some((_, hub, from)) = from_hub.first().cloned() else { return BTreeMap::new() };
    let same: Vec<_> = from_hub.into_iter().filter(|(_, at, _)| *at == hub).map(|(name, ..)| name).collect();
    let serials = by_udp(hub, Some(from), &same, node.health.timeout).await;
    serials.into_iter().filter_map(|(name, serial)| Some((name, serial.ok()?))).collect()
}

fn counts(node: &DesiredNode, table: &ZoneTable<ObservedZone>) -> ZoneCounts {
    let odd = table.standing_out();
    let expired = |name: &&DomainName| {
        node.zones.contains_key(*name)
            && table.get(*name).is_some_and(|zone| matches!(zone.state, ZoneState::Expired(_)))
    };
    let digest = table.fingerprint();
    ZoneCounts {
        wanted: node.zones.len(),
        served: table.len().min(node.zones.len()).saturating_sub(odd.len()),
        expired: odd.iter().filter(expired).count(),
        digest: digest.start(),
    }
}

/// The serials that the canary may have: the repository's, or the one that is served of the same file, where a signature
/// in it keeps its own.
fn canary(node: &DesiredNode, table: Option<&ZoneTable<ObservedZone>>) -> Vec<Serial> {
    let Some(zone) = node.zones.get(&node.health.canary) else { return Vec::new() };
    let wanted = match &zone.source {
        ZoneRecords::File { serial, .. } => Some(*serial),
        ZoneRecords::Transfer(_) => None,
    };
    let observed = table.and_then(|table| table.get(&zone.name));
    let served = observed.filter(|seen| seen.fingerprint == zone.fingerprint()).and_then(|seen| seen.serial);
    wanted.into_iter().chain(served.filter(|served| Some(*served) != wanted)).collect()
}
