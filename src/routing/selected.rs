//! The routing daemon that a node has selected: one of the five, and another one when the node's file says so.
//!
//! It does as it is told: that a node announces nothing while it switches is seen to elsewhere (`switch`). A daemon that
//! is not there to be started is not waited for: the embedded speaker announces in its place, and says so.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::bfd::{Bfd, BfdState};
use super::bird::Bird;
use super::embedded::EmbeddedSpeaker;
use super::external::{ARCHIVE, Driver, ExternalRouting, Place};
use super::frr::{self, Frr};
use super::gobgp::Gobgp;
use super::openbgpd::OpenBgpd;
use super::{
    Archive, ObservedRouting, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind, RoutingError,
};
use crate::keyring::Keyring;
use crate::process::{DaemonUser, Process, ProcessError, ProcessState, Supervision};

/// Those that are processes of their own.
const EXTERNAL: [RoutingDaemonKind; 4] =
    [RoutingDaemonKind::Bird, RoutingDaemonKind::Frr, RoutingDaemonKind::Gobgp, RoutingDaemonKind::Openbgpd];
/// How long a daemon that is not even installed any more may take to end.
const END: Duration = Duration::from_secs(5);
/// What peers' operators are told when another daemon takes over.
const CHANGE: &str = "another routing daemon takes over";

/// Where and how daemons run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingDaemons {
    /// Each has a folder of its name in this one. Open to their users, so it is none of the agent's own.
    pub folder: PathBuf,
    /// How they are started.
    pub supervision: Supervision,
}

impl RoutingDaemons {
    /// The folders of the archives, whichever daemon has written them.
    pub fn archives(&self) -> Vec<PathBuf> {
        EXTERNAL.map(|kind| self.folder.join(kind.to_string()).join(ARCHIVE)).into()
    }

    /// The daemon of this kind; `None` where it is not installed.
    ///
    /// # Errors
    /// When its folder cannot be used.
    pub async fn open(
        &self,
        kind: RoutingDaemonKind,
        keyring: &Arc<Keyring>,
    ) -> Result<Option<ExternalRouting>, RoutingError> {
        let Some((place, driver)) = self.find(kind).await else { return Ok(None) };
        ExternalRouting::open(driver, place, self.process(kind), Arc::clone(keyring)).map(Some)
    }

    /// Whether one of this kind could be started.
    pub async fn is_installed(&self, kind: RoutingDaemonKind) -> bool {
        kind == RoutingDaemonKind::Embedded || self.find(kind).await.is_some()
    }

    async fn find(&self, kind: RoutingDaemonKind) -> Option<(Place, Box<dyn Driver>)> {
        let user = match kind {
            RoutingDaemonKind::Embedded => return None,
            RoutingDaemonKind::Bird => DaemonUser::of("bird"),
            RoutingDaemonKind::Frr => DaemonUser::of("frr"),
            RoutingDaemonKind::Gobgp => DaemonUser::of("gobgp"),
            // Its parent process stays what the agent is, and takes files of no one else.
            RoutingDaemonKind::Openbgpd => None,
        };
        let place = Place { folder: self.folder.join(kind.to_string()), user };
        let driver: Box<dyn Driver> = match kind {
            RoutingDaemonKind::Embedded => return None,
            RoutingDaemonKind::Bird => Box::new(Bird::find(place.clone()).await?),
            RoutingDaemonKind::Frr => Box::new(Frr::find(place.clone(), self.supervision).await?),
            RoutingDaemonKind::Gobgp => Box::new(Gobgp::find(place.clone()).await?),
            RoutingDaemonKind::Openbgpd => Box::new(OpenBgpd::find(place.clone()).await?),
        };
        Some((place, driver))
    }

    /// Ends the daemons of other kinds that an agent before this one may have left running, when another was selected.
    async fn end_others(&self, kind: RoutingDaemonKind, keyring: &Arc<Keyring>) -> Result<(), RoutingError> {
        for other in EXTERNAL.into_iter().filter(|other| *other != kind) {
            if !self.is_left(other).await? {
                continue;
            }
            warn!(daemon = %other, "it is not selected any more; ending it");
            match self.open(other, keyring).await? {
                Some(external) => external.end(CHANGE).await?,
                None => self.process(other).end(END).await.map_err(failed)?,
            }
        }
        Ok(())
    }

    /// Ends every one that runs, as it is, which withdraws what it announces: those that were, and what failed.
    pub(crate) async fn end_all(&self) -> (Vec<RoutingDaemonKind>, Vec<ProcessError>) {
        let (mut ended, mut failures) = (Vec::new(), Vec::new());
        for kind in EXTERNAL {
            let process = self.process(kind);
            let done = match process.state().await {
                Ok(ProcessState::Stopped) => Ok(()),
                Ok(ProcessState::Running { .. }) => process.end(END).await.map(|()| ended.push(kind)),
                // It may be about to be started again.
                Ok(ProcessState::Ended { .. }) => process.end(END).await,
                Err(error) => Err(error),
            };
            failures.extend(done.err());
        }
        (ended, failures)
    }

    /// The one that an agent before this one has left running, if there is one.
    async fn find_running(
        &self,
        keyring: &Arc<Keyring>,
    ) -> Result<Option<(RoutingDaemonKind, ExternalRouting)>, RoutingError> {
        for kind in EXTERNAL {
            if matches!(self.state(kind).await?, ProcessState::Running { .. })
                && let Some(external) = self.open(kind, keyring).await?
            {
                return Ok(Some((kind, external)));
            }
        }
        Ok(None)
    }

    fn process(&self, kind: RoutingDaemonKind) -> Arc<dyn Process> {
        let name = kind.to_string();
        self.supervision.process(&name, &self.folder.join(&name))
    }

    /// Whether anything of it was not ended on purpose.
    async fn is_left(&self, kind: RoutingDaemonKind) -> Result<bool, RoutingError> {
        let beside: &[&str] = if kind == RoutingDaemonKind::Frr { &frr::BESIDE } else { &[] };
        let folder = self.folder.join(kind.to_string());
        let beside = beside.iter().map(|name| self.supervision.process(name, &folder));
        for process in beside.chain([self.process(kind)]) {
            if process.state().await.map_err(failed)? != ProcessState::Stopped {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn state(&self, kind: RoutingDaemonKind) -> Result<ProcessState, RoutingError> {
        self.process(kind).state().await.map_err(failed)
    }
}

fn failed(error: ProcessError) -> RoutingError {
    RoutingError { operation: error.operation, why: error.why }
}

/// The routing daemon of a node, whichever it is now.
pub struct SelectedRouting {
    daemons: RoutingDaemons,
    keyring: Arc<Keyring>,
    embedded: Arc<EmbeddedSpeaker>,
    current: Mutex<Current>,
}

/// Which one that is.
#[derive(Clone)]
struct Current {
    /// What was selected last, or found running; `None` before anything was looked at.
    selected: Option<RoutingDaemonKind>,
    /// The daemon; `None` for the embedded one.
    external: Option<Arc<ExternalRouting>>,
    /// Whether this agent has selected it.
    configured: bool,
}

impl SelectedRouting {
    /// Nothing runs until it is configured, but for a daemon that an agent before this one has left running: that one is
    /// observed, and told to withdraw, as soon as anybody asks.
    pub fn new(daemons: RoutingDaemons, embedded: EmbeddedSpeaker, keyring: Arc<Keyring>) -> Self {
        let current = Mutex::new(Current { selected: None, external: None, configured: false });
        Self { daemons, keyring, embedded: Arc::new(embedded), current }
    }

    /// Ends the sessions of the embedded speaker with a message to the peers' operators. A daemon of its own outlives the
    /// agent.
    pub async fn shutdown(&self, reason: &str) {
        self.embedded.shutdown(reason).await;
    }

    fn current(&self) -> Current {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, current: Current) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }

    async fn daemon(&self) -> Result<Arc<dyn RoutingDaemon>, RoutingError> {
        let mut current = self.current();
        if current.selected.is_none()
            && let Some((kind, external)) = self.daemons.find_running(&self.keyring).await?
        {
            info!(daemon = %kind, "it has been left running, and announces on");
            current = Current { selected: Some(kind), external: Some(Arc::new(external)), configured: false };
            self.set(current.clone());
        }
        Ok(match current.external {
            Some(external) => external,
            None => Arc::clone(&self.embedded) as Arc<dyn RoutingDaemon>,
        })
    }

    /// Makes this one ready, and ends every other one.
    async fn select(&self, kind: RoutingDaemonKind) -> Result<(), RoutingError> {
        let before = self.current();
        if !before.configured {
            self.daemons.end_others(kind, &self.keyring).await?;
        }
        if before.selected == Some(kind) {
            self.set(Current { configured: true, ..before });
            return Ok(());
        }
        let external = self.daemons.open(kind, &self.keyring).await?.map(Arc::new);
        if external.is_none() && kind != RoutingDaemonKind::Embedded {
            warn!(selected = %kind, "it is not installed; the embedded speaker announces in its place");
        }
        match &before.external {
            Some(before) => before.end(CHANGE).await?,
            None if external.is_some() => self.embedded.shutdown(CHANGE).await,
            None => {}
        }
        info!(selected = %kind, "this routing daemon announces from now on");
        self.set(Current { selected: Some(kind), external, configured: true });
        Ok(())
    }
}

impl SelectedRouting {
    /// Has another file of updates begun if the interval of one is over, where the daemon does not do so by itself.
    ///
    /// # Errors
    /// When the daemon, or its archive, cannot be asked or changed.
    pub async fn rotate_archive(&self) -> Result<(), RoutingError> {
        match self.current().external {
            Some(external) => external.rotate_archive().await,
            None => Ok(()),
        }
    }

    /// A session without BFD is better than none, and tables without updates; but whoever asked for more has to know.
    fn say_what_it_lacks(&self, config: &RoutingConfig) {
        let running = match self.current().external {
            Some(_) => config.daemon,
            None => RoutingDaemonKind::Embedded,
        };
        if config.archive.is_some_and(|archive| archive.updates)
            && let Some(why) = Archive::updates_lacked_by(running)
        {
            warn!(why, "updates are not archived");
        }
        let Some(why) = Bfd::lacked_by(running) else { return };
        for (name, _) in config.sessions.iter().filter(|(_, session)| session.bfd.is_some()) {
            warn!(session = %name, why, "it runs without BFD");
        }
    }
}

#[async_trait]
impl RoutingDaemon for SelectedRouting {
    async fn observe(&self) -> Result<ObservedRouting, RoutingError> {
        let mut seen = self.daemon().await?.observe().await?;
        let asks = |name| seen.config.as_ref()?.sessions.get(name)?.bfd;
        for (name, session) in &mut seen.sessions {
            if session.bfd.is_none() && asks(name).is_some() {
                session.bfd = Some(BfdState::Absent);
            }
        }
        Ok(seen)
    }

    async fn configure(&self, config: &RoutingConfig) -> Result<(), RoutingError> {
        let mut daemon = self.daemon().await?;
        let current = self.current();
        if !(current.configured && current.selected == Some(config.daemon)) {
            self.select(config.daemon).await?;
            daemon = self.daemon().await?;
        }
        self.say_what_it_lacks(config);
        daemon.configure(config).await
    }

    async fn originate(&self, origination: &Origination) -> Result<(), RoutingError> {
        self.daemon().await?.originate(origination).await
    }
}
