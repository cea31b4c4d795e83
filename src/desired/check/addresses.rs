//! The nodes' addresses on the internet: each in one place, none of them anycast, gateways on the link.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Facts, Site, Unique, is, is_reused, own_addresses, push, unusable};
use crate::desired::files::{InterfaceFile, NodeFile};
use crate::desired::load::{Files, Located};
use crate::desired::model::NodeState;
use crate::finding::Finding;
use crate::routing::Family;

pub(super) fn check(files: &Files, facts: &Facts, findings: &mut Vec<Finding>) {
    let mut addresses = Unique::new();
    let mut router_ids = Unique::new();
    for node in files.nodes.values() {
        if node.file.management.is_empty() {
            let hint = "write the address by which the machine itself is reached";
            push(findings, node, None, "the node has no management address", hint);
        }
        own(node, facts, findings);
        if is(&node.file, NodeState::Retired) {
            continue;
        }
        let mut of_node = BTreeSet::new();
        for (address, at) in own_addresses(&node.file) {
            // A management address usually stands on an interface too.
            if of_node.insert(address) && !is_reused(address) {
                addresses.note("the address", address, Site { path: &node.path, at }, findings);
            }
        }
        twice_in_a_list(node, findings);
        if let Some((id, at)) = node.file.router_id.located() {
            router_ids.note("the router id", *id, Site { path: &node.path, at }, findings);
        }
        for interface in &node.file.interfaces {
            gateways(node, interface, findings);
        }
    }
}

fn own(node: &Located<NodeFile>, facts: &Facts, findings: &mut Vec<Finding>) {
    for (address, at) in own_addresses(&node.file) {
        if let Some(prefix) = facts.anycast(address) {
            let message = format!("{address} lies in the anycast prefix {prefix}");
            push(findings, node, at, message, "a node's own address must lead to that node alone");
        } else if facts.mesh.iter().any(|range| range.contains(&address)) {
            let message = format!("{address} lies in the mesh's range");
            push(findings, node, at, message, "the mesh's addresses stand under `mesh`");
        } else if let Some(why) = unusable(address) {
            push(findings, node, at, format!("{address} is {why}"), "write the machine's own address");
        }
    }
    if let Some((id, at)) = node.file.router_id.located() {
        if let Some(prefix) = facts.anycast(IpAddr::V4(*id)) {
            let message = format!("the router id {id} lies in the anycast prefix {prefix}");
            push(findings, node, at, message, "take the node's own IPv4 address");
        } else if let Some(why) = unusable(IpAddr::V4(*id)) {
            push(
                findings,
                node,
                at,
                format!("the router id {id} is {why}"),
                "take the node's own IPv4 address",
            );
        }
    }
}

/// The same address twice under `management`, or on two interfaces.
fn twice_in_a_list(node: &Located<NodeFile>, findings: &mut Vec<Finding>) {
    let mut management = Unique::new();
    for (address, at) in node.file.management.iter().filter_map(|field| field.located()) {
        management.note("the address", *address, Site { path: &node.path, at }, findings);
    }
    let mut interfaces = Unique::new();
    let addresses = node.file.interfaces.iter().flat_map(|interface| &interface.addresses);
    for (address, at) in addresses.filter_map(|field| field.located()) {
        interfaces.note("the address", address.addr(), Site { path: &node.path, at }, findings);
    }
}

fn gateways(node: &Located<NodeFile>, interface: &InterfaceFile, findings: &mut Vec<Finding>) {
    let mut families = Vec::new();
    for (gateway, at) in interface.gateways.iter().filter_map(|field| field.located()) {
        let family = Family::of(*gateway);
        if families.contains(&family) {
            let message = format!("a second {family} gateway on one interface");
            push(findings, node, at, message, "write one gateway per family");
        }
        families.push(family);
        let mut subnets = interface.addresses.iter().filter_map(|field| field.get());
        let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        // A point-to-point link (/32 or /128) has its gateway outside of any subnet.
        let on_link = |subnet: &ipnet::IpNet| {
            subnet.contains(gateway)
                || Family::of(subnet.addr()) == family && subnet.prefix_len() == subnet.max_prefix_len()
        };
        if !link_local && !subnets.any(on_link) {
            let message = format!("the gateway {gateway} is in no subnet of the interface");
            push(findings, node, at, message, "check the address and the interface's prefix lengths");
        }
    }
}
