//! Provider: the other ends of the nodes' BGP sessions, one speaker per AS that the peer files name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tokio::sync::mpsc;

use super::{Context, SimulationError};
use crate::desired::model::Peer;
use crate::names::Asn;
use crate::routing::embedded::provider::{Customer, ProviderConfig, ProviderEvent, ProviderSpeaker};

/// The port of BGP (RFC 4271 section 8.2.1).
const PORT: u16 = 179;

/// What the providers are, by the peer files of the nodes that run.
pub(crate) fn configs<'a>(own: Asn, peers: impl Iterator<Item = &'a Peer>) -> Vec<ProviderConfig> {
    let mut customers: BTreeMap<Asn, Vec<Customer>> = BTreeMap::new();
    for peer in peers {
        let sessions = peer.sessions.iter().map(|session| Customer {
            local: session.neighbor,
            neighbor: session.local,
            asn: own,
            relation: peer.relation,
            multihop: peer.multihop,
        });
        customers.entry(peer.asn).or_default().extend(sessions);
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
        })
        .collect()
}

/// Starts them in the internet.
pub(crate) fn start(
    configs: &[ProviderConfig],
    events: &mpsc::Sender<ProviderEvent>,
) -> Result<Vec<ProviderSpeaker>, SimulationError> {
    let start = |config: &ProviderConfig| {
        ProviderSpeaker::start(config, events).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            SimulationError {
                operation: format!("start the provider AS{}", config.asn),
                why: format!("{error}: {source}"),
            }
        })
    };
    configs.iter().map(start).collect::<Result<_, _>>().context(|| "start the providers".into())
}
