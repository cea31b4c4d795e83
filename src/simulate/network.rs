//! Network: the running whole, as scenarios see and change it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ipnet::IpNet;

use super::SimulationError;
use super::agent::Agent;
use super::internet::{Client, LinkEnds};
use super::load::Load;
use super::primaries::Primaries;
use super::probe::{self, Probe, Spread};
use super::provider;
use super::question::Answer;
use super::repository::Operator;
use super::router::Router;
use crate::desired::model::{DesiredState, Node, Role, ZoneSource};
use crate::names::{DomainName, NodeName, Revision};
use crate::status::Snapshot;
use hickory_proto::rr::RecordType;

/// How long the nodes may take to do anything, before it counts as not done. Generous: a figure says how long it
/// took, and a slow machine is not a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The whole network, running.
pub(crate) struct Network {
    /// What the first commit said.
    pub(crate) desired: DesiredState,
    /// The agents of the nodes that run.
    pub(crate) agents: BTreeMap<NodeName, Agent>,
    /// A way to ask inside each of them.
    pub(crate) probes: BTreeMap<NodeName, Probe>,
    /// Where packets come from.
    pub(crate) clients: Arc<Vec<Client>>,
    /// Who is reached from where.
    pub(crate) router: Router,
    /// Who pushes.
    pub(crate) operator: Operator,
    /// The customers' name servers.
    pub(crate) primaries: Primaries,
    /// Both ends of the links that lead to each node.
    pub(crate) links: BTreeMap<NodeName, Vec<LinkEnds>>,
    /// Queries a second of a load.
    pub(crate) rate: u32,
    /// The BGP speakers of the nodes' peers; they end when dropped.
    pub(crate) _providers: provider::Running,
}

/// A load that knows whom it hits.
pub(crate) struct Target {
    /// The client's place in [`Network::clients`].
    pub(crate) client: usize,
    /// The node that its packets reach, for every address in `addresses`.
    pub(crate) node: NodeName,
    /// The service addresses to ask.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Network {
    /// What every agent says of itself; nothing of one that does not answer.
    pub(crate) async fn snapshots(&self) -> BTreeMap<NodeName, Snapshot> {
        self.snapshots_of(self.agents.keys()).await
    }

    /// The same of some.
    pub(crate) async fn snapshots_of<'a>(
        &self,
        names: impl Iterator<Item = &'a NodeName>,
    ) -> BTreeMap<NodeName, Snapshot> {
        let ask = |name: &'a NodeName| async move {
            Some((name.clone(), Agent::snapshot(self.agents.get(name)?).await?))
        };
        join_all(names.map(ask)).await.into_iter().flatten().collect()
    }

    /// Waits until this holds of every node; otherwise gives the nodes of which it does not, and what they say.
    pub(crate) async fn until(
        &self,
        patience: Duration,
        holds: impl Fn(&NodeName, &Snapshot) -> bool,
    ) -> Result<(), BTreeMap<NodeName, Option<Snapshot>>> {
        self.until_but(None, patience, holds).await
    }

    /// The same without one node.
    pub(crate) async fn until_but(
        &self,
        but: Option<&NodeName>,
        patience: Duration,
        holds: impl Fn(&NodeName, &Snapshot) -> bool,
    ) -> Result<(), BTreeMap<NodeName, Option<Snapshot>>> {
        let begun = Instant::now();
        let mut open: BTreeSet<&NodeName> = self.agents.keys().filter(|name| Some(*name) != but).collect();
        loop {
            let ask = |name| async move { (name, Agent::snapshot(&self.agents[name]).await) };
            let seen = join_all(open.iter().copied().map(ask)).await;
            let unmet: BTreeMap<NodeName, Option<Snapshot>> = seen
                .into_iter()
                .filter(|(name, snapshot)| !snapshot.as_ref().is_some_and(|snapshot| holds(name, snapshot)))
                .map(|(name, snapshot)| (name.clone(), snapshot))
                .collect();
            if unmet.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > patience {
                return Err(unmet);
            }
            open.retain(|name| unmet.contains_key(*name));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until every node has applied a revision and is settled on it.
    pub(crate) async fn until_applied(&self, revision: Revision) -> Result<(), String> {
        self.until(PATIENCE, |_, snapshot| {
            snapshot.revision == Some(revision) && snapshot.refusal.is_none() && snapshot.settled
        })
        .await
        .map_err(|unmet| {
            let said =
                unmet.values().flatten().flat_map(|snapshot| snapshot.actions.iter().chain(&snapshot.waits));
            let said = said.take(2).cloned().collect::<Vec<_>>().join("; ");
            format!(
                "{} had not settled on {} after {} s: {said}",
                names(unmet.keys()),
                revision.short(),
                PATIENCE.as_secs()
            )
        })
    }

    /// Asks every node, at every service address, for a name until `good` holds of its answer.
    pub(crate) async fn everywhere(
        &self,
        name: &DomainName,
        rtype: RecordType,
        since: Instant,
        good: impl Fn(&Answer) -> bool,
    ) -> Spread {
        self.everywhere_but(None, name, rtype, since, good).await
    }

    /// The same without one node.
    pub(crate) async fn everywhere_but(
        &self,
        but: Option<&NodeName>,
        name: &DomainName,
        rtype: RecordType,
        since: Instant,
        good: impl Fn(&Answer) -> bool,
    ) -> Spread {
        let addresses = self.service_addresses();
        let edges = self.probes.iter().filter(|(name, _)| self.is_edge(name) && Some(*name) != but);
        let probes: BTreeMap<&NodeName, &Probe> = edges.collect();
        probe::everywhere(&probes, &addresses, (name, rtype), since, PATIENCE, good).await
    }

    /// What each edge says of a zone's SOA record at one service address now.
    pub(crate) async fn soa_now(&self, zone: &DomainName) -> BTreeMap<NodeName, Option<Answer>> {
        let Some(address) = self.service_addresses().first().copied() else { return BTreeMap::new() };
        // Another one each time, so that no late answer is taken for a new one.
        let id = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |time| (time.as_millis() & 0x7fff) as u16 + 1);
        let edges = self.probes.iter().filter(|(name, _)| self.is_edge(name));
        let asked = edges.map(async |(name, probe)| {
            let patience = Duration::from_millis(300);
            (name.clone(), probe.ask(address, id, zone, RecordType::SOA, patience).await)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// The hubs that run.
    pub(crate) fn hubs(&self) -> Vec<NodeName> {
        self.agents.keys().filter(|name| self.is_hub(name)).cloned().collect()
    }

    fn is_edge(&self, node: &NodeName) -> bool {
        self.desired.nodes.get(node).is_some_and(|node: &Node| node.roles.contains(&Role::Edge))
    }

    /// The anycast addresses.
    pub(crate) fn service_addresses(&self) -> Vec<IpAddr> {
        self.desired.network.service_addresses.iter().copied().collect()
    }

    /// The anycast prefix that an address is in.
    pub(crate) fn prefix_of(&self, address: IpAddr) -> Option<IpNet> {
        self.desired.network.prefixes.iter().find(|prefix| prefix.contains(&address)).copied()
    }

    /// The node that a client's packets to an address reach.
    pub(crate) fn reached(&self, client: usize, address: IpAddr) -> Option<NodeName> {
        self.router.reached(client, self.prefix_of(address)?)
    }

    /// A client, the node nearest to it, and the addresses that lead there, where another node announces all of
    /// these too. `None` in a network where no node can stand in for another.
    pub(crate) fn target(&self) -> Option<Target> {
        self.target_among(|_| true)
    }

    /// The same, of some nodes.
    pub(crate) fn target_among(&self, wanted: impl Fn(&NodeName) -> bool) -> Option<Target> {
        let others = |address: &IpAddr| {
            self.prefix_of(*address).is_some_and(|prefix| self.router.announcers(&prefix) > 1)
        };
        let targets = (0..self.clients.len()).filter_map(|client| {
            let addresses = self.service_addresses().into_iter().filter(others);
            let reached: Vec<(IpAddr, NodeName)> =
                addresses.filter_map(|address| Some((address, self.reached(client, address)?))).collect();
            let node = reached.iter().map(|(_, node)| node).find(|node| wanted(node))?.clone();
            let addresses =
                reached.into_iter().filter(|(_, at)| *at == node).map(|(address, _)| address).collect();
            Some(Target { client, node, addresses })
        });
        // A hub has more to lose, and more addresses mean more families: the last best one of these.
        targets.max_by_key(|target| (target.addresses.len(), !self.is_hub(&target.node)))
    }

    fn is_hub(&self, node: &NodeName) -> bool {
        self.desired.nodes.get(node).is_some_and(|node| node.roles.contains(&Role::Hub))
    }

    /// The zone that loads ask for: the canary, which every node has.
    pub(crate) fn canary(&self) -> &DomainName {
        &self.desired.network.health.canary
    }

    /// Where the client of a target is.
    pub(crate) fn region(&self, target: &Target) -> &'static str {
        self.clients[target.client].region.name
    }

    /// Begins a load on a target, of so many queries a second.
    pub(crate) fn load(&self, target: &Target, rate: u32) -> Result<Load, SimulationError> {
        Load::start(&self.clients[target.client], &target.addresses, self.canary(), rate)
    }

    /// Begins a load from every client that reaches a node; together they have the full rate.
    pub(crate) fn load_everywhere(&self) -> Result<Vec<Load>, SimulationError> {
        let served = |client: &usize, address: &IpAddr| self.reached(*client, *address).is_some();
        let targets: Vec<(usize, Vec<IpAddr>)> = (0..self.clients.len())
            .map(|client| {
                let addresses = self.service_addresses();
                (client, addresses.into_iter().filter(|address| served(&client, address)).collect())
            })
            .filter(|(_, addresses): &(usize, Vec<IpAddr>)| !addresses.is_empty())
            .collect();
        let rate = (self.rate / u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX)).max(1);
        targets
            .iter()
            .map(|(client, addresses)| Load::start(&self.clients[*client], addresses, self.canary(), rate))
            .collect()
    }

    /// A zone whose records stand in the repository, other than the canary, and the path of its zone file.
    pub(crate) fn a_primary_zone(&self) -> Option<(DomainName, String)> {
        self.desired.zones.values().find_map(|zone| match &zone.source {
            ZoneSource::Primary(primary) if zone.name != *self.canary() => {
                Some((zone.name.clone(), primary.path.to_string()))
            }
            ZoneSource::Primary(_)
            | ZoneSource::Secondary(_)
            | ZoneSource::Catalog(..)
            | ZoneSource::OfferedCatalog => None,
        })
    }
}

/// Names in a sentence.
pub(crate) fn names<'a>(nodes: impl Iterator<Item = &'a NodeName>) -> String {
    nodes.map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
