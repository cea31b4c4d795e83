//! A node's agent and its name server are gone, and its routing daemon announces on: a black hole, until the watchdog has
//! asked for half a minute in vain and ends the routing daemon. Then the agent starts again, which announces once the name
//! server has answered, and not before.
//!
//! All that is asked meanwhile is lost: the time that it takes to be sure is the whole loss.

use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::{Outcome, target_with};
use crate::names::NodeName;
use crate::simulate::SimulationError;
use crate::simulate::agent::kill_orphan;
use crate::simulate::network::{Network, PATIENCE, Target};
use crate::simulate::probe::milliseconds;

/// Queries a second: enough to see it.
const RATE: u32 = 20;
/// For so long nothing has to answer, at least.
const UNANSWERED: Duration = Duration::from_secs(30);
/// How long it may take in all. A busy machine may need some seconds more than the ten that are for finding out that there
/// is no agent, and for the last question.
const LONGEST: Duration = Duration::from_secs(50);
/// For one question.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let found = target_with(network, |snapshot| &snapshot.routing_daemon).await;
    let Some((target, routing)) = found else {
        return Ok(Outcome::skip(
            "no node that another can stand in for runs a routing daemon that outlives its agent",
        ));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let (region, rate) = (network.region(&target), network.rate.min(RATE));
    let load = outcome.load_at(network, &target, rate).await?;
    let snapshot = network.agents[&node].snapshot().await;
    let name_server = snapshot.map_or_else(String::new, |snapshot| snapshot.name_server.running);

    let Some(agent) = network.agents.get_mut(&node) else {
        return Ok(Outcome::skip("the nearest node does not run"));
    };
    let killed = agent.kill().await?;
    let with = match name_server.as_str() {
        "embedded" => "and with it its name server".to_owned(),
        daemon => {
            kill_orphan(&node, daemon).await?;
            format!("and its {daemon}")
        }
    };
    outcome.did(format!(
        "killed the agent of {node} {with}, and left {routing} alone; the nearest node to the client in {region}, at \
         {rate} queries/s"
    ));
    let gone = network.router.await_withdrawal(&node, killed, PATIENCE).await;
    match gone.map(|at| at - killed) {
        Some(time) => {
            outcome.figure("withdrawn_ms", milliseconds(time));
            outcome.saw(format!("{routing} announced on, and no more after {} ms", milliseconds(time)));
            outcome.require(time >= UNANSWERED, || {
                format!("it was withdrawn after {} ms, too soon", milliseconds(time))
            });
        }
        None => outcome.require(false, || format!("the peers of {node} kept its routes")),
    }
    let switched = load.await_answer(killed, PATIENCE, |other| *other != node).await;
    let switch = switched.map(|at| at - killed);
    outcome.require_switch("another node", switch, LONGEST);

    let restarted = Instant::now();
    if let Some(agent) = network.agents.get_mut(&node) {
        agent.start()?;
    }
    outcome.did(format!("started the agent of {node} again"));
    outcome.require(answers_before_it_announces(network, &target).await, || {
        format!("{node} announced before its name server had answered")
    });
    let back = load.await_answer(restarted, PATIENCE, |other| *other == node).await;
    outcome.require_back(&node, back.map(|at| at - restarted));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    let snapshot = network.agents[&node].snapshot().await;
    match snapshot.and_then(|snapshot| snapshot.watchdog.withdrew) {
        Some(withdrew) => outcome.saw(format!("its status says: ended {}: {}", withdrew.ended, withdrew.why)),
        None => outcome.require(false, || format!("{node} does not know that it was withdrawn")),
    }
    let tally = load.finish().await;
    outcome.require_loss_of_switch_alone(&tally, switch, rate);
    Ok(outcome)
}

/// Asks the node itself, until it announces: whether it answered before that.
async fn answers_before_it_announces(network: &Network, Target { node, addresses, .. }: &Target) -> bool {
    let begun = Instant::now();
    let announces = |node: &NodeName| network.router.withdrawn_at(node).is_none();
    let mut answered = false;
    let mut id = 0;
    while begun.elapsed() < PATIENCE && !answered && !announces(node) {
        id += 1;
        let answer = match (network.probes.get(node), addresses.first()) {
            (Some(probe), Some(address)) => {
                probe.ask(*address, id, network.canary(), RecordType::SOA, LOOK).await
            }
            _ => None,
        };
        answered = answer.is_some_and(|answer| answer.node.as_ref() == Some(node));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    answered
}
