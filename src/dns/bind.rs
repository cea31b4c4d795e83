//! BIND 9 (9.16 and later), controlled through its control channel.
//!
//! Zones are added, changed and removed one by one, while it runs; it keeps them in a database of its own (NZD, an LMDB
//! environment), each as the text of its zone statement. That text, in one canonical wording, is a zone's form. Primaries
//! and keys are written in each statement itself: named lists of primaries that go away before the zones that name them
//! keep BIND from starting.
//!
//! That takes BIND the longer the more of it there was of late: it looks through all commands of the last 15 minutes at each,
//! lest one be replayed. A BIND that has no zones yet is given many before it starts: it takes over a file of zone statements
//! (NZF), which is what it had before there was the database.
//!
//! `rndc` carries one command a process, 10 ms and more each; the channel that it speaks on carries any number of them,
//! 1 ms each ([`channel`]). Only a changed named.conf is read with `reconfig`, and nothing is ever reloaded as a whole:
//! both hold up answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{fs, io};

use async_trait::async_trait;
use tracing::warn;

use super::external::{
    Batch, ConfigFile, Driver, DriverError, Mark, Place, Reloaded, Setup, lmdb_entries, lmdb_mark,
    write_private, zone_file_name,
};
use super::{NameServerKind, ZoneConfig, ZoneRecords};
use crate::host::{Host, LinuxHost};
use crate::names::{DomainName, SecretName};
use crate::process::tool;
use crate::process::{Launch, Version, find_program};

mod channel;
mod conf;
mod control;
#[cfg(test)]
mod golden;
mod statement;
mod statistics;

use channel::{Channel, ChannelError};
use control::Control;

/// For one call of a tool.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the number of BIND's zones says whether some are gone; after that, their names.
const COUNTED: Duration = Duration::from_secs(1);
/// So many zones take longer to add than BIND takes to start.
const MANY: usize = 500;
/// What can be said of zones in the words that are used here.
const OLDEST: Version = Version(9, 16, 12);

/// BIND 9.
pub(crate) struct Bind {
    place: Place,
    version: Version,
    /// Made when it is first needed: whether BIND is installed has nothing to do with its folder.
    control: OnceLock<Control>,
    named: PathBuf,
    checkconf: PathBuf,
    nzd2nzf: PathBuf,
}

impl Bind {
    /// `None` where it is not installed.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let (named, checkconf) = (find_program("named")?, find_program("named-checkconf")?);
        let nzd2nzf = find_program("named-nzd2nzf")?;
        let said = tool::run(&named, ["-v"], b"", PATIENCE).await.ok()?;
        let version = Version::find(&said.text())?;
        if version < OLDEST {
            warn!(%version, oldest = %OLDEST, "this BIND is too old");
            return None;
        }
        Some(Self { place, version, control: OnceLock::new(), named, checkconf, nzd2nzf })
    }

    fn control(&self) -> Result<&Control, String> {
        if let Some(control) = self.control.get() {
            return Ok(control);
        }
        let made = Control::open(&self.place).map_err(|error| format!("its control channel: {error}"))?;
        Ok(self.control.get_or_init(|| made))
    }

    /// What it keeps the zones in.
    fn nzd(&self) -> PathBuf {
        self.place.data().join("_default.nzd")
    }

    /// What it takes over when it starts with an empty database.
    fn nzf(&self) -> PathBuf {
        self.nzd().with_extension("nzf")
    }

    /// Removes what it keeps of a zone that it does not have. `delzone -clean` would, but ends BIND 9.18 itself where a zone
    /// has no file, as one that was added by hand may.
    fn clean(&self, zone: &DomainName) {
        let file = self.place.data().join(zone_file_name(zone));
        let _ = fs::remove_file(file.with_added_extension("jnl"));
        let _ = fs::remove_file(file);
    }

    /// A zone's name and statement.
    fn statement(&self, setup: &Setup<'_>, zone: &ZoneConfig) -> Result<String, String> {
        let key = |secret: &SecretName| {
            let key = setup.keys.get(secret).map(|key| key.name.to_string());
            key.ok_or_else(|| format!("{}: the TSIG key {secret} cannot be read", zone.name))
        };
        Ok(format!("\"{}\" {};", zone.name, statement::render(&self.place, zone, key)?))
    }

    /// BIND says that zones are gone before they are: its database follows later, and would lose one of the same name. It
    /// had `before` entries.
    async fn until_gone(&self, zones: &BTreeSet<&DomainName>, before: u64) -> Result<(), DriverError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        while !zones.is_empty() && begun.elapsed() < PATIENCE {
            let gone = before.saturating_sub(lmdb_entries(&self.nzd()).map_err(DriverError::Said)?);
            // Some of them may not have been there.
            let is_over = match begun.elapsed() < COUNTED {
                true => gone >= zones.len() as u64,
                false => {
                    let listed = self.list().await?;
                    !zones.iter().any(|name| listed.contains_key(*name))
                }
            };
            if is_over {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(Duration::from_millis(500));
        }
        Ok(())
    }

    /// The secrets whose keys it has.
    fn secrets(&self) -> Result<BTreeMap<DomainName, SecretName>, DriverError> {
        let conf = self.place.etc().join("named.conf");
        let text = fs::read_to_string(&conf)
            .map_err(|error| DriverError::Said(format!("{}: {error}", conf.display())))?;
        Ok(conf::secrets(&text))
    }
}

#[async_trait]
impl Driver for Bind {
    fn kind(&self) -> NameServerKind {
        NameServerKind::Bind
    }

    fn title(&self) -> &'static str {
        "BIND"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        let conf = self.place.etc().join("named.conf");
        // Until it has read how to log, it would log to syslog.
        let mut arguments = vec!["-f".into(), "-L".into(), "/dev/stderr".into(), "-c".into(), conf.into()];
        if let Some(user) = &self.place.user {
            arguments.extend(["-u".into(), user.name.clone().into()]);
        }
        Launch { program: self.named.clone(), arguments, folder: self.place.folder.clone() }
    }

    fn render(&self, setup: &Setup<'_>) -> Result<Vec<ConfigFile>, String> {
        Ok(vec![
            ConfigFile { name: "named.conf", text: conf::named(self.version, self.control()?, setup)? },
            ConfigFile { name: "rndc.conf", text: conf::rndc(self.control()?) },
        ])
    }

    /// Any address of the loopback network can be sent to, but BIND listens only on those that an interface has.
    async fn prepare(&self) -> Result<(), DriverError> {
        let local = self.place.local.ip();
        if local == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            return Ok(());
        }
        LinuxHost.add_service_address(local).await.map_err(|error| DriverError::Said(error.to_string()))
    }

    fn seeds_from(&self) -> usize {
        MANY
    }

    fn seed(&self, setup: &Setup<'_>, zones: &[Arc<ZoneConfig>]) -> io::Result<()> {
        // A zone whose key cannot be read is left out.
        let statements = zones.iter().filter_map(|zone| self.statement(setup, zone).ok());
        let text = statements.fold(String::new(), |text, statement| text + "zone " + &statement + "\n");
        write_private(&self.nzf(), text.as_bytes(), self.place.user.as_ref())
    }

    fn unseed(&self) {
        let _ = fs::remove_file(self.nzf());
        // What it makes of the one that it took over.
        let _ = fs::remove_file(self.nzf().with_extension("nzf~"));
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        tool::run(&self.checkconf, [staged.join("named.conf")], b"", PATIENCE).await?;
        Ok(())
    }

    async fn reload(&self, _setup: &Setup<'_>, changed: &[PathBuf]) -> Result<Reloaded, DriverError> {
        if changed.iter().any(|path| path.ends_with("named.conf")) {
            let mut channel = Channel::open(self.control().map_err(DriverError::Said)?).await?;
            channel.command("reconfig").await?;
        }
        Ok(Reloaded::Live)
    }

    async fn mark(&self) -> Result<Mark, DriverError> {
        lmdb_mark(&self.nzd()).map_err(DriverError::Said)
    }

    fn form(&self, zone: &ZoneConfig) -> String {
        statement::form(&self.place, zone)
    }

    async fn list(&self) -> Result<BTreeMap<DomainName, String>, DriverError> {
        let nzd = self.nzd();
        if !nzd.is_file() {
            // The tool would make one, which BIND's user could not open.
            return Err(DriverError::Said(format!("{} is not there yet", nzd.display())));
        }
        let said = tool::run(&self.nzd2nzf, [&nzd], b"", PATIENCE).await?;
        Ok(statement::zones(&said.text(), &self.secrets()?))
    }

    /// From BIND's memory: its database can only be read as a whole.
    async fn look_up(
        &self,
        zones: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<DomainName, String>, DriverError> {
        let secrets = self.secrets()?;
        let mut channel = Channel::open(self.control().map_err(DriverError::Said)?).await?;
        let mut found = BTreeMap::new();
        for name in zones {
            match channel.command(&format!("showzone \"{name}\"")).await {
                Ok(shown) => found.extend(statement::zones(&shown, &secrets)),
                Err(ChannelError::Refused(_)) => {}
                Err(broken @ ChannelError::Broken(_)) => return Err(broken.into()),
            }
        }
        Ok(found)
    }

    async fn queries(&self) -> Result<u64, DriverError> {
        let at = self.control().map_err(DriverError::Said)?.statistics;
        let counted = statistics::queries(at).await;
        counted.map_err(|why| DriverError::Said(format!("its statistics channel, {at}: {why}")))
    }

    async fn change(&self, setup: &Setup<'_>, batch: &Batch) -> Result<(), DriverError> {
        let Batch { add, modify, reload, remove } = batch;
        let before = lmdb_entries(&self.nzd()).map_err(DriverError::Said)?;
        let mut work = Work {
            channel: Channel::open(self.control().map_err(DriverError::Said)?).await?,
            problems: Vec::new(),
        };
        let mut leaving: BTreeSet<&DomainName> = remove.iter().collect();
        let mut replaced = Vec::new();
        for name in remove {
            work.carry_out(name, &format!("delzone \"{name}\"")).await?;
        }
        for zone in modify {
            let name = &zone.name;
            let is_file = matches!(zone.source, ZoneRecords::File { .. });
            match work.channel.command(&format!("showzone \"{name}\"")).await {
                Ok(shown) if statement::is_primary(&shown) == is_file => {
                    work.give("modzone", self.statement(setup, zone), zone).await?;
                    // The file may have changed as well; other primaries may have something newer.
                    let then = if is_file { "reload" } else { "refresh" };
                    work.carry_out(name, &format!("{then} \"{name}\"")).await?;
                }
                Ok(_) => {
                    // BIND notes another type, and goes on with the one that the zone had.
                    work.carry_out(name, &format!("delzone \"{name}\"")).await?;
                    leaving.insert(name);
                    replaced.push(zone);
                }
                // It is in the database only.
                Err(ChannelError::Refused(_)) => {
                    work.give("addzone", self.statement(setup, zone), zone).await?;
                }
                Err(broken @ ChannelError::Broken(_)) => return Err(broken.into()),
            }
        }
        for zone in reload {
            work.carry_out(&zone.name, &format!("reload \"{}\"", zone.name)).await?;
        }
        self.until_gone(&leaving, before).await?;
        for name in leaving {
            self.clean(name);
        }
        for zone in add {
            self.clean(&zone.name);
            work.give("addzone", self.statement(setup, zone), zone).await?;
        }
        for zone in replaced {
            work.give("addzone", self.statement(setup, zone), zone).await?;
        }
        match work.problems.is_empty() {
            true => Ok(()),
            false => Err(DriverError::Said(words(&work.problems))),
        }
    }
}

/// Commands one after another: what is refused for one zone is no reason not to change the others.
struct Work {
    channel: Channel,
    problems: Vec<String>,
}

impl Work {
    async fn carry_out(&mut self, zone: &DomainName, command: &str) -> Result<(), DriverError> {
        match self.channel.command(command).await {
            Ok(_) => Ok(()),
            Err(ChannelError::Refused(why)) => {
                self.problems.push(format!("{zone}: {why}"));
                Ok(())
            }
            Err(broken @ ChannelError::Broken(_)) => Err(broken.into()),
        }
    }

    async fn give(
        &mut self,
        verb: &str,
        statement: Result<String, String>,
        zone: &ZoneConfig,
    ) -> Result<(), DriverError> {
        match statement {
            Ok(statement) => self.carry_out(&zone.name, &format!("{verb} {statement}")).await,
            Err(why) => {
                self.problems.push(why);
                Ok(())
            }
        }
    }
}

/// The first of many problems.
fn words(problems: &[String]) -> String {
    let told = problems.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ");
    match problems.len().saturating_sub(3) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

impl From<ChannelError> for DriverError {
    fn from(error: ChannelError) -> Self {
        Self::Said(error.to_string())
    }
}
