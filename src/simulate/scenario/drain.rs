//! A node is taken out of service on purpose, under load, and put back: nothing is lost, and it is out as soon as nobody
//! asks it any more.

use std::time::{Duration, Instant};

use super::{Outcome, finish};
use crate::desired::model::NodeState;
use crate::names::{NodeName, Revision};
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;

/// How long the drain may take here: longer than any other scenario would wait for it.
const WAIT: Duration = PATIENCE;

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(target) = network.target() else {
        return Ok(Outcome::skip("no node can stand in for another"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let region = network.region(&target);
    let load = outcome.load(network, &target).await?;

    let since = Instant::now();
    let revision = push(network, &node, NodeState::Drained, WAIT)?;
    outcome.did(format!(
        "pushed {}: `state: drained` for {node}, the nearest node to the client in {region}, and a drain of {} s at most",
        revision.short(),
        WAIT.as_secs()
    ));
    match load.await_answer(since, PATIENCE, |other| *other != node).await {
        Some(at) => {
            outcome.figure("switch_ms", milliseconds(at - since));
            outcome.saw(format!("another node answers after {} ms", milliseconds(at - since)));
        }
        None => outcome.require(false, || "no other node answered".to_owned()),
    }
    let silent = network
        .until(WAIT + PATIENCE, |name, snapshot| {
            *name != node
                || snapshot.revision == Some(revision) && snapshot.settled && snapshot.announced.is_empty()
        })
        .await;
    let took = since.elapsed();
    outcome.figure("withdrawn_ms", milliseconds(took));
    outcome.see_withdrawal(network, &node).await;
    let snapshots = network.snapshots().await;
    let left = snapshots.get(&node).and_then(|snapshot| snapshot.gate.queries_per_second);
    let left = left.map_or_else(|| "an unknown number of".to_owned(), |left| left.to_string());
    match silent {
        Ok(()) if took < WAIT => outcome.saw(format!(
            "{node} announces nothing after {} ms, since its queries have ceased: {left} a second are left",
            milliseconds(took)
        )),
        Ok(()) => outcome.require(false, || {
            format!(
                "{node} drained for {} ms, although its queries had ceased by then: {left} a second are left",
                milliseconds(took)
            )
        }),
        Err(_) => outcome.require(false, || format!("{node} did not withdraw")),
    }

    let since = Instant::now();
    let given = network.desired.network.drain.wait;
    let revision = push(network, &node, NodeState::Live, given)?;
    outcome.did(format!("pushed {}: `state: live` again", revision.short()));
    let back = load.await_answer(since, PATIENCE, |other| *other == node).await;
    outcome.require_back(&node, back.map(|at| at - since));
    outcome.require_ok(network.until_applied(revision).await);
    outcome.require_no_loss(&finish(vec![load]).await);
    Ok(outcome)
}

fn push(
    network: &mut Network,
    node: &NodeName,
    state: NodeState,
    drain: Duration,
) -> Result<Revision, SimulationError> {
    network.operator.change(&format!("Make {node} {state:?}"), |draft| {
        draft.set_drain(drain)?;
        draft.set_state(node, state)
    })
}
