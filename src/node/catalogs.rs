//! The catalogs of a node: read from its own name server after each step, merged into what it wants to be.
//!
//! Each look costs one question for each catalog; the zones are gone through when one of them has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::catalog::{Known, Memory, Outcome, RemovalPolicy, is_held, members, merge};
use crate::desired::slice::DesiredNode;
use crate::dns::{NameServer, ObservedNameServer, ZoneState};
use crate::names::{DomainName, Serial};
use crate::status::CatalogStatus;

/// How long a version that is older than the one that was read may be served before it counts. A daemon that starts may
/// have an old one for a moment, and members that came since then must not go for that.
const OLDER: Duration = Duration::from_secs(600);

/// What is known of catalogs.
pub(super) struct CatalogReader {
    state: PathBuf,
    memory: Memory,
    outcomes: BTreeMap<DomainName, Outcome>,
    /// Versions that are served and not used.
    unused: BTreeMap<DomainName, Unused>,
    /// Why catalogs could not be read at the last look.
    unread: BTreeMap<DomainName, String>,
    /// Why the memory could not be written.
    unsaved: Option<String>,
}

/// A version that is not used.
struct Unused {
    serial: Serial,
    fault: Fault,
    why: String,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Since then it is older than the one that was read.
    Older(Duration),
    Broken,
    /// By this policy it would take too many members away.
    Held(RemovalPolicy),
}

impl CatalogReader {
    /// With what was remembered.
    pub(super) fn open(state: PathBuf) -> Result<Self, String> {
        let memory = Memory::load(&state)?;
        let (outcomes, unused, unread) = Default::default();
        Ok(Self { state, memory, outcomes, unused, unread, unsaved: None })
    }

    /// The node with the members that are known. They are on disk before anybody acts on them.
    pub(super) async fn merge(&mut self, files: &Arc<DesiredNode>) -> Arc<DesiredNode> {
        let (memory, files) = (self.memory.clone(), Arc::clone(files));
        // Many zones take a while.
        let merged = spawn_blocking(move || merge(&files, &memory, now())).await;
        let (node, memory, outcomes) = merged.expect("merging does not panic");
        self.unused
            .retain(|catalog, _| memory.consumed.contains_key(catalog) || outcomes.contains_key(catalog));
        self.unread.retain(|catalog, _| outcomes.contains_key(catalog));
        self.outcomes = outcomes;
        if memory != self.memory || self.unsaved.is_some() {
            self.memory = memory;
            self.save().await;
        }
        Arc::new(node)
    }

    async fn save(&mut self) {
        let (memory, state) = (self.memory.clone(), self.state.clone());
        let saved = spawn_blocking(move || memory.save(&state)).await;
        self.unsaved = saved.map_err(|error| error.to_string()).and_then(|saved| saved).err();
        if let Some(why) = &self.unsaved {
            warn!(why, "what is known of catalogs could not be written");
        }
    }

    /// Reads the catalogs that have changed. Whether the node has to be merged anew. `now` is the time since the agent
    /// started.
    pub(super) async fn look(
        &mut self,
        files: &DesiredNode,
        name_server: &dyn NameServer,
        seen: &ObservedNameServer,
        now: Duration,
    ) -> bool {
        let mut changed = false;
        for (catalog, config) in &files.catalogs.consumed {
            if !seen.zones.contains_key(catalog) {
                continue;
            }
            let known = self.memory.consumed.get(catalog).map(|known| Serial(known.serial));
            // One that was held by another policy is read and judged anew.
            let counts = |unused: &&Unused| match unused.fault {
                Fault::Held(policy) => policy == config.removal,
                Fault::Older(_) | Fault::Broken => true,
            };
            let unused = self.unused.get(catalog).filter(counts);
            let is_patient = match unused.map(|unused| unused.fault) {
                Some(Fault::Older(since)) => now - since < OLDER,
                Some(Fault::Broken | Fault::Held(_)) | None => true,
            };
            let have = unused.map(|unused| unused.serial).or(known).filter(|_| is_patient);
            let zone = match name_server.zone(catalog, have).await {
                Ok(Some(zone)) => zone,
                Ok(None) => {
                    self.unread.remove(catalog);
                    continue;
                }
                Err(error) => {
                    let why = match seen.zones.get(catalog).map(|zone| &zone.state) {
                        Some(ZoneState::Empty(why)) => format!("it has no data: {why}"),
                        Some(ZoneState::Expired(why)) => format!("it has expired: {why}"),
                        Some(ZoneState::Served) | None => error.to_string(),
                    };
                    self.unread.insert(catalog.clone(), why);
                    continue;
                }
            };
            self.unread.remove(catalog);
            let serial = zone.serial();
            if is_patient && known.is_some_and(|known| known.is_newer_than(serial)) {
                let why = format!("serial {serial} is older than what was read before");
                self.unused.insert(catalog.clone(), Unused { serial, fault: Fault::Older(now), why });
                continue;
            }
            let read = spawn_blocking(move || members(&zone)).await;
            match read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|why| why.to_string()))
            {
                Ok(members) => {
                    if let Some(held) = is_held(&self.memory, catalog, serial, &members, config.removal) {
                        warn!(%catalog, why = %held, "kept the members from before");
                        let (fault, why) = (Fault::Held(config.removal), held.to_string());
                        self.unused.insert(catalog.clone(), Unused { serial, fault, why });
                        continue;
                    }
                    info!(%catalog, %serial, members = members.len(), "read the catalog");
                    self.unused.remove(catalog);
                    self.memory.consumed.insert(catalog.clone(), Known { serial: serial.0, members });
                    changed = true;
                }
                Err(why) => {
                    let why = format!("serial {serial} is broken: {why}");
                    warn!(%catalog, why, "kept the members from before");
                    self.unused.insert(catalog.clone(), Unused { serial, fault: Fault::Broken, why });
                }
            }
        }
        let leaving = self.memory.leaving.len();
        self.memory.leaving.retain(|name| seen.zones.contains_key(name));
        changed |= self.memory.leaving.len() != leaving;
        if changed {
            // Also what is gone: merging compares with this.
            self.save().await;
        }
        changed
    }

    /// Why nothing is remembered, if so.
    pub(super) fn wait(&self) -> Option<String> {
        let why = self.unsaved.as_ref()?;
        Some(format!("what is known of catalogs would be lost if the agent ended now: {why}"))
    }

    /// For people.
    pub(super) fn status(&self) -> BTreeMap<DomainName, CatalogStatus> {
        let status = |(catalog, outcome): (&DomainName, &Outcome)| {
            let Outcome { is_offered, serial, taken, refused, refusals } = outcome.clone();
            let unused = self.unused.get(catalog).map(|unused| &unused.why);
            let problem = self.unread.get(catalog).or(unused).cloned();
            let status = CatalogStatus { is_offered, serial, members: taken, refused, refusals, problem };
            (catalog.clone(), status)
        };
        self.outcomes.iter().map(status).collect()
    }
}

fn now() -> u32 {
    // Serials wrap around, and so may this.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}
