//! One node's agent is killed under load, and its name server and BGP sessions with it; then it starts again. A routing
//! daemon of its own would announce on, so it is killed, too.

use std::time::Duration;

use super::Outcome;
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, PATIENCE};

/// Queries before, and after, to know what is normal.
const CALM: Duration = Duration::from_secs(1);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(target) = network.target() else {
        return Ok(Outcome::skip("no node can stand in for another"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate);
    let health = &network.desired.network.health;
    // What the node's own probes would need to notice, if the session did not break first.
    let detection = health.timeout + health.retry_interval * health.failures;
    let load = outcome.load(network, &target).await?;
    tokio::time::sleep(CALM).await;

    let Some(agent) = network.agents.get_mut(&node) else {
        return Ok(Outcome::skip("the nearest node does not run"));
    };
    let killed = agent.kill().await?;
    let with = agent.kill_routing_daemon().map_or_else(String::new, |daemon| format!(" and its {daemon}"));
    outcome.did(format!(
        "killed the agent{with} of {node}, the nearest node to the client in {region}, at {rate} queries/s"
    ));
    let switched = load.await_answer(killed, PATIENCE, |other| *other != node).await;
    let switch = switched.map(|at| at - killed);
    let by = network.reached(target.client, target.addresses[0]);
    let by = by.map_or_else(|| "nobody".to_owned(), |node| node.to_string());
    outcome.require_switch(&by, switch, detection);
    tokio::time::sleep(CALM).await;

    let restarted = std::time::Instant::now();
    if let Some(agent) = network.agents.get_mut(&node) {
        agent.start()?;
    }
    outcome.did(format!("started the agent of {node} again"));
    let back = load.await_answer(restarted, PATIENCE, |other| *other == node).await;
    outcome.require_back(&node, back.map(|at| at - restarted));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    let tally = load.finish().await;
    outcome.require_loss_of_switch_alone(&tally, switch, rate);
    Ok(outcome)
}
