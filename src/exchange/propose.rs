//! Proposals: a peer file for each port that a node can reach on a LAN of its own.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Port;
use crate::desired::files::is_deceptive;
use crate::desired::load;
use crate::desired::model::{DesiredState, Node, NodeState, Role};
use crate::names::{Asn, NodeName, PeerName};
use crate::routing::Family;
use crate::tree::{File, Tree};

/// A peer file that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// In the repository.
    pub(crate) path: String,
    pub(crate) text: String,
    node: NodeName,
    sessions: Vec<Session>,
}

/// Both ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    local: IpAddr,
    neighbor: IpAddr,
}

/// What can be proposed, and a line for each thing that cannot.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    pub(crate) files: Vec<Proposal>,
    pub(crate) notes: Vec<String>,
}

/// Peer files for the ports of an AS, for every edge that is on their LANs. Together with the tree, which has no
/// findings, they have none.
pub(crate) fn propose(tree: &Tree, state: &DesiredState, ports: &[Port], asn: Asn) -> Proposals {
    let mut tree = tree.clone();
    let mut proposals = Proposals::default();
    let edges = state.nodes.values().filter(|node| node.roles.contains(&Role::Edge));
    for node in edges.filter(|node| node.state != NodeState::Retired) {
        for port in ports {
            let sessions = sessions(node, port, &mut proposals.notes);
            if !sessions.is_empty() {
                proposals.add(&mut tree, state, node, port, asn, sessions);
            }
        }
    }
    proposals
}

impl Proposals {
    fn add(
        &mut self,
        tree: &mut Tree,
        state: &DesiredState,
        node: &Node,
        port: &Port,
        asn: Asn,
        sessions: Vec<Session>,
    ) {
        let neighbors: Vec<String> = sessions.iter().map(|session| session.neighbor.to_string()).collect();
        let what = format!("{} from {}", neighbors.join(" and "), node.name);
        let has = |neighbor: IpAddr| sessions.iter().any(|session| session.neighbor == neighbor);
        let there = state.peers.values().filter(|peer| peer.node == node.name);
        if let Some(peer) =
            there.into_iter().find(|peer| peer.sessions.iter().any(|session| has(session.neighbor)))
        {
            self.notes.push(format!("{what}: peers/{}/{}.yaml is there already", peer.node, peer.name));
            return;
        }
        // Both sources may list it.
        if self.files.iter().any(|file| file.node == node.name && file.sessions == sessions) {
            return;
        }
        if port.is_down {
            self.notes.push(format!("{what}: the data says that the port is not in use"));
            return;
        }
        let Some(path) = path(tree, &node.name, port, asn) else {
            self.notes.push(format!("{what}: too many files with names like it"));
            return;
        };
        let text = text(port, asn, &sessions);
        tree.files.insert(path.as_str().into(), File { bytes: text.as_bytes().into(), changed: 0 });
        match load::read(tree) {
            Ok(_) => self.files.push(Proposal { path, text, node: node.name.clone(), sessions }),
            Err(findings) => {
                tree.files.remove(&*path);
                self.notes.extend(findings.first().map(|finding| format!("{what}: {finding}")));
            }
        }
    }
}

/// The sessions that a node can have with a port, the one of IPv4 first.
fn sessions(node: &Node, port: &Port, notes: &mut Vec<String>) -> Vec<Session> {
    let subnets: Vec<IpNet> =
        node.interfaces.iter().flat_map(|interface| &interface.addresses).copied().collect();
    let mut sessions = Vec::new();
    for neighbor in port.addresses() {
        let lan: Vec<&IpNet> =
            port.lan.iter().filter(|lan| Family::of(lan.addr()) == Family::of(neighbor)).collect();
        let on_lan = |local: IpAddr| lan.iter().any(|lan| lan.contains(&local) && lan.contains(&neighbor));
        let near = subnets.iter().find(|subnet| {
            subnet.addr() != neighbor
                && subnet.contains(&neighbor)
                && (lan.is_empty() || on_lan(subnet.addr()))
        });
        if let Some(subnet) = near {
            sessions.push(Session { local: subnet.addr(), neighbor });
        } else if let Some(subnet) = subnets.iter().find(|subnet| on_lan(subnet.addr())) {
            notes.push(format!(
                "{neighbor} from {}: it is on the LAN of {}, but not in {}; correct the length in the node's file",
                node.name,
                subnet.addr(),
                subnet.trunc()
            ));
        }
    }
    sessions
}

/// Where the file goes: the network's name as far as it can be one, numbered where that is taken.
fn path(tree: &Tree, node: &NodeName, port: &Port, asn: Asn) -> Option<String> {
    /// Shorter than a name may be: room for a number.
    const LENGTH: usize = 48;
    let mut slug = String::new();
    for character in port.network.as_deref().unwrap_or_default().chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= LENGTH {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { format!("as{asn}") } else { slug.to_owned() };
    let numbered = (2..100).map(|number| format!("{slug}-{number}"));
    std::iter::once(slug.clone()).chain(numbered).find_map(|name| {
        let name: PeerName = name.parse().ok()?;
        let path = format!("peers/{node}/{name}.yaml");
        (!tree.files.contains_key(&*path)).then_some(path)
    })
}

/// `peers/<node>/<peer>.yaml`.
fn text(port: &Port, asn: Asn, sessions: &[Session]) -> String {
    let mut out = String::new();
    write(&mut out, port, asn, sessions).expect("writing to a String cannot fail");
    out
}

fn write(out: &mut String, port: &Port, asn: Asn, sessions: &[Session]) -> std::fmt::Result {
    writeln!(out, "# yaml-language-server: $schema=../../../schemas/peer.schema.json")?;
    writeln!(out, "# Proposed from an exchange's data. The session has to be agreed on with them.")?;
    let most = [(port.max_prefixes_v4, "IPv4"), (port.max_prefixes_v6, "IPv6")];
    for (count, family) in
        most.into_iter().filter_map(|(count, family)| Some((count.filter(|n| *n > 0)?, family)))
    {
        writeln!(out, "# They say that they announce at most {count} {family} prefixes.")?;
    }
    let as_sets = as_sets(port.as_set.as_deref().unwrap_or_default());
    if !as_sets.is_empty() {
        writeln!(out, "# What they announce: {as_sets}")?;
    }
    let network = line(port.network.as_deref()).unwrap_or_else(|| format!("AS{asn}"));
    let description = match line(port.exchange.as_deref()) {
        Some(exchange) => format!("{network} at {exchange}"),
        None => network,
    };
    // As JSON it is a quoted scalar in YAML too, whatever stands in it.
    writeln!(out, "description: {}", serde_json::Value::from(description))?;
    writeln!(out, "asn: {asn}")?;
    writeln!(out, "relation: {}", if port.is_route_server { "route-server" } else { "peer" })?;
    writeln!(out, "sessions:")?;
    sessions.iter().try_for_each(|Session { local, neighbor }| {
        writeln!(out, "  - {{ local: \"{local}\", neighbor: \"{neighbor}\" }}")
    })
}

/// One line for people, of a text that may be anything; `None` if nothing is left of it.
fn line(text: Option<&str>) -> Option<String> {
    /// Two of them fit into a description.
    const LENGTH: usize = 90;
    let shown: String = text?.chars().map(|c| if is_deceptive(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = shown.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(LENGTH).collect();
    (!line.is_empty()).then_some(line)
}

/// The names of AS sets in a text; what else is in it is left out.
fn as_sets(text: &str) -> String {
    let is_name = |word: &&str| {
        word.len() <= 64
            && word.contains(|c: char| c.is_ascii_alphanumeric())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_'))
    };
    let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(is_name);
    words.take(4).collect::<Vec<_>>().join(" ")
}
