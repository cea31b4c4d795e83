//! Archives: the task that compresses and prunes what routing daemons have written of the routes that they heard.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tracing::{debug, warn};

use crate::archive::{ArchivePolicy, tend};
use crate::desired::slice::DesiredNode;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(60);

/// Looks after these folders for ever. What a node without archives still has of them is left alone: it grows no more.
pub(super) async fn run(folders: Vec<PathBuf>, desired: watch::Receiver<Option<Arc<DesiredNode>>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let policy = desired.borrow().as_ref().and_then(|node| node.archive);
        if let Some(policy) = policy {
            let folders = folders.clone();
            // Compressing takes seconds, and a disk may hang.
            let tended = tokio::task::spawn_blocking(move || look_after(&folders, &policy));
            if let Err(error) = tended.await {
                warn!(%error, "the archives could not be looked after");
            }
        }
    }
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
