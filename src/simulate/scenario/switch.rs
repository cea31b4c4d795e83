//! Another name server, and then another routing daemon, takes the place of the one that a node runs, under load: nothing
//! is lost. One that cannot be started makes the node go back.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Outcome, finish};
use crate::desired::model::{NameServerKind, RoutingDaemonKind};
use crate::health::State;
use crate::names::{NodeName, Revision};
use crate::process::find_program;
use crate::simulate::agent::daemon_folder;
use crate::simulate::draft::{Draft, node_path};
use crate::simulate::load::Load;
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;
use crate::simulate::{Context, SimulationError};
use crate::status::Snapshot;

/// How long the one that cannot be started is tried.
const TRIAL: Duration = Duration::from_secs(5);

/// Name servers that a node may be given, with the program that says whether it is installed.
const NAME_SERVERS: [(NameServerKind, Option<&str>); 5] = [
    (NameServerKind::Knot, Some("knotd")),
    (NameServerKind::Nsd, Some("nsd")),
    (NameServerKind::Bind, Some("named")),
    (NameServerKind::Powerdns, Some("pdns_server")),
    (NameServerKind::Embedded, None),
];
/// The same of routing daemons.
const ROUTING_DAEMONS: [(RoutingDaemonKind, Option<&str>); 4] = [
    (RoutingDaemonKind::Bird, Some("bird")),
    (RoutingDaemonKind::Frr, Some("vtysh")),
    (RoutingDaemonKind::Gobgp, Some("gobgpd")),
    (RoutingDaemonKind::Embedded, None),
];

/// Those that are installed, but for the one that runs.
fn others<K: Copy + ToString, const N: usize>(all: [(K, Option<&str>); N], running: &str) -> Vec<K> {
    let is_there = |program: Option<&str>| program.is_none_or(|program| find_program(program).is_some());
    let others = all.into_iter().filter(|(kind, program)| kind.to_string() != running && is_there(*program));
    others.map(|(kind, _)| kind).collect()
}

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(target) = network.target() else {
        return Ok(Outcome::skip("no node can stand in for another"));
    };
    let node = target.node.clone();
    let Some(before) = network.snapshots().await.remove(&node) else {
        return Ok(Outcome::skip("the node that would switch does not answer"));
    };
    let name_servers = others(NAME_SERVERS, &before.name_server.running);
    let routing_daemons = others(ROUTING_DAEMONS, &before.routing_daemon.running);
    if name_servers.is_empty() && routing_daemons.is_empty() {
        return Ok(Outcome::skip("no other name server or routing daemon is installed"));
    }
    let given = network.operator.draft()?;
    let mut outcome = Outcome::default();
    let load = network.load(&target, network.rate)?;
    let mut name_server = before.name_server.running.clone();
    if let Some(kind) = name_servers.first() {
        let what = format!("`dns: {kind}` instead of {name_server}");
        let push = push(network, &node, &what, |draft| draft.set_name_server(&node, *kind))?;
        outcome.did(push.said);
        let runs = |snapshot: &Snapshot| snapshot.name_server.running == kind.to_string();
        until_back(network, &node, &load, &mut outcome, push.revision, "dns_ms", runs).await;
        name_server = kind.to_string();
    }
    if let Some(kind) = routing_daemons.first() {
        let what = format!("`routing: {kind}` instead of {}", before.routing_daemon.running);
        let push = push(network, &node, &what, |draft| draft.set_routing_daemon(&node, *kind))?;
        outcome.did(push.said);
        let runs = |snapshot: &Snapshot| snapshot.routing_daemon.running == kind.to_string();
        until_back(network, &node, &load, &mut outcome, push.revision, "routing_ms", runs).await;
    }
    let unused = |kind: &&NameServerKind| {
        **kind != NameServerKind::Embedded && !daemon_folder(&node, &kind.to_string()).exists()
    };
    if let Some(kind) = name_servers.iter().skip(1).find(unused) {
        fail(network, &node, &load, &mut outcome, *kind, &name_server).await?;
    }

    // Both at once, back to what there was.
    let files = [node_path(&node), "network.yaml".to_owned()];
    let push = push(network, &node, "what it had before", |draft| {
        for path in &files {
            let text = given.files.get(path).ok_or("it is gone").context(|| format!("restore {path}"))?;
            draft.write(path, text.clone());
        }
        Ok(())
    })?;
    outcome.did(push.said);
    let runs = |snapshot: &Snapshot| {
        snapshot.name_server.running == before.name_server.running
            && snapshot.routing_daemon.running == before.routing_daemon.running
    };
    until_back(network, &node, &load, &mut outcome, push.revision, "both_ms", runs).await;
    outcome.require_ok(network.until_applied(push.revision).await);
    outcome.require_no_loss(&finish(vec![load]).await);
    Ok(outcome)
}

/// Selects a name server whose folder cannot be used, and waits until the node has gone back.
async fn fail(
    network: &mut Network,
    node: &NodeName,
    load: &Load,
    outcome: &mut Outcome,
    kind: NameServerKind,
    back: &str,
) -> Result<(), SimulationError> {
    let folder = daemon_folder(node, &kind.to_string());
    let operation = || format!("spoil {}", folder.display());
    fs::create_dir_all(folder.parent().unwrap_or(&folder)).context(operation)?;
    fs::write(&folder, "no folder\n").context(operation)?;
    let what = format!("`dns: {kind}`, whose folder cannot be used there");
    let push = push(network, node, &what, |draft| {
        draft.edit("network.yaml", |file| {
            file.insert("switch_trial".into(), json!(format!("{}s", TRIAL.as_secs())));
        })?;
        draft.set_name_server(node, kind)
    })?;
    outcome.did(push.said);
    let failed = format!("the switch to {kind} failed");
    let said = |snapshot: &Snapshot| snapshot.waits.iter().find(|wait| wait.contains(&failed)).cloned();
    let since = Instant::now();
    let went_back = network
        .until(PATIENCE, |name, snapshot| {
            *name != *node
                || snapshot.gate.state == State::Announce
                    && said(snapshot).is_some()
                    && snapshot.name_server.running == back
        })
        .await;
    outcome.figure("went_back_ms", milliseconds(since.elapsed()));
    match went_back {
        Ok(()) => outcome.saw(network.snapshots().await.get(node).and_then(said).unwrap_or_default()),
        Err(unmet) => {
            outcome.require(false, || format!("{node} did not go back to {back}: {}", waits(unmet)));
        }
    }
    require_answer(node, load, outcome).await;
    fs::remove_file(&folder).context(operation)
}

/// Waits until the node announces with what it was given.
async fn until_back(
    network: &Network,
    node: &NodeName,
    load: &Load,
    outcome: &mut Outcome,
    revision: Revision,
    figure: &str,
    runs: impl Fn(&Snapshot) -> bool,
) {
    let since = Instant::now();
    let is_back = |snapshot: &Snapshot| {
        snapshot.revision == Some(revision)
            && snapshot.settled
            && snapshot.gate.state == State::Announce
            && runs(snapshot)
    };
    let back = network.until(PATIENCE, |name, snapshot| name != node || is_back(snapshot)).await;
    outcome.figure(figure, milliseconds(since.elapsed()));
    match back {
        Ok(()) => outcome.saw(format!("{node} announces with it after {} ms", milliseconds(since.elapsed()))),
        Err(unmet) => outcome.require(false, || format!("{node} did not switch: {}", waits(unmet))),
    }
    require_answer(node, load, outcome).await;
}

/// What nodes do and wait for.
fn waits(nodes: BTreeMap<NodeName, Option<Snapshot>>) -> String {
    let said = nodes.into_values().flatten().flat_map(|snapshot| [snapshot.actions, snapshot.waits].concat());
    said.collect::<Vec<_>>().join("; ")
}

async fn require_answer(node: &NodeName, load: &Load, outcome: &mut Outcome) {
    let answer = load.await_answer(Instant::now(), PATIENCE, |other| other == node).await;
    outcome.require(answer.is_some(), || format!("{node} did not answer its clients again"));
}

struct Push {
    revision: Revision,
    said: String,
}

fn push(
    network: &mut Network,
    node: &NodeName,
    what: &str,
    change: impl FnOnce(&mut Draft) -> Result<(), SimulationError>,
) -> Result<Push, SimulationError> {
    let revision = network.operator.change(&format!("Give {node} {what}"), change)?;
    Ok(Push { revision, said: format!("pushed {}: {what} for {node}", revision.short()) })
}
