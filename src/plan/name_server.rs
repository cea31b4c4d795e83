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
            None => name_server.fault.clone().unwrap_or_else(|| "it is not set up".to_owned()),
            Some(config) => differences(&desired.name_server, config),
        };
        plan.actions.push(Action::ConfigureNameServer { config: desired.name_server.clone(), why });
    }

    let (set, remove) = desired.zones.changes_to(&name_server.zones);
    if !set.is_empty() || !remove.is_empty() {
        plan.actions.push(Action::ChangeZones(ZoneChanges {
            set: set.into_iter().map(Arc::clone).collect(),
            remove: remove.into_iter().cloned().collect(),
        }));
    }
    for name in name_server.zones.standing_out() {
        let (Some(wanted), Some(seen)) = (desired.zones.get(name), name_server.zones.get(name)) else {
            continue;
        };
        let why = match &seen.state {
            ZoneState::Empty(why) => why.clone(),
            ZoneState::Expired(why) => format!("expired: {why}"),
            ZoneState::Served => continue,
        };
        // One that is about to be set is waited for afterwards.
        if seen.fingerprint == wanted.fingerprint() {
            plan.waits.push(Wait::Zone { zone: name.clone(), why });
        }
    }
}

fn differences(wanted: &NameServerConfig, present: &NameServerConfig) -> String {
    let mut why = Vec::new();
    if wanted.daemon != present.daemon {
        why.push(format!("{} takes the place of {}", wanted.daemon, present.daemon));
    }
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
    if wanted.rate_limit != present.rate_limit {
        why.push("its rate limit differs".to_owned());
    }
    why.join(", ")
}
