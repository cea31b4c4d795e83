//! What has to be told to a WireGuard device so that its links become the desired ones. Pure.
//!
//! WireGuard can replace all peers at once, but that forgets every session: in the kernel, and in gotatun, where even
//! naming an unchanged peer makes it anew. So a device is told the difference: which peers to remove, and which to
//! set as a whole. It ends at exactly the desired set, and an unchanged link is not mentioned.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use wireguard_control::{DeviceUpdate, Key, PeerConfigBuilder};

use crate::mesh::{LinkConfig, MeshConfig, ObservedLink, ObservedMesh, PublicKey};
use crate::names::NodeName;
use crate::netlink::host_prefix_length;

/// Seconds between keepalives on an idle link. It keeps the address translation of nodes behind NAT open (they are
/// forgotten after 30 s and more), lets the first handshake happen before the first packet, and shows in the status
/// whether a link works at all: 98 packets of 60 octets every 25 s in a network of 50 nodes.
pub(super) const KEEPALIVE_S: u16 = 25;

/// Sessions are at most this old (WireGuard paper, section 6.1: Reject-After-Time), so a link that made no handshake
/// for longer is down.
pub(super) const SESSION_S: u64 = 180;

/// What to tell the device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LinkChanges {
    remove: BTreeSet<PublicKey>,
    set: BTreeMap<PublicKey, LinkConfig>,
}

impl LinkChanges {
    pub(super) fn between(observed: &ObservedMesh, desired: &BTreeMap<NodeName, LinkConfig>) -> Self {
        let desired: BTreeMap<PublicKey, &LinkConfig> =
            desired.values().map(|link| (link.public_key, link)).collect();
        let set = desired
            .iter()
            .filter(|(key, link)| !observed.links.get(key).is_some_and(|observed| link.is_met_by(observed)))
            .map(|(key, link)| (*key, (*link).clone()))
            .collect();
        let remove = observed.links.keys().filter(|key| !desired.contains_key(key)).copied().collect();
        Self { remove, set }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }

    /// Removals first: a loopback may move from one key to another, and belongs to one peer at a time.
    pub(super) fn add_to(&self, update: DeviceUpdate) -> DeviceUpdate {
        let update = self.remove.iter().fold(update, |update, key| update.remove_peer_by_key(&Key(key.0)));
        self.set.values().fold(update, |update, link| update.add_peer(peer(link)))
    }
}

fn peer(link: &LinkConfig) -> PeerConfigBuilder {
    let mut peer = PeerConfigBuilder::new(&Key(link.public_key.0))
        .set_persistent_keepalive_interval(KEEPALIVE_S)
        .replace_allowed_ips();
    for loopback in &link.loopbacks {
        peer = peer.add_allowed_ip(*loopback, host_prefix_length(*loopback));
    }
    match link.endpoint {
        Some(endpoint) => peer.set_endpoint(endpoint),
        None => peer,
    }
}

impl LinkConfig {
    /// Whether a link is as it should be. A link that was heard from elsewhere than where we were told to send has
    /// roamed, as WireGuard's links may.
    pub fn is_met_by(&self, observed: &ObservedLink) -> bool {
        let endpoint_met = self.endpoint.is_none()
            || self.endpoint == observed.endpoint
            || self.endpoint == observed.roamed_from;
        endpoint_met && self.loopbacks == observed.loopbacks
    }
}

impl MeshConfig {
    /// The loopbacks of all other nodes: what is routed into the interface.
    pub fn remote_loopbacks(&self) -> BTreeSet<IpAddr> {
        self.links.values().flat_map(|link| &link.loopbacks).copied().collect()
    }

    /// What is to be unreachable, since its link is silent, and in words which links have fallen silent or are heard again:
    /// none when nothing has to be done.
    pub fn reroutes(&self, observed: &ObservedMesh) -> (BTreeSet<IpAddr>, Vec<String>) {
        let (mut unreachable, mut why) = (BTreeSet::new(), Vec::new());
        for (node, link) in &self.links {
            let Some(seen) = observed.links.get(&link.public_key) else { continue };
            if seen.is_silent {
                unreachable.extend(&link.loopbacks);
            }
            if link.loopbacks.iter().any(|loopback| observed.unreachable.contains(loopback) != seen.is_silent)
            {
                why.push(format!("{node} {}", if seen.is_silent { "is silent" } else { "is heard" }));
            }
        }
        (unreachable, why)
    }

    /// What is not as it should be, in words, in a fixed order. Empty when nothing has to be done.
    pub fn differences(&self, observed: &ObservedMesh) -> Vec<String> {
        let Some(port) = observed.port else { return vec!["there is no interface".to_owned()] };
        let mut why = Vec::new();
        if port != self.port {
            why.push(format!("it listens on port {port}, not {}", self.port));
        }
        let mut compare = |what: &str, desired: &BTreeSet<IpAddr>, observed: &BTreeSet<IpAddr>| {
            why.extend(desired.difference(observed).map(|address| format!("{what} {address} is missing")));
            why.extend(observed.difference(desired).map(|address| format!("{what} {address} is not ours")));
        };
        compare("loopback", &self.loopbacks, &observed.loopbacks);
        compare("route to", &self.remote_loopbacks(), &(&observed.routes | &observed.unreachable));
        for (node, link) in &self.links {
            match observed.links.get(&link.public_key) {
                None => why.push(format!("link to {node} is missing")),
                Some(seen) if seen.loopbacks != link.loopbacks => {
                    why.push(format!("link to {node} carries other addresses"));
                }
                Some(seen) if !link.is_met_by(seen) => {
                    why.push(format!("link to {node} has another endpoint"));
                }
                Some(_) => {}
            }
        }
        let desired: BTreeSet<_> = self.links.values().map(|link| link.public_key).collect();
        let unknown = observed.links.keys().filter(|key| !desired.contains(key));
        why.extend(unknown.map(|key| format!("link to key {key} is not ours")));
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u8) -> LinkConfig {
        LinkConfig {
            public_key: PublicKey([number; 32]),
            endpoint: Some(format!("192.0.2.{number}:51820").parse().unwrap()),
            loopbacks: [format!("198.51.100.{number}").parse().unwrap()].into(),
        }
    }

    fn config(links: &[LinkConfig]) -> MeshConfig {
        let named =
            |link: &LinkConfig| (format!("node-{}", link.public_key.0[0]).parse().unwrap(), link.clone());
        MeshConfig { port: 51820, loopbacks: BTreeSet::new(), links: links.iter().map(named).collect() }
    }

    fn observed(links: &[LinkConfig]) -> ObservedMesh {
        ObservedMesh {
            port: Some(51820),
            routes: links.iter().flat_map(|link| link.loopbacks.clone()).collect(),
            links: links.iter().map(|link| (link.public_key, link.untouched())).collect(),
            ..ObservedMesh::default()
        }
    }

    #[test]
    fn a_device_is_told_only_what_differs() {
        let moved = LinkConfig { endpoint: Some("192.0.2.99:7".parse().unwrap()), ..link(2) };
        let desired = config(&[link(1), moved.clone(), link(4)]);
        let changes = LinkChanges::between(&observed(&[link(1), link(2), link(3)]), &desired.links);
        assert_eq!(changes.remove, [PublicKey([3; 32])].into());
        assert_eq!(changes.set, [(PublicKey([2; 32]), moved.clone()), (PublicKey([4; 32]), link(4))].into());

        let settled = observed(&[link(1), moved, link(4)]);
        assert!(LinkChanges::between(&settled, &desired.links).is_empty());
        assert_eq!(desired.differences(&settled), Vec::<String>::new());
    }

    #[test]
    fn a_roamed_link_is_left_alone() {
        let desired = config(&[link(1)]);
        let mut seen = observed(&[link(1)]);
        let observed_link = seen.links.get_mut(&PublicKey([1; 32])).unwrap();
        observed_link.endpoint = Some("203.0.113.5:4000".parse().unwrap());
        assert_eq!(desired.differences(&seen), ["link to node-1 has another endpoint"]);
        seen.links.get_mut(&PublicKey([1; 32])).unwrap().roamed_from = link(1).endpoint;
        assert_eq!(desired.differences(&seen), Vec::<String>::new());
        // Told to send elsewhere, it does not matter where it was heard from.
        let elsewhere = LinkConfig { endpoint: Some("192.0.2.99:7".parse().unwrap()), ..link(1) };
        assert_eq!(config(&[elsewhere]).differences(&seen), ["link to node-1 has another endpoint"]);
    }

    #[test]
    fn a_silent_link_is_routed_around_until_it_is_heard() {
        let desired = config(&[link(1), link(2)]);
        let mut seen = observed(&[link(1), link(2)]);
        assert_eq!(desired.reroutes(&seen), ([].into(), vec![]));
        seen.links.get_mut(&PublicKey([2; 32])).unwrap().is_silent = true;
        let silent = link(2).loopbacks;
        assert_eq!(desired.reroutes(&seen), (silent.clone(), vec!["node-2 is silent".to_owned()]));
        seen.routes = link(1).loopbacks;
        seen.unreachable = silent.clone();
        assert_eq!(desired.reroutes(&seen), (silent, vec![]));
        assert_eq!(desired.differences(&seen), Vec::<String>::new());
        seen.links.get_mut(&PublicKey([2; 32])).unwrap().is_silent = false;
        assert_eq!(desired.reroutes(&seen), ([].into(), vec!["node-2 is heard".to_owned()]));
        // A node that is gone leaves none behind.
        let gone = config(&[link(1)]).differences(&seen);
        assert!(gone.contains(&"route to 198.51.100.2 is not ours".to_owned()), "{gone:?}");
    }

    #[test]
    fn differences_are_named() {
        let mut desired = config(&[link(1)]);
        assert_eq!(desired.differences(&ObservedMesh::default()), ["there is no interface"]);
        desired.port = 7;
        desired.loopbacks = ["198.51.100.9".parse().unwrap()].into();
        assert_eq!(
            desired.differences(&observed(&[link(2)])),
            [
                "it listens on port 51820, not 7".to_owned(),
                "loopback 198.51.100.9 is missing".to_owned(),
                "route to 198.51.100.1 is missing".to_owned(),
                "route to 198.51.100.2 is not ours".to_owned(),
                "link to node-1 is missing".to_owned(),
                format!("link to key {} is not ours", PublicKey([2; 32])),
            ]
        );
    }
}
