//! The anycast addresses on the loopback interface.

use super::{Action, Plan, seen};
use crate::desired::slice::DesiredNode;
use crate::observed::ObservedNode;

/// Addresses that are ours no longer; after the withdrawal, so that no query meets a missing address.
pub(super) fn remove(desired: &DesiredNode, observed: &ObservedNode, plan: &mut Plan) {
    let Some(present) = seen(&observed.service_addresses, "the loopback interface", plan) else { return };
    // The agent put only anycast addresses there, so only those are its to take away.
    let ours =
        |address: &&std::net::IpAddr| desired.routing.prefixes.iter().any(|prefix| prefix.contains(*address));
    let surplus = present.difference(&desired.service_addresses).filter(ours);
    plan.actions.extend(surplus.copied().map(Action::RemoveAddress));
}

/// Addresses that are missing.
pub(super) fn add(desired: &DesiredNode, observed: &ObservedNode, plan: &mut Plan) {
    let Some(present) = observed.service_addresses.known() else { return };
    plan.actions.extend(desired.service_addresses.difference(present).copied().map(Action::AddAddress));
}
