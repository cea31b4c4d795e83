//! BGP peers: sessions that can come up, with whom they should, and nothing announced that must not be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Facts, Site, Unique, has, is_reused, own_addresses, push, unusable};
use crate::desired::files::{BfdFile, NodeFile, PeerFile, SessionFile};
use crate::desired::load::{Files, Located};
use crate::desired::model::Role;
use crate::finding::Finding;
use crate::names::{Asn, Community, NodeName};
use crate::routing::{Bfd, Family};

pub(super) fn check(files: &Files, facts: &Facts, findings: &mut Vec<Finding>) {
    let own_asn = files.network.as_ref().and_then(|network| network.file.asn.get().copied());
    let mut neighbors: BTreeMap<IpAddr, (Asn, Site<'_>)> = BTreeMap::new();
    let mut of_node: BTreeMap<&NodeName, Unique<'_, IpAddr>> = BTreeMap::new();
    for ((node_name, _), peer) in &files.peers {
        let node = files.nodes.get(node_name);
        let node_path = format!("nodes/{node_name}.yaml");
        if let Some(node) = node {
            if !node.file.roles.is_empty() && !has(&node.file, Role::Edge) {
                let hint = format!("give {node_name} the role edge, or remove the file");
                push(
                    findings,
                    peer,
                    None,
                    format!("{node_name} is not an edge: it announces nothing"),
                    &hint,
                );
            }
        } else if !findings.iter().any(|finding| finding.path == node_path) {
            let hint = format!("add {node_path}, or correct the folder's name");
            push(findings, peer, None, format!("there is no node {node_name}"), &hint);
        }
        numbers(peer, own_asn, findings);
        bfd(peer, findings);
        communities(peer, findings);
        sessions(peer, node, facts, findings);

        let seen = of_node.entry(node_name).or_insert_with(Unique::new);
        for (neighbor, at) in peer.file.sessions.iter().filter_map(|session| session.neighbor.located()) {
            let site = Site { path: &peer.path, at };
            seen.note("the neighbor", *neighbor, site, findings);
            asn_conflict(peer, *neighbor, site, &mut neighbors, findings);
        }
    }
}

/// One router has one AS number, whichever of our nodes it speaks to.
fn asn_conflict<'a>(
    peer: &'a Located<PeerFile>,
    neighbor: IpAddr,
    site: Site<'a>,
    neighbors: &mut BTreeMap<IpAddr, (Asn, Site<'a>)>,
    findings: &mut Vec<Finding>,
) {
    let Some((asn, at)) = peer.file.asn.located() else { return };
    if is_reused(neighbor) {
        return;
    }
    match neighbors.get(&neighbor) {
        None => {
            neighbors.insert(neighbor, (*asn, site));
        }
        Some((other, elsewhere)) if other != asn => {
            let message = format!("{neighbor} is AS{asn} here and AS{other} at {elsewhere}");
            push(findings, peer, at, message, "one router has one AS number; correct one of the two");
        }
        Some(_) => {}
    }
}

fn numbers(peer: &Located<PeerFile>, own: Option<Asn>, findings: &mut Vec<Finding>) {
    if let (Some((asn, at)), Some(own)) = (peer.file.asn.located(), own)
        && *asn == own
    {
        let message = format!("AS{asn} is the network's own AS number");
        push(findings, peer, at, message, "write the peer's AS number; nodes do not speak BGP to each other");
    }
    let prepend = peer.file.prepend.as_ref().and_then(|field| field.located());
    if let Some((prepend, at)) = prepend.filter(|(prepend, _)| **prepend > 10) {
        push(
            findings,
            peer,
            at,
            format!("{prepend} prepends"),
            "10 is the most; 1 to 3 already move traffic",
        );
    }
    let multihop = peer.file.multihop.as_ref().and_then(|field| field.located());
    if let Some((hops, at)) = multihop.filter(|(hops, _)| **hops < 2) {
        let message = format!("{hops} is not a number of hops to a peer beyond the link");
        push(findings, peer, at, message, "leave `multihop` out for a neighbor on the same link");
    }
}

/// Sooner than a loaded machine can, or later than the hold time, helps nobody.
fn bfd(peer: &Located<PeerFile>, findings: &mut Vec<Finding>) {
    let Some(BfdFile { interval, multiplier }) = &peer.file.bfd else { return };
    if let Some((period, at)) = interval.as_ref().and_then(|field| field.located())
        && !Bfd::INTERVALS.contains(&period.0)
    {
        push(findings, peer, at, "interval is not from 10ms to 2s", "100ms is the default");
    }
    if let Some((multiplier, at)) = multiplier.as_ref().and_then(|field| field.located())
        && !Bfd::MULTIPLIERS.contains(multiplier)
    {
        push(findings, peer, at, "multiplier is not from 2 to 10", "3 is the default");
    }
}

/// What the daemon of a peer's node will not do of what the peer's file asks for.
pub(super) fn advice(files: &Files, findings: &mut Vec<Finding>) {
    for ((node_name, _), peer) in files.peers.iter().filter(|(_, peer)| peer.file.bfd.is_some()) {
        let Some(node) = files.nodes.get(node_name) else { continue };
        if let Some((daemon, at)) = node.file.routing.located()
            && let Some(why) = Bfd::lacked_by(*daemon)
        {
            let message = format!("{why}: the sessions with {} run without", peer.path);
            push(findings, node, at, message, "select bird or frr, or remove `bfd` there");
        }
    }
}

fn communities(peer: &Located<PeerFile>, findings: &mut Vec<Finding>) {
    let mut seen = Unique::new();
    for (community, at) in peer.file.communities.iter().filter_map(|field| field.located()) {
        if *community == Community::BLACKHOLE {
            let message = format!("{community} asks the peer to discard our traffic (RFC 7999)");
            push(findings, peer, at, message, "remove it: this network never sends it");
        } else if *community == Community::GRACEFUL_SHUTDOWN {
            let message = format!("{community} says for ever that the session is about to go (RFC 8326)");
            push(
                findings,
                peer,
                at,
                message,
                "remove it, and write `state: drained` in the node's file to drain it",
            );
        }
        seen.note("the community", *community, Site { path: &peer.path, at }, findings);
    }
}

fn sessions(
    peer: &Located<PeerFile>,
    node: Option<&Located<NodeFile>>,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) {
    if peer.file.sessions.is_empty() {
        push(findings, peer, None, "the peer has no session", "add `- { local: …, neighbor: … }`");
    }
    let mut families: Vec<Family> = Vec::new();
    for SessionFile { local, neighbor } in &peer.file.sessions {
        for (address, at) in [local, neighbor].into_iter().filter_map(|field| field.located()) {
            if let Some(prefix) = facts.anycast(*address) {
                let message = format!("{address} lies in the anycast prefix {prefix}");
                push(findings, peer, at, message, "a session runs between the machines' own addresses");
            } else if let Some(why) = unusable(*address) {
                push(findings, peer, at, format!("{address} is {why}"), "write the machine's own address");
            }
        }
        let (Some((local, local_at)), Some((neighbor, neighbor_at))) = (local.located(), neighbor.located())
        else {
            continue;
        };
        let family = Family::of(*local);
        if Family::of(*neighbor) != family {
            let message = format!("{neighbor} is not of the address family of {local}");
            push(findings, peer, neighbor_at, message, "both ends of a session are IPv4, or both are IPv6");
            continue;
        }
        if families.contains(&family) {
            let message = format!("a second {family} session with one peer");
            push(findings, peer, local_at, message, "write another file for the peer's other router");
        }
        families.push(family);
        if let Some(name) = facts.nodes.get(neighbor) {
            let message = format!("the neighbor {neighbor} is an address of our own node {name}");
            push(findings, peer, neighbor_at, message, "nodes do not speak BGP to each other");
            continue;
        }
        let Some(node) = node else { continue };
        if !own_addresses(&node.file).any(|(address, _)| address == *local) {
            let message = format!("{local} is not an address of the node");
            let hint = format!("take one of `interfaces` or `management` in {}", node.path);
            push(findings, peer, local_at, message, &hint);
        } else if peer.file.multihop.is_none() && !on_link(&node.file, *local, *neighbor) {
            let message = format!("{neighbor} is not in the subnet of {local}");
            push(
                findings,
                peer,
                neighbor_at,
                message,
                "check the address, or write `multihop` with the hops to it",
            );
        }
    }
}

/// Whether the neighbour is on the link of the interface that has the local address. A node that lists no
/// interface with it (behind NAT, say) is not judged.
fn on_link(node: &NodeFile, local: IpAddr, neighbor: IpAddr) -> bool {
    let subnets = node.interfaces.iter().flat_map(|interface| &interface.addresses);
    let mut of_local =
        subnets.filter_map(|field| field.get()).filter(|subnet| subnet.addr() == local).peekable();
    let point_to_point = |subnet: &ipnet::IpNet| subnet.prefix_len() == subnet.max_prefix_len();
    of_local.peek().is_none() || of_local.any(|subnet| subnet.contains(&neighbor) || point_to_point(subnet))
}
