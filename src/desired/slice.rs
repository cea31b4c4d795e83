//! Slice: what one node should be, out of the whole network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::archive::ArchivePolicy;
use crate::catalog::Catalogs;
use crate::desired::model::{
    DesiredState, DrainPolicy, HealthPolicy, MeshNetwork, Network, Node, NodeMesh, NodeState, Role,
};
use crate::desired::needs::in_service;
use crate::dns::{NameServerConfig, RateLimit, ZoneConfig, ZoneTable};
use crate::fingerprint::Fingerprint;
use crate::keyring::SecretRef;
use crate::mesh::{LinkConfig, MeshConfig, PublicKey};
use crate::names::{NodeName, SecretName};
use crate::routing::{Archive, Family, RoutingConfig, SessionConfig, SessionName};

mod zones;

/// Where DNS is answered.
const DNS_PORT: u16 = 53;

/// Everything that one node needs to know of the desired state, and nothing more.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredNode {
    /// Which node.
    pub name: NodeName,
    /// Of its own file: what failed is tried again with another one.
    pub file: Fingerprint,
    /// The anycast addresses that stand on its loopback interface. Empty unless it is an edge.
    pub service_addresses: BTreeSet<IpAddr>,
    /// Its mesh links. `None` for a network of one node, or for a node without a key.
    pub mesh: Option<MeshConfig>,
    /// The key that the others know it by.
    pub mesh_key: Option<PublicKey>,
    /// How its name server is set up.
    pub name_server: NameServerConfig,
    /// What its name server serves.
    pub zones: ZoneTable<Arc<ZoneConfig>>,
    /// The catalogs by which zones come to these, and which list them to others.
    pub catalogs: Arc<Catalogs>,
    /// Its BGP sessions.
    pub routing: RoutingConfig,
    /// What it keeps of the routes that it hears.
    pub archive: Option<ArchivePolicy>,
    /// Whether it is meant to announce.
    pub intent: Intent,
    /// How it judges its own name server.
    pub health: HealthPolicy,
    /// How it goes away on purpose.
    pub drain: DrainPolicy,
    /// The other nodes in service, whose beats it listens for.
    pub others: BTreeMap<NodeName, OtherNode>,
}

/// Another node, as far as the gate needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherNode {
    /// Its mesh loopback: where beats are sent to, and where they come from.
    pub loopback: IpAddr,
    /// Whether others have their zones from it.
    pub hub: bool,
    /// Whether it is an edge that was drained.
    pub drained: bool,
    /// The families that it is meant to announce: live, and with a session for it.
    pub announces: BTreeSet<Family>,
}

/// Whether a node is meant to announce, health aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Announce once its name server answers.
    Announce,
    /// Announce again once another daemon has taken the place of one; drain for that, as soon as the others allow it. The
    /// text says which.
    Switch(String),
    /// Drain, then stay silent.
    Silent,
}

impl DesiredNode {
    /// The same, with other fingerprints of its secrets. One that is not there keeps its own.
    pub fn with_sealed(&self, sealed: &BTreeMap<SecretName, Fingerprint>) -> Self {
        let mut node = self.clone();
        let replace = |name: &SecretName, own: &mut Fingerprint| {
            if let Some(other) = sealed.get(name) {
                *own = *other;
            }
        };
        node.name_server.keys.iter_mut().for_each(|(name, own)| replace(name, own));
        let passwords = node.routing.sessions.values_mut().filter_map(|session| session.password.as_mut());
        for secret in passwords.chain(&mut node.name_server.cookie_secret) {
            replace(&secret.name, &mut secret.sealed);
        }
        node
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = SecretRef> + '_ {
        let keys = self.name_server.keys.iter();
        let keys = keys.map(|(name, sealed)| SecretRef { name: name.clone(), sealed: *sealed });
        let passwords = self.routing.sessions.values().filter_map(|session| session.password.clone());
        keys.chain(passwords).chain(self.name_server.cookie_secret.clone())
    }
}

/// What `node` should be by the files, members of catalogs left out; `None` when the network has no such node. A planned or retired node should be nothing:
/// no addresses, links, zones or sessions.
pub fn slice(state: &DesiredState, node: &NodeName) -> Option<DesiredNode> {
    let node = state.nodes.get(node)?;
    let network = &state.network;
    let mesh = mesh(state, node);
    let (zones, catalogs) = zones::zones(state, node, mesh.as_ref());
    Some(DesiredNode {
        name: node.name.clone(),
        file: Fingerprint::of(&[format!("{node:?}").as_bytes()]),
        service_addresses: match in_service(node) && node.roles.contains(&Role::Edge) {
            true => network.service_addresses.clone(),
            false => BTreeSet::new(),
        },
        name_server: name_server(
            state,
            node,
            mesh.as_ref(),
            zones.values().flat_map(|zone| zone.keys()).chain(catalogs.keys()),
        ),
        zones,
        catalogs,
        routing: routing(state, node),
        archive: node.mrt,
        intent: match node.state {
            NodeState::Live if node.roles.contains(&Role::Edge) => Intent::Announce,
            NodeState::Live | NodeState::Planned | NodeState::Drained | NodeState::Retired => Intent::Silent,
        },
        health: network.health.clone(),
        drain: network.drain.clone(),
        mesh_key: node.mesh.public_key,
        mesh,
        others: others(state, node),
    })
}

fn others(state: &DesiredState, node: &Node) -> BTreeMap<NodeName, OtherNode> {
    let families = |of: &NodeName| {
        let peers = state.peers.values().filter(move |peer| peer.node == *of);
        peers.flat_map(|peer| &peer.sessions).map(|session| Family::of(session.neighbor)).collect()
    };
    let other = |other: &Node| {
        let is_edge = other.roles.contains(&Role::Edge);
        OtherNode {
            loopback: other.mesh.loopback_v4.into(),
            hub: other.roles.contains(&Role::Hub),
            drained: is_edge && other.state == NodeState::Drained,
            announces: match is_edge && other.state == NodeState::Live {
                true => families(&other.name),
                false => BTreeSet::new(),
            },
        }
    };
    let in_service = state.nodes.values().filter(|other| other.name != node.name && in_service(other));
    in_service.map(|node| (node.name.clone(), other(node))).collect()
}

/// A secret as a configuration names it.
fn secret(state: &DesiredState, name: &SecretName) -> Option<SecretRef> {
    Some(SecretRef { name: name.clone(), sealed: state.secrets.get(name)?.sealed })
}

fn loopbacks(mesh: &NodeMesh) -> [IpAddr; 2] {
    [mesh.loopback_v4.into(), mesh.loopback_v6.into()]
}

/// The other nodes that run and can be linked to.
fn linked<'a>(state: &'a DesiredState, node: &'a Node) -> impl Iterator<Item = &'a Node> {
    state
        .nodes
        .values()
        .filter(|other| other.name != node.name && in_service(other) && other.mesh.public_key.is_some())
}

fn mesh(state: &DesiredState, node: &Node) -> Option<MeshConfig> {
    if !in_service(node) || node.mesh.public_key.is_none() {
        return None;
    }
    let links: BTreeMap<_, _> = linked(state, node)
        .filter_map(|other| {
            let link = LinkConfig {
                public_key: other.mesh.public_key?,
                endpoint: other.mesh.endpoint,
                loopbacks: loopbacks(&other.mesh).into(),
            };
            Some((other.name.clone(), link))
        })
        .collect();
    (!links.is_empty()).then(|| MeshConfig {
        port: node.mesh.port,
        loopbacks: loopbacks(&node.mesh).into(),
        links,
    })
}

/// The nodes themselves are never limited: they probe their service addresses and ask each other over the mesh.
fn rate_limit(network: &Network) -> Option<RateLimit> {
    let mut limit = network.rate_limit.clone()?;
    let MeshNetwork { loopbacks_v4, loopbacks_v6, port: _ } = network.mesh;
    limit.exempt.extend([IpNet::from(loopbacks_v4), IpNet::from(loopbacks_v6)]);
    limit.exempt.extend(network.service_addresses.iter().map(|address| IpNet::from(*address)));
    Some(limit)
}

fn name_server<'a>(
    state: &DesiredState,
    node: &Node,
    mesh: Option<&MeshConfig>,
    keys: impl Iterator<Item = &'a SecretName>,
) -> NameServerConfig {
    let mut listen = BTreeSet::new();
    if in_service(node) {
        if node.roles.contains(&Role::Edge) {
            listen.extend(&state.network.service_addresses);
        }
        if node.roles.contains(&Role::Hub) {
            // Customers' primaries send their NOTIFYs (RFC 1996) here; an anycast address would catch them anywhere.
            listen.extend(&node.management);
        }
        listen.extend(mesh.iter().flat_map(|mesh| &mesh.loopbacks));
    }
    NameServerConfig {
        daemon: node.dns,
        identity: node.name.to_string(),
        listen: listen.into_iter().map(|address| SocketAddr::new(address, DNS_PORT)).collect(),
        mesh_sources: mesh.map(|mesh| mesh.loopbacks.clone()).unwrap_or_default(),
        keys: keys.filter_map(|name| Some((name.clone(), state.secrets.get(name)?.sealed))).collect(),
        transfers: state.network.transfers,
        rate_limit: rate_limit(&state.network),
        cookie_secret: state
            .network
            .cookie_secret
            .as_ref()
            .filter(|_| in_service(node))
            .and_then(|name| secret(state, name)),
    }
}

fn routing(state: &DesiredState, node: &Node) -> RoutingConfig {
    let announces = in_service(node) && node.roles.contains(&Role::Edge);
    let peers = state.peers.values().filter(|peer| announces && peer.node == node.name);
    let sessions = peers.flat_map(|peer| {
        peer.sessions.iter().map(|session| {
            let name = SessionName { peer: peer.name.clone(), family: Family::of(session.neighbor) };
            let config = SessionConfig {
                local: session.local,
                neighbor: session.neighbor,
                asn: peer.asn,
                relation: peer.relation,
                strict_role: peer.strict_role,
                communities: peer.communities.clone(),
                prepend: peer.prepend,
                import: peer.import,
                multihop: peer.multihop,
                bfd: peer.bfd,
                password: peer.password.as_ref().and_then(|name| secret(state, name)),
            };
            (name, config)
        })
    });
    RoutingConfig {
        daemon: node.routing,
        asn: state.network.asn,
        router_id: node.router_id,
        prefixes: if announces { state.network.prefixes.clone() } else { BTreeSet::new() },
        sessions: sessions.collect(),
        drain_prepend: state.network.drain.prepend,
        trial: state.network.routing_trial,
        archive: node
            .mrt
            .filter(|_| announces)
            .map(|ArchivePolicy { interval, updates, .. }| Archive { interval, updates }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::desired::load;
    use crate::dns::ZoneRecords;
    use crate::names::DomainName;

    fn example() -> DesiredState {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
        load::read(&load::read_folder(&folder).unwrap()).unwrap()
    }

    fn of(state: &DesiredState, node: &str) -> DesiredNode {
        slice(state, &node.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_hub_pulls_and_an_edge_asks_the_hubs() {
        let state = example();
        let (hub, edge) = (of(&state, "london-a"), of(&state, "bremen"));
        let name: DomainName = "repairs.example".parse().unwrap();
        let ZoneRecords::Transfer(sources) = &hub.zones[&name].source else { panic!("not a transfer") };
        assert_eq!(
            sources.iter().map(|source| source.address.to_string()).collect::<Vec<_>>(),
            ["203.0.113.65:53", "[2001:db8:c0de:1::65]:53"]
        );
        // Nine live nodes are not hubs; both families of the ten others may transfer.
        assert_eq!(hub.zones[&name].notify.len(), 9);
        assert_eq!(hub.zones[&name].transfer_to.len(), 20);

        let ZoneRecords::Transfer(sources) = &edge.zones[&name].source else { panic!("not a transfer") };
        assert_eq!(
            sources.iter().map(|source| source.address.ip()).collect::<Vec<_>>(),
            [IpAddr::from([172, 31, 77, 3]), IpAddr::from([172, 31, 77, 1])]
        );
        assert!(sources.iter().all(|source| source.from == Some([172, 31, 77, 6].into())));
        assert!(edge.zones[&name].notify.is_empty() && edge.zones[&name].transfer_to.is_empty());
        assert_eq!(hub.zones.len(), state.zones.len());
        assert_eq!(edge.zones.len(), state.zones.len());
    }

    #[test]
    fn a_hub_also_listens_for_customers() {
        let state = example();
        let listen = |node| of(&state, node).name_server.listen.len();
        // Two service addresses and two loopbacks; a hub's two management addresses on top.
        assert_eq!(listen("bremen"), 4);
        assert_eq!(listen("london-a"), 6);
    }

    #[test]
    fn a_planned_node_is_nothing_and_nobody_links_to_it() {
        let state = example();
        let planned = of(&state, "bahrain");
        assert_eq!(planned.mesh, None);
        assert!(planned.service_addresses.is_empty() && planned.zones.is_empty());
        assert!(planned.routing.sessions.is_empty() && planned.routing.prefixes.is_empty());
        assert!(planned.name_server.listen.is_empty());
        assert_eq!(planned.intent, Intent::Silent);
        let links = of(&state, "boston").mesh.unwrap().links;
        assert_eq!(links.len(), 10);
        assert!(!links.contains_key(&planned.name));
    }

    #[test]
    fn a_drained_node_only_falls_silent() {
        let mut state = example();
        let live = of(&state, "boston");
        state.nodes.get_mut(&live.name).unwrap().state = NodeState::Drained;
        assert_eq!(live.intent, Intent::Announce);
        let drained = of(&state, "boston");
        assert_eq!(drained, DesiredNode { intent: Intent::Silent, file: drained.file, ..live });
    }

    #[test]
    fn sessions_are_one_per_family() {
        let state = example();
        let sessions = |node| of(&state, node).routing.sessions;
        assert_eq!(sessions("bremen").len(), 1);
        assert_eq!(sessions("san-francisco").len(), 10);
    }

    #[test]
    fn one_node_needs_no_mesh() {
        let mut state = example();
        state.nodes.retain(|name, _| name.as_str() == "london-a");
        let only = of(&state, "london-a");
        assert_eq!(only.mesh, None);
        assert!(only.name_server.mesh_sources.is_empty());
        assert_eq!(only.name_server.listen.len(), 4);
        assert_eq!(only.intent, Intent::Announce);
        assert_eq!(slice(&state, &"boston".parse().unwrap()), None);
    }
}
