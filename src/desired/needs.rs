//! Needs: which node needs which secret, and what for. A node gets those that its slice names, and no others.

use std::collections::BTreeMap;
use std::fmt;

use crate::desired::model::{DesiredState, Node, NodeState, Role};
use crate::keyring::SecretKind;
use crate::names::{DomainName, NodeName, PeerName, SecretName};

/// What a node needs a secret for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use<'a> {
    /// To transfer a zone.
    Zone(&'a DomainName),
    /// For its sessions with a BGP peer.
    Sessions(&'a PeerName),
    /// To make DNS cookies.
    Cookies,
}

impl Use<'_> {
    /// What kind of secret that takes.
    pub fn kind(self) -> SecretKind {
        match self {
            Self::Zone(_) => SecretKind::Tsig,
            Self::Sessions(_) => SecretKind::Password,
            Self::Cookies => SecretKind::Cookie,
        }
    }
}

impl fmt::Display for Use<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone(zone) => write!(f, "transfers of {zone}"),
            Self::Sessions(peer) => write!(f, "sessions with {peer}"),
            Self::Cookies => f.write_str("DNS cookies"),
        }
    }
}

/// Secrets, the nodes that need each, and what each node needs it for.
pub type Needs<'a> = BTreeMap<&'a SecretName, BTreeMap<&'a NodeName, Vec<Use<'a>>>>;

/// Whether anything runs on a node.
pub(super) fn in_service(node: &Node) -> bool {
    match node.state {
        NodeState::Live | NodeState::Drained => true,
        NodeState::Planned | NodeState::Retired => false,
    }
}

/// Who needs what.
pub fn needs<'a>(state: &'a DesiredState) -> Needs<'a> {
    let mut keys: BTreeMap<&SecretName, Vec<Use<'a>>> = BTreeMap::new();
    for zone in state.zones.values() {
        for key in zone.keys() {
            let uses = keys.entry(key).or_default();
            if uses.last() != Some(&Use::Zone(&zone.name)) {
                uses.push(Use::Zone(&zone.name));
            }
        }
    }
    let mut needs: Needs<'a> = BTreeMap::new();
    for node in state.nodes.values().filter(|node| in_service(node)) {
        let mut need = |secret, uses: &[Use<'a>]| {
            needs.entry(secret).or_default().entry(&node.name).or_default().extend(uses);
        };
        // Only a hub asks customers' primaries, and is asked by others.
        if node.roles.contains(&Role::Hub) {
            keys.iter().for_each(|(key, uses)| need(key, uses));
        }
        if let Some(secret) = &state.network.cookie_secret {
            need(secret, &[Use::Cookies]);
        }
        // Only an edge has sessions.
        if node.roles.contains(&Role::Edge) {
            let peers = state.peers.values().filter(|peer| peer.node == node.name);
            for peer in peers {
                peer.password.iter().for_each(|secret| need(secret, &[Use::Sessions(&peer.name)]));
            }
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::desired::load;
    use crate::desired::model::{Client, SealedSecret, Server, ZoneSource};
    use crate::desired::slice::slice;
    use crate::fingerprint::Fingerprint;

    /// What the slices name, and what is needed, are the same, whatever the nodes are.
    #[test]
    fn a_node_needs_what_its_slice_names() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
        let mut state = load::read(&load::read_folder(&folder).unwrap()).unwrap();
        let name = |name: &str| -> SecretName { name.parse().unwrap() };
        let sealed = |path: &str| SealedSecret {
            path: path.to_owned(),
            octets: [].into(),
            sealed: Fingerprint::of(&[path.as_bytes()]),
        };
        state.secrets = ["one", "two", "members", "client", "told", "session", "cookies"]
            .into_iter()
            .map(|secret| (name(secret), sealed(secret)))
            .collect();
        state.network.cookie_secret = Some(name("cookies"));
        for (zone, number) in state.zones.values_mut().zip(0..) {
            if number == 0 {
                zone.transfer_to.push(Client { network: None, tsig_key: Some(name("client")) });
                let address = ([192, 0, 2, 1], 53).into();
                zone.notify.push(Server { address, tsig_key: Some(name("told")) });
            }
            let key = [None, Some(name("one")), Some(name("two"))][number % 3].clone();
            match &mut zone.source {
                ZoneSource::Primary(_) | ZoneSource::OfferedCatalog => {}
                ZoneSource::Secondary(primaries) => {
                    primaries.iter_mut().for_each(|primary| primary.tsig_key.clone_from(&key));
                }
                ZoneSource::Catalog(primaries, members) => {
                    primaries.iter_mut().for_each(|primary| primary.tsig_key.clone_from(&key));
                    members.primaries =
                        vec![Server { tsig_key: Some(name("members")), ..primaries[0].clone() }];
                }
            }
        }
        for (peer, number) in state.peers.values_mut().zip(0..) {
            peer.password = (number % 2 == 0).then(|| name("session"));
        }
        let states = [NodeState::Live, NodeState::Drained, NodeState::Retired, NodeState::Planned];
        for turn in 0..states.len() {
            for (node, number) in state.nodes.values_mut().zip(0..) {
                node.state = states[(number + turn) % states.len()];
            }
            let needs = needs(&state);
            let mut any = 0;
            for node in state.nodes.keys() {
                let sliced = slice(&state, node).unwrap();
                let named: BTreeSet<SecretName> = sliced.secrets().map(|secret| secret.name).collect();
                let needed: BTreeSet<SecretName> = needs
                    .iter()
                    .filter(|(_, nodes)| nodes.contains_key(node))
                    .map(|(secret, _)| (*secret).clone())
                    .collect();
                assert_eq!(named, needed, "{node}");
                any += named.len();
            }
            assert_ne!(any, 0);
        }
    }
}
