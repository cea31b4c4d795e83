//! The zones of one node: primary zones from the repository, secondary zones from their primaries on a hub and from the
//! hubs on an edge. Members of catalogs go the same ways, once the catalogs are read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::{DNS_PORT, linked, loopbacks};
use crate::catalog::{Catalogs, Consumed, Offered};
use crate::desired::model::{
    Client, DesiredState, MemberPolicy, Node, PrimaryZone, Role, Server, Zone, ZoneSource,
};
use crate::desired::needs::in_service;
use crate::dns::{NotifyTarget, TransferClient, TransferSource, ZoneConfig, ZoneRecords, ZoneTable};
use crate::mesh::MeshConfig;
use crate::names::AccountName;

type Targets = Arc<BTreeSet<NotifyTarget>>;
type Clients = Arc<BTreeSet<TransferClient>>;

/// Every zone of the files, and what this node does with those that are catalogs.
pub(super) fn zones(
    state: &DesiredState,
    node: &Node,
    mesh: Option<&MeshConfig>,
) -> (ZoneTable<Arc<ZoneConfig>>, Arc<Catalogs>) {
    if !in_service(node) {
        return Default::default();
    }
    let ways = Ways::of(state, node, mesh);
    // A map that grows in order is half empty, and one that is collected is full.
    let (mut zones, mut catalogs) = (Vec::new(), Catalogs::default());
    for zone in state.zones.values() {
        let source = match &zone.source {
            ZoneSource::Primary(PrimaryZone { path, text, serial }) => {
                ZoneRecords::File { path: path.clone(), text: text.clone(), serial: *serial }
            }
            ZoneSource::Secondary(primaries) => ways.from(primaries),
            ZoneSource::Catalog(primaries, members) => {
                let consumed = ways.consumed(&zone.account, primaries, members);
                catalogs.consumed.insert(zone.name.clone(), consumed);
                ways.from(primaries)
            }
            ZoneSource::OfferedCatalog => {
                if ways.hub {
                    let (notify, transfer_to) = ways.to(false, &zone.account, &[], &[]);
                    let offered = Offered { account: zone.account.clone(), notify, transfer_to };
                    catalogs.offered.insert(zone.name.clone(), offered);
                }
                continue;
            }
        };
        let passed_on = matches!(source, ZoneRecords::Transfer(_));
        let (notify, transfer_to) = ways.to(passed_on, &zone.account, &zone.notify, &zone.transfer_to);
        let (name, is_private) = (zone.name.clone(), matches!(zone.source, ZoneSource::Catalog(..)));
        zones.push((name.clone(), Arc::new(ZoneConfig { name, source, notify, transfer_to, is_private })));
    }
    if catalogs != Catalogs::default() {
        catalogs.owners =
            state.zones.values().map(|zone| (zone.name.clone(), zone.account.clone())).collect();
    }
    (zones.into_iter().collect(), Arc::new(catalogs))
}

/// From where zones come to a node, and to where they go from it.
struct Ways<'a> {
    hub: bool,
    /// Nobody: of a zone that is not passed on. Shared, since there may be many.
    nobody: (Targets, Clients),
    /// Hubs ask the primaries themselves, so only the others are told.
    edges: Targets,
    nodes: Clients,
    from_hubs: Vec<TransferSource>,
    /// Accounts that offer a catalog: whoever may have it may have the zones that it lists.
    offers: BTreeMap<&'a AccountName, &'a Zone>,
}

impl<'a> Ways<'a> {
    fn of(state: &'a DesiredState, node: &'a Node, mesh: Option<&MeshConfig>) -> Self {
        let hub = node.roles.contains(&Role::Hub);
        let others = || linked(state, node).filter(|_| mesh.is_some());
        let is_hub = |other: &&Node| other.roles.contains(&Role::Hub);
        // One address each will do.
        let address = |other: &Node| SocketAddr::new(other.mesh.loopback_v4.into(), DNS_PORT);
        let from = Some(node.mesh.loopback_v4.into());
        let edge = |other| NotifyTarget { address: address(other), from, tsig_key: None };
        let source = |other| TransferSource { address: address(other), from, tsig_key: None };
        let edges = others().filter(|other| hub && !is_hub(other)).map(edge);
        let nodes = others().filter(|_| hub).flat_map(|other| loopbacks(&other.mesh));
        let is_offer = |zone: &&Zone| matches!(zone.source, ZoneSource::OfferedCatalog);
        Self {
            hub,
            nobody: Default::default(),
            edges: Arc::new(edges.collect()),
            nodes: Arc::new(nodes.map(TransferClient::at).collect()),
            from_hubs: others().filter(is_hub).map(source).collect(),
            offers: state.zones.values().filter(is_offer).map(|zone| (&zone.account, zone)).collect(),
        }
    }

    /// Where the records of a zone with these primaries come from.
    fn from(&self, primaries: &[Server]) -> ZoneRecords {
        let source = |primary: &Server| TransferSource {
            address: primary.address,
            from: None,
            tsig_key: primary.tsig_key.clone(),
        };
        ZoneRecords::Transfer(match self.hub {
            true => primaries.iter().map(source).collect(),
            false => self.from_hubs.clone(),
        })
    }

    /// Who is told of a zone of this account and may have it: on a hub, the other nodes if it is `passed_on` to them, and
    /// those others whom files name. They come to the hubs, whose addresses are the only ones that always lead to the same
    /// node.
    fn to(
        &self,
        passed_on: bool,
        account: &AccountName,
        notify: &[Server],
        transfer_to: &[Client],
    ) -> (Targets, Clients) {
        let (targets, clients) = match passed_on {
            true => (Arc::clone(&self.edges), Arc::clone(&self.nodes)),
            false => self.nobody.clone(),
        };
        if !self.hub {
            return (targets, clients);
        }
        let target = |server: &Server| NotifyTarget {
            address: server.address,
            from: None,
            tsig_key: server.tsig_key.clone(),
        };
        let client =
            |client: &Client| TransferClient { network: client.network, tsig_key: client.tsig_key.clone() };
        let offer = self.offers.get(account);
        let (more_notify, more_transfer_to) =
            offer.map(|offer| (&offer.notify[..], &offer.transfer_to[..])).unwrap_or_default();
        (
            with(targets, notify.iter().chain(more_notify).map(target)),
            with(clients, transfer_to.iter().chain(more_transfer_to).map(client)),
        )
    }

    fn consumed(&self, account: &AccountName, primaries: &[Server], members: &MemberPolicy) -> Consumed {
        let MemberPolicy { primaries: own, limit, within, removal, transfer_to, notify } = members;
        let source = self.from(if own.is_empty() { primaries } else { own });
        let (notify, transfer_to) = self.to(true, account, notify, transfer_to);
        Consumed {
            account: account.clone(),
            limit: *limit,
            within: within.clone(),
            removal: *removal,
            source,
            notify,
            transfer_to,
        }
    }
}

/// A set and some more. Most zones have no more, and share the set.
fn with<T: Ord + Clone>(mut set: Arc<BTreeSet<T>>, more: impl Iterator<Item = T>) -> Arc<BTreeSet<T>> {
    more.for_each(|item| _ = Arc::make_mut(&mut set).insert(item));
    set
}
