//! Archives: the task that compresses and prunes what routing daemons have written of the routes that they heard, and has
//! another file begun where a daemon does not do so by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::{debug, warn};

use crate::archive::{ArchivePolicy, tend};
use crate::desired::slice::DesiredNode;
use crate::routing::SelectedRouting;

/// Between two looks, at most.
const LOOK: Duration = Duration::from_secs(60);

/// Looks after these folders for ever. What a node without archives still has of them is left alone: it grows no more.
pub(super) async fn run(
    folders: Vec<PathBuf>,
    routing: Arc<SelectedRouting>,
    desired: watch::Receiver<Option<Arc<DesiredNode>>>,
) {
    let policy = || desired.borrow().as_ref().and_then(|node| node.archive);
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        tokio::time::sleep(next_look(now, policy())).await;
        let Some(policy) = policy() else { continue };
        if let Err(error) = routing.rotate_archive().await {
            warn!(%error, "no other file of updates was begun");
        }
        let folders = folders.clone();
        // Compressing takes seconds, and a disk may hang.
        let tended = tokio::task::spawn_blocking(move || look_after(&folders, &policy));
        if let Err(error) = tended.await {
            warn!(%error, "the archives could not be looked after");
        }
    }
}

/// How long until the next look, at this time since 1970: an interval that ends sooner is not overrun.
fn next_look(now: Duration, policy: Option<ArchivePolicy>) -> Duration {
    let Some(ArchivePolicy { interval, .. }) = policy.filter(|policy| policy.updates) else { return LOOK };
    let seconds = interval.as_secs().max(1);
    let end = Duration::from_secs((now.as_secs() / seconds + 1) * seconds);
    LOOK.min(end.saturating_sub(now))
}

/// Each folder by itself: the one of the daemon that is not selected any more only gets older.
fn look_after(folders: &[PathBuf], policy: &ArchivePolicy) {
    for folder in folders {
        match tend(folder, policy, SystemTime::now()) {
            Ok(done) if done.is_empty() => {}
            Ok(done) => debug!(folder = %folder.display(), ?done, "archives looked after"),
            Err(error) => warn!(folder = %folder.display(), %error, "an archive could not be looked after"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_interval_is_not_missed() {
        let updates = |seconds| {
            Some(ArchivePolicy {
                interval: Duration::from_secs(seconds),
                updates: true,
                ..ArchivePolicy::DEFAULT
            })
        };
        let at = |millis| Duration::from_millis(millis);
        assert_eq!(next_look(at(1_800_000), updates(900)), LOOK);
        assert_eq!(next_look(at(1_790_500), updates(900)), at(9_500));
        assert_eq!(next_look(at(1_799_999), updates(900)), at(1));
        assert_eq!(next_look(at(1_800_000), updates(60)), LOOK);
        assert_eq!(next_look(at(1_790_500), Some(ArchivePolicy::DEFAULT)), LOOK);
        assert_eq!(next_look(at(1_790_500), None), LOOK);
    }
}
