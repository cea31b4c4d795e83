//! The agent of a node is killed under load, and nothing else. Daemons of their own go on as they were (fail-static), and
//! the agent that starts again changes nothing; an embedded speaker's sessions die with the agent.
//!
//! A node whose name server alone is embedded is left to `failure`: its routing daemon would announce on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::names::NodeName;
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;
use crate::status::Snapshot;

/// How long the node is without an agent.
const AWAY: Duration = Duration::from_secs(3);
/// For what a node says of itself to be newer than this.
const SAID: Duration = Duration::from_secs(3);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let snapshots = network.snapshots().await;
    let has_own = |node: &NodeName| {
        snapshots.get(node).is_some_and(|snapshot| snapshot.name_server.running != "embedded")
    };
    let Some(target) = network.target_among(has_own) else {
        return Ok(Outcome::skip("no node that another can stand in for runs a name server of its own"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate);
    let load = outcome.load(network, &target).await?;
    // What the node says may be of two seconds ago, when whatever came before this was not over.
    tokio::time::sleep(SAID).await;
    let is_up = |name: &NodeName, snapshot: &Snapshot| *name != node || !ages(Some(snapshot)).is_empty();
    outcome.require(network.until(PATIENCE, is_up).await.is_ok(), || format!("{node} has no session"));
    let before = network.agents[&node].snapshot().await;
    let routing = before.as_ref().map(|snapshot| snapshot.routing_daemon.running.clone()).unwrap_or_default();

    let Some(agent) = network.agents.get_mut(&node) else {
        return Ok(Outcome::skip("the nearest node does not run"));
    };
    let killed = agent.kill().await?;
    outcome.did(format!(
        "killed the agent of {node}, the nearest node to the client in {region}, at {rate} queries/s"
    ));
    tokio::time::sleep(AWAY).await;
    let started = Instant::now();
    if let Some(agent) = network.agents.get_mut(&node) {
        agent.start()?;
    }
    outcome.did(format!("started the agent of {node} again"));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    if routing == "embedded" {
        let switch = load.first_answer(killed, |other| *other != node).map(|at| at - killed);
        outcome.require(switch.is_some(), || "no other node answered".to_owned());
        if let Some(time) = switch {
            outcome.figure("switch_ms", milliseconds(time));
        }
        let back = load.await_answer(started, PATIENCE, |other| *other == node).await;
        outcome.require_back(&node, back.map(|at| at - started));
        let tally = load.finish().await;
        outcome.require_loss_of_switch_alone(&tally, switch, rate);
        return Ok(outcome);
    }
    let after = network.agents[&node].snapshot().await;
    let (before, after) = (ages(before.as_ref()), ages(after.as_ref()));
    let is_older = |(session, age): (&String, &u64)| after.get(session).is_some_and(|after| after >= age);
    outcome.require(!before.is_empty() && before.iter().all(is_older), || {
        format!("{routing} had sessions of {before:?} s, and has some of {after:?} s")
    });
    outcome.saw(format!("{} sessions of {routing} went on", after.len()));
    let tally = load.finish().await;
    outcome.require_no_loss(&[tally]);
    Ok(outcome)
}

/// How many seconds each session has been established.
fn ages(snapshot: Option<&Snapshot>) -> BTreeMap<String, u64> {
    let sessions = snapshot.into_iter().flat_map(|snapshot| &snapshot.sessions);
    let established = sessions.filter(|(_, session)| session.state == "established");
    established.map(|(name, session)| (name.clone(), session.since_s)).collect()
}
