//! Router: turns what the providers hear into the clients' routes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::SimulationError;
use super::catchment::{Rib, SessionEnds};
use super::internet::{Client, Internet};
use super::link;
use crate::names::{Community, NodeName};
use crate::routing::embedded::provider::{Change, Customer, ProviderEvent};

/// A client's way to a prefix.
#[derive(Debug, Clone)]
struct Way {
    node: NodeName,
    session: SessionEnds,
    interface: u32,
}

/// Who is reached from where, as it stands now.
#[derive(Debug, Default)]
struct State {
    /// Whose address is at a session's end.
    nodes: BTreeMap<IpAddr, NodeName>,
    rib: Rib,
    /// When the last route of a node to a prefix went.
    gone: BTreeMap<(NodeName, IpNet), Instant>,
    /// By client number and prefix.
    ways: BTreeMap<(usize, IpNet), Way>,
    /// What went wrong, for the run to end with.
    fault: Option<SimulationError>,
}

/// The router's state, readable while it works.
#[derive(Debug, Clone)]
pub(crate) struct Router(Arc<Mutex<State>>);

impl Router {
    /// A router that knows whose address each session's end is.
    pub(crate) fn new(nodes: BTreeMap<IpAddr, NodeName>) -> Self {
        Self(Arc::new(Mutex::new(State { nodes, ..State::default() })))
    }

    /// Works until the senders of events are gone.
    pub(crate) async fn run(
        self,
        internet: Arc<Internet>,
        clients: Arc<Vec<Client>>,
        mut events: mpsc::Receiver<ProviderEvent>,
    ) {
        while let Some(event) = events.recv().await {
            let changed = self.hear(event);
            for prefix in changed {
                for (number, client) in clients.iter().enumerate() {
                    if let Err(fault) = self.install(&internet, number, client, prefix).await {
                        tracing::error!(%fault, "a client's route could not be changed");
                        self.lock().fault.get_or_insert(fault);
                    }
                }
            }
        }
    }

    fn hear(&self, event: ProviderEvent) -> Vec<IpNet> {
        let mut state = self.lock();
        let Customer { local, neighbor, .. } = event.customer;
        let Some(node) = state.nodes.get(&neighbor).cloned() else { return Vec::new() };
        let session = SessionEnds { node: node.clone(), local: neighbor, neighbor: local };
        let changed = match event.change {
            Change::Up => Vec::new(),
            Change::Announced { prefix, route } => {
                let shutting_down = route.communities.contains(&Community::GRACEFUL_SHUTDOWN);
                state.rib.announce(session, prefix, shutting_down);
                vec![prefix]
            }
            Change::Withdrawn { prefix } => {
                state.rib.withdraw(&session, &prefix);
                vec![prefix]
            }
            Change::Down { why } => {
                tracing::debug!(node = %session.node, neighbor = %session.neighbor, %why, "a session ended");
                state.rib.end(&session)
            }
        };
        for prefix in &changed {
            let key = (node.clone(), *prefix);
            if state.rib.is_announced_by(prefix, &node) {
                state.gone.remove(&key);
            } else {
                state.gone.entry(key).or_insert_with(Instant::now);
            }
        }
        changed
    }

    async fn install(
        &self,
        internet: &Internet,
        number: usize,
        client: &Client,
        prefix: IpNet,
    ) -> Result<(), SimulationError> {
        let key = (number, prefix);
        let (best, before) = {
            let state = self.lock();
            (state.rib.best(&prefix, &client.distances).cloned(), state.ways.get(&key).cloned())
        };
        if best.as_ref() == before.as_ref().map(|way| &way.session) {
            return Ok(());
        }
        let netlink = internet.netlink();
        let way = best.and_then(|session| {
            let interface = internet.hop(session.local)?;
            Some(Way { node: session.node.clone(), session, interface })
        });
        match (way, before) {
            (Some(way), _) => {
                link::set_route(netlink, client.table, prefix, Some(way.session.local), way.interface)
                    .await?;
                self.lock().ways.insert(key, way);
            }
            (None, Some(old)) => {
                let via = Some(old.session.local);
                link::remove_route(netlink, client.table, prefix, via, old.interface).await?;
                self.lock().ways.remove(&key);
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The node that a client's packets to an address reach, if any.
    pub(crate) fn reached(&self, client: usize, prefix: IpNet) -> Option<NodeName> {
        self.lock().ways.get(&(client, prefix)).map(|way| way.node.clone())
    }

    /// How many nodes announce a prefix.
    pub(crate) fn announcers(&self, prefix: &IpNet) -> usize {
        self.lock().rib.announcers(prefix)
    }

    /// When the last route of a node went; `None` while it announces anything, or if it never did.
    pub(crate) fn withdrawn_at(&self, node: &NodeName) -> Option<Instant> {
        let state = self.lock();
        let of_node = state.gone.iter().filter(|((name, _), _)| name == node);
        let last = of_node.map(|(_, at)| *at).max();
        last.filter(|_| !state.rib.announces(node))
    }

    /// Waits for that, if it happened from this moment on.
    pub(crate) async fn await_withdrawal(
        &self,
        node: &NodeName,
        from: Instant,
        patience: Duration,
    ) -> Option<Instant> {
        while from.elapsed() < patience {
            if let Some(at) = self.withdrawn_at(node).filter(|at| *at >= from) {
                return Some(at);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// The first thing that went wrong, if any.
    pub(crate) fn fault(&self) -> Option<SimulationError> {
        self.lock().fault.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
