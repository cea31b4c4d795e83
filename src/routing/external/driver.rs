//! Driver: what the four daemons differ in. A driver decides nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::archive::{UPDATES, UPDATES_OPEN, WRITTEN};
use crate::keyring::Secret;
use crate::process::driver::{DriverError, Reloaded};
use crate::process::files::ConfigFile;
use crate::process::{Launch, Version};
use crate::routing::{
    ObservedSession, Origination, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName,
};

/// What a configuration is rendered of. Holds secrets: it goes into files that only the daemon can read, and nowhere
/// else.
pub(crate) struct Setup<'a> {
    /// What it should be. Sessions that it cannot be told are left out already.
    pub(crate) config: &'a RoutingConfig,
    /// The passwords of the sessions that have one.
    pub(crate) passwords: BTreeMap<SessionName, Secret>,
    /// The folder of its archive.
    pub(crate) archive: &'a Path,
}

impl Setup<'_> {
    /// How often tables are written, in seconds, and the file's name, with strftime(3)'s conversions and this before its end.
    pub(crate) fn tables(&self, more: &str) -> Option<(u64, String)> {
        Some((self.config.archive?.interval.as_secs(), self.by_time("", more)))
    }

    /// The same of updates, by a daemon that begins files itself.
    pub(crate) fn updates(&self) -> Option<(u64, String)> {
        let archive = self.config.archive.filter(|archive| archive.updates)?;
        Some((archive.interval.as_secs(), self.by_time(UPDATES, "")))
    }

    /// The one file of updates of a daemon that does not.
    pub(crate) fn updates_open(&self) -> Option<PathBuf> {
        self.config.archive.filter(|archive| archive.updates).map(|_| self.archive.join(UPDATES_OPEN))
    }

    fn by_time(&self, kind: &str, more: &str) -> String {
        let folder = self.archive.display().to_string().replace('%', "%%");
        format!("{folder}/{kind}%Y%m%dT%H%M%S{more}{WRITTEN}")
    }
}

/// How changed files are made to count.
pub(crate) struct Reload<'a> {
    /// What is announced now, and stays announced whatever the files say.
    pub(crate) announced: &'a Origination,
    /// Where the files are that counted before, and for how long the change is on trial, if it is. A daemon that can take a
    /// change back by itself does so after that time, unless it is confirmed.
    pub(crate) trial: Option<(PathBuf, Duration)>,
}

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct DaemonState {
    /// What it originates.
    pub(crate) announced: Origination,
    /// Its sessions, with what each peer was really told. How often one was lost is counted by who asks.
    pub(crate) sessions: BTreeMap<SessionName, ObservedSession>,
    /// Another one whenever somebody, we included, has made it read a configuration; the same always where a daemon does
    /// not tell.
    pub(crate) mark: String,
    /// What it has and should not have, or lacks, beside the configuration that it was asked about.
    pub(crate) drift: Option<String>,
}

/// One daemon's ways.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// Which daemon it is.
    fn kind(&self) -> RoutingDaemonKind;

    /// Its name in messages.
    fn title(&self) -> &'static str;

    /// The version that is installed.
    fn version(&self) -> Version;

    /// How it is started, in the foreground. Started so, it announces nothing.
    fn launch(&self) -> Launch;

    /// Whether it tells sessions apart by the peer's address alone, so that it can have one with each address.
    fn knows_sessions_by_neighbor(&self) -> bool {
        false
    }

    /// Whether it keeps one file of updates open (`archive::UPDATES_OPEN`) and opens it anew at each reload, instead of
    /// beginning a file for each interval.
    fn keeps_updates_open(&self) -> bool {
        false
    }

    /// Why it cannot be told of such a session, if it cannot: that one is left out then, and the others are not. Pure.
    fn refuses(
        &self,
        name: &SessionName,
        config: &SessionConfig,
        password: Option<&Secret>,
    ) -> Option<String>;

    /// The files of its configuration, with paths relative to `Place::etc`. They announce nothing. Pure.
    fn render(&self, setup: &Setup<'_>) -> Vec<ConfigFile>;

    /// Has the daemon's own checker read the files, which lie in this folder for the time being.
    async fn check(&self, staged: &Path) -> Result<(), DriverError>;

    /// What has to be done before it can be started: a stale socket removed, say.
    async fn prepare(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// What has to be done once it has ended for good: whatever runs beside it ends, too.
    async fn dismiss(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// Makes the files in `Place::etc` count in the running daemon. Sessions that they do not change stay, and so does
    /// what is announced. If the files are those that count, nothing happens.
    async fn reload(&self, reload: &Reload<'_>) -> Result<Reloaded, DriverError>;

    /// Ends the trial of the last reload: the daemon keeps what it has.
    async fn confirm(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// Reads what it announces and how its sessions stand; with a configuration, also whether it is still that.
    async fn observe(&self, config: Option<&RoutingConfig>) -> Result<DaemonState, DriverError>;

    /// Turns announcements on and off, without rewriting the configuration where it can. Without a configuration only off.
    async fn originate(
        &self,
        config: Option<&RoutingConfig>,
        present: &Origination,
        wanted: &Origination,
    ) -> Result<(), DriverError>;

    /// Ends all sessions with a message to the peers' operators (RFC 9003), before the daemon itself is ended.
    async fn part(&self, message: &str) -> Result<(), DriverError>;
}
