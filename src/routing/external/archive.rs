//! Rotation of the file of updates of a daemon that keeps one open.

use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::ExternalRouting;
use crate::archive::{Open, set_aside};
use crate::process::ProcessState;
use crate::routing::RoutingError;

impl ExternalRouting {
    /// Has another file of updates begun if the interval of one is over, where the daemon does not do so by itself. No session
    /// notices.
    ///
    /// While a change is on trial nothing is done: what the daemon may go back to writes to the file that was open then. Nor
    /// is it where somebody else has changed something, which is put right first.
    ///
    /// # Errors
    /// When the daemon, or its archive, cannot be asked or changed. It is tried again at the next call.
    pub async fn rotate_archive(&self) -> Result<(), RoutingError> {
        if !self.driver.keeps_updates_open() {
            return Ok(());
        }
        let failed = |why: &dyn ToString| self.failed("rotate the archive of", why.to_string());
        let mut guard = self.state.lock().await;
        let state = &mut *guard;
        let Some(config) = state.config.as_ref().filter(|_| state.trial.is_none()) else { return Ok(()) };
        let Some(archive) = config.archive.filter(|archive| archive.updates) else {
            // Nothing writes to what is left.
            return set_aside(&self.place.archive()).map_err(|error| failed(&error));
        };
        let open = Open::look(&self.place.archive()).map_err(|error| failed(&error))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let process = self.process.state().await.map_err(|error| failed(&error))?;
        if !open.is_over(now, archive.interval) || !matches!(process, ProcessState::Running { .. }) {
            return Ok(());
        }
        let seen = self.look(state).await.map_err(|error| failed(&error))?;
        if self.by_hand(state, &seen).is_some() {
            return Ok(());
        }
        set_aside(&self.place.archive()).map_err(|error| failed(&error))?;
        self.reload(state, &seen.announced, None).await?;
        // That it has read its configuration was our doing.
        let seen = self.look(state).await.map_err(|error| failed(&error))?;
        state.mark.clone_from(&seen.mark);
        state.last = seen;
        Ok(())
    }

    /// Of a daemon that has ended.
    pub(super) fn close_archive(&self) {
        if let Err(error) = set_aside(&self.place.archive()) {
            warn!(daemon = self.driver.title(), %error, "its last file of updates is not set aside");
        }
    }
}
