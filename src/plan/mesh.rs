//! The mesh: one action, whenever anything differs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Action, Plan, seen};
use crate::desired::slice::DesiredNode;
use crate::mesh::{MeshConfig, ObservedMesh};
use crate::observed::ObservedNode;

pub(super) fn configure(desired: &DesiredNode, observed: &ObservedNode, plan: &mut Plan) {
    let Some(mesh) = seen(&observed.mesh, "the mesh", plan) else { return };
    let config = match (&desired.mesh, mesh.port) {
        (Some(config), _) => config.clone(),
        // The others are gone: their links go as well.
        (None, Some(port)) => MeshConfig { port, loopbacks: BTreeSet::new(), links: [].into() },
        (None, None) => return,
    };
    let why = differences(&config, mesh);
    if !why.is_empty() {
        plan.actions.push(Action::ConfigureMesh { config, why });
    }
}

/// What differs, in words.
fn differences(config: &MeshConfig, mesh: &ObservedMesh) -> Vec<String> {
    let Some(port) = mesh.port else { return vec!["there is no interface".to_owned()] };
    let mut why = Vec::new();
    if port != config.port {
        why.push(format!("it listens on port {port}, not {}", config.port));
    }
    sets("loopback", &config.loopbacks, &mesh.loopbacks, &mut why);
    let routes: BTreeSet<IpAddr> = config.links.values().flat_map(|link| &link.loopbacks).copied().collect();
    sets("route to", &routes, &mesh.routes, &mut why);
    for (node, link) in &config.links {
        match mesh.links.get(&link.public_key) {
            None => why.push(format!("link to {node} is missing")),
            Some(seen) if seen.loopbacks != link.loopbacks => {
                why.push(format!("link to {node} carries other addresses"));
            }
            // Once a handshake was made the kernel follows where the other side really is.
            Some(seen)
                if seen.handshake_age_s.is_none()
                    && link.endpoint.is_some()
                    && seen.endpoint != link.endpoint =>
            {
                why.push(format!("link to {node} has another endpoint"));
            }
            Some(_) => {}
        }
    }
    let wanted: BTreeSet<_> = config.links.values().map(|link| link.public_key).collect();
    why.extend(
        mesh.links
            .keys()
            .filter(|key| !wanted.contains(key))
            .map(|key| format!("link to key {key} is not ours")),
    );
    why
}

fn sets(what: &str, wanted: &BTreeSet<IpAddr>, present: &BTreeSet<IpAddr>, why: &mut Vec<String>) {
    why.extend(wanted.difference(present).map(|address| format!("{what} {address} is missing")));
    why.extend(present.difference(wanted).map(|address| format!("{what} {address} is not ours")));
}
