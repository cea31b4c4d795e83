//! The agent of a node ends as it is told, and starts again, under load: what an upgrade does. Where the name server is embedded
//! in it, the node withdraws first and others answer meanwhile; no query is lost.

use std::time::Instant;

use super::Outcome;
use crate::names::NodeName;
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let snapshots = network.snapshots().await;
    let runs = |name: &NodeName, embedded: (bool, bool)| {
        snapshots.get(name).is_some_and(|seen| {
            let is = |running: &str| running == "embedded";
            (is(&seen.name_server.running), is(&seen.routing_daemon.running)) == embedded
        })
    };
    // Most can go wrong where the name server ends with the agent, and the routing daemon does not.
    let mixes = [(true, false), (true, true), (false, false), (false, true)];
    let Some(target) = mixes.into_iter().find_map(|mix| network.target_among(|name| runs(name, mix))) else {
        return Ok(Outcome::skip("no node has another that can stand in for it"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let load = outcome.load(network, &target).await?;
    let (told, region, rate) = (Instant::now(), network.region(&target), network.rate);
    let Some(agent) = network.agents.get_mut(&node) else {
        return Ok(Outcome::skip("the nearest node does not run"));
    };
    let ended = agent.end().await?;
    let daemons = snapshots.get(&node).map_or_else(String::new, |seen| {
        format!("name server {}, routing daemon {}", seen.name_server.running, seen.routing_daemon.running)
    });
    outcome.figure("ending_ms", milliseconds(ended - told));
    outcome.did(format!(
        "ended the agent of {node} ({daemons}), the nearest node to the client in {region}, at {rate} queries/s"
    ));
    let started = Instant::now();
    agent.start()?;
    outcome.did(format!("started the agent of {node} again"));
    let back = load.await_answer(started, PATIENCE, |other| *other == node).await;
    outcome.require_back(&node, back.map(|at| at - started));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    let tally = load.finish().await;
    outcome.require_no_loss(&[tally]);
    Ok(outcome)
}
