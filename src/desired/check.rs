//! Check: what the files say against each other. One file per concern, each a pure function that adds to the
//! findings; a value that does not parse has its finding already and is passed over.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::files::{NetworkFile, NodeFile};
use super::load::{Files, Located};
use super::model::{DesiredState, NodeState, Role};
use crate::finding::{Finding, Position};
use crate::names::NodeName;

mod addresses;
mod mesh;
mod network;
mod nodes;
mod peers;
mod records;
mod rollout;
pub(crate) mod rpki;
mod secrets;
mod trust;
mod zones;

/// Everything for which a node refuses a revision.
pub(crate) fn all(files: &Files, findings: &mut Vec<Finding>) {
    let facts = Facts::of(files);
    network::check(files, &facts, findings);
    rollout::check(files, findings);
    nodes::check(files, findings);
    addresses::check(files, &facts, findings);
    mesh::check(files, &facts, findings);
    peers::check(files, &facts, findings);
    zones::check(files, &facts, findings);
    records::check(files, findings);
    trust::check(files, findings);
    secrets::check(files, findings);
}

/// What a person should put right, and no node refuses: a secret that the wrong ones can read, or that nobody uses. A
/// node that was thrown out in one commit is out, whether or not its secrets were encrypted anew in that commit; one
/// that cannot read a secret says so and goes on.
pub(crate) fn advice(files: &Files, state: Option<&DesiredState>, findings: &mut Vec<Finding>) {
    nodes::advice(files, findings);
    peers::advice(files, findings);
    let trust = trust::check(files, &mut Vec::new());
    secrets::readers(files, state, trust.as_ref(), findings);
}

/// What several checks compare with.
struct Facts {
    /// The anycast prefixes.
    prefixes: Vec<IpNet>,
    /// The ranges of the mesh.
    mesh: Vec<IpNet>,
    /// The addresses by which the internet knows our nodes, retired ones left out.
    nodes: BTreeMap<IpAddr, NodeName>,
}

impl Facts {
    fn of(files: &Files) -> Self {
        let network: Option<&NetworkFile> = files.network.as_ref().map(|located| &located.file);
        let prefixes = network.iter().flat_map(|network| &network.prefixes);
        let mesh = network.iter().flat_map(|network| {
            let v4 = network.mesh.loopbacks_v4.get().map(|range| IpNet::from(*range));
            let v6 = network.mesh.loopbacks_v6.get().map(|range| IpNet::from(*range));
            [v4, v6]
        });
        let nodes = files.nodes.iter().filter(|(_, node)| !is(&node.file, NodeState::Retired));
        Self {
            prefixes: prefixes.filter_map(|prefix| prefix.get().map(IpNet::trunc)).collect(),
            mesh: mesh.flatten().collect(),
            nodes: nodes
                .flat_map(|(name, node)| {
                    own_addresses(&node.file).map(|(address, _)| (address, name.clone()))
                })
                .filter(|(address, _)| !is_reused(*address))
                .collect(),
        }
    }

    /// The anycast prefix that an address lies in.
    fn anycast(&self, address: IpAddr) -> Option<IpNet> {
        self.prefixes.iter().find(|prefix| prefix.contains(&address)).copied()
    }
}

/// Whether a node's file gives this state.
fn is(node: &NodeFile, state: NodeState) -> bool {
    node.state.get() == Some(&state)
}

/// Whether anything runs on the node.
fn in_service(node: &NodeFile) -> bool {
    is(node, NodeState::Live) || is(node, NodeState::Drained)
}

/// Whether a node's file gives this role.
fn has(node: &NodeFile, role: Role) -> bool {
    node.roles.iter().any(|given| given.get() == Some(&role))
}

/// A node's own addresses and where they stand: management first, then its interfaces.
fn own_addresses(node: &NodeFile) -> impl Iterator<Item = (IpAddr, Position)> {
    let management = node.management.iter().filter_map(|field| field.located().map(|(ip, at)| (*ip, at)));
    let interfaces = node.interfaces.iter().flat_map(|interface| &interface.addresses);
    management.chain(interfaces.filter_map(|field| field.located().map(|(net, at)| (net.addr(), at))))
}

/// Whether two machines may well have the same address: private, shared and link-local ranges, and the loopback.
fn is_reused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local(),
    }
}

/// Why no single machine on the internet can have this address.
fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        Some("the broadcast address")
    } else {
        None
    }
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
struct Site<'a> {
    path: &'a str,
    at: Position,
}

impl fmt::Display for Site<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.at.line, self.at.column)
    }
}

/// Values that may stand in one place only.
struct Unique<'a, K>(BTreeMap<K, Site<'a>>);

impl<'a, K: Ord + fmt::Display> Unique<'a, K> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes a value; one that was noted before becomes a finding that names the other place.
    fn note(&mut self, what: &str, key: K, site: Site<'a>, findings: &mut Vec<Finding>) {
        match self.0.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(site);
            }
            Entry::Occupied(entry) => findings.push(
                Finding::new(
                    site.path,
                    site.at,
                    format!("{what} {} stands at {} already", entry.key(), entry.get()),
                )
                .with_hint("it may stand in one place only"),
            ),
        }
    }
}

/// Pushes a finding at a value of a file.
fn push<T>(
    findings: &mut Vec<Finding>,
    file: &Located<T>,
    at: impl Into<Option<Position>>,
    message: impl Into<String>,
    hint: &str,
) {
    findings.push(Finding::new(&*file.path, at, message).with_hint(hint));
}
