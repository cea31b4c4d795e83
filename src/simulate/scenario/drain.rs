//! A node is taken out of service on purpose, under load, and put back: nothing is lost.

use std::time::Instant;

use super::{Outcome, finish};
use crate::desired::model::NodeState;
use crate::names::{NodeName, Revision};
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(target) = network.target() else {
        return Ok(Outcome::skip("no node can stand in for another"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let region = network.region(&target);
    let load = outcome.load(network, &target).await?;

    let since = Instant::now();
    let revision = push_state(network, &node, NodeState::Drained)?;
    outcome.did(format!(
        "pushed {}: `state: drained` for {node}, the nearest node to the client in {region}",
        revision.short()
    ));
    match load.await_answer(since, PATIENCE, |other| *other != node).await {
        Some(at) => {
            outcome.figure("switch_ms", milliseconds(at - since));
            outcome.saw(format!("another node answers after {} ms", milliseconds(at - since)));
        }
        None => outcome.require(false, || "no other node answered".to_owned()),
    }
    let silent = network
        .until(PATIENCE, |name, snapshot| {
            *name != node
                || snapshot.revision == Some(revision) && snapshot.settled && snapshot.announced.is_empty()
        })
        .await;
    outcome.figure("withdrawn_ms", milliseconds(since.elapsed()));
    outcome.see_withdrawal(network, &node).await;
    match silent {
        Ok(()) => outcome.saw(format!("{node} announces nothing after {} ms", milliseconds(since.elapsed()))),
        Err(_) => outcome.require(false, || format!("{node} did not withdraw")),
    }

    let since = Instant::now();
    let revision = push_state(network, &node, NodeState::Live)?;
    outcome.did(format!("pushed {}: `state: live` again", revision.short()));
    let back = load.await_answer(since, PATIENCE, |other| *other == node).await;
    outcome.require_back(&node, back.map(|at| at - since));
    outcome.require_ok(network.until_applied(revision).await);
    outcome.require_no_loss(&finish(vec![load]).await);
    Ok(outcome)
}

fn push_state(network: &mut Network, node: &NodeName, state: NodeState) -> Result<Revision, SimulationError> {
    network.operator.change(&format!("Make {node} {state:?}"), |draft| draft.set_state(node, state))
}
