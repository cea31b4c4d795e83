//! Announcements: what the gate says of each prefix, as actions and waits.
//!
//! Nothing is decided here. What is announced and not to be goes first, what is new comes last, and a prefix that the
//! gate leaves as it is stays as the routing daemon has it.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{Action, Wait};
use crate::desired::slice::{DesiredNode, Intent};
use crate::health::{Stance, Verdict};
use crate::observed::ObservedNode;
use crate::routing::{Announcement, ObservedRouting, Origination};

/// What to do about announcements, first and last in the plan.
#[derive(Default)]
pub(super) struct Decision {
    pub(super) withdraw: Vec<Action>,
    pub(super) announce: Option<Action>,
    pub(super) waits: Vec<Wait>,
}

/// Whether the node is to run nothing any more, and still announces something.
pub(super) fn is_leaving(desired: &DesiredNode, observed: &ObservedNode) -> bool {
    desired.intent == Intent::Silent
        && desired.service_addresses.is_empty()
        && observed.routing.known().is_some_and(|routing| !routing.originated.is_empty())
}

pub(super) fn decide(desired: &DesiredNode, observed: &ObservedNode, verdict: &Verdict) -> Decision {
    // Unknown is not absent; that it is unknown the plan says where it comes to the sessions.
    let Some(routing) = observed.routing.known() else { return Decision::default() };
    let mut decision = Decision::default();
    decision.waits.extend(verdict.fenced.clone().map(|why| Wait::Fenced { why }));
    if verdict.maintenance && verdict.fenced.is_none() {
        decision.waits.push(Wait::Maintenance);
    }
    let mut wanted = Origination::new();
    let mut reasons = Vec::new();
    let prefixes: BTreeSet<IpNet> =
        desired.routing.prefixes.iter().chain(routing.originated.keys()).copied().collect();
    for prefix in prefixes {
        let present = routing.originated.get(&prefix);
        match verdict.stance(&prefix) {
            Stance::Announce(held) => {
                wanted.insert(prefix, Announcement::Normal);
                decision.waits.extend(held.map(|why| Wait::Held { prefix, why }));
            }
            Stance::Keep(why) => {
                wanted.extend(present.map(|present| (prefix, *present)));
                decision.waits.push(Wait::Health { prefix, why });
            }
            Stance::Drain { why, left, held } => {
                let draining = Announcement::Draining { prepend: desired.drain.prepend };
                wanted.extend(present.map(|_| (prefix, draining)));
                if present == Some(&draining) {
                    decision.waits.push(match held {
                        Some(why) => Wait::Held { prefix, why },
                        None => Wait::Draining { why, left },
                    });
                }
            }
            Stance::Silent { why, waits } => {
                if present.is_some() && !reasons.contains(&why) {
                    reasons.push(why.clone());
                }
                // The fence is said once.
                if waits && verdict.fenced.is_none() {
                    decision.waits.push(Wait::Health { prefix, why });
                }
            }
        }
    }
    if let Intent::Switch(why) = &desired.intent
        && decision.waits.is_empty()
    {
        decision.waits.push(Wait::Switching { why: why.clone() });
    }
    decision.waits.dedup();
    act(routing, &wanted, &reasons.join("; "), &mut decision);
    decision
}

/// Withdraws and drains at once, and announces last.
fn act(routing: &ObservedRouting, wanted: &Origination, why: &str, decision: &mut Decision) {
    let gone: BTreeSet<IpNet> =
        routing.originated.keys().filter(|prefix| !wanted.contains_key(*prefix)).copied().collect();
    let mut present = routing.originated.clone();
    present.retain(|prefix, _| !gone.contains(prefix));
    if !gone.is_empty() {
        let why = why.to_owned();
        decision.withdraw.push(Action::Withdraw { prefixes: gone, origination: present.clone(), why });
    }
    let leaves =
        |prefix: &IpNet, how: &Announcement| *how != Announcement::Normal && present.get(prefix) != Some(how);
    let mut drained = present.clone();
    drained.extend(
        wanted.iter().filter(|(prefix, how)| leaves(prefix, how)).map(|(prefix, how)| (*prefix, *how)),
    );
    if drained != present {
        decision.withdraw.push(Action::Drain { origination: drained.clone() });
    }
    if drained != *wanted {
        decision.announce = Some(Action::Announce { origination: wanted.clone() });
    }
}
