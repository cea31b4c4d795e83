//! Scenario: something that happens to the network, and the conditions that must hold meanwhile and after.
//!
//! Each leaves the network as it found it, one or more commits further on: settled, every node announcing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hickory_proto::rr::RecordType;
use schemars::JsonSchema;
use serde::Serialize;

use super::load::{Load, Tally};
use super::network::{Network, PATIENCE, Target, names};
use super::probe::{Spread, milliseconds};
use super::report::{ScenarioReport, Step};
use super::{Context, SimulationError};
use crate::health::State;
use crate::names::{DomainName, NodeName, Revision};
use crate::status::{Daemon, Snapshot};

mod agent_kill;
mod bgp_kill;
mod canary;
mod control_crash;
mod dns_kill;
mod drain;
mod edit;
mod expire;
mod failure;
mod git_down;
mod hand_edit;
mod hub_down;
mod leak;
mod link_cut;
mod mass;
mod primaries;
mod push;
mod refusal;
mod restart;
mod switch;
mod watchdog;
mod wedge;

/// The scenarios, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioName {
    /// A signed push adds a zone
    Push,
    /// A record changes, in the repository and at a customer's primary
    Edit,
    /// An unsigned commit is pushed
    Unsigned,
    /// The branch is moved back to an older commit
    Rewind,
    /// A signed commit that does not check is pushed
    Broken,
    /// A node's name server dies under load
    Failure,
    /// A node's name server is stopped under load, not killed
    Wedge,
    /// A node's name server is killed under load, and its agent is not
    DnsKill,
    /// A node's routing daemon is killed under load
    BgpKill,
    /// The agent of a node with daemons of its own is killed under load, and nothing else
    AgentKill,
    /// The agent of a node is restarted under load, as for an upgrade
    Restart,
    /// A node's links fall silent under load
    LinkCut,
    /// A node is taken out of service under load
    Drain,
    /// A node's name server and its routing daemon are replaced by others under load
    Switch,
    /// The repository vanishes
    GitDown,
    /// A customer's primary dies, and another has newer data
    Primaries,
    /// A hub dies, and customers' zones come by the other
    HubDown,
    /// Somebody changes zones by hand in the daemons
    HandEdit,
    /// The tool that controls a daemon crashes
    ControlCrash,
    /// Every node's name server breaks at once
    Mass,
    /// Somebody makes a routing daemon announce what is not ours
    Leak,
    /// A bad routing change stops at the canary
    Canary,
    /// A zone's primaries are gone until its data expires (a minute and a half; only when it is named)
    Expire,
    /// A node's agent and name server are gone, and its routing daemon announces on (a minute; only when it is named)
    Watchdog,
}

impl ScenarioName {
    /// Whether it takes much longer than the others, most of it waiting, so that it runs only where it is asked for.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Expire | Self::Watchdog)
    }
}

impl fmt::Display for ScenarioName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("the command line leaves none out");
        f.write_str(value.get_name())
    }
}

/// Between the changes of a node's routes, at most.
const SPREAD: Duration = Duration::from_millis(50);

/// How a scenario went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    steps: Vec<Step>,
    failures: Vec<String>,
    figures: BTreeMap<String, u64>,
    /// Why this network cannot show it.
    pub(crate) skipped: Option<String>,
}

impl Outcome {
    fn skip(why: &str) -> Self {
        Self { skipped: Some(why.to_owned()), ..Self::default() }
    }

    fn did(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Did(text.into()));
    }

    fn saw(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Saw(text.into()));
    }

    fn figure(&mut self, name: &str, figure: u64) {
        self.figures.insert(name.to_owned(), figure);
    }

    /// A condition that must hold.
    fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(otherwise());
        }
    }

    /// The same of something that says itself what is wrong.
    fn require_ok(&mut self, result: Result<(), String>) {
        self.failures.extend(result.err());
    }

    /// Every node has to have answered so, or else it is said of those that did not.
    fn require_everywhere(&mut self, spread: &Spread, otherwise: &str) {
        let missing = || format!("{} {otherwise}", names(spread.missing.iter()));
        self.require(spread.missing.is_empty(), missing);
    }

    /// A load on the target, which has to answer it before anything happens.
    async fn load(&mut self, network: &Network, target: &Target) -> Result<Load, SimulationError> {
        self.load_at(network, target, network.rate).await
    }

    /// The same at this rate.
    async fn load_at(
        &mut self,
        network: &Network,
        target: &Target,
        rate: u32,
    ) -> Result<Load, SimulationError> {
        let (load, node) = (network.load(target, rate)?, &target.node);
        if load.await_answer(Instant::now(), PATIENCE, |other| other == node).await.is_none() {
            let region = network.region(target);
            self.require(false, || format!("{node} did not answer the client in {region} to begin with"));
        }
        Ok(load)
    }

    /// From the gate's decision until the last route of the node was gone at its peers.
    async fn see_withdrawal(&mut self, network: &Network, node: &NodeName) {
        let Some(agent) = network.agents.get(node) else { return };
        let Some(snapshot) = agent.snapshot().await else { return };
        if !matches!(snapshot.gate.state, State::Withdrawn | State::Maintenance) {
            return;
        }
        // To the millisecond, so it may seem to have been a little after.
        let age = Duration::from_millis(snapshot.gate.since_ms + 1);
        let Some(decided) = Instant::now().checked_sub(age) else { return };
        match network.router.await_withdrawal(node, decided, PATIENCE).await {
            Some(gone) => self.figure("withdrawal_ms", milliseconds(gone.saturating_duration_since(decided))),
            None => self.require(false, || format!("the peers of {node} kept its routes")),
        }
    }

    /// Another node has to answer, after no longer than its finding out may take.
    fn require_switch(&mut self, by: &str, switch: Option<Duration>, detection: Duration) {
        let Some(time) = switch else {
            return self.require(false, || "no other node answered".to_owned());
        };
        self.figure("switch_ms", milliseconds(time));
        self.saw(format!("{by} answers after {} ms", milliseconds(time)));
        self.require(time <= detection, || {
            format!(
                "no other node answered for {} ms, longer than detection may take ({} ms)",
                milliseconds(time),
                milliseconds(detection)
            )
        });
    }

    /// The node itself has to answer again.
    fn require_back(&mut self, node: &NodeName, back: Option<Duration>) {
        let Some(time) = back else {
            return self.require(false, || format!("{node} did not come back"));
        };
        self.figure("back_ms", milliseconds(time));
        self.saw(format!("{node} answers again after {} ms", milliseconds(time)));
    }

    /// The switch is the whole loss: a query more at either end of it, and none on the way back. The routes to the addresses
    /// change one after the other, so the last one may be a little later than the first.
    fn require_loss_of_switch_alone(&mut self, tally: &Tally, switch: Option<Duration>, rate: u32) {
        self.figure("queries_sent", tally.sent);
        self.figure("queries_lost", tally.lost);
        let allowed = switch.map_or(0, |time| u64::from(rate) * milliseconds(time + SPREAD) / 1_000 + 2);
        self.require(tally.lost <= allowed, || {
            format!("{} queries were lost, where the switch explains {allowed}", tally.lost)
        });
    }

    /// The node has to answer again after this moment, and everything to settle; of the load no more may be lost than this
    /// time without an answer explains.
    async fn require_end(
        &mut self,
        network: &Network,
        load: Load,
        node: &NodeName,
        since: Instant,
        silence: Option<Duration>,
    ) {
        let back = load.await_answer(since, PATIENCE * 2, |other| other == node).await;
        self.require_back(node, back.map(|at| at - since));
        self.require_ok(network.until_applied(network.operator.tip()).await);
        let tally = load.finish().await;
        self.require_loss_of_switch_alone(&tally, silence, network.rate);
    }

    /// Not one query may be lost, of any load.
    fn require_no_loss(&mut self, tallies: &[Tally]) {
        if tallies.is_empty() {
            self.saw("no client reaches any node, so there was nothing to lose");
            return;
        }
        let sent = tallies.iter().map(|tally| tally.sent).sum();
        let lost = tallies.iter().map(|tally| tally.lost).sum();
        self.figure("queries_sent", sent);
        self.figure("queries_lost", lost);
        self.require(lost == 0, || format!("{lost} of {sent} queries were lost"));
        self.require(sent > 0, || "no query was sent".to_owned());
    }

    /// As the report has it.
    pub(crate) fn report(self, name: ScenarioName) -> ScenarioReport {
        let Self { steps, failures, figures, skipped: _ } = self;
        ScenarioReport { name, passed: failures.is_empty(), steps, failures, figures }
    }
}

/// Runs one.
pub(crate) async fn run(name: ScenarioName, network: &mut Network) -> Result<Outcome, SimulationError> {
    match name {
        ScenarioName::Push => push::run(network).await,
        ScenarioName::Edit => edit::run(network).await,
        ScenarioName::Unsigned => refusal::unsigned(network).await,
        ScenarioName::Rewind => refusal::rewind(network).await,
        ScenarioName::Broken => refusal::broken(network).await,
        ScenarioName::Failure => failure::run(network).await,
        ScenarioName::Wedge => wedge::run(network).await,
        ScenarioName::DnsKill => dns_kill::run(network).await,
        ScenarioName::BgpKill => bgp_kill::run(network).await,
        ScenarioName::AgentKill => agent_kill::run(network).await,
        ScenarioName::Restart => restart::run(network).await,
        ScenarioName::LinkCut => link_cut::run(network).await,
        ScenarioName::Drain => drain::run(network).await,
        ScenarioName::Switch => switch::run(network).await,
        ScenarioName::GitDown => git_down::run(network).await,
        ScenarioName::Primaries => primaries::run(network).await,
        ScenarioName::HubDown => hub_down::run(network).await,
        ScenarioName::HandEdit => hand_edit::run(network).await,
        ScenarioName::ControlCrash => control_crash::run(network).await,
        ScenarioName::Mass => mass::run(network).await,
        ScenarioName::Leak => leak::run(network).await,
        ScenarioName::Canary => canary::run(network).await,
        ScenarioName::Expire => expire::run(network).await,
        ScenarioName::Watchdog => watchdog::run(network).await,
    }
}

/// A target one of whose two daemons is a process of its own, and which it is.
async fn target_with(network: &Network, job: fn(&Snapshot) -> &Daemon) -> Option<(Target, String)> {
    let snapshots = network.snapshots().await;
    let daemon_of = |node: &NodeName| {
        let running = &job(snapshots.get(node)?).running;
        (running != "embedded").then(|| running.clone())
    };
    let target = network.target_among(|node| daemon_of(node).is_some())?;
    let daemon = daemon_of(&target.node)?;
    Some((target, daemon))
}

/// Ends loads and counts.
async fn finish(loads: Vec<Load>) -> Vec<Tally> {
    futures_util::future::join_all(loads.into_iter().map(Load::finish)).await
}

/// A file for commits whose contents do not matter: one that every repository may have.
const NOTE: &str = "README.simulation";

/// Commits something harmless, signed, and pushes it: forced if the branch is not where the operator left it.
fn push_note(network: &mut Network, why: &str, force: bool) -> Result<Revision, SimulationError> {
    let text = format!("{why}\n\non top of {}\n", network.operator.tip());
    let revision = network.operator.commit(&[(NOTE, Some(text.as_bytes()))], why, true)?;
    network.operator.push(force)?;
    Ok(revision)
}

/// A record that a push added, and how it spread.
struct Added {
    name: DomainName,
    /// Of the zone file.
    path: String,
    revision: Revision,
    spread: Spread,
}

/// Adds a record to a primary zone, and waits until every node serves it. Nobody had its name before, so no answer is from
/// then. `None` where there is no zone but the canary.
async fn add_record(
    network: &mut Network,
    outcome: &mut Outcome,
    word: &str,
) -> Result<Option<Added>, SimulationError> {
    let Some((zone, path)) = network.a_primary_zone() else { return Ok(None) };
    let name = format!("{word}-{}.{zone}", network.operator.tip().short());
    let since = Instant::now();
    let revision = network.operator.change(&format!("Add {name}"), |draft| {
        draft.append(&path, &format!("{name}. 60 IN TXT \"{word}\""));
        Ok(())
    })?;
    let name: DomainName = name.parse().context(|| format!("name a record in {zone}"))?;
    let spread = network
        .everywhere(&name, RecordType::TXT, since, |answer| answer.authoritative && answer.records == 1)
        .await;
    outcome.require_everywhere(&spread, "did not serve the new record");
    Ok(Some(Added { name, path, revision, spread }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sent: u64, lost: u64) -> Tally {
        Tally { sent, lost, by_node: BTreeMap::new() }
    }

    #[test]
    fn one_lost_query_of_any_load_fails_a_scenario() {
        let report = |tallies: &[Tally]| {
            let mut outcome = Outcome::default();
            outcome.require_no_loss(tallies);
            outcome.report(ScenarioName::Drain)
        };
        let held = report(&[tally(200, 0), tally(100, 0)]);
        assert!(held.passed);
        assert_eq!(held.figures["queries_sent"], 300);
        let lost = report(&[tally(200, 0), tally(100, 1)]);
        assert!(!lost.passed);
        assert_eq!(lost.failures, ["1 of 300 queries were lost"]);
        assert!(!report(&[tally(0, 0)]).passed, "a load that sent nothing shows nothing");
        assert!(report(&[]).passed, "no load was possible, and the report says so");
    }

    #[test]
    fn a_scenario_has_one_name_everywhere() {
        for name in ScenarioName::value_variants() {
            let value = name.to_possible_value().unwrap();
            assert_eq!(value.get_name(), name.to_string());
            assert_eq!(serde_json::json!(name), serde_json::json!(name.to_string()));
        }
    }
}
