//! Keep: writes transferred zones to disk, behind the serving of them.
//!
//! What is written of a zone is what stands when its turn comes, so many changes of one zone become one; and all zones
//! that wait are written and synced together, so that a thousand cost little more than one. What cannot be written stays
//! pending.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, sleep_until};
use tracing::{info, warn};

use super::delta::Delta;
use super::disk::{Change, Disk};
use super::roster::Roster;
use crate::names::DomainName;

/// How many zones are written together at most.
const TOGETHER: usize = 1000;
/// How many octets of steps wait at most, for one zone; beyond, it is written whole.
const STEPS: usize = 256 << 10;
/// Between two tries to write.
const PAUSE: Duration = Duration::from_secs(10);

/// What there is to write.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    pending: Mutex<Pending>,
    wake: Notify,
    /// Held while something is written, so that a removal comes after a write that had begun.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Pending {
    zones: BTreeMap<DomainName, Part>,
    /// When zones of which something is kept, and that nobody has asked for, are to be forgotten.
    orphans: Option<Instant>,
    /// Whether that has been done.
    settled: bool,
}

#[derive(Debug)]
enum Part {
    /// When it was last refreshed.
    Time,
    /// Its data: the steps that led to it, or all of it.
    Data(Vec<Arc<Delta>>),
}

impl Keeper {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zone has new data, and these steps led to it, if it did not come whole.
    pub(crate) fn replaced(&self, apex: &DomainName, steps: &[Arc<Delta>]) {
        let mut pending = self.lock();
        let part = match pending.zones.remove(apex) {
            None | Some(Part::Time) => steps.to_vec(),
            // It waits to be written whole, or has to now.
            Some(Part::Data(before)) if before.is_empty() || steps.is_empty() => Vec::new(),
            Some(Part::Data(before)) => [&before, steps].concat(),
        };
        let octets: usize = part.iter().map(|step| step.octets().len()).sum();
        let part = Part::Data(if octets > STEPS { Vec::new() } else { part });
        pending.zones.insert(apex.clone(), part);
        drop(pending);
        self.wake.notify_one();
    }

    /// A zone was confirmed.
    pub(crate) fn refreshed(&self, apex: &DomainName) {
        self.lock().zones.entry(apex.clone()).or_insert(Part::Time);
        self.wake.notify_one();
    }

    /// The server was given its zones: once this much time has gone by, what is kept of others is forgotten.
    pub(crate) fn given(&self, patience: Duration) {
        let mut pending = self.lock();
        if pending.orphans.is_none() && !pending.settled {
            pending.orphans = Some(Instant::now() + patience);
            drop(pending);
            self.wake.notify_one();
        }
    }

    /// Removes what is kept of these zones, which must not be secondary zones on the roster any more.
    pub(crate) async fn forget(&self, disk: &Arc<Disk>, zones: Vec<DomainName>) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        blocking(disk, move |disk| disk.keep(&zones.into_iter().map(Change::Forget).collect::<Vec<_>>()))
            .await
    }

    /// Writes what is pending, for ever.
    pub(crate) async fn run(roster: &Roster, disk: &Arc<Disk>) {
        let keeper = &roster.keeper;
        loop {
            let (batch, orphans) = keeper.next();
            if batch.is_empty() && orphans.is_none_or(|when| when > Instant::now()) {
                let when = orphans.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
                tokio::select! {
                    () = keeper.wake.notified() => (),
                    () = sleep_until(when.into()) => (),
                }
                continue;
            }
            let turn = keeper.turn.lock().await;
            let written = match batch.is_empty() {
                true => keeper.forget_orphans(roster, disk).await,
                false => keeper.write(roster, disk, batch).await,
            };
            drop(turn);
            if let Err(error) = written {
                warn!(%error, "zones could not be kept on disk: they are served, but not after a restart; trying again");
                sleep(PAUSE).await;
            }
        }
    }

    /// What is to be written together next, and when to look for orphans.
    fn next(&self) -> (BTreeMap<DomainName, Part>, Option<Instant>) {
        let mut pending = self.lock();
        let batch = match pending.zones.keys().nth(TOGETHER).cloned() {
            None => std::mem::take(&mut pending.zones),
            Some(first_left) => {
                let left = pending.zones.split_off(&first_left);
                std::mem::replace(&mut pending.zones, left)
            }
        };
        (batch, pending.orphans)
    }

    async fn write(
        &self,
        roster: &Roster,
        disk: &Arc<Disk>,
        batch: BTreeMap<DomainName, Part>,
    ) -> io::Result<()> {
        let change = |(apex, part): (&DomainName, &Part)| {
            let (zone, refreshed) = roster.to_keep(apex)?;
            Some(match part {
                Part::Time => Change::Confirmed(apex.clone(), zone.serial(), refreshed),
                Part::Data(steps) => Change::Data(zone, steps.clone(), refreshed),
            })
        };
        let changes: Vec<Change> = batch.iter().filter_map(change).collect();
        let written = blocking(disk, move |disk| {
            disk.keep(&changes)?;
            disk.compact()
        });
        if let Err(error) = written.await {
            let mut pending = self.lock();
            for apex in batch.into_keys() {
                pending.zones.insert(apex, Part::Data(Vec::new()));
            }
            return Err(error);
        }
        Ok(())
    }

    /// Forgets the zones that were taken away while the agent was down.
    async fn forget_orphans(&self, roster: &Roster, disk: &Arc<Disk>) -> io::Result<()> {
        let mut kept = disk.zones();
        kept.retain(|apex| !roster.is_secondary(apex));
        if !kept.is_empty() {
            info!(zones = kept.len(), "forgot what was kept of zones that are not ours any more");
        }
        let orphans = kept.into_iter().map(Change::Forget).collect::<Vec<_>>();
        blocking(disk, move |disk| disk.keep(&orphans)).await?;
        let mut pending = self.lock();
        (pending.orphans, pending.settled) = (None, true);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    disk: &Arc<Disk>,
    work: impl FnOnce(&Disk) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let disk = Arc::clone(disk);
    spawn_blocking(move || work(&disk)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
