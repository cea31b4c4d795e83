//! What a node says of itself: place, roles, names.

use super::{Site, Unique, push};
use crate::desired::files::NodeFile;
use crate::desired::load::{Files, Located};
use crate::finding::Finding;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    let mut fqdns = Unique::new();
    for node in files.nodes.values() {
        place(node, findings);
        roles(node, findings);
        interfaces(node, findings);
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

fn interfaces(node: &Located<NodeFile>, findings: &mut Vec<Finding>) {
    let mut names = Unique::new();
    for (name, at) in node.file.interfaces.iter().filter_map(|interface| interface.name.located()) {
        names.note("the interface", &name.0, Site { path: &node.path, at }, findings);
        if name.0 == "lo" || name.0 == crate::mesh::INTERFACE {
            push(findings, node, at, format!("{} is the agent's to set up", name.0), "remove the interface");
        }
    }
}
