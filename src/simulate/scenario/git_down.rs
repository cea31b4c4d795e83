//! The git host vanishes: nothing changes. It comes back: the nodes catch up.

use std::fs;
use std::time::{Duration, Instant};

use super::{Outcome, finish, push_note};
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::probe::milliseconds;
use crate::simulate::repository::bare;
use crate::simulate::{Context, SimulationError};

/// How long it stays away after every node has noticed.
const ABSENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let mut outcome = Outcome::default();
    let before = network.operator.tip();
    let loads = network.load_everywhere()?;
    let (here, away) = (bare(), bare().with_extension("away"));
    fs::rename(&here, &away).context(|| "take the repository away".into())?;
    let since = Instant::now();
    outcome.did("took the repository away");
    let noticed = network.until(PATIENCE, |_, snapshot| snapshot.fetch_error.is_some()).await;
    outcome.figure("noticed_ms", milliseconds(since.elapsed()));
    if let Err(unmet) = noticed {
        outcome.require(false, || format!("{} did not say that the repository is gone", names(unmet.keys())));
    }
    tokio::time::sleep(ABSENCE).await;
    let snapshots = network.snapshots().await;
    let announcing = |snapshot: &crate::status::Snapshot| !snapshot.announced.is_empty();
    let same = snapshots.values().all(|snapshot| snapshot.revision == Some(before) && snapshot.settled);
    outcome.require(same, || format!("a node is not settled on {} any more", before.short()));
    outcome.require(snapshots.values().any(announcing), || "no node announces any more".to_owned());
    if let Some(error) = snapshots.values().find_map(|snapshot| snapshot.fetch_error.as_ref()) {
        outcome.saw(format!("every node says so ({error}) and goes on as before"));
    }

    fs::rename(&away, &here).context(|| "put the repository back".into())?;
    let since = Instant::now();
    let revision = push_note(network, "Push after the host came back", false)?;
    outcome.did(format!("put it back, and pushed {}", revision.short()));
    outcome.require_ok(network.until_applied(revision).await);
    outcome.figure("caught_up_ms", milliseconds(since.elapsed()));
    outcome.saw(format!("every node has it after {} ms", milliseconds(since.elapsed())));
    let errors = network.until(PATIENCE, |_, snapshot| snapshot.fetch_error.is_none()).await;
    if let Err(unmet) = errors {
        outcome.require(false, || format!("{} still says that it cannot fetch", names(unmet.keys())));
    }
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}
