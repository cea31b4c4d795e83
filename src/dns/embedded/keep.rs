//! Keep: writes transferred zones to disk, one after another, behind the serving of them.
//!
//! Only names are queued: what is written is what stands when its turn comes, so many changes of one zone become
//! one file, and a zone that was removed meanwhile is not written again.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::disk::Disk;
use super::roster::Roster;
use crate::names::DomainName;

/// What there is to write.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    pending: Mutex<BTreeMap<DomainName, Part>>,
    wake: Notify,
    /// Held while a file is written or removed, so that a removal comes after a write that had begun.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// When it was last refreshed.
    Time,
    /// All of it.
    Data,
}

impl Keeper {
    /// A zone has new data.
    pub(crate) fn replaced(&self, apex: &DomainName) {
        self.put(apex, Part::Data);
    }

    /// A zone was confirmed.
    pub(crate) fn refreshed(&self, apex: &DomainName) {
        self.put(apex, Part::Time);
    }

    fn put(&self, apex: &DomainName, part: Part) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = pending.entry(apex.clone()).or_insert(part);
        *entry = part.max(*entry);
        drop(pending);
        self.wake.notify_one();
    }

    /// Removes a zone's file. The zone must be off the roster already.
    pub(crate) async fn remove(&self, disk: &Arc<Disk>, apex: &DomainName) -> io::Result<()> {
        let turn = self.turn.lock().await;
        let (disk, apex) = (Arc::clone(disk), apex.clone());
        let removed = spawn_blocking(move || disk.remove(&apex)).await;
        drop(turn);
        removed.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Writes what is pending, for ever.
    pub(crate) async fn run(roster: &Roster, disk: &Arc<Disk>) {
        let keeper = &roster.keeper;
        loop {
            let next = keeper.pending.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            let Some((apex, part)) = next else {
                keeper.wake.notified().await;
                continue;
            };
            let turn = keeper.turn.lock().await;
            if let Some((zone, refreshed)) = roster.to_keep(&apex) {
                let disk = Arc::clone(disk);
                let written = spawn_blocking(move || match part {
                    Part::Data => disk.write(&zone, refreshed),
                    // A file that is missing or was never written gets written now.
                    Part::Time => {
                        disk.refreshed(zone.apex(), refreshed).or_else(|_| disk.write(&zone, refreshed))
                    }
                });
                if let Err(error) = written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                    warn!(zone = %apex, %error, "the zone could not be kept on disk: it is served, but not after a restart");
                }
            }
            drop(turn);
        }
    }
}
