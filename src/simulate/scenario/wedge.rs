//! A node's name server is stopped under load, not killed: it is there, its sockets are open, and it answers nothing.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Outcome, target_with};
use crate::simulate::SimulationError;
use crate::simulate::agent::signal_daemon;
use crate::simulate::network::{Network, PATIENCE};

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let found = target_with(network, |snapshot| &snapshot.name_server).await;
    let Some((target, daemon)) = found else {
        return Ok(Outcome::skip(
            "no node that another can stand in for runs a daemon that could be stopped",
        ));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate);
    let health = &network.desired.network.health;
    // A cycle until it is met, the retries until it counts, and a cycle more for the others to show that they answer. A
    // busy machine may need as long again.
    let detection = (health.interval * 2 + (health.timeout + health.retry_interval) * health.failures) * 2;
    let load = outcome.load(network, &target).await?;

    let stopped = Instant::now();
    signal_daemon(&node, &daemon, Signal::SIGSTOP)?;
    outcome.did(format!(
        "stopped {daemon} on {node}, the nearest node to the client in {region}, at {rate} queries/s"
    ));
    let switched = load.await_answer(stopped, PATIENCE, |other| *other != node).await;
    let switch = switched.map(|at| at - stopped);
    outcome.require_switch("another node", switch, detection);
    let silent = network
        .until(PATIENCE, |name, snapshot| *name != node || snapshot.gate.class.as_deref() == Some("HARD"))
        .await;
    outcome.see_withdrawal(network, &node).await;
    match silent {
        Ok(()) => outcome.saw(format!("{node} says that it is HARD")),
        Err(_) => outcome.require(false, || format!("{node} does not say what is wrong")),
    }
    signal_daemon(&node, &daemon, Signal::SIGCONT)?;
    let woken = Instant::now();
    outcome.did(format!("let {daemon} go on"));
    outcome.require_end(network, load, &node, woken, switch).await;
    Ok(outcome)
}
