//! A node's routing daemon is killed under load. Its sessions break at once, and the agent starts it again.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Outcome, target_with};
use crate::simulate::SimulationError;
use crate::simulate::agent::signal_daemon;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let found = target_with(network, |snapshot| &snapshot.routing_daemon).await;
    let Some((target, daemon)) = found else {
        return Ok(Outcome::skip("no node that another can stand in for runs a routing daemon of its own"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate);
    let health = &network.desired.network.health;
    // What the node's own probes would need to notice, if the sessions did not break first.
    let detection = health.timeout + health.retry_interval * health.failures;
    let load = outcome.load(network, &target).await?;

    let killed = Instant::now();
    signal_daemon(&node, &daemon, Signal::SIGKILL)?;
    outcome.did(format!(
        "killed {daemon} on {node}, the nearest node to the client in {region}, at {rate} queries/s"
    ));
    // The node answers on, whoever has a route to it.
    let gone = network.router.await_withdrawal(&node, killed, PATIENCE).await;
    match gone {
        Some(at) => {
            outcome.figure("withdrawal_ms", milliseconds(at.saturating_duration_since(killed)));
        }
        None => outcome.require(false, || format!("the peers of {node} kept its routes")),
    }
    let switched = load.await_answer(killed, PATIENCE, |other| *other != node).await;
    let switch = switched.map(|at| at - killed);
    outcome.require_switch("another node", switch, detection);
    let back = match switched {
        Some(switched) => load.await_answer(switched, PATIENCE * 2, |other| *other == node).await,
        None => None,
    };
    outcome.require_back(&node, back.map(|at| at - killed));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    let tally = load.finish().await;
    outcome.require_loss_of_switch_alone(&tally, switch, rate);
    Ok(outcome)
}
