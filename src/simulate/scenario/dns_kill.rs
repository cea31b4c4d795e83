//! A node's name server is killed under load. The agent goes on: it starts the daemon again, and withdraws the node where
//! that takes long.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Outcome, target_with};
use crate::simulate::SimulationError;
use crate::simulate::agent::signal_daemon;
use crate::simulate::network::{Network, PATIENCE};

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let found = target_with(network, |snapshot| &snapshot.name_server).await;
    let Some((target, daemon)) = found else {
        return Ok(Outcome::skip("no node that another can stand in for runs a name server of its own"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate);
    let health = &network.desired.network.health;
    let detection = (health.interval + (health.timeout + health.retry_interval) * health.failures) * 2;
    let load = outcome.load(network, &target).await?;

    let killed = Instant::now();
    signal_daemon(&node, &daemon, Signal::SIGKILL)?;
    outcome.did(format!(
        "killed {daemon} on {node}, the nearest node to the client in {region}, at {rate} queries/s"
    ));
    let answered = load.await_answer(killed, PATIENCE, |_| true).await;
    let switch = answered.map(|at| at - killed);
    let by = network.reached(target.client, target.addresses[0]);
    outcome.require_switch(&by.map_or_else(|| "nobody".to_owned(), |by| by.to_string()), switch, detection);
    outcome.see_withdrawal(network, &node).await;
    outcome.require_end(network, load, &node, killed, switch).await;
    Ok(outcome)
}
