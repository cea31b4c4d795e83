//! External name servers: what BIND, NSD, Knot and PowerDNS have in common.
//!
//! ```text
//! configure ─→ Driver::render ─→ Driver::check ─→ files in place ─→ start, or Driver::reload ─→ it answers
//! apply ─→ zone files ─→ Driver::change ─→ Driver::look_up: is it so? ─→ ledger
//! observe ─→ process ─→ Driver::mark: did its zones change? ─→ Driver::list beside the ledger ─→ survey of serials
//! ```
//!
//! Words: a zone's *form* is its configuration as the daemon itself words it, so that what we want and what the daemon
//! has can be compared as text. The *mark* of a daemon's zones changes whenever somebody, we included, changes them, and
//! costs nothing to read. The *ledger* keeps which configuration of ours became which form. The *survey* asks the daemon
//! itself, by DNS, which serial it serves: no exit code and no status of a tool is believed instead. Zones that are served are
//! asked for by whoever needs it (`NameServer::serials`, which waits for nothing here), the others at every look.
//!
//! A daemon outlives the agent and keeps serving (fail-static). It is ended and started again only when it does not
//! answer DNS either.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{
    NameServer, NameServerConfig, NameServerError, NameServerKind, ObservedNameServer, ObservedZone, Pace,
    Serials, ZoneChanges, ZoneConfig, ZoneRecords, ZoneTable,
};
use crate::dns::embedded::zone::Zone;
use crate::keyring::Keyring;
use crate::names::{DomainName, Serial};
use crate::process::files::{Placed, make_folders, stage};
use crate::process::{DaemonUser, Process, ProcessState};

mod change;
mod driver;
mod files;
mod ledger;
mod listing;
mod lmdb;
mod read;
mod seed;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
mod words;

pub(crate) use crate::process::driver::{DriverError, Reloaded};
pub(crate) use crate::process::files::{ConfigFile, write_private};
pub(crate) use driver::{Batch, Driver, Mark, Setup};
pub(crate) use files::{zone_file_name, zone_of_file};
pub(crate) use lmdb::{lmdb_entries, lmdb_mark};

use files::ZoneFiles;
use ledger::Ledger;
use listing::Listing;
use survey::Survey;

/// How long one call may go on with batches; the rest is for the next step, so that a large change does not keep the
/// agent from a withdrawal.
const SPELL: Duration = Duration::from_secs(5);
/// How long a daemon may take until it answers.
const START: Duration = Duration::from_secs(20);
/// How long a daemon may take to end.
const END: Duration = Duration::from_secs(10);
/// Looks in a row at which a daemon, or a part of it that no answer needs, may be silent before it is taken for hung. Tools
/// that fail are no reason.
const STRIKES: u32 = 3;

/// Where a daemon lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Everything that it reads and writes.
    pub folder: PathBuf,
    /// Where it answers the agent, on the loopback network, whatever else it listens on.
    pub local: SocketAddr,
    /// What it becomes once it has its sockets; `None` where it stays what the agent is.
    pub user: Option<DaemonUser>,
}

impl Place {
    /// The folder of its configuration.
    pub fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// The folder of zone files that we write.
    pub fn zones(&self) -> PathBuf {
        self.folder.join("zones")
    }

    /// The folder of what it keeps itself, transferred zones among it.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of sockets.
    pub fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Where the records of a zone of ours are written.
    pub fn zone_file(&self, zone: &DomainName) -> PathBuf {
        self.zones().join(zone_file_name(zone))
    }
}

/// A name server in a process of its own.
pub struct ExternalNameServer {
    driver: Box<dyn Driver>,
    place: Place,
    process: Arc<dyn Process>,
    keyring: Arc<Keyring>,
    survey: Survey,
    state: Mutex<State>,
}

/// What is known of the daemon.
struct State {
    /// The configuration that it was last given by this agent.
    config: Option<NameServerConfig>,
    /// The files of that configuration, as they were written.
    placed: Placed,
    ledger: Ledger,
    zone_files: ZoneFiles,
    listing: Listing,
    /// What was last observed, while nothing has changed since.
    table: Option<ZoneTable<ObservedZone>>,
    /// Looks in a row at which it did not answer DNS.
    strikes: u32,
}

impl State {
    /// Whether the ledger says that the daemon has this very configuration.
    fn is_noted(&self, zone: &ZoneConfig) -> bool {
        self.ledger.get(&zone.name).is_some_and(|entry| entry.config == zone.fingerprint())
    }
}

fn is_file(zone: &ZoneConfig) -> bool {
    matches!(zone.source, ZoneRecords::File { .. })
}

impl ExternalNameServer {
    /// A daemon that may be running already.
    pub(crate) fn open(
        driver: Box<dyn Driver>,
        place: Place,
        process: Arc<dyn Process>,
        keyring: Arc<Keyring>,
    ) -> Result<Self, NameServerError> {
        let failed = |error: std::io::Error| NameServerError {
            operation: format!("use the folder {}", place.folder.display()),
            why: error.to_string(),
        };
        let inside = [place.etc(), place.zones(), place.data(), place.run()];
        make_folders(&place.folder, &inside, place.user.as_ref()).map_err(failed)?;
        let ledger = Ledger::open(place.folder.join("ledger")).map_err(failed)?;
        let state = State {
            config: None,
            placed: Placed::default(),
            ledger,
            zone_files: ZoneFiles::default(),
            listing: Listing::default(),
            table: None,
            strikes: 0,
        };
        let survey = Survey::new(place.local);
        Ok(Self { driver, place, process, keyring, survey, state: Mutex::new(state) })
    }

    /// Which daemon it is.
    pub fn kind(&self) -> NameServerKind {
        self.driver.kind()
    }

    /// Ends the daemon, for good or for another one to take its place.
    pub async fn end(&self) -> Result<(), NameServerError> {
        let mut state = self.state.lock().await;
        state.config = None;
        state.table = None;
        self.process.end(END).await.map_err(|error| self.failed("end", error))
    }

    fn failed(&self, operation: &str, why: impl ToString) -> NameServerError {
        NameServerError { operation: format!("{operation} {}", self.driver.title()), why: why.to_string() }
    }

    /// What the daemon said last about a zone, or nothing.
    fn said_of(&self, zone: &DomainName) -> Option<String> {
        words::last_about(self.process.log(), zone)
    }

    /// What is rendered into files, secrets included.
    fn setup<'a>(&'a self, config: &'a NameServerConfig) -> Setup<'a> {
        let keys = config.keys.keys().filter_map(|name| Some((name.clone(), self.keyring.tsig(name)?)));
        let cookie = config.cookie_secret.as_ref().and_then(|secret| self.keyring.cookie(&secret.name));
        Setup { place: &self.place, config, keys: keys.collect(), cookie }
    }

    /// Ends a daemon that neither obeys nor answers.
    async fn end_if_hung(&self, state: &mut State) -> Result<(), NameServerError> {
        if state.strikes >= STRIKES {
            warn!(daemon = self.driver.title(), "it hangs; ending it");
            self.process.end(Duration::from_secs(1)).await.map_err(|error| self.failed("end", error))?;
            state.strikes = 0;
        }
        Ok(())
    }

    async fn start(&self) -> Result<(), NameServerError> {
        self.driver.prepare().await.map_err(|error| self.failed("prepare", error))?;
        self.driver.unseed();
        self.launch().await
    }

    async fn launch(&self) -> Result<(), NameServerError> {
        let launch = self.driver.launch();
        info!(daemon = self.driver.title(), version = %self.driver.version(), "starting");
        self.process.start(&launch).await.map_err(|error| self.failed("start", error))?;
        let begun = Instant::now();
        let mut why = "it does not answer".to_owned();
        while begun.elapsed() < START {
            if let Ok(ProcessState::Ended { why }) = self.process.state().await {
                return Err(self.failed("start", why));
            }
            match self.driver.look_up(&[DomainName::root()].into()).await {
                Ok(_) => match self.survey.reaches().await {
                    Ok(()) => return Ok(()),
                    Err(error) => why = error,
                },
                Err(error) => why = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(self.failed("start", format!("{why} after {} s", START.as_secs())))
    }
}

#[async_trait]
impl NameServer for ExternalNameServer {
    async fn observe(&self) -> Result<ObservedNameServer, NameServerError> {
        let mut state = self.state.lock().await;
        let observed = |state: &mut State, config: Option<NameServerConfig>, fault: Option<String>| {
            let table = state.table.take().unwrap_or_else(|| self.table(state));
            state.table = Some(table.clone());
            Ok(ObservedNameServer { config, running: self.kind(), fault, zones: table })
        };
        if state.config.as_ref().is_some_and(|config| config.listen.is_empty()) {
            let config = state.config.clone();
            return observed(&mut state, config, None);
        }
        let process = self.process.state().await.map_err(|error| self.failed("observe", error))?;
        let fault = match process {
            ProcessState::Running { .. } => {
                state.placed.changed().map(|path| format!("{} was changed by hand", path.display()))
            }
            ProcessState::Stopped => Some("it does not run".to_owned()),
            ProcessState::Ended { why } => Some(why),
        };
        if fault.is_some() || state.config.is_none() {
            // Zones are as they were: what does not run cannot be asked.
            return observed(&mut state, None, fault);
        }
        let listed = self.list(&mut state).await;
        let answered = self.survey.look().await;
        if self.survey.take_changed() {
            state.table = None;
        }
        let well = match answered {
            Ok(()) => self.driver.is_well().await,
            Err(why) => Err(why),
        };
        match well {
            Ok(()) => state.strikes = 0,
            Err(why) => {
                state.strikes += 1;
                if state.strikes >= STRIKES {
                    let fault = format!("it hangs: {why}");
                    return observed(&mut state, None, Some(fault));
                }
            }
        }
        listed.map_err(|error| self.failed("observe", error))?;
        let failing = self.survey.take_failing();
        if !failing.is_empty()
            && let Err(error) = self.driver.failing(&failing).await
        {
            warn!(daemon = self.driver.title(), %error, "zones that fail were not looked after");
            self.survey.give_back(failing);
        }
        if let Err(error) = self.driver.tend().await {
            warn!(daemon = self.driver.title(), %error, "its zones were not tended");
        }
        let config = state.config.clone();
        observed(&mut state, config, None)
    }

    async fn configure(&self, config: &NameServerConfig) -> Result<(), NameServerError> {
        let mut state = self.state.lock().await;
        let state = &mut *state;
        if config.listen.is_empty() {
            self.process.end(END).await.map_err(|error| self.failed("end", error))?;
            state.config = Some(config.clone());
            return Ok(());
        }
        let setup = self.setup(config);
        let files = self.driver.render(&setup).map_err(|why| self.failed("configure", why))?;
        let (staged, user) = (self.place.folder.join("etc.next"), self.place.user.as_ref());
        stage(&staged, &files, user).map_err(|error| self.failed("configure", error))?;
        self.driver.check(&staged).await.map_err(|error| self.failed("check the configuration of", error))?;
        let changed = state.placed.put(&self.place.etc(), &files, user);
        let changed = changed.map_err(|error| self.failed("configure", error))?;
        self.end_if_hung(state).await?;
        let running = self.process.state().await.map_err(|error| self.failed("observe", error))?;
        match running {
            ProcessState::Running { .. } if changed.is_empty() => {}
            ProcessState::Running { .. } => {
                let reloaded = self.driver.reload(&setup, &changed).await;
                match reloaded.map_err(|error| self.failed("reload", error))? {
                    Reloaded::Live => {}
                    Reloaded::NeedsRestart => {
                        info!(daemon = self.driver.title(), "this change takes a restart");
                        self.process.end(END).await.map_err(|error| self.failed("end", error))?;
                        self.start().await?;
                    }
                }
            }
            ProcessState::Stopped | ProcessState::Ended { .. } => self.start().await?,
        }
        state.config = Some(config.clone());
        state.listing.doubt();
        state.table = None;
        self.survey.reconsider();
        Ok(())
    }

    async fn apply(&self, changes: &ZoneChanges) -> Result<(), NameServerError> {
        let mut state = self.state.lock().await;
        let begun = Instant::now();
        self.list(&mut state).await.map_err(|error| self.failed("list the zones of", error))?;
        let mut problems = Vec::new();
        let seeded = self.seed(&mut state, &changes.set).await?;
        let mut remove = changes.remove.chunks(self.driver.batch());
        let mut set = seeded.as_ref().unwrap_or(&changes.set).chunks(self.driver.batch());
        loop {
            let (gone, wanted) = (remove.next().unwrap_or_default(), set.next().unwrap_or_default());
            if gone.is_empty() && wanted.is_empty() {
                break;
            }
            if let Err(why) = self.change(&mut state, wanted, gone).await {
                problems.push(why);
            }
            if begun.elapsed() > SPELL {
                break;
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(self.failed("change the zones of", words::some(&problems))),
        }
    }

    async fn serials(&self, zones: &[DomainName], patience: Duration) -> Result<Serials, NameServerError> {
        self.survey.ask(zones, patience).await.map_err(|error| self.failed("ask", error))
    }

    async fn queries(&self) -> Result<u64, NameServerError> {
        self.driver.queries().await.map_err(|error| self.failed("count the queries of", error))
    }

    fn pace(&self) -> Pace {
        self.driver.pace()
    }

    async fn zone(
        &self,
        apex: &DomainName,
        have: Option<Serial>,
    ) -> Result<Option<Arc<Zone>>, NameServerError> {
        let limits = self.state.lock().await.config.as_ref().map(|config| config.transfers);
        let read = read::zone(self.place.local, apex, have, limits.unwrap_or_default()).await;
        read.map_err(|why| self.failed(&format!("read the zone {apex} of"), why))
    }
}
