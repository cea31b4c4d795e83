//! BIRD 2 (2.0.11 and later, for roles), controlled by its socket.
//!
//! `etc/bird.conf` is what it starts with and announces nothing. A running daemon is given the same text with what is
//! announced enabled (`run/now.conf`), since a protocol whose configuration says other than what it is would be started
//! again. On trial, it is given the text that it has (`run/told.conf`) so, too, before the new one: what it goes back to by
//! itself announces the same. While a trial is open already, that is the change before: the one from before both would end
//! the sessions that are new since.
//!
//! What peers say goes into one file, if it is archived. Whenever BIRD reads its configuration, though it be the same one, it
//! opens that file anew, and goes on writing at its end; the tables that it writes at intervals are not put off by that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::external::{DaemonState, Driver, DriverError, Place, Reload, Reloaded, Setup};
use super::{BfdState, Origination, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName};
use crate::keyring::Secret;
use crate::process::files::{ConfigFile, write_private};
use crate::process::{Launch, Version, find_program, tool};

mod conf;
mod control;
#[cfg(test)]
mod golden;
mod show;

use control::Answer;
use show::Protocol;

const FILE: &str = "bird.conf";
/// For one call of its checker.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to do what it was told and has begun.
const RECONFIGURATION: Duration = Duration::from_secs(5);
/// The code of `show status` when nothing is going on.
const UP_AND_RUNNING: u16 = 13;
/// The first version with roles (RFC 9234).
const OLDEST: Version = Version(2, 0, 11);

/// BIRD 2.
pub(crate) struct Bird {
    place: Place,
    version: Version,
    program: PathBuf,
}

impl Bird {
    /// `None` where it is not installed, or too old.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let program = find_program("bird")?;
        let said = tool::run(&program, ["--version"], b"", PATIENCE).await.ok()?;
        let version = Version::find(&(said.text() + &String::from_utf8_lossy(&said.errors)))?;
        if version < OLDEST {
            tracing::warn!(%version, oldest = %OLDEST, "this BIRD is too old");
            return None;
        }
        Some(Self { place, version, program })
    }

    fn socket(&self) -> PathBuf {
        self.place.run().join("bird.ctl")
    }

    async fn ask(&self, commands: &[String]) -> Result<Vec<Answer>, DriverError> {
        control::ask(&self.socket(), commands).await
    }

    /// The same, where no answer may be an error.
    async fn tell(&self, commands: &[String]) -> Result<(), DriverError> {
        for (command, answer) in commands.iter().zip(self.ask(commands).await?) {
            if let Some(error) = answer.error() {
                return Err(DriverError::Said(format!("{command}: {error}")));
            }
        }
        Ok(())
    }

    async fn protocols(&self) -> Result<Vec<Protocol>, DriverError> {
        let answers = self.ask(&["show protocols all".to_owned()]).await?;
        Ok(answers.iter().flat_map(show::protocols).collect())
    }

    /// Writes a configuration file with what is announced enabled.
    fn wake(&self, from: &Path, name: &str, announced: &Origination) -> Result<PathBuf, DriverError> {
        let path = self.place.run().join(name);
        let write = || {
            let text = conf::awake(&fs::read_to_string(from)?, announced);
            write_private(&path, text.as_bytes(), self.place.user.as_ref())
        };
        match write() {
            Ok(()) => Ok(path),
            Err(error) => Err(DriverError::Said(format!("{}: {error}", path.display()))),
        }
    }

    /// The text that it has, announcing nothing.
    fn told(&self) -> PathBuf {
        self.place.run().join("told.conf")
    }

    fn keep_told(&self) -> Result<(), DriverError> {
        let path = self.told();
        fs::read(self.place.etc().join(FILE))
            .and_then(|text| write_private(&path, &text, self.place.user.as_ref()))
            .map_err(|error| DriverError::Said(format!("{}: {error}", path.display())))
    }

    /// Waits until nothing is going on.
    async fn until_done(&self) -> Result<(), DriverError> {
        let begun = Instant::now();
        while begun.elapsed() < RECONFIGURATION {
            let answers = self.ask(&["show status".to_owned()]).await?;
            if answers.iter().all(|answer| answer.ends_with(UP_AND_RUNNING)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(DriverError::Said(format!("it still reconfigures after {} s", RECONFIGURATION.as_secs())))
    }
}

#[async_trait]
impl Driver for Bird {
    fn kind(&self) -> RoutingDaemonKind {
        RoutingDaemonKind::Bird
    }

    fn title(&self) -> &'static str {
        "BIRD"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        let mut arguments = vec!["-f".into()];
        let files = [
            ("-c", self.place.etc().join(FILE)),
            ("-s", self.socket()),
            ("-P", self.place.run().join("bird.pid")),
        ];
        for (option, path) in files {
            arguments.extend([option.into(), path.into()]);
        }
        if let Some(user) = &self.place.user {
            arguments.extend(["-u", &user.name, "-g", &user.name].map(Into::into));
        }
        Launch { program: self.program.clone(), arguments, folder: self.place.folder.clone() }
    }

    fn keeps_updates_open(&self) -> bool {
        true
    }

    fn refuses(
        &self,
        name: &SessionName,
        _config: &SessionConfig,
        password: Option<&Secret>,
    ) -> Option<String> {
        let name = name.to_string();
        if name.len() > conf::LONGEST_NAME {
            return Some(format!(
                "BIRD's names have at most {} characters, and {name} has {}: rename the peer",
                conf::LONGEST_NAME,
                name.len()
            ));
        }
        // Its strings have no way to write one, and end with the line.
        let untold = |octet: &u8| *octet == b'"' || !(b' '..=b'~').contains(octet);
        password.is_some_and(|password| password.expose().iter().any(untold)).then(|| {
            "its password has a quotation mark, which BIRD cannot be told: agree on another password"
                .to_owned()
        })
    }

    fn render(&self, setup: &Setup<'_>) -> Vec<ConfigFile> {
        vec![ConfigFile { name: FILE, text: conf::render(setup) }]
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let file = staged.join(FILE);
        tool::run(&self.program, ["-p".as_ref(), "-c".as_ref(), file.as_os_str()], b"", PATIENCE).await?;
        Ok(())
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        self.keep_told()
    }

    async fn reload(&self, reload: &Reload<'_>) -> Result<Reloaded, DriverError> {
        let now = self.wake(&self.place.etc().join(FILE), "now.conf", reload.announced)?;
        match &reload.trial {
            None => self.tell(&[format!("configure \"{}\"", now.display())]).await?,
            Some((good, patience)) => {
                let told = Some(self.told()).filter(|told| told.exists());
                let told = told.unwrap_or_else(|| good.join(FILE));
                let was = self.wake(&told, "was.conf", reload.announced)?;
                self.tell(&[format!("configure \"{}\"", was.display())]).await?;
                self.until_done().await?;
                let seconds = patience.as_secs().max(1);
                self.tell(&[format!("configure \"{}\" timeout {seconds}", now.display())]).await?;
            }
        }
        self.until_done().await?;
        self.keep_told()?;
        Ok(Reloaded::Live)
    }

    async fn confirm(&self) -> Result<(), DriverError> {
        self.tell(&["configure confirm".to_owned()]).await
    }

    async fn observe(&self, config: Option<&RoutingConfig>) -> Result<DaemonState, DriverError> {
        let commands = ["show status", "show protocols all"].map(str::to_owned);
        let answers = self.ask(&commands).await?;
        let [status, protocols] = answers.as_slice() else {
            return Err(DriverError::Said("it answers some of the questions only".to_owned()));
        };
        let Some((now, mark)) = show::status(status) else {
            return Err(DriverError::Said("its status has no time".to_owned()));
        };
        let protocols = show::protocols(protocols);
        let sessions: Vec<(SessionName, &Protocol)> =
            protocols.iter().filter_map(|protocol| Some((protocol.session()?, protocol))).collect();
        // What the peers were really told, after all filters.
        let tables = sessions.iter().map(|(name, _)| conf::export_table(name));
        let tables: Vec<String> = tables.map(|table| format!("show route export table {table}")).collect();
        let told = if tables.is_empty() { Vec::new() } else { self.ask(&tables).await? };
        let heard = match config.is_some_and(conf::speaks_bfd) {
            true => self.ask(&["show bfd sessions".to_owned()]).await?.iter().flat_map(show::heard).collect(),
            false => BTreeMap::new(),
        };
        let sessions = sessions.iter().zip(told).map(|((name, protocol), told)| {
            // A session that is not established has no such table, which is an error.
            let sent = if protocol.is_up() { show::prefixes(&told) } else { BTreeSet::new() };
            let config = config.and_then(|config| config.sessions.get(name));
            let mut seen = protocol.observed(name, config, now, sent);
            if config.is_some_and(|config| config.bfd.is_some()) {
                seen.bfd = Some(BfdState::of(heard.get(&seen.neighbor)));
            }
            (name.clone(), seen)
        });
        Ok(DaemonState {
            announced: show::announced(&protocols),
            sessions: sessions.collect(),
            mark: mark.to_string(),
            drift: config.and_then(|config| show::drift(&protocols, config)),
        })
    }

    async fn originate(
        &self,
        _config: Option<&RoutingConfig>,
        _present: &Origination,
        wanted: &Origination,
    ) -> Result<(), DriverError> {
        let protocols = self.protocols().await?;
        let ours: Vec<_> = protocols
            .iter()
            .filter_map(|protocol| Some((protocol, conf::announced(&protocol.name)?)))
            .collect();
        for (prefix, how) in wanted {
            if !ours.iter().any(|(_, way)| *way == (*prefix, *how)) {
                let name = conf::static_name(*prefix, *how);
                return Err(DriverError::Said(format!("it was not set up with a protocol {name}")));
            }
        }
        let is_wanted = |(prefix, how)| wanted.get(&prefix) == Some(&how);
        let enable = ours.iter().filter(|(protocol, way)| is_wanted(*way) && !protocol.is_up());
        let disable = ours.iter().filter(|(protocol, way)| !is_wanted(*way) && protocol.is_up());
        // In this order one way gives place to the other without a gap.
        let commands: Vec<String> = enable
            .map(|(protocol, _)| format!("enable '{}'", protocol.name))
            .chain(disable.map(|(protocol, _)| format!("disable '{}'", protocol.name)))
            .collect();
        if commands.is_empty() { Ok(()) } else { self.tell(&commands).await }
    }

    async fn part(&self, message: &str) -> Result<(), DriverError> {
        let protocols = self.protocols().await?;
        let sessions = protocols.iter().filter(|protocol| protocol.session().is_some());
        let commands: Vec<String> =
            sessions.map(|protocol| format!("disable '{}' \"{message}\"", protocol.name)).collect();
        if commands.is_empty() { Ok(()) } else { self.tell(&commands).await }
    }
}
