//! Announcements: what is announced depends on intent, on health, and on what is announced already.
//!
//! ```text
//! silent ──healthy, zones loaded──→ announced ──intent: silent──→ draining ──wait over──→ silent
//!    ↑                                  │
//!    └────────failing, not ours─────────┘
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use super::{Action, Moment, Wait};
use crate::desired::slice::{DesiredNode, Intent};
use crate::dns::ZoneState;
use crate::health::{Health, Verdict};
use crate::observed::ObservedNode;
use crate::routing::{Announcement, ObservedRouting, Origination};

/// How long after its start a node waits for its zones before it announces without the missing ones.
const LOADING_PATIENCE: Duration = Duration::from_secs(60);

/// What to do about announcements, first and last in the plan.
#[derive(Default)]
pub(super) struct Decision {
    pub(super) withdraw: Vec<Action>,
    pub(super) announce: Option<Action>,
    pub(super) waits: Vec<Wait>,
}

/// Whether any prefix is announced with the graceful-shutdown community.
pub(super) fn is_draining(routing: &ObservedRouting) -> bool {
    routing.originated.values().any(|how| matches!(how, Announcement::Draining { .. }))
}

/// Whether the node is to run nothing any more, and still announces something.
pub(super) fn is_leaving(desired: &DesiredNode, observed: &ObservedNode) -> bool {
    desired.intent == Intent::Silent
        && desired.service_addresses.is_empty()
        && observed.routing.known().is_some_and(|routing| !routing.originated.is_empty())
}

pub(super) fn decide(
    desired: &DesiredNode,
    observed: &ObservedNode,
    health: &Health,
    moment: Moment,
) -> Decision {
    // Unknown is not absent; that it is unknown the plan says where it comes to the sessions.
    let Some(routing) = observed.routing.known() else { return Decision::default() };
    match desired.intent {
        Intent::Announce => announce(desired, observed, routing, health, moment),
        Intent::Silent => fall_silent(desired, routing, moment),
    }
}

/// Announces each prefix whose addresses answer, and withdraws each whose addresses do not.
fn announce(
    desired: &DesiredNode,
    observed: &ObservedNode,
    routing: &ObservedRouting,
    health: &Health,
    moment: Moment,
) -> Decision {
    let mut decision = Decision::default();
    let mut wanted = Origination::new();
    let mut reasons = Vec::new();
    for prefix in &desired.routing.prefixes {
        match verdict(desired, *prefix, health) {
            Ok(()) => {
                wanted.insert(*prefix, Announcement::Normal);
            }
            Err(why) => {
                reasons.push(why.clone());
                decision.waits.push(Wait::Health { prefix: *prefix, why });
            }
        }
    }

    withdraw(routing, |prefix| wanted.contains_key(prefix), &reasons.join("; "), &mut decision);
    let news = wanted.iter().any(|(prefix, how)| routing.originated.get(prefix) != Some(how));
    if !news {
        return decision;
    }
    if let Some(wait) = loading(desired, observed, routing, moment) {
        decision.waits.push(wait);
        return decision;
    }
    decision.announce = Some(Action::Announce { origination: wanted });
    decision
}

/// Whether every address of the prefix has just answered; if not, why not.
fn verdict(desired: &DesiredNode, prefix: IpNet, health: &Health) -> Result<(), String> {
    let mut addresses =
        desired.service_addresses.iter().filter(|address| prefix.contains(*address)).peekable();
    if addresses.peek().is_none() {
        return Err("no service address of this node is in it".to_owned());
    }
    addresses.try_for_each(|address| match health.verdict(*address) {
        Verdict::Healthy => Ok(()),
        Verdict::Unknown => Err(format!("{address} has not been asked yet")),
        Verdict::Failing(why) => Err(format!("{address}: {why}")),
    })
}

/// A node that has just started waits for 99 % of its zones, though not for ever: one dead primary keeps no node
/// silent. Zones that are lost later are the health gate's.
fn loading(
    desired: &DesiredNode,
    observed: &ObservedNode,
    routing: &ObservedRouting,
    moment: Moment,
) -> Option<Wait> {
    if !routing.originated.is_empty() || moment.now >= LOADING_PATIENCE {
        return None;
    }
    let zones = &observed.name_server.known()?.zones;
    let of = desired.zones.len();
    let is_served = |name| zones.get(name).is_some_and(|zone| zone.state == ZoneState::Served);
    let served = desired.zones.keys().filter(|name| is_served(name)).count();
    (served * 100 < of * 99).then_some(Wait::Loading { served, of })
}

/// Drains what is announced, then withdraws it.
fn fall_silent(desired: &DesiredNode, routing: &ObservedRouting, moment: Moment) -> Decision {
    let mut decision = Decision::default();
    if routing.originated.is_empty() {
        return decision;
    }
    let how = Announcement::Draining { prepend: desired.drain.prepend };
    let left = moment.draining_since.map(|since| (since + desired.drain.wait).saturating_sub(moment.now));
    match left {
        Some(Duration::ZERO) => withdraw(routing, |_| false, "the node is drained", &mut decision),
        Some(left) if routing.originated.values().all(|present| *present == how) => {
            decision.waits.push(Wait::Draining { left });
        }
        Some(_) | None => {
            let origination = routing.originated.keys().map(|prefix| (*prefix, how)).collect();
            decision.withdraw.push(Action::Drain { origination });
        }
    }
    decision
}

/// Withdraws what is announced and not to be kept.
fn withdraw(routing: &ObservedRouting, keep: impl Fn(&IpNet) -> bool, why: &str, decision: &mut Decision) {
    let (kept, gone): (Origination, Origination) =
        routing.originated.iter().map(|(prefix, how)| (*prefix, *how)).partition(|(prefix, _)| keep(prefix));
    if !gone.is_empty() {
        let prefixes: BTreeSet<IpNet> = gone.into_keys().collect();
        let why = if why.is_empty() { "it is not ours".to_owned() } else { why.to_owned() };
        decision.withdraw.push(Action::Withdraw { prefixes, origination: kept, why });
    }
}
