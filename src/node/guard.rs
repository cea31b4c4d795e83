//! Guard: asks, folds, and withdraws at once where the gate says so.
//!
//! It goes on while the reconciler waits for a daemon that hangs: what it needs to see, to ask and to withdraw has
//! nothing to do with the name server's control. Everything else it leaves to the plan.
//!
//! ```text
//! probes ──────────────┐
//! addresses, routing ──┤                ┌→ withdraw, shut
//! zones, as last seen ─┼→ Gate::fold ───┼→ Verdict → reconciler, status
//! beats, orders, git ──┘                └→ beats
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::beats::Ear;
use super::follow::Followed;
use super::orders::KeptOrders;
use super::parts::Parts;
use crate::desired::slice::DesiredNode;
use crate::dns::{ObservedZone, ZoneRecords, ZoneState, ZoneTable};
use crate::health::probe::{probe, serials};
use crate::health::sample::Sample;
use crate::health::{Cycle, Gate, State, ZoneCounts, sweep};
use crate::names::{DomainName, Serial};
use crate::observed::{ObservedNode, Seen};
use crate::plan::urgent;
use crate::routing::ObservedRouting;

/// How long the addresses and the routing daemon may take to be seen.
const LOOK: Duration = Duration::from_secs(2);

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
}

impl Guard {
    pub(super) async fn run(mut self) {
        let mut orders = self.orders.follow();
        let mut cursor = None;
        loop {
            let Some(node) = self.desired.borrow_and_update().clone() else {
                if self.desired.changed().await.is_err() {
                    return;
                }
                continue;
            };
            orders.mark_unchanged();
            let cycle = self.cycle(&node, &mut cursor).await;
            let before = self.gate.borrow().clone();
            let gate = before.fold(&node, &cycle);
            tell(&before, &gate);
            let interval = gate.interval(&node.health);
            self.gate.send_replace(gate.clone());
            if let Some(why) = &gate.verdict().fenced {
                self.orders.fence(why);
            }
            self.withdraw(&node, &gate, cycle.routing).await;
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                changed = self.desired.changed() => if changed.is_err() { return },
                changed = orders.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Everything that one fold has to go on.
    async fn cycle(&mut self, node: &DesiredNode, cursor: &mut Option<DomainName>) -> Cycle {
        let began = self.started.elapsed();
        let table = self.zones.borrow().clone();
        let asked = table.as_ref().map(|table| next_zones(node, table, cursor)).unwrap_or_default();
        let (answers, (zones, hub), (present, routing)) = tokio::join!(
            probe(&node.service_addresses, &node.name_server.identity, &node.health),
            sample(node, &asked),
            self.parts.observe_edge(LOOK),
        );
        let followed = self.followed.borrow();
        let revision = followed.state.as_ref().and_then(|state| state.revision().0.first_chunk().copied());
        Cycle {
            began,
            now: self.started.elapsed(),
            sample: Sample { answers, zones, hub },
            present,
            zones: table.as_ref().map(|table| counts(node, table)),
            canary: canary(node, table.as_ref()),
            routing: routing.known().cloned(),
            queries_per_second: None,
            heard: self.ear.heard(),
            revision: revision.map_or(0, u64::from_be_bytes),
            fetch_error: followed.fetch_error.clone(),
            orders: self.orders.follow().borrow().clone(),
        }
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

/// The next zones to ask for, of those that the name server says it serves.
fn next_zones(
    node: &DesiredNode,
    table: &ZoneTable<ObservedZone>,
    cursor: &mut Option<DomainName>,
) -> Vec<DomainName> {
    let size = sweep::size(node.zones.len(), node.health.interval).min(table.len());
    let after = cursor.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let rest = table.range::<DomainName, _>((after, Bound::Unbounded));
    let next: Vec<&DomainName> = rest.chain(table.iter()).take(size).map(|(name, _)| name).collect();
    *cursor = next.last().map(|name| (*name).clone());
    let is_served = |name: &&DomainName| {
        node.zones.contains_key(*name) && table.get(*name).is_some_and(|zone| zone.state == ZoneState::Served)
    };
    next.into_iter().filter(is_served).cloned().collect()
}

type Serials = BTreeMap<DomainName, Result<Serial, String>>;

/// What this node says of these zones, and what a hub has of some of them.
async fn sample(node: &DesiredNode, asked: &[DomainName]) -> (Serials, BTreeMap<DomainName, Serial>) {
    let Some(address) = node.service_addresses.first() else { return Default::default() };
    let from_hub: Vec<(&DomainName, std::net::SocketAddr, IpAddr)> = asked
        .iter()
        .filter_map(|name| match &node.zones.get(name)?.source {
            // Only a hub is asked from an address of ours.
            ZoneRecords::Transfer(sources) => {
                sources.iter().find_map(|source| Some((name, source.address, source.from?)))
            }
            ZoneRecords::File { .. } => None,
        })
        .take(sweep::LEAST)
        .collect();
    let hub = async {
        let Some((_, hub, from)) = from_hub.first().copied() else { return BTreeMap::new() };
        let same = from_hub.iter().filter(|(_, at, _)| *at == hub).map(|(name, ..)| (*name).clone());
        serials(hub, Some(from), &same.collect::<Vec<_>>(), node.health.timeout).await
    };
    let own = serials(std::net::SocketAddr::new(*address, 53), None, asked, node.health.timeout);
    let (own, hub) = tokio::join!(own, hub);
    (own, hub.into_iter().filter_map(|(name, serial)| Some((name, serial.ok()?))).collect())
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
