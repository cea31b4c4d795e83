//! A node's links fall silent under load: nothing is said, packets are lost both ways. A peer finds it out when its kernel
//! has given up to resolve the node's address, at the latest when the hold time of BGP is over.

use std::time::{Duration, Instant};

use super::Outcome;
use crate::names::NodeName;
use crate::routing::HOLD_TIME;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;
use crate::simulate::{SimulationError, silence};

/// Timers of BGP may be late by a part of them (RFC 4271 section 10).
const LATE: Duration = Duration::from_secs(5);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    if let Some(why) = silence::missing() {
        return Ok(Outcome::skip(why));
    }
    let Some(target) = network.target() else {
        return Ok(Outcome::skip("no node can stand in for another"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate);
    let load = outcome.load(network, &target).await?;

    let cut = Instant::now();
    set(network, &node, true).await?;
    outcome.did(format!(
        "silenced the links of {node}, the nearest node to the client in {region}, at {rate} queries/s"
    ));
    let switched = load.await_answer(cut, PATIENCE, |other| *other != node).await;
    let switch = switched.map(|at| at - cut);
    outcome.require_switch("another node", switch, HOLD_TIME + LATE);
    // Each session has its own hold time, so one family may follow the other.
    let gone = network.router.await_withdrawal(&node, cut, PATIENCE).await;
    let gone = gone.map(|at| at.saturating_duration_since(cut));
    outcome.require(gone.is_some(), || format!("the peers of {node} kept its routes"));
    if let Some(time) = gone {
        outcome.figure("withdrawn_ms", milliseconds(time));
        outcome.saw(format!("no peer has a route to {node} after {} ms", milliseconds(time)));
    }

    set(network, &node, false).await?;
    let mended = Instant::now();
    outcome.did("let the links speak again");
    outcome.require_end(network, load, &node, mended, gone).await;
    Ok(outcome)
}

/// Both ends of each link.
async fn set(network: &Network, node: &NodeName, silent: bool) -> Result<(), SimulationError> {
    for ends in network.links.get(node).into_iter().flatten() {
        silence::set("internet", &ends.outside, silent).await?;
        silence::set(node.as_str(), &ends.inside, silent).await?;
    }
    Ok(())
}
