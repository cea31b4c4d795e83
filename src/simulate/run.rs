//! Run: the inner process, from an empty sandbox to an exit status.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::assemble::assemble;
use super::network::Network;
use super::options::Options;
use super::probe::milliseconds;
use super::report::{ClientReport, Count, NodeReport, Report, Skipped};
use super::scenario::{self, ScenarioName};
use super::show::{self, Progress};
use super::{SimulationError, hold, sandbox};
use crate::desired::model::Node;
use crate::names::NodeName;
use crate::status::{Daemon, Snapshot};
use clap::ValueEnum;
use ipnet::IpNet;

/// How long the network may take to settle, before that counts as a failure. A figure says how long it took.
const SETTLING: Duration = Duration::from_secs(180);

/// How long the mesh may take after that, before the table shows what there is.
const LINKING: Duration = Duration::from_secs(10);

/// How long what is announced may take to the clients after that, before the lines show whom they reach.
const ARRIVING: Duration = Duration::from_secs(15);

/// Nodes that did not settle of which more is shown; the others mostly have the same trouble.
const SHOWN: usize = 3;

/// Lines that are shown of what such a node says, and of its log.
const TAIL: usize = 15;

/// Runs everything: 0 when all held, 1 when something did not.
pub(crate) async fn run(options: &Options) -> Result<u8, SimulationError> {
    sandbox::check_tun()?;
    let listener = hold::listener(options)?;
    if let Some(path) = &options.report {
        Report::reserve(path)?;
    }
    let mut network = assemble(options).await?;

    show::heading("Starting");
    let settled = settle(&mut network).await?;
    // Links come up by themselves, and a node waits for none of them: this only makes the table complete.
    let linked = |snapshot: &Snapshot| snapshot.mesh.values().all(|link| link.handshake_age_s.is_some());
    if network.until(LINKING, |_, snapshot| linked(snapshot)).await.is_err() {
        show::line("not every mesh link had a handshake yet");
    }
    if !arrive(&network).await {
        show::line("not everything that is announced has come to the clients yet");
    }
    let snapshots = network.snapshots().await;
    let nodes = node_reports(&network, &settled, &snapshots);
    show::nodes(&nodes);
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        passed: settled.len() == network.agents.len(),
        nodes,
        clients: client_reports(&network),
        scenarios: Vec::new(),
        skipped: Vec::new(),
    };
    for client in &report.clients {
        let node = client.node.as_ref().map_or("nobody", NodeName::as_str);
        show::line(format!("a client in {} reaches {node}", client.region));
    }
    if report.passed {
        scenarios(&mut network, &chosen(options), &mut report).await?;
    } else {
        unsettled(&network, &settled, &snapshots);
    }
    summary(&report);
    if let Some(path) = &options.report {
        report.write(path)?;
    }
    if let Some(listener) = listener {
        hold::hold(network, &report, listener).await?;
    }
    Ok(u8::from(!report.passed))
}

/// Which scenarios run: those named; else all that are not long, or none when the network is only to be held.
fn chosen(options: &Options) -> Vec<ScenarioName> {
    let all = ScenarioName::value_variants().iter().copied();
    match (options.scenario.is_empty(), options.hold) {
        (true, true) => Vec::new(),
        (true, false) => all.filter(|name| !name.is_long()).collect(),
        (false, _) => all.filter(|name| options.scenario.contains(name)).collect(),
    }
}

/// Starts every agent: when each settled, counted from the start of the first.
async fn settle(network: &mut Network) -> Result<BTreeMap<NodeName, u64>, SimulationError> {
    let begun = Instant::now();
    let progress = Progress::begin("nodes settled", network.agents.len());
    for agent in network.agents.values_mut() {
        agent.start()?;
    }
    let mut settled = BTreeMap::new();
    while settled.len() < network.agents.len() && begun.elapsed() < SETTLING {
        let open = network.agents.keys().filter(|name| !settled.contains_key(*name));
        for (name, snapshot) in network.snapshots_of(open).await {
            if is_settled(&snapshot) {
                settled.insert(name, milliseconds(begun.elapsed()));
            }
        }
        progress.at(settled.len());
        for (name, agent) in &mut network.agents {
            if let Some(why) = agent.ended() {
                progress.end(format!("{} of the nodes, then {why}", settled.len()));
                show::line(agent.log_tail(TAIL));
                return Err(SimulationError { operation: format!("run the agent of {name}"), why });
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if let Some(fault) = network.router.fault() {
        return Err(fault);
    }
    let last = settled.values().max().copied().unwrap_or_default();
    progress.end(format!("{} of {}, the last after {last} ms", settled.len(), network.agents.len()));
    Ok(settled)
}

/// Nothing left to do, every session established, every zone served, every prefix announced.
fn is_settled(snapshot: &Snapshot) -> bool {
    snapshot.settled
        && snapshot.sessions.values().all(|session| session.state == "established")
        && snapshot.zones.values().all(|zone| zone.state == "served")
}

/// Waits until the clients have heard of everything that the nodes announce to somebody; false if that takes too long. A
/// node is settled before its peers have passed on what it told them.
async fn arrive(network: &Network) -> bool {
    let begun = Instant::now();
    loop {
        let mut announcers: BTreeMap<IpNet, usize> = BTreeMap::new();
        for snapshot in network.snapshots().await.values() {
            let told = |prefix: &&IpNet| {
                snapshot.sessions.values().any(|session| {
                    session.state == "established" && session.local.is_ipv4() == prefix.addr().is_ipv4()
                })
            };
            for prefix in snapshot.announced.keys().filter(told) {
                *announcers.entry(*prefix).or_default() += 1;
            }
        }
        let has_arrived = |(prefix, nodes): (&IpNet, &usize)| {
            let reach = |client| network.router.reached(client, *prefix).is_some();
            network.router.announcers(prefix) >= *nodes && (0..network.clients.len()).all(reach)
        };
        if announcers.iter().all(has_arrived) {
            return true;
        }
        if begun.elapsed() > ARRIVING {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn node_reports(
    network: &Network,
    settled: &BTreeMap<NodeName, u64>,
    snapshots: &BTreeMap<NodeName, Snapshot>,
) -> Vec<NodeReport> {
    let report = |(name, agent): (&NodeName, &super::agent::Agent)| {
        let node: Option<&Node> = network.desired.nodes.get(name);
        let snapshot = snapshots.get(name);
        NodeReport {
            name: name.clone(),
            place: node.map(|node| format!("{} {}", node.place.flag, node.place.city)).unwrap_or_default(),
            settled_ms: settled.get(name).copied(),
            rss_bytes: agent.rss_bytes(),
            name_server: snapshot.map(|snapshot| daemon(&snapshot.name_server)).unwrap_or_default(),
            routing_daemon: snapshot.map(|snapshot| daemon(&snapshot.routing_daemon)).unwrap_or_default(),
            sessions: count(
                snapshot.into_iter().flat_map(|snapshot| snapshot.sessions.values()),
                |session| session.state == "established",
            ),
            zones: count(snapshot.into_iter().flat_map(|snapshot| snapshot.zones.values()), |zone| {
                zone.state == "served"
            }),
            mesh_links: count(snapshot.into_iter().flat_map(|snapshot| snapshot.mesh.values()), |link| {
                link.handshake_age_s.is_some()
            }),
        }
    };
    network.agents.iter().map(report).collect()
}

fn daemon(daemon: &Daemon) -> String {
    if daemon.running == daemon.selected {
        daemon.running.clone()
    } else {
        format!("{} instead of {}", daemon.running, daemon.selected)
    }
}

fn count<'a, T: 'a>(all: impl Iterator<Item = &'a T>, is_up: impl Fn(&T) -> bool) -> Count {
    all.fold(Count::default(), |Count { up, all }, one| Count {
        up: up + usize::from(is_up(one)),
        all: all + 1,
    })
}

fn client_reports(network: &Network) -> Vec<ClientReport> {
    let address = network.service_addresses().first().copied();
    let client = |(number, client): (usize, &super::internet::Client)| ClientReport {
        region: client.region.name.to_owned(),
        node: address.and_then(|address| network.reached(number, address)),
    };
    network.clients.iter().enumerate().map(client).collect()
}

async fn scenarios(
    network: &mut Network,
    chosen: &[ScenarioName],
    report: &mut Report,
) -> Result<(), SimulationError> {
    for name in chosen {
        let help = name.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        show::heading(format!("{name}: {}", help.unwrap_or_default()));
        let outcome = scenario::run(*name, network).await?;
        if let Some(fault) = network.router.fault() {
            return Err(fault);
        }
        if let Some(why) = &outcome.skipped {
            show::line(format!("   left out: {why}"));
            report.skipped.push(Skipped { name: *name, why: why.clone() });
            continue;
        }
        let outcome = outcome.report(*name);
        show::scenario(&outcome);
        report.passed &= outcome.passed;
        report.scenarios.push(outcome);
    }
    Ok(())
}

/// Why the network did not settle, as far as the nodes say.
fn unsettled(network: &Network, settled: &BTreeMap<NodeName, u64>, snapshots: &BTreeMap<NodeName, Snapshot>) {
    let open: Vec<_> = network.agents.iter().filter(|(name, _)| !settled.contains_key(*name)).collect();
    for (name, agent) in open.iter().take(SHOWN) {
        show::heading(format!("{name} did not settle within {} s", SETTLING.as_secs()));
        for line in snapshots.get(*name).map(complaints).unwrap_or_default().iter().take(TAIL) {
            show::line(format!("   {line}"));
        }
        show::line(agent.log_tail(TAIL));
    }
    if open.len() > SHOWN {
        show::line(format!("\n{} nodes more did not settle", open.len() - SHOWN));
    }
}

/// What keeps a node from being settled.
fn complaints(snapshot: &Snapshot) -> Vec<String> {
    let refusal = snapshot.refusal.as_ref().map(|refusal| format!("refused: {}", refusal.why));
    let empty = snapshot.zones.iter().filter(|(_, zone)| zone.state != "served").map(|(zone, status)| {
        format!("{zone} {}: {}", status.state, status.why.as_deref().unwrap_or("no reason known"))
    });
    let down = snapshot.sessions.iter().filter(|(_, session)| session.state != "established").map(
        |(session, status)| {
            format!("{session} {}: {}", status.state, status.last_error.as_deref().unwrap_or("no error"))
        },
    );
    let todo = snapshot.actions.iter().chain(&snapshot.waits).cloned();
    refusal.into_iter().chain(snapshot.fetch_error.clone()).chain(todo).chain(down).chain(empty).collect()
}

fn summary(report: &Report) {
    show::heading("Summary");
    for scenario in &report.scenarios {
        show::line(format!(
            "{:<15}{}",
            scenario.name.to_string(),
            if scenario.passed { "held" } else { "did not hold" }
        ));
    }
    for skipped in &report.skipped {
        show::line(format!("{:<15}left out: {}", skipped.name.to_string(), skipped.why));
    }
    show::line(if report.passed { "everything held" } else { "not everything held" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::options::Providers;

    #[test]
    fn scenarios_run_in_their_order_whatever_the_order_asked_for() {
        let options = |scenario: &[ScenarioName], hold| Options {
            dir: "desired-state".into(),
            nodes: None,
            name_server: None,
            routing_daemon: None,
            providers: Providers::Embedded,
            rate: None,
            scenario: scenario.to_vec(),
            hold,
            report: None,
        };
        assert_eq!(chosen(&options(&[], false)).len(), 22);
        assert_eq!(chosen(&options(&[], true)), []);
        let two = [ScenarioName::GitDown, ScenarioName::Push, ScenarioName::GitDown];
        assert_eq!(chosen(&options(&two, true)), [ScenarioName::Push, ScenarioName::GitDown]);
    }
}
