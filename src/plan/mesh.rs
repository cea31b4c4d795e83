//! The mesh: one action whenever anything differs, and another for links that fall silent or are heard again.

use std::collections::BTreeSet;

use super::{Action, Plan, Wait, seen};
use crate::desired::slice::DesiredNode;
use crate::mesh::MeshConfig;
use crate::observed::ObservedNode;

pub(super) fn configure(desired: &DesiredNode, observed: &ObservedNode, plan: &mut Plan) {
    let Some(mesh) = seen(&observed.mesh, "the mesh", plan) else { return };
    let config = match (&desired.mesh, mesh.port) {
        (Some(config), _) => config.clone(),
        // The others are gone: their links go as well.
        (None, Some(port)) => MeshConfig { port, loopbacks: BTreeSet::new(), links: [].into() },
        (None, None) => return,
    };
    if let (Some(own), Some(known)) = (mesh.public_key, desired.mesh_key)
        && own != known
    {
        plan.waits.push(Wait::MeshKey { own, known });
    }
    let why = config.differences(mesh);
    let (unreachable, rerouted) = config.reroutes(mesh);
    if !why.is_empty() {
        plan.actions.push(Action::ConfigureMesh { config, why });
    }
    if !rerouted.is_empty() {
        plan.actions.push(Action::RerouteMesh { unreachable, why: rerouted });
    }
}
