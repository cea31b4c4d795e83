//! PowerDNS Authoritative Server (4.5 and later) with its sqlite backend.
//!
//! ```text
//! change ─→ one transaction in the database ─→ control socket: retrieve, notify
//! list   ←─ one query: kind, primaries and seal of all zones
//! tend   ─→ what it does not do by itself: expiry, the freshest of several primaries
//! log    ─→ what it would do a second later: ask when it is notified, notify others
//! ```
//!
//! Zones are rows of its database, which we write with the `sqlite3` tool: a whole batch in one transaction, so that no
//! zone is seen half changed, where its HTTP API takes a call for each zone and several to replace one's records. With its
//! caches off it serves what is committed from the next question on. A zone's *seal* is the fingerprint of what it was
//! given, in its `account`; triggers break it when anybody else changes the zone, its metadata, or records of ours. So a
//! zone's form is its kind, its primaries and its seal, and neither settings nor single records change unseen.
//!
//! What it cannot do, and what becomes of it:
//! - One TSIG key and one source address serve all primaries of a zone: those that want others than the first are left out.
//! - It asks one primary at random for the serial, so that the freshest does not win; `tend` asks all of them. A dead one
//!   only costs a try.
//! - It never lets a zone expire: `tend` does, so that none expires while no agent runs. An expired zone is REFUSED, as one
//!   that never had data is, instead of SERVFAIL: it says that only of data that it cannot read, and then it drops TCP
//!   connections, opens its database anew and writes two lines of log at each question.
//! - Its main loop sleeps a second between two looks at what it has to do, so that a NOTIFY waits for that here, and again
//!   where it tells others: `herald` has both done at once.
//! - NOTIFY goes out unsigned, from the address that the kernel chooses. It could sign all or none, with the key of whoever
//!   may transfer, and nodes that do not have that key would refuse it. It takes NOTIFY from a zone's primaries without a
//!   signature, too; it only makes it ask.
//! - A transfer is allowed to an address or to a key. A client that has to have both is refused here rather than let in with
//!   the one. Whoever was just told of a new serial may transfer, and so may `Place::local`'s address.
//! - Transfers come whole (AXFR); it limits their octets and the time without any, not records or total time.
//! - It answers everybody: there is no access list for queries, so that a catalog is private with it only as to transfers.
//! - It has no response rate limit. It takes identity, addresses and cookie secret only when it starts.
//! - Of a signed zone it makes the NSEC and NSEC3 records anew from the names that have one, and signs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::external::{Batch, ConfigFile, Driver, DriverError, Mark, Place, Reloaded, Setup};
use super::{NameServerKind, ZoneConfig, ZoneRecords};
use crate::names::DomainName;
use crate::process::tool::{self, ToolError};
use crate::process::{Launch, Version, find_program};

mod conf;
mod control;
mod database;
mod freshness;
mod herald;
mod log;
mod records;
mod tending;
mod zone;

use database::Database;
use tending::Tending;

/// For one call of its tools.
const PATIENCE: Duration = Duration::from_secs(30);

/// PowerDNS.
pub(crate) struct PowerDns {
    place: Place,
    version: Version,
    program: PathBuf,
    database: Database,
    tending: Arc<Tending>,
}

impl PowerDns {
    /// `None` where it is not installed, with its sqlite backend and the tool `sqlite3`.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let program = find_program("pdns_server")?;
        // It says its version on standard error, and ends with 99.
        let said = match tool::run(&program, ["--version"], b"", PATIENCE).await {
            Ok(said) => said.text(),
            Err(ToolError::Failed { said, .. }) => said,
            Err(ToolError::NotStarted { .. } | ToolError::Silent { .. } | ToolError::Crashed { .. }) => {
                return None;
            }
        };
        let version = Version::find(&said)?;
        let database = Database::find(&place)?;
        let tending = Arc::new(Tending::new(&place, database.clone()));
        Some(Self { place, version, program, database, tending })
    }
}

#[async_trait]
impl Driver for PowerDns {
    fn kind(&self) -> NameServerKind {
        NameServerKind::Powerdns
    }

    fn title(&self) -> &'static str {
        "PowerDNS"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        Launch {
            program: self.program.clone(),
            arguments: vec![format!("--config-dir={}", self.place.etc().display()).into()],
            folder: self.place.folder.clone(),
        }
    }

    fn render(&self, setup: &Setup<'_>) -> Result<Vec<ConfigFile>, String> {
        let server = ConfigFile { name: "pdns.conf", text: conf::server(setup, self.version) };
        Ok(vec![server, ConfigFile { name: "tsig.sql", text: conf::keys(setup)? }])
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let folder = format!("--config-dir={}", staged.display());
        tool::run(&self.program, [folder.as_str(), "--config=check"], b"", PATIENCE).await?;
        Ok(())
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        self.database.make().await?;
        self.load_keys().await
    }

    async fn reload(&self, _setup: &Setup<'_>, changed: &[PathBuf]) -> Result<Reloaded, DriverError> {
        if changed.iter().any(|path| path.ends_with("pdns.conf")) {
            return Ok(Reloaded::NeedsRestart);
        }
        self.load_keys().await?;
        Ok(Reloaded::Live)
    }

    async fn mark(&self) -> Result<Mark, DriverError> {
        Ok(self.database.version().await?.into_bytes())
    }

    fn form(&self, zone: &ZoneConfig) -> String {
        zone::form(zone)
    }

    async fn list(&self) -> Result<BTreeMap<DomainName, String>, DriverError> {
        Ok(zone::forms(&self.database.run(zone::LIST).await?))
    }

    async fn look_up(
        &self,
        zones: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<DomainName, String>, DriverError> {
        Ok(zone::forms(&self.database.run(&zone::list_of(zones)).await?))
    }

    async fn change(&self, setup: &Setup<'_>, batch: &Batch) -> Result<(), DriverError> {
        let Batch { add, modify, reload, remove } = batch;
        let mut problems = Vec::new();
        let mut statements = String::new();
        let mut changed = Vec::new();
        for zone in add.iter().chain(modify).chain(reload) {
            match zone::statements(setup, zone) {
                Ok(more) => {
                    statements.push_str(&more);
                    changed.push(zone);
                }
                Err(why) => problems.push(format!("{}: {why}", zone.name)),
            }
        }
        for name in remove {
            statements.push_str(&zone::removal(name));
        }
        self.database.transaction(&statements).await?;
        self.tending.reconsider();
        let commands = changed.into_iter().filter_map(|zone| match &zone.source {
            ZoneRecords::File { .. } if zone.notify.is_empty() => None,
            ZoneRecords::File { .. } => Some(format!("NOTIFY {}", database::name(&zone.name))),
            // Where there are several, the freshest is found first.
            ZoneRecords::Transfer(_) if zone::sources(zone).len() > 1 => None,
            ZoneRecords::Transfer(_) => Some(format!("RETRIEVE {}", database::name(&zone.name))),
        });
        // A command that is not taken is made up for: it looks after its zones by itself, only later.
        let _ = control::commands(&self.place, commands).await;
        match problems.is_empty() {
            true => Ok(()),
            false => Err(DriverError::Said(problems.join("; "))),
        }
    }

    async fn queries(&self) -> Result<u64, DriverError> {
        let said = control::ask(&self.place, "QTYPES").await;
        let said = said.map_err(|error| DriverError::Said(format!("its control socket: {error}")))?;
        control::queries(&said).map_err(DriverError::Said)
    }

    async fn tend(&self) -> Result<(), DriverError> {
        self.tending.look().await
    }
}

impl PowerDns {
    async fn load_keys(&self) -> Result<(), DriverError> {
        let path = self.place.etc().join("tsig.sql");
        let text = fs::read_to_string(&path)
            .map_err(|error| DriverError::Said(format!("{}: {error}", path.display())))?;
        self.database.transaction(&text).await
    }
}

#[cfg(test)]
mod tests;
