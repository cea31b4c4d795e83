//! The mesh: loopbacks in their ranges, keys and end points in one place each.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Facts, Site, Unique, in_service, is, push};
use crate::desired::files::NodeFile;
use crate::desired::load::{Files, Located};
use crate::desired::model::NodeState;
use crate::finding::{Finding, Position};

pub(super) fn check(files: &Files, facts: &Facts, findings: &mut Vec<Finding>) {
    let serving = files.nodes.values().filter(|node| in_service(&node.file)).count();
    let mut loopbacks = Unique::new();
    let mut keys = Unique::new();
    let mut endpoints = Unique::new();
    for node in files.nodes.values() {
        let mesh = &node.file.mesh;
        let v4 = mesh.loopback_v4.located().map(|(ip, at)| (IpAddr::V4(*ip), at));
        let v6 = mesh.loopback_v6.located().map(|(ip, at)| (IpAddr::V6(*ip), at));
        for (loopback, at) in v4.into_iter().chain(v6) {
            in_range(node, loopback, at, facts, findings);
            if !is(&node.file, NodeState::Retired) {
                loopbacks.note("the mesh loopback", loopback, Site { path: &node.path, at }, findings);
            }
        }
        match mesh.public_key.as_ref() {
            None if serving > 1 && in_service(&node.file) => {
                let message = "a node in service needs a mesh key, or the others cannot reach it";
                let hint = "run `shoestring join` on the machine and put the `public_key` that it prints under `mesh`";
                push(findings, node, node.file.state.at(), message, hint);
            }
            None => {}
            // A retired node's key stays taken: whoever has it must not come back under another name.
            Some(key) => {
                if let Some((key, at)) = key.located() {
                    keys.note("the mesh key", *key, Site { path: &node.path, at }, findings);
                }
            }
        }
        if let Some((endpoint, at)) = mesh.endpoint.as_ref().and_then(|field| field.located()) {
            if let Some(prefix) = facts.anycast(endpoint.ip()) {
                let message = format!("{endpoint} lies in the anycast prefix {prefix}");
                push(findings, node, at, message, "write the node's own address");
            } else if endpoint.port() == 0 || endpoint.ip().is_unspecified() || endpoint.ip().is_multicast() {
                let message = format!("nothing can be sent to {endpoint}");
                push(findings, node, at, message, "write the node's own address and its UDP port");
            }
            if !is(&node.file, NodeState::Retired) {
                endpoints.note("the end point", *endpoint, Site { path: &node.path, at }, findings);
            }
        }
        if let Some((0, at)) = mesh.port.as_ref().and_then(|field| field.located()) {
            push(findings, node, at, "port 0 cannot be listened on", "leave `port` out for the network's");
        }
    }
}

fn in_range(
    node: &Located<NodeFile>,
    loopback: IpAddr,
    at: Position,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) {
    let same_family = |range: &&IpNet| range.addr().is_ipv4() == loopback.is_ipv4();
    let Some(range) = facts.mesh.iter().find(same_family) else { return };
    if !range.contains(&loopback) {
        let message = format!("the mesh loopback {loopback} is outside of the network's {range}");
        push(findings, node, at, message, "take a free address of the range in network.yaml");
    }
}
