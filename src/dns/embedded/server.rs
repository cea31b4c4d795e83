//! The name server as the rest of the agent knows it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use super::disk::Disk;
use super::handler::{Handler, ZonePolicy};
use super::keep::Keeper;
use super::listen::Listeners;
use super::roster::{Prepared, Roster};
use super::timing::Timing;
use super::zone::Zone;
use super::zones::ZoneEntry;
use super::{schedule, zonefile};
use crate::dns::{
    NameServer, NameServerConfig, NameServerError, NameServerKind, ObservedNameServer, Pace, Serials,
    ZoneChanges, ZoneConfig, ZoneRecords, serials,
};
use crate::keyring::Keyring;
use crate::names::{DomainName, Serial};

/// Zones that are read in one go.
const BATCH: usize = 64;
/// Problems that are told of one list of changes.
const TOLD: usize = 10;

/// The name server inside this process. Dropping it stops it.
pub struct EmbeddedNameServer {
    roster: Arc<Roster>,
    disk: Arc<Disk>,
    handler: Arc<Handler>,
    listeners: Listeners,
    tasks: Mutex<Vec<Task>>,
    /// Changes are made one batch at a time.
    turn: tokio::sync::Mutex<()>,
    /// The configuration that was last asked for, once there was one.
    configured: Mutex<Option<NameServerConfig>>,
}

/// A task that runs for as long as the server does.
struct Task {
    name: &'static str,
    handle: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl EmbeddedNameServer {
    /// Opens the folder of kept zones under the agent's state folder. Zones find their TSIG keys in the keyring.
    /// Nothing is served until it is configured.
    pub fn open(state: &Path, keyring: Arc<Keyring>) -> Result<Self, NameServerError> {
        Self::open_with(state, Timing::default(), keyring)
    }

    /// The same with other bounds for the timers of secondary zones.
    pub fn open_with(state: &Path, timing: Timing, keyring: Arc<Keyring>) -> Result<Self, NameServerError> {
        let disk = Disk::open(state)
            .map_err(|error| failed(format!("open the zones kept in {}", state.display()), error))?;
        let roster = Arc::new(Roster::new(timing, keyring));
        let policy: Arc<dyn ZonePolicy> = Arc::clone(&roster) as Arc<dyn ZonePolicy>;
        let handler = Handler::new(Arc::clone(&roster.zones), policy);
        Ok(Self {
            roster,
            disk: Arc::new(disk),
            handler: Arc::new(handler),
            listeners: Listeners::default(),
            tasks: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            configured: Mutex::default(),
        })
    }

    /// Starts the tasks, and those again that have ended, which only a panic makes them do.
    fn start_tasks(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.handle.is_finished());
        for name in ["schedule", "notify", "keep"] {
            if tasks.iter().any(|task| task.name == name) {
                continue;
            }
            let (roster, disk) = (Arc::clone(&self.roster), Arc::clone(&self.disk));
            let handle = match name {
                "schedule" => tokio::spawn(schedule::run(roster)),
                "notify" => {
                    tokio::spawn(async move { roster.notifier.run(&roster.zones, &roster.keyring).await })
                }
                _ => tokio::spawn(async move { Keeper::run(&roster, &disk).await }),
            };
            tasks.push(Task { name, handle });
        }
    }

    /// Reads and sets zones, in batches, some at once. Returns what was wrong with each.
    async fn set(&self, zones: &[Arc<ZoneConfig>]) -> Result<Vec<String>, NameServerError> {
        let batches: Vec<_> = zones.chunks(BATCH).map(<[_]>::to_vec).collect();
        let read = |batch: Vec<Arc<ZoneConfig>>| {
            let (roster, disk) = (Arc::clone(&self.roster), Arc::clone(&self.disk));
            spawn_blocking(move || {
                let prepared = batch.iter().map(|config| Self::prepare(&roster, &disk, config)).collect();
                std::iter::zip(batch, Vec::into_iter(prepared)).collect::<Vec<_>>()
            })
        };
        let mut prepared = stream::iter(batches).map(read).buffered(readers());
        let mut problems = Vec::new();
        while let Some(batch) = prepared.next().await {
            for (config, prepared) in batch.map_err(|error| failed("read zones".to_owned(), error))? {
                if let Err(problem) = self.roster.set(&config, prepared) {
                    problems.push(format!("{}: {problem}", config.name));
                }
            }
        }
        Ok(problems)
    }

    /// Reads a zone file, or what was kept of a secondary zone. May take a while.
    fn prepare(roster: &Roster, disk: &Disk, config: &ZoneConfig) -> Prepared {
        match &config.source {
            ZoneRecords::File { path, text, serial } => {
                let read = zonefile::read(path, text, &config.name, Some(*serial));
                let with_step = |zone| {
                    let step = roster.step_to(&config.name, &zone);
                    (Arc::new(zone), step)
                };
                Prepared::File(read.map(with_step).map_err(|findings| {
                    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                }))
            }
            ZoneRecords::Transfer(_) if roster.wants_disk(&config.name) => {
                Prepared::Kept(disk.read(&config.name).unwrap_or_else(|problem| {
                    warn!(zone = %config.name, problem, "ignored what was kept on disk");
                    None
                }))
            }
            ZoneRecords::Transfer(_) => Prepared::Kept(None),
        }
    }
}

#[async_trait]
impl NameServer for EmbeddedNameServer {
    async fn observe(&self) -> Result<ObservedNameServer, NameServerError> {
        let mut config = self.configured.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(config) = &mut config {
            self.start_tasks();
            config.listen = self.listeners.alive();
        }
        Ok(ObservedNameServer {
            config,
            running: NameServerKind::Embedded,
            fault: None,
            zones: self.roster.observe(),
        })
    }

    async fn configure(&self, config: &NameServerConfig) -> Result<(), NameServerError> {
        let _turn = self.turn.lock().await;
        self.start_tasks();
        self.roster.config.store(Arc::new(config.clone()));
        self.listeners.limit(config.rate_limit.as_ref());
        let refused = self.listeners.reconcile(&config.listen, &self.handler);
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = Some(config.clone());
        if refused.is_empty() {
            return Ok(());
        }
        let why: Vec<String> = refused.iter().map(|(address, error)| format!("{address}: {error}")).collect();
        Err(failed("listen".to_owned(), why.join("; ")))
    }

    async fn apply(&self, changes: &ZoneChanges) -> Result<(), NameServerError> {
        let _turn = self.turn.lock().await;
        self.start_tasks();
        let mut problems = Vec::new();
        changes.remove.iter().for_each(|apex| self.roster.remove(apex));
        // What was transferred once is not the data of a zone that has a file now.
        let has_file = |config: &&Arc<ZoneConfig>| matches!(config.source, ZoneRecords::File { .. });
        let has_file = changes.set.iter().filter(has_file).map(|config| config.name.clone());
        let forget = changes.remove.iter().cloned().chain(has_file).collect();
        problems.extend(self.set(&changes.set).await?);
        if let Err(error) = self.roster.keeper.forget(&self.disk, forget).await {
            problems.push(format!("what was kept of zones on disk could not be removed: {error}"));
        }
        self.roster.keeper.given(self.roster.timing.forget);
        match problems.is_empty() {
            true => Ok(()),
            false => {
                let more = match problems.len().saturating_sub(TOLD) {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                problems.truncate(TOLD);
                Err(failed("apply zones".to_owned(), problems.join("; ") + &more))
            }
        }
    }

    async fn serials(&self, zones: &[DomainName], patience: Duration) -> Result<Serials, NameServerError> {
        let failed = |why: String| failed("ask the embedded name server".to_owned(), why);
        let alive = self.listeners.alive();
        let address = alive.first().ok_or_else(|| failed("it does not listen".to_owned()))?;
        let serials = serials::by_tcp(*address, zones, patience).await;
        serials.map_err(|error| failed(format!("{address}: {error}")))
    }

    async fn queries(&self) -> Result<u64, NameServerError> {
        Ok(self.handler.queries())
    }

    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    async fn zone(
        &self,
        apex: &DomainName,
        have: Option<Serial>,
    ) -> Result<Option<Arc<Zone>>, NameServerError> {
        match self.roster.zones.get(apex) {
            Some(ZoneEntry::Served(zone)) => Ok(Some(zone).filter(|zone| Some(zone.serial()) != have)),
            Some(ZoneEntry::Empty | ZoneEntry::Expired) | None => {
                Err(failed(format!("read the zone {apex}"), "it is not served"))
            }
        }
    }
}

/// How many threads read zones: one processor stays free to answer.
fn readers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get() - 1).clamp(1, 4)
}

fn failed(operation: String, why: impl ToString) -> NameServerError {
    NameServerError { operation, why: why.to_string() }
}
