//! Every node's name server breaks at once, as far as the nodes can see: the network goes on announcing, and says why.
//!
//! What is broken is the way from each node to itself, as a bad change of a firewall would do it; embedded name servers
//! answer the clients all the while, and a network that withdrew would have done the harm itself. Daemons are stopped.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{Outcome, finish};
use crate::health::State;
use crate::names::NodeName;
use crate::simulate::agent::signal_daemon;
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::probe::milliseconds;
use crate::simulate::{SimulationError, silence};
use crate::status::Snapshot;

/// How long it is looked at after every node has met it.
const LOOK: Duration = Duration::from_secs(10);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    if let Some(why) = silence::missing() {
        return Ok(Outcome::skip(why));
    }
    let nodes: Vec<(NodeName, String)> = network
        .snapshots()
        .await
        .into_iter()
        .filter(|(_, snapshot)| !snapshot.announced.is_empty())
        .map(|(name, snapshot)| (name, snapshot.name_server.running))
        .collect();
    let mut outcome = Outcome::default();
    let loads = network.load_everywhere()?;
    let since = Instant::now();
    try_join_all(nodes.iter().map(|(node, daemon)| set(node, daemon, true))).await?;
    outcome.did(format!("broke the name servers of all {} nodes, as they see them", nodes.len()));

    let is_broken = |name: &NodeName| nodes.iter().any(|(node, _)| node == name);
    let met = network
        .until(PATIENCE, |name, snapshot| !is_broken(name) || snapshot.gate.class.as_deref() == Some("HARD"))
        .await;
    outcome.figure("met_ms", milliseconds(since.elapsed()));
    if let Err(unmet) = met {
        outcome.require(false, || format!("{} does not say that it is HARD", names(unmet.keys())));
    }
    let mut fewest = usize::MAX;
    let looked = Instant::now();
    while looked.elapsed() < LOOK {
        let prefixes = network.desired.network.prefixes.iter();
        let announcers = prefixes.map(|prefix| network.router.announcers(prefix)).min().unwrap_or(0);
        fewest = fewest.min(announcers);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    outcome.figure("announcers_least", fewest as u64);
    outcome.require(fewest > 0, || "a prefix was announced by nobody".to_owned());
    let snapshots = network.snapshots().await;
    let held = snapshots.values().filter(|snapshot| snapshot.gate.state == State::Held);
    outcome.figure("held", held.clone().count() as u64);
    let why = held.clone().find_map(|snapshot| snapshot.gate.held.values().next());
    match why {
        Some(why) => outcome.saw(format!("{} of {} are HELD: {why}", held.count(), nodes.len())),
        None => outcome.require(false, || "no node says why it goes on announcing".to_owned()),
    }

    try_join_all(nodes.iter().map(|(node, daemon)| set(node, daemon, false))).await?;
    let since = Instant::now();
    outcome.did("put everything right");
    let back = network
        .until(PATIENCE * 2, |name, snapshot| !is_broken(name) || snapshot.gate.state == State::Announce)
        .await;
    match back {
        Ok(()) => {
            outcome.figure("back_ms", milliseconds(since.elapsed()));
            outcome
                .saw(format!("every node announces and is well after {} ms", milliseconds(since.elapsed())));
        }
        Err(unmet) => outcome.require(false, || format!("{} did not come back", names(unmet.keys()))),
    }
    // A frozen gate goes back to the configuration before where that was changed within five minutes. It was not to blame
    // here, so the operator brings it again, with something changed: what was rejected stays so.
    let rejects =
        |snapshot: &Snapshot| snapshot.rollout.as_ref().is_some_and(|rollout| rollout.rejected.is_some());
    if network.snapshots().await.values().any(rejects) {
        let revision = network.operator.change("Bring the configuration again", |draft| {
            draft.edit("network.yaml", |file| drop(file.insert("routing_trial".into(), json!("121s"))))
        })?;
        outcome.saw("nodes went back to the configuration before, which had been changed a short while ago");
        outcome.did(format!("pushed {}: the newer one, and `routing_trial: 121s`", revision.short()));
    }
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    let tallies = finish(loads).await;
    if nodes.iter().all(|(_, daemon)| daemon == "embedded") {
        outcome.require_no_loss(&tallies);
    } else {
        outcome.figure("queries_sent", tallies.iter().map(|tally| tally.sent).sum());
        outcome.figure("queries_lost", tallies.iter().map(|tally| tally.lost).sum());
    }
    Ok(outcome)
}

/// Breaks a node, or puts it right.
async fn set(node: &NodeName, daemon: &str, broken: bool) -> Result<(), SimulationError> {
    if daemon != "embedded" {
        return signal_daemon(node, daemon, if broken { Signal::SIGSTOP } else { Signal::SIGCONT });
    }
    silence::set(node.as_str(), "lo", broken).await
}
