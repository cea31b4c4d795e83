//! Configuration: the part of a desired state that goes through the network in waves (`crate::rollout`).
//!
//! Everything else goes everywhere at once, so a node may run the zones of one revision with the configuration of an
//! earlier one. Where the line is, and why that fits together:
//!
//! - At once: zones and catalogs, the TSIG keys that they name, and the canary zone that probes ask for. What they need of
//!   the rest goes with them: which nodes are hubs, for all nodes have to agree on where zones come from.
//! - At once: the mesh (keys, end points, loopbacks) and where each node is in its life. Waves tell each other over the mesh
//!   how they are, and a key that changed in waves would cut it. A node that is drained or retired is so now; a hub that is
//!   retired is nobody's source from then on, and the other hubs are.
//! - In waves: AS number, prefixes and service addresses, which daemons run and whether a node is an edge, BGP sessions, and
//!   all policies. Also the secrets that these name, passwords and the cookie secret, as they were then: a configuration goes
//!   with what it was encrypted with, so a node that goes back can read it, and a wrong password stops at the canary.
//!
//! A node that the earlier configuration does not know is as the newer one has it, peers and all.
//!
//! Zones go everywhere at once, and back only where the gate froze after them (`crate::rollout::Zones`): then, with the keys
//! that they name and the canary, they are of an earlier revision than the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::archive::ArchivePolicy;
use crate::desired::model::{
    DesiredState, DrainPolicy, HealthPolicy, Network, Node, Peer, PeerSession, Role, SealedSecret, Zone,
};
use crate::dns::{RateLimit, TransferLimits};
use crate::fingerprint::Fingerprint;
use crate::names::{NodeName, PeerName, SecretName};
use crate::routing::Bfd;

/// The configuration of a state. Some of what it holds goes everywhere at once, and is not looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    network: Network,
    nodes: BTreeMap<NodeName, Node>,
    peers: BTreeMap<(NodeName, PeerName), Peer>,
    /// Those that it names.
    secrets: BTreeMap<SecretName, SealedSecret>,
}

impl DesiredState {
    /// Its configuration.
    pub fn configuration(&self) -> Configuration {
        let Self { network, nodes, peers, zones: _, secrets } = self;
        let sealed = |name: &SecretName| Some((name.clone(), secrets.get(name)?.clone()));
        Configuration {
            network: network.clone(),
            nodes: nodes.clone(),
            peers: peers.clone(),
            secrets: self.secrets_of_configuration().filter_map(sealed).collect(),
        }
    }

    /// The secrets that its configuration names.
    fn secrets_of_configuration(&self) -> impl Iterator<Item = &SecretName> {
        let passwords = self.peers.values().filter_map(|peer| peer.password.as_ref());
        passwords.chain(&self.network.cookie_secret)
    }

    /// This state with another configuration, an earlier one for example.
    #[must_use]
    pub fn with_configuration(&self, other: &Configuration) -> Self {
        let Configuration { network, nodes, peers, secrets } = other;
        let mixed = |(name, new): (&NodeName, &Node)| {
            let old = nodes.get(name);
            (name.clone(), old.map_or_else(|| new.clone(), |old| mix_nodes(new, old)))
        };
        let is_new = |name: &NodeName| self.nodes.contains_key(name) && !nodes.contains_key(name);
        let old_peers = peers.iter().filter(|((node, _), _)| self.nodes.contains_key(node));
        let new_peers = self.peers.iter().filter(|((node, _), _)| is_new(node));
        // A name that zones have taken is theirs.
        let keys: Vec<&SecretName> = self.zones.values().flat_map(|zone| zone.keys()).collect();
        let own = secrets.iter().filter(|(name, _)| !keys.contains(name));
        let own = own.map(|(name, secret)| (name.clone(), secret.clone()));
        Self {
            network: mix_networks(&self.network, network),
            nodes: self.nodes.iter().map(mixed).collect(),
            peers: old_peers.chain(new_peers).map(|(name, peer)| (name.clone(), peer.clone())).collect(),
            zones: self.zones.clone(),
            secrets: self.secrets.clone().into_iter().chain(own).collect(),
        }
    }

    /// This state with the zones of another, an earlier one for example. A name that the configuration has taken for a secret
    /// since is the configuration's.
    #[must_use]
    pub fn with_zones(&self, other: &Self) -> Self {
        let Self { network, nodes, peers, zones: _, secrets } = self;
        let own: BTreeSet<&SecretName> = self.secrets_of_configuration().collect();
        let keys = other.zones.values().flat_map(Zone::keys).filter(|name| !own.contains(name));
        let keys = keys.filter_map(|name| Some((name.clone(), other.secrets.get(name)?.clone())));
        let mut network = network.clone();
        network.health.canary.clone_from(&other.network.health.canary);
        Self {
            network,
            nodes: nodes.clone(),
            peers: peers.clone(),
            zones: other.zones.clone(),
            secrets: secrets.clone().into_iter().chain(keys).collect(),
        }
    }
}

/// What goes at once is named, so that a new field is decided upon here and in [`Configuration::digest`]; the rest is of old.
fn mix_networks(new: &Network, old: &Network) -> Network {
    let Network {
        name,
        description,
        mesh,
        rollout,
        health: HealthPolicy { canary, .. },
        asn: _,
        prefixes: _,
        service_addresses: _,
        drain: _,
        routing_trial: _,
        switch_trial: _,
        transfers: _,
        cookie_secret: _,
        rate_limit: _,
    } = new.clone();
    let health = HealthPolicy { canary, ..old.health.clone() };
    Network { name, description, mesh, rollout, health, ..old.clone() }
}

fn mix_nodes(new: &Node, old: &Node) -> Node {
    let Node {
        name,
        place,
        fqdn,
        description,
        live_since,
        cost,
        interfaces,
        mesh,
        age_recipient,
        state,
        mut roles,
        management: _,
        dns: _,
        routing: _,
        mrt: _,
        router_id: _,
    } = new.clone();
    roles.retain(|role| *role == Role::Hub);
    roles.extend(old.roles.iter().filter(|role| **role == Role::Edge));
    Node {
        name,
        place,
        fqdn,
        description,
        live_since,
        cost,
        interfaces,
        mesh,
        age_recipient,
        state,
        roles,
        ..old.clone()
    }
}

impl Configuration {
    /// By which nodes tell two configurations apart. It is made of values and not of files, so a comment or a description
    /// starts no rollout; and of text, which agents of different versions make alike. For that, what a later version adds
    /// may come in only where it is not the default.
    pub fn digest(&self) -> Fingerprint {
        let Self { network, nodes, peers, secrets } = self;
        let nodes: BTreeMap<&str, Value> = nodes.iter().map(|(name, of)| (name.as_str(), node(of))).collect();
        let peers: BTreeMap<String, Value> =
            peers.iter().map(|((node, name), of)| (format!("{node}/{name}"), peer(of))).collect();
        let secrets: BTreeMap<&str, Fingerprint> =
            secrets.iter().map(|(name, secret)| (name.as_str(), secret.sealed)).collect();
        let all = json!([self::network(network), nodes, peers, secrets]);
        Fingerprint::of(&[all.to_string().as_bytes()])
    }
}

fn network(network: &Network) -> Value {
    let Network {
        name: _,
        description: _,
        mesh: _,
        rollout: _,
        asn,
        prefixes,
        service_addresses,
        health,
        drain: DrainPolicy { wait, prepend },
        routing_trial,
        switch_trial,
        transfers: TransferLimits { records, octets, message, total, concurrent },
        cookie_secret,
        rate_limit,
    } = network;
    let HealthPolicy { canary: _, interval, retry_interval, timeout, failures, recoveries, hold_down } =
        health;
    json!([
        asn.get(),
        prefixes,
        service_addresses,
        [millis(interval), millis(retry_interval), millis(timeout), millis(hold_down)],
        [failures, recoveries],
        [millis(wait), u64::from(*prepend)],
        [millis(routing_trial), millis(switch_trial)],
        [records, octets, concurrent],
        [millis(message), millis(total)],
        cookie_secret,
        rate_limit.as_ref().map(limit),
    ])
}

fn limit(limit: &RateLimit) -> Value {
    let RateLimit { responses_per_second, errors_per_second, window, slip, ipv4_prefix, ipv6_prefix, exempt } =
        limit;
    json!([responses_per_second, errors_per_second, window, slip, ipv4_prefix, ipv6_prefix, exempt])
}

fn node(node: &Node) -> Value {
    let Node {
        name: _,
        place: _,
        fqdn: _,
        description: _,
        live_since: _,
        cost: _,
        interfaces: _,
        mesh: _,
        age_recipient: _,
        state: _,
        roles,
        management,
        dns,
        routing,
        mrt,
        router_id,
    } = node;
    let archives = mrt.as_ref().map(|ArchivePolicy { interval, updates, keep_size, keep_age }| {
        let updates = updates.then(|| json!("updates"));
        [json!(millis(interval)), json!(keep_size), json!(millis(keep_age))]
            .into_iter()
            .chain(updates)
            .collect::<Value>()
    });
    let always =
        [json!(roles.contains(&Role::Edge)), json!(management), json!(dns), json!(routing), json!(router_id)];
    always.into_iter().chain(archives).collect()
}

fn peer(peer: &Peer) -> Value {
    let Peer {
        node: _,
        name: _,
        description: _,
        asn,
        relation,
        sessions,
        communities,
        prepend,
        import,
        multihop,
        bfd,
        strict_role,
        password,
    } = peer;
    let sessions: Vec<_> = sessions.iter().map(|PeerSession { local, neighbor }| [local, neighbor]).collect();
    let bfd = bfd.as_ref().map(|Bfd { interval, multiplier }| json!([millis(interval), multiplier]));
    let always = [json!(asn.get()), json!(relation), json!(sessions), json!(communities), json!(prepend)];
    let rest = [json!(import), json!(multihop), json!(strict_role), json!(password)];
    always.into_iter().chain(rest).chain(bfd).collect()
}

fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::desired::load;
    use crate::desired::model::{NodeState, ZoneSource};
    use crate::desired::slice::slice;
    use crate::names::DomainName;
    use crate::routing::RoutingDaemonKind;

    fn example() -> DesiredState {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
        load::read(&load::read_folder(&folder).unwrap()).unwrap()
    }

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    #[test]
    fn a_state_with_its_own_configuration_is_itself() {
        let state = example();
        assert!(state.with_configuration(&state.configuration()) == state);
    }

    /// Each change, and whether it goes in waves.
    #[test]
    fn the_line_is_where_it_is_said_to_be() {
        let node = || name("bremen");
        type Change = (&'static str, bool, fn(&mut DesiredState));
        let changes: [Change; 20] = [
            ("AS number", true, |state| state.network.asn = 64501.try_into().unwrap()),
            ("prefix", true, |state| _ = state.network.prefixes.pop_first()),
            ("service address", true, |state| _ = state.network.service_addresses.pop_first()),
            ("health", true, |state| state.network.health.failures += 1),
            ("rate limit", true, |state| state.network.rate_limit = Some(RateLimit::default())),
            ("cookie secret", true, |state| state.network.cookie_secret = None),
            ("a cookie secret's value", true, |state| {
                let name = state.network.cookie_secret.clone().unwrap();
                state.secrets.get_mut(&name).unwrap().sealed = Fingerprint::of(&[b"another"]);
            }),
            ("daemon", true, |state| {
                state.nodes.get_mut(&name("bremen")).unwrap().routing = RoutingDaemonKind::Openbgpd;
            }),
            ("updates in archives", true, |state| {
                let updates = ArchivePolicy { updates: true, ..ArchivePolicy::DEFAULT };
                state.nodes.get_mut(&name("bremen")).unwrap().mrt = Some(updates);
            }),
            ("BFD", true, |state| state.peers.values_mut().next().unwrap().bfd = Some(Bfd::DEFAULT)),
            ("peer", true, |state| {
                state.peers.values_mut().next().unwrap().asn = 64499.try_into().unwrap();
            }),
            ("edge", true, |state| {
                _ = state.nodes.get_mut(&name("bremen")).unwrap().roles.remove(&Role::Edge);
            }),
            ("hub", false, |state| {
                _ = state.nodes.get_mut(&name("bremen")).unwrap().roles.insert(Role::Hub);
            }),
            ("state", false, |state| {
                state.nodes.get_mut(&name("bremen")).unwrap().state = NodeState::Drained;
            }),
            ("mesh key", false, |state| {
                state.nodes.get_mut(&name("bremen")).unwrap().mesh.public_key = None;
            }),
            ("waves", false, |state| state.network.rollout = None),
            ("canary", false, |state| state.network.health.canary = "other.example".parse().unwrap()),
            ("description", false, |state| state.network.description.push('.')),
            ("a zone", false, |state| _ = state.zones.pop_first()),
            ("a TSIG key's value", false, |state| {
                let key = state.zones.values().flat_map(|zone| zone.keys()).next().unwrap().clone();
                state.secrets.get_mut(&key).unwrap().sealed = Fingerprint::of(&[b"another"]);
            }),
        ];
        let old = example();
        for (what, in_waves, change) in changes {
            let mut new = old.clone();
            change(&mut new);
            assert!(new != old, "{what}");
            assert_eq!(new.configuration().digest() != old.configuration().digest(), in_waves, "{what}");
            let held_back = new.with_configuration(&old.configuration());
            if in_waves {
                assert!(held_back == old, "{what}: it waits");
            } else {
                assert!(held_back == new, "{what}: it does not wait");
            }
            // Whichever it is, it makes a node.
            assert!(slice(&held_back, &node()).is_some());
        }
    }

    #[test]
    fn zones_go_back_with_their_keys_and_the_canary_and_nothing_else_does() {
        let old = example();
        let mut new = old.clone();
        let zone = old.zones.values().find(|zone| zone.keys().next().is_some()).unwrap();
        let key = zone.keys().next().unwrap();
        new.zones.remove(&zone.name);
        new.secrets.get_mut(key).unwrap().sealed = Fingerprint::of(&[b"another"]);
        new.network.health.canary = "other.example".parse().unwrap();
        assert!(new.with_zones(&old) == old);
        // A key that went with its zones comes back with them.
        new.secrets.remove(key);
        assert!(new.with_zones(&old) == old);
        new.network.health.failures += 1;
        new.nodes.get_mut(&name("bremen")).unwrap().state = NodeState::Drained;
        let mut mixed = new.with_zones(&old);
        assert_eq!(
            (&mixed.network.health.failures, &mixed.nodes),
            (&new.network.health.failures, &new.nodes)
        );
        mixed.network.health.failures = old.network.health.failures;
        mixed.nodes = old.nodes.clone();
        assert!(mixed == old);
        assert!(slice(&new.with_zones(&old), &name("pune")).is_some());
    }

    #[test]
    fn zones_of_one_revision_go_with_the_configuration_of_another() {
        let old = example();
        let mut new = old.clone();
        // The hubs are others, one of the former has gone, and the canary has another name.
        new.nodes.get_mut(&name("bremen")).unwrap().roles.insert(Role::Hub);
        let hubs: Vec<NodeName> = old
            .nodes
            .values()
            .filter(|node| node.roles.contains(&Role::Hub))
            .map(|n| n.name.clone())
            .collect();
        new.nodes.get_mut(&hubs[0]).unwrap().state = NodeState::Retired;
        new.network.asn = 64501.try_into().unwrap();
        let canary: DomainName = new.network.health.canary.clone();
        let moved: DomainName = "moved.example".parse().unwrap();
        let zone = new.zones.remove(&canary).unwrap();
        new.zones.insert(moved.clone(), crate::desired::model::Zone { name: moved.clone(), ..zone });
        new.network.health.canary = moved.clone();

        let mixed = new.with_configuration(&old.configuration());
        let of = |state: &DesiredState, node: &str| slice(state, &name(node)).unwrap();
        let (mixed_edge, new_edge, old_edge) = (of(&mixed, "boston"), of(&new, "boston"), of(&old, "boston"));
        assert_eq!(mixed_edge.zones, new_edge.zones);
        assert_eq!(mixed_edge.mesh, new_edge.mesh);
        assert_eq!(mixed_edge.health.canary, moved);
        assert_eq!(mixed_edge.routing, old_edge.routing);
        assert_ne!(mixed_edge.routing, new_edge.routing);
        // The new hub is one at once, as all others take it for one.
        let hub = of(&mixed, "bremen");
        let secondary =
            mixed.zones.values().find(|zone| matches!(zone.source, ZoneSource::Secondary(_))).unwrap();
        assert_eq!(hub.zones.get(&secondary.name), of(&new, "bremen").zones.get(&secondary.name));
        assert!(!hub.zones.get(&secondary.name).unwrap().transfer_to.is_empty());
    }

    #[test]
    fn a_node_that_is_new_is_as_the_newer_one_has_it() {
        let new = example();
        let mut old = new.clone();
        let node = name("bremen");
        old.nodes.remove(&node);
        old.peers.retain(|(of, _), _| *of != node);
        old.network.asn = 64501.try_into().unwrap();
        let mixed = new.with_configuration(&old.configuration());
        assert_eq!(mixed.nodes, new.nodes);
        assert_eq!(mixed.peers, new.peers);
        // And one that is gone is gone.
        let mixed = old.with_configuration(&new.configuration());
        assert_eq!(mixed.nodes, old.nodes);
        assert_eq!(mixed.peers, old.peers);
        assert_eq!(mixed.network.asn, new.network.asn);
    }

    #[test]
    fn a_secret_goes_with_what_names_it() {
        let old = example();
        let mut new = old.clone();
        // The password is no longer used, and is gone from the repository.
        let (key, password) =
            new.peers.iter().find_map(|(key, peer)| Some((key.clone(), peer.password.clone()?))).unwrap();
        new.peers.get_mut(&key).unwrap().password = None;
        new.secrets.remove(&password);
        let mixed = new.with_configuration(&old.configuration());
        assert_eq!(mixed.secrets.get(&password), old.secrets.get(&password));
        assert_eq!(slice(&mixed, &key.0), slice(&old, &key.0));
    }
}
