//! Provider: the other ends of the nodes' BGP sessions, one AS for each that the peer files name. All are speakers of our
//! own, or one BIRD is all of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::SimulationError;
use super::options::Providers;
use crate::desired::model::Peer;
use crate::fingerprint::Fingerprint;
use crate::keyring::{Keyring, SecretRef};
use crate::names::Asn;
use crate::routing::embedded::provider::{Customer, ProviderConfig, ProviderEvent, ProviderSpeaker};

mod bird;

/// The port of BGP (RFC 4271 section 8.2.1).
const PORT: u16 = 179;

/// What the providers are, by the peer files of the nodes that run.
pub(crate) fn configs<'a>(own: Asn, peers: impl Iterator<Item = &'a Peer>) -> Vec<ProviderConfig> {
    let mut customers: BTreeMap<Asn, Vec<Customer>> = BTreeMap::new();
    let mut passwords: BTreeMap<Asn, BTreeMap<_, SecretRef>> = BTreeMap::new();
    for peer in peers {
        let sessions = peer.sessions.iter().map(|session| Customer {
            local: session.neighbor,
            neighbor: session.local,
            asn: own,
            relation: peer.relation,
            multihop: peer.multihop,
        });
        customers.entry(peer.asn).or_default().extend(sessions);
        let of_asn = passwords.entry(peer.asn).or_default();
        if let Some(name) = &peer.password {
            // It never changes here.
            let secret = SecretRef { name: name.clone(), sealed: Fingerprint::of(&[]) };
            let ends = peer.sessions.iter().map(|session| (session.neighbor, session.local));
            of_asn.extend(ends.map(|ends| (ends, secret.clone())));
        }
    }
    customers
        .into_iter()
        .zip(1..)
        .map(|((asn, customers), number)| ProviderConfig {
            asn,
            // A number to tell BGP speakers apart (RFC 6286), not an address that anybody has.
            router_id: Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 19, 254, 0)) + number),
            port: PORT,
            customers,
            passwords: passwords.remove(&asn).unwrap_or_default(),
        })
        .collect()
}

/// What runs; all of it ends when dropped.
pub(crate) struct Running {
    /// Speakers of our own: the providers, or what listens to BIRD.
    _speakers: Vec<ProviderSpeaker>,
    _bird: Option<tokio::process::Child>,
}

/// Addresses of the internet that they need besides the sessions' own.
pub(crate) fn addresses(kind: Providers, configs: &[ProviderConfig]) -> Vec<IpAddr> {
    match kind {
        Providers::Embedded => Vec::new(),
        Providers::Bird => bird::addresses(configs),
    }
}

/// Starts them in the internet.
pub(crate) fn start(
    kind: Providers,
    configs: &[ProviderConfig],
    keyring: &Arc<Keyring>,
    events: &mpsc::Sender<ProviderEvent>,
) -> Result<Running, SimulationError> {
    match kind {
        Providers::Embedded => {
            let speakers = configs.iter().map(|config| speak(config, keyring, events));
            Ok(Running { _speakers: speakers.collect::<Result<_, _>>()?, _bird: None })
        }
        Providers::Bird => bird::start(configs, keyring, events),
    }
}

fn speak(
    config: &ProviderConfig,
    keyring: &Arc<Keyring>,
    events: &mpsc::Sender<ProviderEvent>,
) -> Result<ProviderSpeaker, SimulationError> {
    ProviderSpeaker::start(config, keyring, events).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        SimulationError {
            operation: format!("start the provider AS{}", config.asn),
            why: format!("{error}: {source}"),
        }
    })
}
