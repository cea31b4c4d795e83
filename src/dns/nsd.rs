//! NSD (4.6 and later), controlled by `nsd-control`, and through the socket that it speaks on.
//!
//! ```text
//! nsd.conf (rendered) ──include→ patterns (what zones are told) ←─name── zone.list (NSD's own: a zone, its pattern)
//! ```
//!
//! Zones are added and removed in batches, without reading the configuration again. A zone that changes is changed with its
//! pattern where all of the pattern's zones change alike; else it goes over to another one, which loads it again from disk,
//! so what was transferred is written there before. Neither leaves a question unanswered.
//!
//! NSD is several processes: one transfers and is controlled, others answer. So its answers do not say that it is well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::external::{
    Batch, ConfigFile, Driver, DriverError, Mark, Place, Reloaded, Setup, write_private, zone_file_name,
};
use super::{NameServerKind, Pace, ZoneConfig};
use crate::fingerprint::Fingerprint;
use crate::names::DomainName;
use crate::process::tool::{self, Said};
use crate::process::{Launch, Version, find_program};

mod change;
mod pattern;
mod server;
mod socket;
mod status;

use pattern::{Ground, Lines, Patterns};
use server::PATTERNS;
use status::Status;

/// For one call of nsd-control, which has no time-out of its own.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a sign of life.
const LIFE: Duration = Duration::from_secs(4);
/// Zones of one batch. Large, so that all zones of a pattern are likely to be in it.
const BATCH: usize = 20_000;
/// How long it may take until transferred zones are on disk.
const WRITTEN: Duration = Duration::from_secs(3);
/// Zones that are reloaded, or transferred, one by one.
const SINGLY: usize = 100;
/// Zones that are asked about one by one.
const FEW: usize = 8;
/// Processes that answer, at most.
const SERVERS: usize = 4;
/// The first version that counts in memory that its processes share.
const SHARED_COUNT: Version = Version(4, 8, 0);
/// One before that replaces the processes that answer in order to count, as it does when a zone changes: that costs 24 ms of
/// CPU with 10,000 zones, and who has sent a query on an open TCP connection just then has to open another one.
const FORKING: Pace = Pace { calm: Duration::from_secs(600), draining: Duration::from_secs(11) };

/// NSD.
pub(crate) struct Nsd {
    place: Place,
    version: Version,
    nsd: PathBuf,
    control: PathBuf,
    checkconf: PathBuf,
    servers: usize,
}

impl Nsd {
    /// `None` where it is not installed.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let [nsd, control, checkconf] = ["nsd", "nsd-control", "nsd-checkconf"].map(find_program);
        let (nsd, control, checkconf) = (nsd?, control?, checkconf?);
        let said = tool::run(&nsd, ["-v"], b"", PATIENCE).await.ok()?;
        let text = said.text() + &String::from_utf8_lossy(&said.errors);
        let version = Version::find(&text)?;
        let servers = std::thread::available_parallelism().map_or(1, usize::from).min(SERVERS);
        Some(Self { place, version, nsd, control, checkconf, servers })
    }

    fn conf(&self) -> PathBuf {
        self.place.etc().join("nsd.conf")
    }

    fn patterns_file(&self) -> PathBuf {
        self.place.etc().join(PATTERNS)
    }

    /// The part of nsd.conf that NSD was started with.
    fn running_file(&self) -> PathBuf {
        self.place.etc().join("running")
    }

    fn data_file(&self, zone: &DomainName) -> PathBuf {
        self.place.data().join(zone_file_name(zone))
    }

    async fn control(&self, arguments: &[&str], input: &str) -> Result<Said, DriverError> {
        let conf = self.conf().display().to_string();
        let all = ["-c", &conf].into_iter().chain(arguments.iter().copied());
        Ok(tool::run(&self.control, all, input.as_bytes(), PATIENCE).await?)
    }

    /// A command that takes zones on its input, all at once. What NSD complains about is not believed: the zones are read
    /// back.
    async fn with_zones(&self, command: &str, lines: &str) -> Result<(), DriverError> {
        if lines.is_empty() {
            return Ok(());
        }
        match socket::command(&self.socket(), command, Some(lines), PATIENCE).await {
            Ok(_) => Ok(()),
            Err(error) => Err(DriverError::Said(format!("NSD's {command}: {error}"))),
        }
    }

    fn socket(&self) -> PathBuf {
        self.place.run().join("nsd.sock")
    }

    /// Keys, patterns and limits are read again. It ends with 0 even where it could not read them.
    async fn reconfig(&self) -> Result<(), DriverError> {
        let text = self.control(&["reconfig"], "").await?.text();
        let is_usual = |line: &str| line == "ok" || line.starts_with("reconfig ") || line.is_empty();
        match text.lines().map(str::trim).find(|line| !is_usual(line)) {
            Some(line) => Err(DriverError::Said(format!("nsd-control reconfig: {line}"))),
            None => Ok(()),
        }
    }

    async fn status(&self) -> Result<BTreeMap<DomainName, Status>, DriverError> {
        Ok(status::zones(&self.control(&["zonestatus"], "").await?.text()))
    }

    /// Of a few zones, straight on its socket.
    async fn status_of(
        &self,
        zones: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<DomainName, Status>, DriverError> {
        let mut status = BTreeMap::new();
        for zone in zones {
            let said = socket::command(&self.socket(), &format!("zonestatus {zone}"), None, PATIENCE).await;
            let said = said.map_err(|error| DriverError::Said(format!("NSD's zonestatus: {error}")))?;
            status.extend(status::zones(&said));
        }
        Ok(status)
    }

    fn zone_list_file(&self) -> Vec<u8> {
        fs::read(self.place.data().join("zone.list")).unwrap_or_default()
    }

    fn zone_list(&self) -> BTreeMap<DomainName, String> {
        status::zone_list(&String::from_utf8_lossy(&self.zone_list_file()))
    }

    /// The forms of zones with these patterns.
    fn forms(
        &self,
        zones: impl Iterator<Item = (DomainName, String)>,
    ) -> Result<BTreeMap<DomainName, String>, DriverError> {
        let (patterns, text) = self.patterns();
        let ground = self.ground()?;
        let written = patterns.as_written(&text, &ground);
        let form = |pattern: String| match patterns.group(&pattern) {
            Some(group) if written.contains(pattern.as_str()) => form(group),
            _ => format!("pattern {pattern}, which is not as it was written"),
        };
        Ok(zones.map(|(name, pattern)| (name, form(pattern))).collect())
    }

    /// What patterns depend on.
    fn ground(&self) -> Result<Ground, DriverError> {
        let conf = self.conf();
        let text = fs::read_to_string(&conf)
            .map_err(|error| DriverError::Said(format!("{}: {error}", conf.display())))?;
        Ok(Ground::read(&text))
    }

    /// The patterns, and the text that they were read from.
    fn patterns(&self) -> (Patterns, String) {
        let text = fs::read(self.patterns_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        (Patterns::read(&text), text)
    }

    /// Writes the patterns where they differ from `before`. Whether they do.
    fn put_patterns(&self, patterns: &Patterns, ground: &Ground, before: &str) -> Result<bool, DriverError> {
        let (text, path) = (patterns.text(ground), self.patterns_file());
        if text == before && path.exists() {
            return Ok(false);
        }
        self.put(&path, &text)?;
        Ok(true)
    }

    fn put(&self, path: &Path, text: &str) -> Result<(), DriverError> {
        write_private(path, text.as_bytes(), self.place.user.as_ref())
            .map_err(|error| DriverError::Said(format!("{}: {error}", path.display())))
    }

    /// Has NSD write what was transferred, and waits until each of these zones has a file.
    async fn write_data(&self, zones: &[&DomainName]) -> Result<(), DriverError> {
        self.control(&["write"], "").await?;
        let begun = Instant::now();
        while let Some(zone) = zones.iter().find(|zone| !self.data_file(zone).exists()) {
            if begun.elapsed() > WRITTEN {
                return Err(DriverError::Said(format!("{zone}: NSD does not write it to disk")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Lets zones try their primaries now instead of when it is their turn.
    async fn refresh_stale(&self, is_meant: impl Fn(&DomainName) -> bool) -> Result<(), DriverError> {
        let status = self.status().await?;
        let stale = status.iter().filter(|(name, status)| status.is_stale && is_meant(name));
        for (name, _) in stale.take(SINGLY) {
            self.control(&["transfer", &name.to_string()], "").await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Driver for Nsd {
    fn kind(&self) -> NameServerKind {
        NameServerKind::Nsd
    }

    fn title(&self) -> &'static str {
        "NSD"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        Launch {
            program: self.nsd.clone(),
            arguments: vec!["-d".into(), "-c".into(), self.conf().into()],
            folder: self.place.folder.clone(),
        }
    }

    fn render(&self, setup: &Setup<'_>) -> Result<Vec<ConfigFile>, String> {
        server::files(setup, self.version, self.servers)
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let conf = staged.join("nsd.conf");
        let text = fs::read_to_string(&conf)
            .map_err(|error| DriverError::Said(format!("{}: {error}", conf.display())))?;
        // With the patterns as these keys would make them.
        let (beside, in_place) = (staged.join(PATTERNS), self.patterns_file());
        self.put(&beside, &self.patterns().0.text(&Ground::read(&text)))?;
        let checked = staged.join("checked");
        let (beside, in_place) = (beside.display().to_string(), in_place.display().to_string());
        self.put(&checked, &text.replace(&in_place, &beside))?;
        tool::run(&self.checkconf, [checked.as_os_str()], b"", PATIENCE).await?;
        Ok(())
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        let ground = self.ground()?;
        let (patterns, before) = self.patterns();
        self.put_patterns(&patterns, &ground, &before)?;
        let text = fs::read_to_string(self.conf()).unwrap_or_default();
        self.put(&self.running_file(), &server::fixed(&text))?;
        // What one that was killed left of its transfers.
        for entry in fs::read_dir(self.place.data()).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("nsd-xfr-") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    async fn reload(&self, _setup: &Setup<'_>, changed: &[PathBuf]) -> Result<Reloaded, DriverError> {
        let text = fs::read_to_string(self.conf()).unwrap_or_default();
        let running = fs::read_to_string(self.running_file()).unwrap_or_default();
        let is_cookie = |path: &PathBuf| path.file_name().is_some_and(|name| name == "cookies");
        if server::fixed(&text) != running || changed.iter().any(is_cookie) {
            // What is not on disk would have to be transferred again.
            let status = self.status().await?;
            let transferred = status.iter().filter(|(_, status)| status.is_transferred).map(|(name, _)| name);
            self.write_data(&transferred.collect::<Vec<_>>()).await?;
            return Ok(Reloaded::NeedsRestart);
        }
        let (patterns, before) = self.patterns();
        self.put_patterns(&patterns, &Ground::read(&text), &before)?;
        self.reconfig().await?;
        self.refresh_stale(|_| true).await?;
        Ok(Reloaded::Live)
    }

    /// Of the files that say which zones there are, and what they are told.
    async fn mark(&self) -> Result<Mark, DriverError> {
        let files = [self.place.data().join("zone.list"), self.patterns_file()];
        let stamp = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.len(), file.mtime(), file.mtime_nsec(), file.ino()))
        };
        Ok(format!("{:?}", files.iter().map(stamp).collect::<Vec<_>>()).into_bytes())
    }

    fn form(&self, zone: &ZoneConfig) -> String {
        form(Lines::of(&self.place, zone).group())
    }

    /// From NSD's memory.
    async fn list(&self) -> Result<BTreeMap<DomainName, String>, DriverError> {
        let status = self.status().await?;
        self.forms(status.into_iter().map(|(name, status)| (name, status.pattern)))
    }

    /// Many of them from NSD's file, which is a hundred times as cheap as its memory.
    async fn look_up(
        &self,
        zones: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<DomainName, String>, DriverError> {
        if zones.len() > FEW {
            let octets = self.zone_list_file();
            return self.forms(status::zone_list_of(&String::from_utf8_lossy(&octets), zones).into_iter());
        }
        let status = self.status_of(zones).await?;
        self.forms(status.into_iter().map(|(name, status)| (name, status.pattern)))
    }

    async fn change(&self, _setup: &Setup<'_>, batch: &Batch) -> Result<(), DriverError> {
        self.change_zones(batch).await
    }

    fn batch(&self) -> usize {
        BATCH
    }

    /// NSD goes on to give a zone that has expired to whoever may transfer it, who then takes it for fresh: its data goes.
    async fn failing(&self, zones: &BTreeSet<DomainName>) -> Result<(), DriverError> {
        let status = if zones.len() > FEW { self.status().await? } else { self.status_of(zones).await? };
        for (name, status) in status.iter().filter(|(name, status)| status.is_expired && zones.contains(name))
        {
            let _ = fs::remove_file(self.data_file(name));
            self.control(&["changezone", &name.to_string(), &status.pattern], "").await?;
        }
        // One that was started again believes that it has what it had before. Where its first try met no primary, it waits
        // longer and longer without any data. A primary zone says nothing of transfers, and has none.
        let is_secondary = |status: &Status| status.is_stale || status.is_transferred;
        let empty = status
            .iter()
            .filter(|(name, status)| zones.contains(name) && !status.is_expired && is_secondary(status));
        for (name, _) in empty.take(SINGLY) {
            self.control(&["transfer", &name.to_string()], "").await?;
        }
        Ok(())
    }

    async fn queries(&self) -> Result<u64, DriverError> {
        let said = socket::command(&self.socket(), "stats_noreset", None, PATIENCE).await;
        let said = said.map_err(|error| DriverError::Said(format!("NSD's stats_noreset: {error}")))?;
        status::queries(&said).map_err(|why| DriverError::Said(format!("NSD's stats_noreset: {why}")))
    }

    fn pace(&self) -> Pace {
        if self.version < SHARED_COUNT { FORKING } else { Pace::USUAL }
    }

    /// Asks the process that transfers, straight on its socket: this is done at every look.
    async fn is_well(&self) -> Result<(), String> {
        match socket::command(&self.socket(), "serverpid", None, LIFE).await {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}

fn form(group: Fingerprint) -> String {
    format!("told {group}")
}
