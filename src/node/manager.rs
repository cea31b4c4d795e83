//! Service manager: what systemd is told of this agent (sd_notify(3)), where it wants to know.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::warn;

/// Says that the agent can be talked to.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// Says that it ends on purpose.
pub(super) fn ending() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager was not told how this agent is");
    }
}

/// Signs of life. An agent that gives none for `WatchdogSec` hangs, and is started anew.
pub(super) struct SignsOfLife {
    /// `None` where nobody waits for them.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl SignsOfLife {
    /// As often as the environment says (`WATCHDOG_USEC`), three times over.
    pub(super) fn new() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|limit| limit / 3), last: None }
    }

    /// Gives one, where one is due.
    pub(super) fn give(&mut self) {
        let is_due = |every| self.last.is_none_or(|last| last.elapsed() >= every);
        if self.every.is_some_and(is_due) {
            self.last = Some(Instant::now());
            tell(NotifyState::Watchdog);
        }
    }
}

/// What `systemctl status` shows, told when it changes.
#[derive(Default)]
pub(super) struct Shown(String);

impl Shown {
    /// In one line.
    pub(super) fn show(&mut self, line: String) {
        if self.0 != line {
            tell(NotifyState::Status(&line));
            self.0 = line;
        }
    }
}
