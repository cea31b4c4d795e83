//! External routing daemons: what BIRD, FRR, GoBGP and OpenBGPD have in common.
//!
//! ```text
//! configure ─→ Driver::render ─→ Driver::check ─→ files in place ─→ start, or Driver::reload ─→ trial ─→ good, or undone
//! originate ─→ Driver::observe ─→ Driver::originate ─→ Driver::observe: is it so?
//!          └─→ less than before: Driver::originate at once, and the same after it
//! observe ─→ process ─→ files and Driver::observe: is it as we left it? ─→ trial: are the sessions back?
//! ```
//!
//! To add a daemon: `routing/<daemon>.rs` has its `Driver` and `find`, `routing/selected.rs` opens it, a golden file shows
//! what is rendered, and `tests/routing/<daemon>.rs` takes the contract.
//!
//! Words: a daemon *starts silent*: no file announces anything, announcements are switched on in the running daemon, and
//! what is announced is always read from it. A change of the files is on *trial* until the sessions that were established
//! before, and that are still wanted, are established again; otherwise it is *undone*, and not tried again for a while.
//! *Drift* is what somebody else has changed in the files or in the daemon.
//!
//! A daemon outlives the agent and keeps announcing (fail-static). It is ended and started again only when it cannot be
//! asked any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{
    ObservedRouting, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind, RoutingError, SessionName,
    SessionState, refuse,
};
use crate::keyring::Keyring;
use crate::process::files::{Placed, make_folders, stage};
use crate::process::{Process, ProcessState};

mod archive;
mod driver;
mod losses;
mod place;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod told;
mod trial;

pub(crate) use crate::process::driver::{DriverError, Reloaded};
pub(crate) use driver::{DaemonState, Driver, Reload, Setup};

pub(crate) use place::ARCHIVE;
pub use place::Place;
pub(crate) use told::idle;

use losses::Losses;
use told::{is_idle, left_out, told};
use trial::{Trial, Undone, Verdict};

/// How long a daemon may take until it answers.
const START: Duration = Duration::from_secs(20);
/// How long a daemon may take to end.
const END: Duration = Duration::from_secs(5);
/// Looks in a row at which a daemon may give no answer before it is taken for hung.
const STRIKES: u32 = 3;
/// A daemon that takes a change back by itself does so this much later than the agent would: it is for when there is none.
const MARGIN: Duration = Duration::from_secs(10);

/// A routing daemon in a process of its own.
pub struct ExternalRouting {
    driver: Box<dyn Driver>,
    place: Place,
    process: Arc<dyn Process>,
    keyring: Arc<Keyring>,
    state: Mutex<State>,
}

/// What is known of the daemon.
#[derive(Default)]
struct State {
    /// The configuration that it has, as far as this agent knows.
    config: Option<RoutingConfig>,
    /// The files of that configuration, as they were written.
    placed: Placed,
    /// The daemon's mark after we last made it read them.
    mark: String,
    /// Sessions that it could not be told of, and why.
    left_out: BTreeMap<SessionName, String>,
    trial: Option<Trial>,
    undone: Option<Undone>,
    losses: Losses,
    /// What it said last.
    last: DaemonState,
    /// Looks in a row at which it did not answer.
    strikes: u32,
}

impl ExternalRouting {
    /// A daemon that may be running already.
    pub(crate) fn open(
        driver: Box<dyn Driver>,
        place: Place,
        process: Arc<dyn Process>,
        keyring: Arc<Keyring>,
    ) -> Result<Self, RoutingError> {
        let made =
            make_folders(&place.folder, &[place.etc(), place.run(), place.archive()], place.user.as_ref());
        made.map_err(|error| RoutingError {
            operation: format!("use the folder {}", place.folder.display()),
            why: error.to_string(),
        })?;
        let state = State { trial: Trial::left_open(&place), ..State::default() };
        Ok(Self { driver, place, process, keyring, state: Mutex::new(state) })
    }

    /// Which daemon it is.
    pub fn kind(&self) -> RoutingDaemonKind {
        self.driver.kind()
    }

    /// Ends the sessions with a message to the peers' operators, then the daemon, for good or for another one to take its
    /// place.
    pub async fn end(&self, message: &str) -> Result<(), RoutingError> {
        let mut state = self.state.lock().await;
        self.end_daemon(&mut state, message).await
    }

    async fn end_daemon(&self, state: &mut State, message: &str) -> Result<(), RoutingError> {
        state.config = None;
        if let Ok(ProcessState::Running { .. }) = self.process.state().await
            && let Err(error) = self.driver.part(message).await
        {
            warn!(daemon = self.driver.title(), %error, "the peers were not told");
        }
        self.process.end(END).await.map_err(|error| self.failed("end", error))?;
        self.close_archive();
        self.driver.dismiss().await.map_err(|error| self.failed("end", error))
    }

    fn failed(&self, operation: &str, why: impl ToString) -> RoutingError {
        RoutingError { operation: format!("{operation} {}", self.driver.title()), why: why.to_string() }
    }

    async fn start(&self, state: &mut State) -> Result<(), RoutingError> {
        self.driver.prepare().await.map_err(|error| self.failed("prepare", error))?;
        let launch = self.driver.launch();
        info!(daemon = self.driver.title(), version = %self.driver.version(), "starting");
        self.process.start(&launch).await.map_err(|error| self.failed("start", error))?;
        let begun = Instant::now();
        loop {
            if let Ok(ProcessState::Ended { why }) = self.process.state().await {
                return Err(self.failed("start", why));
            }
            match self.driver.observe(None).await {
                Ok(_) => break,
                Err(error) if begun.elapsed() > START => {
                    return Err(self.failed("start", format!("{error} after {} s", START.as_secs())));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        state.strikes = 0;
        Ok(())
    }

    /// What the daemon says; one that says nothing again and again hangs.
    async fn look(&self, state: &mut State) -> Result<DaemonState, DriverError> {
        let told = state.config.as_ref().map(|config| told(config, &state.left_out));
        let seen = self.driver.observe(told.as_ref()).await;
        match &seen {
            Ok(_) => state.strikes = 0,
            Err(_) => state.strikes += 1,
        }
        let mut seen = seen?;
        state.losses.count(&mut seen.sessions);
        Ok(seen)
    }

    /// Makes the files count in the running daemon, which goes on announcing what it does.
    async fn reload(
        &self,
        state: &mut State,
        announced: &Origination,
        trial: Option<(PathBuf, Duration)>,
    ) -> Result<(), RoutingError> {
        let reloaded = self.driver.reload(&Reload { announced, trial }).await;
        match reloaded.map_err(|error| self.failed("reload", error))? {
            Reloaded::Live => {}
            Reloaded::NeedsRestart => {
                info!(daemon = self.driver.title(), "this change takes a restart");
                self.end_daemon(state, "restarting with another configuration").await?;
                self.start(state).await?;
            }
        }
        Ok(())
    }

    /// From now on, what the daemon has is what we left.
    async fn settle(
        &self,
        state: &mut State,
        config: RoutingConfig,
        left_out: BTreeMap<SessionName, String>,
    ) -> Result<(), RoutingError> {
        state.left_out = left_out;
        state.config = Some(config);
        let seen = self.look(state).await.map_err(|error| self.failed("observe", error))?;
        state.mark.clone_from(&seen.mark);
        state.last = seen;
        Ok(())
    }

    /// What somebody else has changed, if anything, since we left it.
    fn by_hand(&self, state: &State, seen: &DaemonState) -> Option<String> {
        match state.placed.changed() {
            Some(path) => Some(format!("{} was changed by hand", path.display())),
            None if state.mark != seen.mark => Some("it was made to read its configuration again".to_owned()),
            None => seen.drift.clone(),
        }
    }

    /// Ends the trial if it has come to something.
    async fn judge(&self, state: &mut State, seen: &DaemonState, asked: Instant) -> Result<(), RoutingError> {
        let Some(trial) = &state.trial else { return Ok(()) };
        match trial.verdict(&seen.sessions, asked) {
            Verdict::Open => Ok(()),
            Verdict::Good => {
                self.driver.confirm().await.map_err(|error| self.failed("confirm", error))?;
                state.trial = None;
                trial::forget(&self.place).map_err(|error| self.failed("confirm", error))
            }
            Verdict::Bad(why) => self.undo(state, seen, why).await,
        }
    }

    async fn undo(&self, state: &mut State, seen: &DaemonState, why: String) -> Result<(), RoutingError> {
        warn!(daemon = self.driver.title(), why, "taking the change back");
        trial::restore(&self.place).map_err(|error| self.failed("undo", error))?;
        let before = state.trial.take().and_then(|trial| trial.before);
        if let Some(config) = state.config.take() {
            state.undone = Some(Undone::new(config, why));
        }
        state.placed = Placed::default();
        self.reload(state, &seen.announced, None).await?;
        if let Some(before) = before {
            let (files, left_out) = self.render(&before);
            // Adopted only: they lie there already, unless a secret has changed since.
            let placed = state.placed.put(&self.place.etc(), &files, self.place.user.as_ref());
            if placed.map_err(|error| self.failed("undo", error))?.is_empty() {
                self.settle(state, before, left_out).await?;
            }
        }
        Ok(())
    }

    /// Ends a daemon that cannot be asked any more.
    async fn end_if_hung(&self, state: &mut State) -> Result<(), RoutingError> {
        if state.strikes >= STRIKES {
            warn!(daemon = self.driver.title(), "it hangs; ending it");
            self.process.end(Duration::from_secs(1)).await.map_err(|error| self.failed("end", error))?;
            state.strikes = 0;
        }
        Ok(())
    }

    fn observed(&self, state: &State, seen: &DaemonState, fault: Option<String>) -> ObservedRouting {
        let mut sessions = seen.sessions.clone();
        let config = state.config.as_ref().filter(|_| fault.is_none());
        for (name, why) in &state.left_out {
            if let Some(session) = config.and_then(|config| config.sessions.get(name)) {
                sessions.insert(name.clone(), left_out(session, why));
            }
        }
        ObservedRouting {
            config: config.cloned(),
            running: self.kind(),
            fault,
            originated: seen.announced.clone(),
            sessions,
            taken_back: state.undone.as_ref().map(Undone::told),
        }
    }
}

/// Whether it announces nothing that was not announced just so before, and not everything that was.
fn is_less(wanted: &Origination, before: &Origination) -> bool {
    wanted.len() < before.len() && wanted.iter().all(|(prefix, how)| before.get(prefix) == Some(how))
}

#[async_trait]
impl RoutingDaemon for ExternalRouting {
    async fn observe(&self) -> Result<ObservedRouting, RoutingError> {
        let mut guard = self.state.lock().await;
        let state = &mut *guard;
        if state.config.as_ref().is_some_and(is_idle) {
            return Ok(self.observed(state, &DaemonState::default(), None));
        }
        let process = self.process.state().await.map_err(|error| self.failed("observe", error))?;
        let ended = match process {
            ProcessState::Running { .. } => None,
            ProcessState::Stopped => Some("it does not run".to_owned()),
            ProcessState::Ended { why } => Some(why),
        };
        if ended.is_some() {
            state.last = DaemonState::default();
            return Ok(self.observed(state, &DaemonState::default(), ended));
        }
        let asked = Instant::now();
        let seen = match self.look(state).await {
            Ok(seen) => seen,
            Err(error) if state.strikes < STRIKES => return Err(self.failed("observe", error)),
            // What it has told its peers stands as long as it does.
            Err(error) => return Ok(self.observed(state, &state.last, Some(format!("it hangs: {error}")))),
        };
        state.last.clone_from(&seen);
        if state.config.is_none() {
            return Ok(self.observed(state, &seen, None));
        }
        let by_hand = self.by_hand(state, &seen);
        if by_hand.is_some() {
            return Ok(self.observed(state, &seen, by_hand));
        }
        self.judge(state, &seen, asked).await?;
        Ok(self.observed(state, &seen, None))
    }

    async fn configure(&self, config: &RoutingConfig) -> Result<(), RoutingError> {
        refuse::check_config(config)?;
        let mut guard = self.state.lock().await;
        let state = &mut *guard;
        if let Some(why) = state.undone.as_ref().and_then(|undone| undone.forbids(config)) {
            return Err(self.failed("configure", why));
        }
        if is_idle(config) {
            self.end_daemon(state, "this node goes out of service").await?;
            state.config = Some(config.clone());
            return Ok(());
        }
        let (files, left_out) = self.render(config);
        let (staged, user) = (self.place.folder.join("etc.next"), self.place.user.as_ref());
        let failed = |error: std::io::Error| self.failed("configure", error);
        stage(&staged, &files, user).map_err(failed)?;
        self.driver.check(&staged).await.map_err(|error| self.failed("check the configuration of", error))?;
        self.end_if_hung(state).await?;
        let running = self.process.state().await.map_err(|error| self.failed("observe", error))?;
        let ProcessState::Running { .. } = running else {
            state.placed.put(&self.place.etc(), &files, user).map_err(failed)?;
            state.trial = None;
            trial::forget(&self.place).map_err(failed)?;
            self.start(state).await?;
            return self.settle(state, config.clone(), left_out).await;
        };

        let seen = self.look(state).await.map_err(|error| self.failed("observe", error))?;
        let by_hand = state.config.is_some() && self.by_hand(state, &seen).is_some();
        let known = state.config.take().filter(|_| !by_hand);
        if Placed::are_in(&self.place.etc(), &files) {
            state.placed.put(&self.place.etc(), &files, user).map_err(failed)?;
            // Unless it is known to have them: then it may have read others meanwhile.
            if known.is_none() {
                self.reload(state, &seen.announced, None).await?;
            }
            return self.settle(state, config.clone(), left_out).await;
        }
        if by_hand {
            // What lies there now is nobody's good configuration.
            state.trial = None;
            trial::forget(&self.place).map_err(failed)?;
            state.placed.put(&self.place.etc(), &files, user).map_err(failed)?;
            self.reload(state, &seen.announced, None).await?;
            return self.settle(state, config.clone(), left_out).await;
        }
        let established = seen
            .sessions
            .iter()
            .filter(|(_, session)| session.state == SessionState::Established)
            .map(|(name, _)| name.clone());
        let open = state.trial.take();
        let told = told(config, &left_out);
        let trial = Trial::begin(&self.place, known, established, open, &told).map_err(failed)?;
        state.trial = Some(trial);
        state.placed.put(&self.place.etc(), &files, user).map_err(failed)?;
        let on_trial = (trial::good(&self.place), config.trial + MARGIN);
        if let Err(error) = self.reload(state, &seen.announced, Some(on_trial)).await {
            let taken_back = self.undo(state, &seen, error.to_string()).await;
            return Err(taken_back.err().unwrap_or(error));
        }
        if let Some(trial) = &mut state.trial {
            trial.given();
        }
        self.settle(state, config.clone(), left_out).await
    }

    async fn originate(&self, origination: &Origination) -> Result<(), RoutingError> {
        let mut guard = self.state.lock().await;
        let state = &mut *guard;
        if let Some(config) = &state.config {
            refuse::check_origination(Some(config), origination)?;
        }
        let running = self.process.state().await.map_err(|error| self.failed("observe", error))?;
        if !matches!(running, ProcessState::Running { .. }) {
            return match origination.is_empty() {
                true => Ok(()),
                false => Err(self.failed("announce by", "it does not run")),
            };
        }
        let announce = |error: DriverError| self.failed("announce by", error);
        // To take back is urgent, and what was seen last says enough for that. Whether it is so is looked at next.
        let before = state.last.announced.clone();
        if state.trial.is_none()
            && is_less(origination, &before)
            && let Err(error) = self.driver.originate(state.config.as_ref(), &before, origination).await
        {
            warn!(daemon = self.driver.title(), %error, "it did not withdraw at once");
        }
        let mut seen = self.look(state).await.map_err(announce)?;
        if seen.announced != *origination {
            let is_new = |(prefix, how)| seen.announced.get(prefix) != Some(how);
            if state.config.is_none() && origination.iter().any(is_new) {
                return Err(self.failed("announce by", "it is not set up yet, so it can only withdraw"));
            }
            // What it took back by itself it would announce as it was.
            if state.trial.is_some() {
                self.driver.confirm().await.map_err(announce)?;
            }
            let present = &seen.announced;
            self.driver.originate(state.config.as_ref(), present, origination).await.map_err(announce)?;
            seen = self.look(state).await.map_err(announce)?;
        }
        if seen.announced != *origination {
            let why = format!("it announces {:?} instead of {origination:?}", seen.announced);
            return Err(self.failed("announce by", why));
        }
        state.last = seen;
        Ok(())
    }
}
