//! The parts of a node, and the two things that are done with them: observe all, apply a plan.
//!
//! Neither decides anything. An observation that fails is `Unknown`; an action that fails is reported, and the
//! others go on, but nothing new is announced after a withdrawal that failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::edge::{Edge, Look};
use crate::dns::{NameServer, NameServerKind};
use crate::host::Host;
use crate::mesh::Mesh;
use crate::observed::{ObservedNode, Seen};
use crate::plan::{Action, Plan};
use crate::routing::{Origination, RoutingDaemon};

/// How long a part may take to answer one call; a daemon that hangs must not hang the agent.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same of an agent that is to end.
const PARTING: Duration = Duration::from_secs(5);
/// How long queries are answered after the withdrawal: neighbours take a moment to send them elsewhere.
const LINGER: Duration = Duration::from_secs(1);

/// What a node is made of.
#[derive(Clone)]
pub struct Parts {
    /// The operating system.
    pub host: Arc<dyn Host>,
    /// The mesh.
    pub mesh: Arc<dyn Mesh>,
    /// The name server.
    pub name_server: Arc<dyn NameServer>,
    /// The routing daemon.
    pub routing: Arc<dyn RoutingDaemon>,
    edge: Edge,
}

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The action, in words.
    pub action: String,
    /// What was met.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.why)
    }
}

impl Parts {
    /// These parts.
    pub fn new(
        host: Arc<dyn Host>,
        mesh: Arc<dyn Mesh>,
        name_server: Arc<dyn NameServer>,
        routing: Arc<dyn RoutingDaemon>,
    ) -> Self {
        Self { host, mesh, name_server, routing, edge: Edge::default() }
    }

    /// Reads everything, all parts at once. The addresses and the routing daemon are as they were just seen, where they were.
    pub async fn observe(&self) -> ObservedNode {
        let edge = async {
            match self.edge.take() {
                Some(look) => look,
                None => self.look(PATIENCE).await,
            }
        };
        let (edge, mesh, name_server) =
            tokio::join!(edge, bounded(self.mesh.observe()), bounded(self.name_server.observe()));
        ObservedNode {
            service_addresses: edge.addresses,
            mesh: Seen::from(mesh),
            name_server: Seen::from(name_server),
            routing: edge.routing,
        }
    }

    async fn look(&self, patience: Duration) -> Look {
        let (addresses, routing) = tokio::join!(
            within(patience, self.host.service_addresses()),
            within(patience, self.routing.observe())
        );
        Look { addresses: Seen::from(addresses), routing: Seen::from(routing) }
    }

    /// What cannot wait for the rest: the addresses and the routing daemon, within this time. The next to observe
    /// everything need not look at them once more.
    pub(super) async fn observe_edge(&self, patience: Duration) -> Arc<Look> {
        let begun = self.edge.begin();
        let look = self.look(patience).await;
        self.edge.leave(&begun, look)
    }

    /// What was seen of the edge may be so no more.
    pub(super) fn doubt_edge(&self) {
        self.edge.acted();
    }

    /// Until `observe_edge` sees something else than the last time.
    pub(super) async fn edge_moved(&self) {
        self.edge.moved().await;
    }

    /// Carries out the plan's actions in their order. Before something is announced it is asked once more whether that
    /// still holds.
    pub async fn apply(&self, plan: &Plan, allowed: impl Fn(&Action) -> bool) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut guarded = true;
        for action in &plan.actions {
            if matches!(action, Action::Announce { .. }) && !guarded {
                failures.push(Failure {
                    action: action.to_string(),
                    why: "left undone, since a withdrawal before it failed".to_owned(),
                });
                continue;
            }
            if !allowed(action) {
                failures.push(Failure {
                    action: action.to_string(),
                    why: "the gate has changed its mind".to_owned(),
                });
                continue;
            }
            if let Err(why) = self.carry_out(action).await {
                guarded &= !action.guards_announcement();
                failures.push(Failure { action: action.to_string(), why });
            }
        }
        failures
    }

    /// What an agent does last. A name server of its own ends with it, so nothing is announced any more, by whatever daemon, and
    /// what still comes meanwhile is answered. Other name servers go on without an agent, and so does what is announced.
    pub async fn part(&self) {
        let (name_server, routing) = tokio::join!(
            within(PARTING, self.name_server.observe()),
            within(PARTING, self.routing.observe())
        );
        let is_ours = name_server.is_ok_and(|seen| seen.running == NameServerKind::Embedded);
        if !is_ours || routing.is_ok_and(|seen| seen.originated.is_empty()) {
            return;
        }
        match within(PARTING, self.routing.originate(&Origination::new())).await {
            Ok(()) => tokio::time::sleep(LINGER).await,
            Err(why) => warn!(why, "what is announced could not be withdrawn"),
        }
    }

    async fn carry_out(&self, action: &Action) -> Result<(), String> {
        self.edge.acted();
        let done = self.call(action).await;
        self.edge.acted();
        done
    }

    async fn call(&self, action: &Action) -> Result<(), String> {
        match action {
            Action::Drain { origination }
            | Action::Withdraw { prefixes: _, origination, why: _ }
            | Action::Announce { origination } => bounded(self.routing.originate(origination)).await,
            Action::RemoveAddress(address) => bounded(self.host.remove_service_address(*address)).await,
            Action::AddAddress(address) => bounded(self.host.add_service_address(*address)).await,
            Action::ConfigureMesh { config, why: _ } => bounded(self.mesh.configure(config)).await,
            Action::RerouteMesh { unreachable, why: _ } => bounded(self.mesh.reroute(unreachable)).await,
            Action::ConfigureNameServer { config, why: _ } => {
                bounded(self.name_server.configure(config)).await
            }
            Action::ChangeZones(changes) => bounded(self.name_server.apply(changes)).await,
            Action::ConfigureRouting { config, why: _ } => bounded(self.routing.configure(config)).await,
        }
    }
}

async fn bounded<T, E: fmt::Display>(call: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    within(PATIENCE, call).await
}

async fn within<T, E: fmt::Display>(
    patience: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(patience, call).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}
