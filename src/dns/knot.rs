//! Knot DNS (3.2 and later), controlled by `knotc`.
//!
//! Its configuration is a database (confdb), so that zones are added in transactions of any size without reading anything
//! else again. What zones have in common is a template, named by the fingerprint of what it says; so a zone's form is its
//! template and its file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::external::{Batch, ConfigFile, Driver, DriverError, Mark, Place, Reloaded, Setup, lmdb_mark};
use super::{NameServerKind, ZoneConfig, queries};
use crate::names::DomainName;
use crate::process::tool::{self, Said};
use crate::process::{Launch, Version, find_program};

mod control;
#[cfg(test)]
mod golden;
mod herald;
mod items;

use herald::Herald;
use items::{Group, Items};

/// For one call of knotc.
const PATIENCE: Duration = Duration::from_secs(30);
/// Zones of one batch.
const BATCH: usize = 5_000;
/// The parts of the configuration that `knot.conf` says all of.
const PARTS: [&str; 9] = [
    "server",
    "control",
    "database",
    "log",
    "mod-stats",
    "mod-rrl",
    "mod-cookies",
    "key",
    "template[default]",
];

/// Knot DNS.
pub(crate) struct Knot {
    place: Place,
    version: Version,
    knotd: PathBuf,
    knotc: PathBuf,
    /// Where there is somebody to be told of new serials.
    herald: Mutex<Option<Herald>>,
}

impl Knot {
    /// `None` where it is not installed.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let (knotd, knotc) = (find_program("knotd")?, find_program("knotc")?);
        let said = tool::run(&knotd, ["-V"], b"", PATIENCE).await.ok()?;
        let version = Version::find(&said.text())?;
        Some(Self { place, version, knotd, knotc, herald: Mutex::default() })
    }

    fn confdb(&self) -> PathBuf {
        self.place.etc().join("confdb")
    }

    fn socket(&self) -> PathBuf {
        self.place.run().join("knot.sock")
    }

    /// Sees to it that others are told at once, if there are any.
    fn set_herald(&self, has_others: bool) {
        let mut herald = self.herald.lock().unwrap_or_else(PoisonError::into_inner);
        match has_others {
            true if herald.is_none() => {
                *herald = Herald::start(self.place.data(), self.knotc.clone(), self.socket());
            }
            true => {}
            false => *herald = None,
        }
    }

    /// What knotc makes of these lines. It ends with 0 whatever becomes of them, but says `error:`.
    async fn control(&self, lines: &str) -> Result<Said, DriverError> {
        let socket = self.socket();
        let seconds = PATIENCE.as_secs().to_string();
        let arguments = [&"-s".to_owned(), &socket.display().to_string(), &"-t".to_owned(), &seconds];
        Ok(tool::run(&self.knotc, arguments, lines.as_bytes(), PATIENCE).await?)
    }

    /// One transaction; all of it or nothing.
    async fn transaction(&self, commands: &str) -> Result<(), DriverError> {
        if commands.is_empty() {
            return Ok(());
        }
        let said = self.control(&format!("conf-begin\n{commands}conf-diff\n")).await;
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                self.abort().await;
                return Err(error);
            }
        };
        // What is there already is what was wanted; what becomes of it is read back.
        if let Some(error) = errors(&said).find(|error| !error.contains("duplicate identifier")) {
            self.abort().await;
            return Err(DriverError::Said(format!("knotc: {error}")));
        }
        let committed = self.control("conf-commit\n").await?;
        if let Some(error) = errors(&committed).next() {
            self.abort().await;
            return Err(DriverError::Said(format!("knotc conf-commit: {error}")));
        }
        Ok(())
    }

    /// Whatever an agent before us may have left open.
    async fn abort(&self) {
        let _ = self.control("conf-abort\n").await;
    }

    /// The items of some sections as the daemon has them.
    async fn read(&self, sections: &[&str]) -> Result<BTreeSet<(String, String)>, DriverError> {
        let lines: String = sections.iter().fold(String::new(), |mut lines, section| {
            let _ = writeln!(lines, "conf-read {section}");
            lines
        });
        let said = self.control(&lines).await?;
        let text = said.text();
        let items = text.lines().filter_map(|line| line.split_once(" = ").or_else(|| line.split_once(" =")));
        Ok(items.map(|(key, value)| (key.to_owned(), value.trim_end().to_owned())).collect())
    }

    /// Templates, remotes and access rules that no zone and no template names any more.
    async fn unused(&self) -> Result<String, DriverError> {
        let present = self.read(&["template", "remote", "acl", "mod-queryacl", "zone.template"]).await?;
        let named = |section: &str, items: &[&str]| -> BTreeSet<String> {
            let of = |key: &str| {
                let item = key
                    .rsplit_once("].")
                    .map(|(_, item)| item)
                    .or_else(|| key.split_once('.').map(|(_, item)| item));
                key.starts_with(section) && item.is_some_and(|item| items.contains(&item))
            };
            present
                .iter()
                .filter(|(key, _)| of(key))
                .flat_map(|(_, value)| value.split(' ').map(str::to_owned))
                .collect()
        };
        let mut commands = String::new();
        let used = named("zone", &["template"]);
        let templates = named("template", &["id"]);
        let gone: BTreeSet<&String> =
            templates.iter().filter(|id| *id != "default" && !used.contains(*id)).collect();
        for id in &gone {
            let _ = writeln!(commands, "conf-unset template[{id}]");
        }
        let parts = [("remote", &["master", "notify"][..]), ("acl", &["acl"]), ("mod-queryacl", &["module"])];
        for (section, items) in parts {
            let used: BTreeSet<&str> = present
                .iter()
                .filter(|(key, _)| {
                    let template = key.strip_prefix("template[").and_then(|rest| rest.split_once("]."));
                    template.is_some_and(|(id, item)| items.contains(&item) && !gone.contains(&id.to_owned()))
                })
                .flat_map(|(_, value)| value.split(' '))
                .map(|id| id.strip_prefix("mod-queryacl/").unwrap_or(id))
                .collect();
            for id in named(section, &["id"]) {
                if !used.contains(id.as_str()) {
                    let _ = writeln!(commands, "conf-unset {section}[{id}]");
                }
            }
        }
        Ok(commands)
    }
}

#[async_trait]
impl Driver for Knot {
    fn kind(&self) -> NameServerKind {
        NameServerKind::Knot
    }

    fn title(&self) -> &'static str {
        "Knot DNS"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        Launch {
            program: self.knotd.clone(),
            arguments: vec!["-C".into(), self.confdb().into()],
            folder: self.place.folder.clone(),
        }
    }

    fn render(&self, setup: &Setup<'_>) -> Result<Vec<ConfigFile>, String> {
        let text = items::server(setup)?.text();
        Ok(vec![ConfigFile { name: "knot.conf", text }])
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let file = staged.join("knot.conf");
        tool::run(&self.knotc, ["-c".as_ref(), file.as_os_str(), "conf-check".as_ref()], b"", PATIENCE)
            .await?;
        Ok(())
    }

    /// The database is made of the file anew where it is not there, or was made of another file: its zones are given
    /// to it again.
    async fn prepare(&self) -> Result<(), DriverError> {
        let (file, made_of) = (self.place.etc().join("knot.conf"), self.place.etc().join("confdb.from"));
        let failed =
            |error: std::io::Error| DriverError::Said(format!("{}: {error}", self.confdb().display()));
        let text = fs::read(&file).map_err(failed)?;
        if self.confdb().is_dir() && fs::read(&made_of).is_ok_and(|made_of| made_of == text) {
            return Ok(());
        }
        let _ = fs::remove_dir_all(self.confdb());
        let confdb = self.confdb();
        tool::run(
            &self.knotc,
            ["-C".as_ref(), confdb.as_os_str(), "conf-import".as_ref(), file.as_os_str()],
            b"",
            PATIENCE,
        )
        .await?;
        if let Some(user) = &self.place.user {
            user.own(&confdb).map_err(failed)?;
            for entry in fs::read_dir(&confdb).map_err(failed)?.flatten() {
                user.own(&entry.path()).map_err(failed)?;
            }
        }
        self.note_file(&text).map_err(failed)
    }

    async fn reload(&self, setup: &Setup<'_>, _changed: &[PathBuf]) -> Result<Reloaded, DriverError> {
        let wanted = items::server(setup).map_err(DriverError::Said)?;
        self.abort().await;
        let present = self.read(&PARTS).await?;
        let (commands, restart) = wanted.changes_from(&present);
        if restart {
            return Ok(Reloaded::NeedsRestart);
        }
        self.transaction(&commands).await?;
        let failed =
            |error: std::io::Error| DriverError::Said(format!("{}: {error}", self.confdb().display()));
        let text = fs::read(self.place.etc().join("knot.conf")).map_err(failed)?;
        self.note_file(&text).map_err(failed)?;
        Ok(Reloaded::Live)
    }

    async fn mark(&self) -> Result<Mark, DriverError> {
        lmdb_mark(&self.confdb().join("data.mdb")).map_err(DriverError::Said)
    }

    fn form(&self, zone: &ZoneConfig) -> String {
        items::form(&self.place, zone)
    }

    async fn list(&self) -> Result<BTreeMap<DomainName, String>, DriverError> {
        let said = self.control("conf-read zone\nconf-read template.notify\n").await?;
        if let Some(error) = errors(&said).find(|error| !error.contains("not exists")) {
            return Err(DriverError::Said(format!("knotc conf-read: {error}")));
        }
        let text = said.text();
        self.set_herald(text.lines().any(|line| line.starts_with("template[")));
        Ok(items::zones(&text))
    }

    async fn look_up(
        &self,
        zones: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<DomainName, String>, DriverError> {
        let lines = zones.iter().fold(String::new(), |mut lines, name| {
            let _ = writeln!(lines, "conf-read zone[{}]", items::quoted(name));
            lines
        });
        let said = self.control(&lines).await?;
        if let Some(error) = errors(&said).find(|error| !error.contains("invalid identifier")) {
            return Err(DriverError::Said(format!("knotc conf-read: {error}")));
        }
        Ok(items::zones(&said.text()))
    }

    async fn queries(&self) -> Result<u64, DriverError> {
        let (section, item) = items::QUERIES;
        let counters = control::counters(&self.socket(), section, item).await;
        let counters =
            counters.map_err(|why| DriverError::Said(format!("its counters {section}.{item}: {why}")))?;
        Ok(queries::total(counters))
    }

    /// A commit costs something for each zone that there is, so that few large ones are best.
    fn batch(&self) -> usize {
        BATCH
    }

    async fn change(&self, setup: &Setup<'_>, batch: &Batch) -> Result<(), DriverError> {
        let Batch { add, modify, reload, remove } = batch;
        self.abort().await;
        let mut commands = String::new();
        let zones = || add.iter().chain(modify);
        // Templates first: some may be there already.
        let present: BTreeSet<(String, String)> =
            self.read(&["template", "remote", "acl", "mod-queryacl"]).await?;
        let groups: BTreeMap<String, &Arc<ZoneConfig>> =
            zones().map(|zone| (Group::id(&self.place, zone), zone)).collect();
        let mut wanted = Items::default();
        for zone in groups.values() {
            Group::of(setup, zone).map_err(DriverError::Said)?.add_to(&mut wanted);
        }
        commands.push_str(&wanted.additions_to(&present));
        let shown: String = modify.iter().fold(String::new(), |mut lines, zone| {
            let _ = writeln!(lines, "conf-read zone[{}]", items::quoted(&zone.name));
            lines
        });
        if !shown.is_empty() {
            commands.push_str(&items::unset_others(&self.control(&shown).await?.text()));
        }
        for zone in add {
            let _ = writeln!(commands, "conf-set zone[{}]", items::quoted(&zone.name));
        }
        for zone in zones() {
            commands.push_str(&items::set_zone(&self.place, zone));
        }
        for name in remove {
            let _ = writeln!(commands, "conf-unset zone[{}]", items::quoted(name));
        }
        self.transaction(&commands).await?;
        if zones().any(|zone| !zone.notify.is_empty()) {
            self.set_herald(true);
        }
        let mut after = String::new();
        for zone in reload {
            let _ = writeln!(after, "zone-reload {}", items::quoted(&zone.name));
        }
        for name in remove {
            let _ = writeln!(after, "zone-purge -f +orphan {}", items::quoted(name));
        }
        if !after.is_empty() {
            self.control(&after).await?;
        }
        if !modify.is_empty() || !remove.is_empty() {
            let unused = self.unused().await?;
            self.transaction(&unused).await?;
        }
        Ok(())
    }
}

impl Knot {
    /// Notes which file the database says the same as.
    fn note_file(&self, text: &[u8]) -> std::io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.place.etc().join("confdb.from");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text)
    }
}

/// What knotc complains about.
fn errors(said: &Said) -> impl Iterator<Item = String> + use<> {
    let text = String::from_utf8_lossy(&said.errors).into_owned() + &said.text();
    let lines: Vec<String> =
        text.lines().filter(|line| line.contains("error:")).map(|line| line.trim().to_owned()).collect();
    lines.into_iter()
}
