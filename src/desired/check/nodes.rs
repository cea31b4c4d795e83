//! What a node says of itself: place, roles, names.

use std::time::Duration;

use super::{Site, Unique, push};
use crate::desired::files::{MrtFile, NodeFile};
use crate::desired::load::{Files, Located};
use crate::desired::model::RoutingDaemonKind;
use crate::finding::Finding;
use crate::routing::Archive;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    let mut fqdns = Unique::new();
    for node in files.nodes.values() {
        place(node, findings);
        roles(node, findings);
        interfaces(node, findings);
        mrt(node, findings);
        if let Some((fqdn, at)) = node.file.fqdn.located() {
            fqdns.note("the name", fqdn.clone(), Site { path: &node.path, at }, findings);
        }
    }
}

fn place(node: &Located<NodeFile>, findings: &mut Vec<Finding>) {
    let place = &node.file.place;
    if let (Some(country), Some((flag, at))) = (place.country_iso.get(), place.flag.located())
        && flag.country_iso() != country.0
    {
        let message = format!("the flag is that of {}, not of {}", flag.country_iso(), country.0);
        push(findings, node, at, message, "make `flag` and `country_iso` agree");
    }
}

fn roles(node: &Located<NodeFile>, findings: &mut Vec<Finding>) {
    if node.file.roles.is_empty() {
        push(findings, node, None, "the node has no role", "write `roles: [edge]`, or `[edge, hub]`");
    }
    let mut seen = Vec::new();
    for (role, at) in node.file.roles.iter().filter_map(|field| field.located()) {
        if seen.contains(role) {
            push(findings, node, at, "the role stands here twice", "remove one");
        }
        seen.push(*role);
    }
}

/// Too often would be all that a daemon does, and too much is more than a machine has.
fn mrt(node: &Located<NodeFile>, findings: &mut Vec<Finding>) {
    let Some(MrtFile { interval, updates: _, keep_megabytes, keep_days }) = &node.file.mrt else { return };
    if let Some((period, at)) = interval.as_ref().and_then(|field| field.located())
        && (!(Duration::from_secs(60)..=Duration::from_secs(24 * 3600)).contains(&period.0)
            || period.0.subsec_millis() > 0)
    {
        push(findings, node, at, "interval is not from 1m to 24h", "15m is the default");
    }
    if let Some((0, at)) = keep_megabytes.as_ref().and_then(|field| field.located()) {
        push(findings, node, at, "nothing would be kept", "write at least 1, or leave `mrt` out");
    }
    if let Some((0, at)) = keep_days.as_ref().and_then(|field| field.located()) {
        push(findings, node, at, "nothing would be kept", "write at least 1, or leave `mrt` out");
    }
}

/// What a node's daemon will not do of what its file asks for.
pub(super) fn advice(files: &Files, findings: &mut Vec<Finding>) {
    for node in files.nodes.values() {
        let (Some(mrt), Some((daemon, at))) = (&node.file.mrt, node.file.routing.located()) else { continue };
        let updates = mrt.updates.as_ref().and_then(|field| field.get()).is_some_and(|updates| *updates);
        if *daemon == RoutingDaemonKind::Embedded {
            let message = "the embedded speaker keeps no routes, so it writes no archives";
            push(findings, node, at, message, "select another routing daemon, or remove `mrt`");
        } else if let Some(why) = Archive::updates_lacked_by(*daemon).filter(|_| updates) {
            let message = format!("{why}: updates are not kept");
            push(findings, node, at, message, "select bird, frr or openbgpd, or remove `updates`");
        }
    }
}

fn interfaces(node: &Located<NodeFile>, findings: &mut Vec<Finding>) {
    let mut names = Unique::new();
    for (name, at) in node.file.interfaces.iter().filter_map(|interface| interface.name.located()) {
        names.note("the interface", &name.0, Site { path: &node.path, at }, findings);
        if name.0 == "lo" || name.0 == crate::mesh::INTERFACE {
            push(findings, node, at, format!("{} is the agent's to set up", name.0), "remove the interface");
        }
    }
}
