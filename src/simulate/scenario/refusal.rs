//! Three bad pushes. Every node refuses, says why, keeps the last good state, and loses no query.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{NOTE, Outcome, finish, push_note};
use crate::names::{NodeName, Revision};
use crate::simulate::draft::node_path;
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::probe::milliseconds;
use crate::simulate::{Context, SimulationError};
use crate::status::Refusal;

/// How long queries are sent to a node that has just refused: long enough to see it stumble.
const WATCH: Duration = Duration::from_secs(2);

/// An unsigned commit, as somebody would push it who got hold of the git host.
pub(super) async fn unsigned(network: &mut Network) -> Result<Outcome, SimulationError> {
    let mut outcome = Outcome::default();
    let good = network.operator.tip();
    let loads = network.load_everywhere()?;
    let text = format!("not signed, on top of {good}\n");
    let since = Instant::now();
    let bad =
        network.operator.commit(&[(NOTE, Some(text.as_bytes()))], "Change without a signature", false)?;
    network.operator.push(false)?;
    outcome.did(format!("pushed {}, which nobody signed", bad.short()));
    refused(network, &mut outcome, good, bad, since, |rule| rule != "check").await;
    network.operator.reset(good)?;
    repair(network, &mut outcome).await?;
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}

/// The branch moved back to an older commit, signed like every other.
pub(super) async fn rewind(network: &mut Network) -> Result<Outcome, SimulationError> {
    let mut outcome = Outcome::default();
    // So that there is a commit to go back to, whatever ran before.
    let good = push_note(network, "Change something harmless", false)?;
    outcome.require_ok(network.until_applied(good).await);
    let Some(older) = network.operator.parent_of_tip() else {
        return Ok(Outcome::skip("the history has one commit"));
    };
    let loads = network.load_everywhere()?;
    let since = Instant::now();
    network.operator.reset(older)?;
    network.operator.push(true)?;
    outcome.did(format!("moved the branch from {} back to {}, which is signed", good.short(), older.short()));
    refused(network, &mut outcome, good, older, since, |rule| rule == "R5").await;
    network.operator.reset(good)?;
    repair(network, &mut outcome).await?;
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}

/// A signed commit that makes no sense: a node selects a name server that nobody knows.
pub(super) async fn broken(network: &mut Network) -> Result<Outcome, SimulationError> {
    let mut outcome = Outcome::default();
    let good = network.operator.tip();
    let Some(node) = network.agents.keys().next().cloned() else {
        return Ok(Outcome::skip("there is no node"));
    };
    let loads = network.load_everywhere()?;
    let path = node_path(&node);
    let mut draft = network.operator.draft()?;
    draft.edit(&path, |file| {
        file.insert("dns".into(), json!("no-such-server"));
    })?;
    let text = draft.files.get(&path).ok_or("it is gone").context(|| format!("edit {path}"))?;
    let since = Instant::now();
    let bad = network.operator.commit(&[(&path, Some(text))], "Select an unknown name server", true)?;
    network.operator.push(false)?;
    outcome.did(format!("pushed {}, signed, in which {path} selects an unknown name server", bad.short()));
    refused(network, &mut outcome, good, bad, since, |rule| rule == "check").await;
    network.operator.reset(good)?;
    repair(network, &mut outcome).await?;
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}

/// Waits until every node has refused `bad` and still has `good`, and goes on so for a while.
async fn refused(
    network: &Network,
    outcome: &mut Outcome,
    good: Revision,
    bad: Revision,
    since: Instant,
    expected: impl Fn(&str) -> bool,
) {
    let refuses = |snapshot: &crate::status::Snapshot| {
        let refusal = snapshot.refusal.as_ref();
        refusal.is_some_and(|refusal| refusal.revision == bad && expected(&refusal.rule))
    };
    let result = network.until(PATIENCE, |_, snapshot| refuses(snapshot)).await;
    outcome.figure("refused_ms", milliseconds(since.elapsed()));
    if let Err(unmet) = result {
        let said = |snapshot: &Option<crate::status::Snapshot>| {
            let refusal = snapshot.as_ref().and_then(|snapshot| snapshot.refusal.as_ref());
            refusal
                .map_or_else(|| "nothing".to_owned(), |refusal| format!("{}: {}", refusal.rule, refusal.why))
        };
        for (node, snapshot) in unmet {
            outcome.require(false, || {
                format!("{node} did not refuse {}; it said {}", bad.short(), said(&snapshot))
            });
        }
        return;
    }
    tokio::time::sleep(WATCH).await;
    let snapshots = network.snapshots().await;
    let moved: Vec<&NodeName> = snapshots
        .iter()
        .filter(|(_, snapshot)| snapshot.revision != Some(good))
        .map(|(name, _)| name)
        .collect();
    outcome.require(moved.is_empty(), || format!("{} left {}", names(moved.into_iter()), good.short()));
    outcome.require(snapshots.len() == network.agents.len(), || "an agent does not answer".to_owned());
    let mut reasons: BTreeMap<(String, String), usize> = BTreeMap::new();
    for Refusal { rule, why, .. } in snapshots.into_values().filter_map(|snapshot| snapshot.refusal) {
        *reasons.entry((rule, why)).or_default() += 1;
    }
    for ((rule, why), count) in reasons {
        outcome.saw(format!("{count} of {} nodes refused it by {rule}: {why}", network.agents.len()));
    }
}

/// The operator finds out, and puts a good commit on top of the last good one.
async fn repair(network: &mut Network, outcome: &mut Outcome) -> Result<(), SimulationError> {
    let repaired = push_note(network, "Go on from the last good commit", true)?;
    outcome.did(format!("repaired the branch with {}", repaired.short()));
    outcome.require_ok(network.until_applied(repaired).await);
    Ok(())
}
