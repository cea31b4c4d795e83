//! The name server and its zones.

use std::sync::Arc;

use super::{Action, Plan, Wait, seen};
use crate::desired::slice::DesiredNode;
use crate::dns::{NameServerConfig, ZoneChanges, ZoneState};
use crate::observed::ObservedNode;

pub(super) fn configure(desired: &DesiredNode, observed: &ObservedNode, plan: &mut Plan) {
    let Some(name_server) = seen(&observed.name_server, "the name server", plan) else { return };
    if name_server.config.as_ref() != Some(&desired.name_server) {
        let why = match &name_server.config {
            None => "it is not set up".to_owned(),
            Some(config) => differences(&desired.name_server, config),
        };
        plan.actions.push(Action::ConfigureNameServer { config: desired.name_server.clone(), why });
    }

    let mut changes = ZoneChanges::default();
    for (name, zone) in &desired.zones {
        match name_server.zones.get(name) {
            Some(seen) if seen.fingerprint == zone.fingerprint() => match &seen.state {
                ZoneState::Served => {}
                ZoneState::Empty(why) => plan.waits.push(Wait::Zone { zone: name.clone(), why: why.clone() }),
                ZoneState::Expired(why) => {
                    plan.waits.push(Wait::Zone { zone: name.clone(), why: format!("expired: {why}") });
                }
            },
            Some(_) | None => changes.set.push(Arc::clone(zone)),
        }
    }
    changes.remove.extend(name_server.zones.keys().filter(|name| !desired.zones.contains_key(name)).cloned());
    if changes != ZoneChanges::default() {
        plan.actions.push(Action::ChangeZones(changes));
    }
}

fn differences(wanted: &NameServerConfig, present: &NameServerConfig) -> String {
    let mut why = Vec::new();
    if wanted.identity != present.identity {
        why.push(format!("it calls itself {:?}", present.identity));
    }
    why.extend(
        wanted.listen.difference(&present.listen).map(|address| format!("it does not listen on {address}")),
    );
    why.extend(present.listen.difference(&wanted.listen).map(|address| format!("it listens on {address}")));
    if wanted.mesh_sources != present.mesh_sources {
        why.push("its addresses towards the mesh differ".to_owned());
    }
    if wanted.transfers != present.transfers {
        why.push("its limits of zone transfers differ".to_owned());
    }
    if wanted.keys != present.keys {
        why.push("its TSIG keys differ".to_owned());
    }
    if wanted.cookie_secret != present.cookie_secret {
        why.push("its cookie secret differs".to_owned());
    }
    why.join(", ")
}
