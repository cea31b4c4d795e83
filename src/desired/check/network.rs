//! `network.yaml` by itself, and what the whole network must have: nodes, hubs, a live edge.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Facts, Site, Unique, has, in_service, is, push, unusable};
use crate::desired::files::{HealthFile, NetworkFile, RateLimitFile, TransfersFile, ZoneFile, ZoneKind};
use crate::desired::load::{Files, Located};
use crate::desired::model::{NodeState, Role};
use crate::finding::Finding;

pub(super) fn check(files: &Files, facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(network) = &files.network {
        prefixes(network, findings);
        service_addresses(network, facts, findings);
        mesh_ranges(network, facts, findings);
        health(network, &network.file.health, findings);
        trials(network, findings);
        canary(files, network, findings);
        network.file.transfers.iter().for_each(|file| transfers(network, file, findings));
        network.file.rate_limit.iter().for_each(|file| rate_limit(network, file, findings));
    }
    hubs(files, findings);
    live_edges(files, findings);
}

/// The longest prefix that the internet carries.
fn longest(prefix: IpNet) -> u8 {
    match prefix {
        IpNet::V4(_) => 24,
        IpNet::V6(_) => 48,
    }
}

fn prefixes(network: &Located<NetworkFile>, findings: &mut Vec<Finding>) {
    let mut seen = Unique::new();
    for (prefix, at) in network.file.prefixes.iter().filter_map(|field| field.located()) {
        if prefix.trunc() != *prefix {
            let message = format!("{prefix} has bits set beyond its prefix length");
            push(findings, network, at, message, &format!("write {}", prefix.trunc()));
        }
        if prefix.prefix_len() > longest(*prefix) {
            let message = format!("{prefix} is longer than /{}", longest(*prefix));
            push(
                findings,
                network,
                at,
                message,
                "most networks drop longer prefixes; announce the covering one",
            );
        }
        if prefix.prefix_len() < 8 {
            let message = format!("{prefix} is no prefix of one network");
            push(findings, network, at, message, "write the prefix that was assigned to you");
        }
        seen.note("the prefix", prefix.trunc(), Site { path: &network.path, at }, findings);
    }
}

fn service_addresses(network: &Located<NetworkFile>, facts: &Facts, findings: &mut Vec<Finding>) {
    let mut seen = Unique::new();
    for (address, at) in network.file.service_addresses.iter().filter_map(|field| field.located()) {
        if facts.anycast(*address).is_none() {
            let message = format!("{address} is in none of the network's prefixes");
            push(findings, network, at, message, "a node announces only `prefixes`; nothing would reach it");
        } else if facts.prefixes.iter().any(|prefix| is_edge_of(*prefix, *address)) {
            let message = format!("{address} is the first or the last address of its prefix");
            push(findings, network, at, message, "some networks drop packets to it; take another");
        }
        seen.note("the service address", *address, Site { path: &network.path, at }, findings);
    }
}

fn is_edge_of(prefix: IpNet, address: IpAddr) -> bool {
    address == prefix.network() || matches!(prefix, IpNet::V4(_)) && address == prefix.broadcast()
}

fn mesh_ranges(network: &Located<NetworkFile>, facts: &Facts, findings: &mut Vec<Finding>) {
    let mesh = &network.file.mesh;
    let v4 = mesh.loopbacks_v4.located().map(|(range, at)| (IpNet::from(*range), at));
    let v6 = mesh.loopbacks_v6.located().map(|(range, at)| (IpNet::from(*range), at));
    for (range, at) in v4.into_iter().chain(v6) {
        if range.trunc() != range {
            let message = format!("{range} has bits set beyond its prefix length");
            push(findings, network, at, message, &format!("write {}", range.trunc()));
        }
        if let Some(prefix) = facts.prefixes.iter().find(|prefix| overlap(prefix, &range)) {
            let message = format!("the mesh range {range} overlaps the anycast prefix {prefix}");
            push(findings, network, at, message, "take a private range (RFC 1918, RFC 4193)");
        }
        if let Some(why) = unusable(range.network()) {
            push(findings, network, at, format!("{range} begins with {why}"), "take a private range");
        }
    }
    if let Some((0, at)) = mesh.port.located() {
        push(findings, network, at, "port 0 cannot be listened on", "51820 is WireGuard's usual port");
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

fn health(network: &Located<NetworkFile>, health: &HealthFile, findings: &mut Vec<Finding>) {
    let HealthFile { canary: _, interval, retry_interval, timeout, failures, recoveries, hold_down } = health;
    for (period, at) in [interval, retry_interval, timeout].into_iter().filter_map(|field| field.located()) {
        if period.0.is_zero() {
            push(findings, network, at, "a length of time of zero", "write at least 100ms");
        }
    }
    for (count, at) in [failures, recoveries].into_iter().filter_map(|field| field.located()) {
        if !(1..=1000).contains(count) {
            push(findings, network, at, format!("{count} is not from 1 to 1000"), "3 and 10 are usual");
        }
    }
    if let Some((period, at)) = hold_down.as_ref().and_then(|field| field.located())
        && !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&period.0)
    {
        push(findings, network, at, "hold_down is not from 1 s to 1 h", "60s is the default");
    }
}

/// Too little would take every change back, too much would leave a node cut off.
fn trials(network: &Located<NetworkFile>, findings: &mut Vec<Finding>) {
    let NetworkFile { routing_trial, switch_trial, .. } = &network.file;
    for (field, name, least, usual) in [
        (
            routing_trial,
            "routing_trial",
            10,
            "2m is the default: some peers wait a minute before they listen again",
        ),
        (switch_trial, "switch_trial", 5, "5m is the default: a daemon has to load its zones"),
    ] {
        let Some((period, at)) = field.as_ref().and_then(|field| field.located()) else { continue };
        if !(Duration::from_secs(least)..=Duration::from_secs(3600)).contains(&period.0) {
            push(findings, network, at, format!("{name} is not from {least} s to 1 h"), usual);
        }
    }
}

/// Too little would stop ordinary zones, too much would let one primary take a small node's memory or places.
fn transfers(network: &Located<NetworkFile>, transfers: &TransfersFile, findings: &mut Vec<Finding>) {
    let TransfersFile { max_records, max_octets, message_timeout, total_timeout, concurrent } = transfers;
    for (field, name, range) in [
        (max_records, "max_records", 1_000..=20_000_000),
        (max_octets, "max_octets", 1 << 16..=1 << 30),
        (concurrent, "concurrent", 1..=1_024),
    ] {
        let Some((count, at)) = field.as_ref().and_then(|field| field.located()) else { continue };
        if !range.contains(count) {
            let message = format!("{name} {count} is not from {} to {}", range.start(), range.end());
            push(findings, network, at, message, "leave it out to get what suits a machine of 512 MB");
        }
    }
    for (field, name, least, usual) in
        [(message_timeout, "message_timeout", 1, "15s"), (total_timeout, "total_timeout", 10, "5m")]
    {
        let Some((period, at)) = field.as_ref().and_then(|field| field.located()) else { continue };
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(3600));
        if !(least..=most).contains(&period.0) {
            let message = format!("{name} is not from {} s to 1 h", least.as_secs());
            push(findings, network, at, message, &format!("{usual} is the default"));
        }
    }
}

/// A limit that ordinary resolvers meet does the work of the attacker.
fn rate_limit(network: &Located<NetworkFile>, limit: &RateLimitFile, findings: &mut Vec<Finding>) {
    let RateLimitFile {
        responses_per_second,
        errors_per_second,
        window,
        slip,
        ipv4_prefix,
        ipv6_prefix,
        exempt,
    } = limit;
    for (field, name, range, usual) in [
        (
            Some(responses_per_second),
            "responses_per_second",
            5..=50_000,
            "200 is usual; a resolver with many users asks often",
        ),
        (
            errors_per_second.as_ref(),
            "errors_per_second",
            5..=50_000,
            "leave it out to get as many as responses",
        ),
        (window.as_ref(), "window", 1..=3600, "15 is the default"),
    ] {
        let Some((number, at)) = field.and_then(|field| field.located()) else { continue };
        if !range.contains(number) {
            let message = format!("{name} {number} is not from {} to {}", range.start(), range.end());
            push(findings, network, at, message, usual);
        }
    }
    for (field, name, range, usual) in [
        (slip, "slip", 0..=10, "2 is the default; 0 leaves a victim's own resolver no way to ask"),
        (ipv4_prefix, "ipv4_prefix", 8..=32, "24 is the default"),
        (ipv6_prefix, "ipv6_prefix", 16..=128, "56 is the default"),
    ] {
        let Some((number, at)) = field.as_ref().and_then(|field| field.located()) else { continue };
        if !range.contains(number) {
            let message = format!("{name} {number} is not from {} to {}", range.start(), range.end());
            push(findings, network, at, message, usual);
        }
    }
    for (prefix, at) in exempt.iter().filter_map(|field| field.located()) {
        if prefix.trunc() != *prefix {
            let message = format!("{prefix} has bits set beyond its prefix length");
            push(findings, network, at, message, &format!("write {}", prefix.trunc()));
        }
    }
}

fn canary(files: &Files, network: &Located<NetworkFile>, findings: &mut Vec<Finding>) {
    let Some((canary, at)) = network.file.health.canary.located() else { return };
    let mut zones = files.zones.iter().filter(|((zone, _), _)| zone == canary);
    let primary = |file: &Located<crate::desired::files::ZoneFile>| {
        file.file.kind.get().is_none_or(|kind| *kind == ZoneKind::Primary)
    };
    // A zone file whose YAML could not be read has a finding of its own.
    let unread = findings.iter().any(|finding| finding.path.ends_with(&format!("/{canary}.yaml")));
    if !unread && !zones.any(|(_, file)| primary(file)) {
        let message = format!("the canary {canary} is not a primary zone of this network");
        push(
            findings,
            network,
            at,
            message,
            "add it under zones/ with `kind: primary`: it must not depend on anybody",
        );
    }
}

/// A network of several nodes with zones that are transferred has two hubs or more, so that one may fail.
fn hubs(files: &Files, findings: &mut Vec<Finding>) {
    let serving: Vec<_> = files.nodes.values().filter(|node| in_service(&node.file)).collect();
    let hubs = serving.iter().filter(|node| has(&node.file, Role::Hub)).count();
    let transferred = files.zones.values().any(|zone| {
        let ZoneFile { kind, transfer_to, notify, serial_offset: _, primaries: _, members: _ } = &zone.file;
        kind.get().is_some_and(|kind| *kind != ZoneKind::Primary) || transfer_to.is_some() || notify.is_some()
    });
    let wanted = serving.len().min(2);
    if !transferred || hubs >= wanted {
        return;
    }
    let node = serving.iter().find(|node| !has(&node.file, Role::Hub));
    let role = node.and_then(|node| node.file.roles.first().map(|role| (node, role.at())));
    if let Some((node, at)) = role {
        let message = format!(
            "of {} nodes in service {hubs} are hubs; the network transfers zones, so {wanted} must be",
            serving.len()
        );
        push(
            findings,
            node,
            at,
            message,
            "give `roles: [edge, hub]` to this node or to a better connected one",
        );
    }
}

/// Draining or retiring must not leave the network without anybody who announces.
fn live_edges(files: &Files, findings: &mut Vec<Finding>) {
    if files.nodes.is_empty() && !findings.iter().any(|finding| finding.path.starts_with("nodes/")) {
        let hint = "add nodes/<node>.yaml; `shoestring join` on the machine prints it";
        findings.push(Finding::new("nodes", None, "the network has no nodes").with_hint(hint));
    }
    let edges = || files.nodes.values().filter(|node| has(&node.file, Role::Edge));
    if edges().any(|node| is(&node.file, NodeState::Live)) {
        return;
    }
    for node in edges().filter(|node| is(&node.file, NodeState::Drained)) {
        let message = "no live edge is left: nobody would announce the prefixes";
        push(findings, node, node.file.state.at(), message, "drain one edge at a time");
    }
}
