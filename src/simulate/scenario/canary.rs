//! A bad routing change stops at the canary: it takes it, loses its sessions, goes back, and nobody else ever has it. Zones
//! change everywhere all the while, an agent that is started again knows what was rejected, and the repaired change goes
//! through all waves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Added, Outcome, add_record};
use crate::health::State;
use crate::names::NodeName;
use crate::simulate::SimulationError;
use crate::simulate::draft::waves;
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::probe::milliseconds;
use crate::status::{RolloutStatus, Snapshot};

const NETWORK: &str = "network.yaml";
/// Between two looks at all nodes.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(target) = network.target() else {
        return Ok(Outcome::skip("no node can stand in for another"));
    };
    let mut outcome = Outcome::default();
    let canary = target.node.clone();
    let region = network.region(&target);
    let others: Vec<NodeName> = network.agents.keys().filter(|name| **name != canary).cloned().collect();
    let mut order = vec![vec![canary.clone()]];
    if others.len() > 1 {
        order.push(vec![others[0].clone()]);
    }
    let mut before = None;
    let revision = network.operator.change("Let changes go to a canary first", |draft| {
        before = draft.set_rollout(Some(waves(&order)))?;
        Ok(())
    })?;
    order.push(others.iter().skip(order.len() - 1).cloned().collect());
    outcome.require_ok(network.until_applied(revision).await);
    let old = running(&network.snapshots().await);
    let load = outcome.load(network, &target).await?;

    // The providers expect another AS number: this one is private (RFC 6996), and nobody's here.
    let asn = network.desired.network.asn.get();
    let is_known =
        |number: &u32| *number == asn || network.desired.peers.values().any(|peer| peer.asn.get() == *number);
    let wrong = (64_512..65_534).find(|number| !is_known(number)).unwrap_or(65_534);
    let pushed = Instant::now();
    let revision = network.operator.change("Speak as another AS", |draft| {
        draft.edit(NETWORK, |file| drop(file.insert("asn".into(), json!(wrong))))
    })?;
    outcome.did(format!(
        "pushed {}, with an AS number that no provider knows; the canary is {canary}, the nearest node to the client in \
         {region}, at {} queries/s",
        revision.short(),
        network.rate
    ));
    let mut strayed = BTreeSet::new();
    let is_taken = |seen: &BTreeMap<NodeName, Snapshot>| runs_another(seen, &canary, &old);
    let taken = until(network, &canary, &old, &mut strayed, is_taken).await;
    if taken.is_none() {
        outcome.require(false, || format!("{canary} did not take the change on"));
        return Ok(outcome);
    }
    let switch = load.await_answer(pushed, PATIENCE, |other| *other != canary).await.map(|at| at - pushed);
    zones_change(network, &mut outcome, &canary, &old).await?;
    let is_rejected = |seen: &BTreeMap<NodeName, Snapshot>| {
        seen.len() == others.len() + 1
            && seen.values().all(|snapshot| rollout(snapshot).is_some_and(|it| it.rejected.is_some()))
            && !runs_another(seen, &canary, &old)
    };
    let rejected = until(network, &canary, &old, &mut strayed, is_rejected).await;
    outcome.require(strayed.is_empty(), || format!("{} took it on, too", names(strayed.iter())));
    match &rejected {
        Some(seen) => {
            outcome.figure("rejected_ms", milliseconds(pushed.elapsed()));
            let why = seen.get(&canary).and_then(rollout).and_then(|rollout| rollout.why.clone());
            outcome.saw(format!(
                "{canary} went back after {} ms, and no other node took it on: {}",
                milliseconds(pushed.elapsed()),
                why.unwrap_or_default()
            ));
        }
        None => outcome.require(false, || "not every node rejects it".to_owned()),
    }
    let back = Instant::now();
    let answers = load.await_answer(back, PATIENCE, |other| *other == canary).await;
    outcome.require_back(&canary, answers.map(|at| at - back));
    if let Some(node) = order.last().and_then(|wave| wave.last()) {
        restart(network, &mut outcome, node, &old).await?;
    }

    let prepend = if network.desired.network.drain.prepend == 1 { 2 } else { 1 };
    let revision =
        network.operator.change("Speak as ourselves, and prepend otherwise while draining", |draft| {
            draft.edit(NETWORK, |file| {
                file.insert("asn".into(), json!(asn));
                if let Some(Value::Object(drain)) = file.get_mut("drain") {
                    drain.insert("prepend".into(), json!(prepend));
                }
            })
        })?;
    outcome.did(format!("pushed {}, the right AS number and another change", revision.short()));
    goes_through(network, &mut outcome, &order, &old).await;
    outcome.require_ok(network.until_applied(revision).await);
    let tally = load.finish().await;
    outcome.require_loss_of_switch_alone(&tally, switch, network.rate);
    // Nothing that goes in waves.
    let revision =
        network.operator.change("Let changes go as before", |draft| draft.set_rollout(before).map(drop))?;
    outcome.require_ok(network.until_applied(revision).await);
    Ok(outcome)
}

/// A zone changes while the canary tries what fails: everywhere at once, the canary among them.
async fn zones_change(
    network: &mut Network,
    outcome: &mut Outcome,
    canary: &NodeName,
    old: &BTreeMap<NodeName, String>,
) -> Result<(), SimulationError> {
    let Some(Added { revision, spread, .. }) = add_record(network, outcome, "canary").await? else {
        return Ok(());
    };
    outcome.figure("zone_max_ms", spread.max_ms());
    let seen = network.snapshots().await;
    let is_trying = runs_another(&seen, canary, old);
    let meanwhile = if is_trying { "while the canary tried the other change" } else { "meanwhile" };
    outcome.saw(format!(
        "a record that {} adds was on every node within {} ms, {meanwhile}",
        revision.short(),
        spread.max_ms()
    ));
    Ok(())
}

/// An agent that is killed and started again runs what it ran, and knows what it does not.
async fn restart(
    network: &mut Network,
    outcome: &mut Outcome,
    node: &NodeName,
    old: &BTreeMap<NodeName, String>,
) -> Result<(), SimulationError> {
    if let Some(agent) = network.agents.get_mut(node) {
        agent.kill().await?;
        agent.start()?;
    }
    let is_back = |name: &NodeName, snapshot: &Snapshot| {
        name != node
            || snapshot.gate.state == State::Announce
                && rollout(snapshot).is_some()
                && snapshot.sessions.values().all(|session| session.state == "established")
    };
    let back = network.until(PATIENCE, is_back).await;
    outcome.require(back.is_ok(), || format!("{node} did not come back"));
    let seen = network.snapshots().await;
    let says = seen.get(node).and_then(rollout);
    let is_same =
        says.is_some_and(|says| old.get(node) == Some(&says.runs.digest) && says.rejected.is_some());
    outcome.require(is_same, || format!("{node} forgot what was rejected: {says:?}"));
    outcome.saw(format!("{node}, started again, runs what it ran before, and says what is rejected"));
    Ok(())
}

/// Waits until every node runs another configuration, and looks at the order.
async fn goes_through(
    network: &Network,
    outcome: &mut Outcome,
    order: &[Vec<NodeName>],
    old: &BTreeMap<NodeName, String>,
) {
    let since = Instant::now();
    let mut taken: BTreeMap<NodeName, Duration> = BTreeMap::new();
    while since.elapsed() < PATIENCE * 2 && taken.len() < old.len() {
        for (node, digest) in running(&network.snapshots().await) {
            if old.get(&node) != Some(&digest) {
                taken.entry(node).or_insert_with(|| since.elapsed());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    let late: Vec<&NodeName> = old.keys().filter(|node| !taken.contains_key(*node)).collect();
    outcome.require(late.is_empty(), || format!("{} did not take it on", names(late.into_iter())));
    let mut last = Duration::ZERO;
    for (wave, number) in order.iter().zip(1..) {
        let times = || wave.iter().filter_map(|node| taken.get(node)).copied();
        let (Some(first), Some(end)) = (times().min(), times().max()) else { continue };
        outcome.require(first > last, || format!("wave {number} began before the one before it was done"));
        outcome.figure(&format!("wave_{number}_ms"), milliseconds(end));
        last = end;
    }
    outcome.saw(format!("it went through {} waves, the last after {} ms", order.len(), milliseconds(last)));
}

/// Looks at all nodes until this holds. Who has another configuration meanwhile, the canary aside, has strayed.
async fn until(
    network: &Network,
    canary: &NodeName,
    old: &BTreeMap<NodeName, String>,
    strayed: &mut BTreeSet<NodeName>,
    holds: impl Fn(&BTreeMap<NodeName, Snapshot>) -> bool,
) -> Option<BTreeMap<NodeName, Snapshot>> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let seen = network.snapshots().await;
        strayed.extend(seen.keys().filter(|node| *node != canary && runs_another(&seen, node, old)).cloned());
        if holds(&seen) {
            return Some(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
    None
}

fn rollout(snapshot: &Snapshot) -> Option<&RolloutStatus> {
    snapshot.rollout.as_ref()
}

/// The digest of what each node runs.
fn running(seen: &BTreeMap<NodeName, Snapshot>) -> BTreeMap<NodeName, String> {
    let digest = |(node, snapshot): (&NodeName, &Snapshot)| {
        Some((node.clone(), rollout(snapshot)?.runs.digest.clone()))
    };
    seen.iter().filter_map(digest).collect()
}

fn runs_another(
    seen: &BTreeMap<NodeName, Snapshot>,
    node: &NodeName,
    old: &BTreeMap<NodeName, String>,
) -> bool {
    let runs = seen.get(node).and_then(rollout).map(|rollout| &rollout.runs.digest);
    runs.is_some_and(|runs| old.get(node).is_some_and(|old| old != runs))
}
