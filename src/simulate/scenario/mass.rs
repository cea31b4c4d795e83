//! Every node's name server breaks at once, as far as the nodes can see: the network goes on announcing, and says why.
//!
//! What is broken is the way from each node to itself, as a bad change of a firewall would do it; embedded name servers
//! answer the clients all the while, and a network that withdrew would have done the harm itself. Daemons are stopped.
//!
//! Zones changed a moment before, and might be what the name servers died of, so every node goes back to those before, and
//! stays with them, over a restart too, until a commit changes zones.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{Added, Outcome, add_record, finish};
use crate::health::State;
use crate::names::NodeName;
use crate::rollout::PROOF;
use crate::simulate::agent::signal_daemon;
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::probe::milliseconds;
use crate::simulate::question::Answer;
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
    let record = change_zones(network, &mut outcome).await?;
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
    if let Some(record) = &record {
        zones_are_back(network, &mut outcome, record, is_broken).await;
    }
    let tallies = finish(loads).await;
    if nodes.iter().all(|(_, daemon)| daemon == "embedded") {
        outcome.require_no_loss(&tallies);
    } else {
        outcome.figure("queries_sent", tallies.iter().map(|tally| tally.sent).sum());
        outcome.figure("queries_lost", tallies.iter().map(|tally| tally.lost).sum());
    }
    if let (Some(_), Some((node, _))) = (&record, nodes.first()) {
        restart(network, &mut outcome, node).await?;
    }
    bring_again(network, &mut outcome, record.as_ref()).await?;
    Ok(outcome)
}

/// Adds a record, once what is there has run for long enough to go back to.
async fn change_zones(
    network: &mut Network,
    outcome: &mut Outcome,
) -> Result<Option<Added>, SimulationError> {
    if network.a_primary_zone().is_none() {
        return Ok(None);
    }
    tokio::time::sleep(PROOF + Duration::from_secs(2)).await;
    let added = add_record(network, outcome, "mass").await?;
    if let Some(Added { name, revision, .. }) = &added {
        outcome.did(format!("pushed {}, which adds {name}", revision.short()));
    }
    Ok(added)
}

/// Every node that was broken has the zones of before.
async fn zones_are_back(
    network: &Network,
    outcome: &mut Outcome,
    record: &Added,
    is_broken: impl Fn(&NodeName) -> bool,
) {
    let back =
        network.until(PATIENCE, |node, snapshot| !is_broken(node) || snapshot.zones_of.is_some()).await;
    if let Err(unmet) = &back {
        let met = || format!("{} did not go back to the zones before", names(unmet.keys()));
        return outcome.require(false, met);
    }
    // The name is gone with its only record.
    let gone = |answer: &Answer| !answer.failed && !answer.refused && answer.records == 0;
    let spread = network.everywhere(&record.name, RecordType::TXT, Instant::now(), gone).await;
    outcome.require_everywhere(&spread, &format!("still serves {}", record.name));
    let snapshots = network.snapshots().await;
    let says =
        |snapshot: &Snapshot| snapshot.waits.iter().find(|wait| wait.contains("are rejected")).cloned();
    match snapshots.values().find_map(says) {
        Some(why) => outcome.saw(format!("every node went back to the zones before: {why}")),
        None => outcome.require(false, || "no node says why it has the zones before".to_owned()),
    }
}

/// An agent that is killed and started again has the zones that it had.
async fn restart(
    network: &mut Network,
    outcome: &mut Outcome,
    node: &NodeName,
) -> Result<(), SimulationError> {
    if let Some(agent) = network.agents.get_mut(node) {
        agent.kill().await?;
        agent.start()?;
    }
    let announces = |name: &NodeName, snapshot: &Snapshot| {
        name != node || snapshot.gate.state == State::Announce && snapshot.zones_of.is_some()
    };
    let back = network.until(PATIENCE, announces).await;
    outcome.require(back.is_ok(), || format!("{node}, started again, forgot which zones it had"));
    Ok(())
}

/// A frozen gate goes back to the zones before, and to the configuration where that was changed within five minutes, too.
/// Neither was to blame here, so the operator brings both again, with something changed: what was rejected stays so.
async fn bring_again(
    network: &mut Network,
    outcome: &mut Outcome,
    record: Option<&Added>,
) -> Result<(), SimulationError> {
    let rejects =
        |snapshot: &Snapshot| snapshot.rollout.as_ref().is_some_and(|rollout| rollout.rejected.is_some());
    let is_rejected = network.snapshots().await.values().any(rejects);
    if record.is_none() && !is_rejected {
        return Ok(());
    }
    let since = Instant::now();
    let revision = network.operator.change("Bring all of it again", |draft| {
        if let Some(Added { name, path, .. }) = record {
            draft.append(path, &format!("{name}. 60 IN TXT \"again\""));
        }
        match is_rejected {
            true => {
                draft.edit("network.yaml", |file| drop(file.insert("routing_trial".into(), json!("121s"))))
            }
            false => Ok(()),
        }
    })?;
    let configuration = if is_rejected { ", and another configuration" } else { "" };
    outcome.did(format!("pushed {}, with another such record{configuration}", revision.short()));
    if let Some(Added { name, .. }) = record {
        let served = |answer: &Answer| answer.authoritative && answer.records == 2;
        let spread = network.everywhere(name, RecordType::TXT, since, served).await;
        outcome.require_everywhere(&spread, "did not take the new zones");
    }
    outcome.require_ok(network.until_applied(revision).await);
    Ok(())
}

/// Breaks a node, or puts it right.
async fn set(node: &NodeName, daemon: &str, broken: bool) -> Result<(), SimulationError> {
    if daemon != "embedded" {
        return signal_daemon(node, daemon, if broken { Signal::SIGSTOP } else { Signal::SIGCONT }).map(drop);
    }
    silence::set(node.as_str(), "lo", broken).await
}
