//! The BGP sessions; what they announce is `announce`'s.

use super::{Action, Plan, seen};
use crate::desired::slice::DesiredNode;
use crate::health::Verdict;
use crate::observed::ObservedNode;
use crate::routing::RoutingConfig;

pub(super) fn configure(desired: &DesiredNode, observed: &ObservedNode, verdict: &Verdict, plan: &mut Plan) {
    let Some(routing) = seen(&observed.routing, "the routing daemon", plan) else { return };
    let mut wanted = desired.routing.clone();
    if verdict.fenced.is_some() {
        // Behind the fence there is nobody to tell.
        wanted.sessions.clear();
    }
    let why = match &routing.config {
        Some(config) if *config == wanted => return,
        Some(config) => differences(&wanted, config),
        None => vec![routing.fault.clone().unwrap_or_else(|| "it is not set up".to_owned())],
    };
    plan.actions.push(Action::ConfigureRouting { config: wanted, why });
}

fn differences(wanted: &RoutingConfig, present: &RoutingConfig) -> Vec<String> {
    let RoutingConfig { daemon, asn, router_id, prefixes, sessions, drain_prepend, trial, archive } = wanted;
    let mut why = Vec::new();
    if *daemon != present.daemon {
        why.push(format!("{} becomes {daemon}", present.daemon));
    }
    if (*drain_prepend, *trial) != (present.drain_prepend, present.trial) {
        why.push("how it drains and is tried changes".to_owned());
    }
    if *archive != present.archive {
        why.push("what it archives changes".to_owned());
    }
    if *asn != present.asn {
        why.push(format!("AS {} becomes {asn}", present.asn));
    }
    if *router_id != present.router_id {
        why.push(format!("router id {} becomes {router_id}", present.router_id));
    }
    if *prefixes != present.prefixes {
        why.push("the prefixes change".to_owned());
    }
    for (name, session) in sessions {
        match present.sessions.get(name) {
            None => why.push(format!("session {name} is new")),
            Some(before) if before != session => why.push(format!("session {name} changes")),
            Some(_) => {}
        }
    }
    why.extend(
        present
            .sessions
            .keys()
            .filter(|name| !sessions.contains_key(name))
            .map(|name| format!("session {name} goes")),
    );
    why
}
