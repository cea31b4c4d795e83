//! FRR (8.4 and later, for roles): bgpd, controlled by its socket; and for sessions with BFD, and those that import
//! everything over IPv6, zebra and bfdd (`beside`).
//!
//! bgpd gives no route to zebra, and zebra can give none to the kernel. `etc/frr.conf` is what it starts with and announces
//! nothing. What makes a running daemon's configuration into another one is worked out here (`lines`), and a daemon that
//! does not come to have it that way is started again.
//!
//! What it does differently: a MED of 0 goes out with every prefix, which is what none counts as (RFC 4271 section
//! 9.1.2.2), but not for a peer that takes none for the worst. A peer that offers much is not cut off, since what is not
//! imported is not counted, nor kept. A route with a link-local next hop is imported by a session that is begun when bgpd
//! has found zebra, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::external::{DaemonState, Driver, DriverError, Place, Reload, Reloaded, Setup};
use super::{BfdState, Origination, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName};
use crate::keyring::Secret;
use crate::process::files::ConfigFile;
use crate::process::{Launch, Supervision, Version, tool};

mod beside;
mod conf;
mod control;
#[cfg(test)]
mod golden;
mod lines;
mod show;

pub(super) use beside::NAMES as BESIDE;

use beside::Beside;
use lines::Lines;

/// OpenBGPD has a program of this name, too.
const PROGRAM: &str = "/usr/lib/frr/bgpd";
const FILE: &str = "frr.conf";
/// For one call of its checker.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first version with roles (RFC 9234).
const OLDEST: Version = Version(8, 4, 0);
/// What TCP MD5 takes.
const LONGEST_PASSWORD: usize = 80;
const RUNNING: &str = "show running-config";

/// FRR's bgpd.
pub(crate) struct Frr {
    place: Place,
    version: Version,
    beside: Beside,
    /// Neighbours whose sessions ask for BFD, and of which bfdd has not heard from bgpd since zebra was started.
    unheard_of: Mutex<BTreeSet<IpAddr>>,
    /// What was otherwise than it was told when it had to be started again for that; `None` once it is as it was told.
    unmended: Mutex<Option<String>>,
}

impl Frr {
    /// `None` where it is not installed, or too old.
    pub(crate) async fn find(place: Place, supervision: Supervision) -> Option<Self> {
        let said = tool::run(Path::new(PROGRAM), ["--version"], b"", PATIENCE).await.ok()?;
        let version = Version::find(&said.text())?;
        if version < OLDEST {
            tracing::warn!(%version, oldest = %OLDEST, "this FRR is too old");
            return None;
        }
        let beside = Beside::new(place.clone(), supervision);
        Some(Self { place, version, beside, unheard_of: Mutex::default(), unmended: Mutex::default() })
    }

    fn socket(&self) -> PathBuf {
        self.place.run().join("bgpd.vty")
    }

    async fn ask<const N: usize>(&self, questions: [&str; N]) -> Result<[String; N], DriverError> {
        let answers = control::ask(&self.socket(), &questions.map(str::to_owned)).await?;
        if let Some((question, answer)) = questions.iter().zip(&answers).find(|(_, answer)| !answer.done) {
            return Err(DriverError::Said(format!("{question}: {}", answer.text.trim())));
        }
        let texts: Vec<String> = answers.into_iter().map(|answer| answer.text).collect();
        texts.try_into().map_err(|_| DriverError::Said("it answers some of the questions only".to_owned()))
    }

    async fn running(&self) -> Result<Lines, DriverError> {
        let [running] = self.ask([RUNNING]).await?;
        Ok(Lines::parse(&running))
    }

    /// Remembers what is otherwise than it was told. What was so before.
    fn remember(&self, difference: Option<&String>) -> Option<String> {
        let mut unmended = self.unmended.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *unmended, difference.cloned())
    }

    /// What does not run beside it as it should, or what bfdd does not know, as soon as it is to be put right.
    fn lacks(
        &self,
        beside: beside::Seen,
        neighbors: &BTreeMap<IpAddr, show::Neighbor>,
        by_bfd: BTreeSet<IpAddr>,
    ) -> Option<String> {
        let is_up = |address: &IpAddr| neighbors.get(address).is_some_and(show::Neighbor::is_established);
        let unheard_of: BTreeSet<IpAddr> = by_bfd
            .into_iter()
            .filter(|address| beside.is_joined && is_up(address) && !beside.heard.contains_key(address))
            .collect();
        let first = unheard_of.first().map(|address| format!("bfdd has not heard of {address}"));
        *self.unheard_of.lock().unwrap_or_else(PoisonError::into_inner) = unheard_of;
        let fault = beside.fault.filter(|_| self.beside.failed.is_over());
        fault.or(first.filter(|_| self.beside.asked.is_over()))
    }

    /// What the file says.
    fn written(&self) -> Result<Lines, DriverError> {
        let path = self.place.etc().join(FILE);
        let text = fs::read_to_string(&path)
            .map_err(|error| DriverError::Said(format!("{}: {error}", path.display())))?;
        Ok(Lines::parse(&text))
    }
}

#[async_trait]
impl Driver for Frr {
    fn kind(&self) -> RoutingDaemonKind {
        RoutingDaemonKind::Frr
    }

    fn title(&self) -> &'static str {
        "FRR"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        let run = self.place.run();
        // It gives its routes to no other daemon, and its shell comes by no port.
        let mut arguments: Vec<_> = ["-n", "-P", "0", "-p", "179"].map(Into::into).into();
        let paths = [
            ("-f", self.place.etc().join(FILE)),
            ("-i", run.join("bgpd.pid")),
            ("-z", self.beside.api()),
            ("--vty_socket", run),
        ];
        for (option, path) in paths {
            arguments.extend([option.into(), path.into()]);
        }
        match &self.place.user {
            Some(user) => arguments.extend(["-u", &user.name, "-g", &user.name].map(Into::into)),
            None => arguments.push("-S".into()),
        }
        Launch { program: PROGRAM.into(), arguments, folder: self.place.folder.clone() }
    }

    fn knows_sessions_by_neighbor(&self) -> bool {
        true
    }

    fn refuses(
        &self,
        _name: &SessionName,
        config: &SessionConfig,
        password: Option<&Secret>,
    ) -> Option<String> {
        if let Some(community) = conf::untold(config) {
            return Some(format!("FRR cannot be told of the community {community}: remove it from the peer"));
        }
        let password = password?.expose();
        // A word to it, and it has no quotation marks.
        if !password.iter().all(u8::is_ascii_graphic) {
            let why = "its password has a space, which FRR cannot be told: agree on another password";
            return Some(why.to_owned());
        }
        (password.len() > LONGEST_PASSWORD).then(|| {
            format!("its password is longer than {LONGEST_PASSWORD} octets: agree on another password")
        })
    }

    fn render(&self, setup: &Setup<'_>) -> Vec<ConfigFile> {
        vec![
            ConfigFile { name: FILE, text: conf::render(setup) },
            ConfigFile { name: beside::ZEBRA_FILE, text: conf::zebra() },
            ConfigFile { name: beside::BFDD_FILE, text: conf::bfdd(setup.config) },
        ]
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let file = staged.join(FILE);
        // It would take the port of the one that runs.
        let options = ["-C", "-Z", "-S", "-p", "0", "-f"].map(AsRef::as_ref);
        let arguments = options.into_iter().chain([file.as_os_str()]);
        let said = tool::run(Path::new(PROGRAM), arguments, b"", PATIENCE).await?;
        // Its exit code is 0 whatever it finds. The line itself may hold a secret.
        let said = said.text() + &String::from_utf8_lossy(&said.errors);
        if let Some((_, found)) = said.split_once(" on config line ") {
            let line: String = found.chars().take_while(char::is_ascii_digit).collect();
            let reason = said.lines().find_map(|line| line.strip_prefix("% ")).unwrap_or("no such command");
            return Err(DriverError::Said(format!("{}:{line}: {reason}", file.display())));
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        // Before bgpd, which finds it at once then.
        self.beside.attend(self.written()?.needs()).await;
        Ok(())
    }

    async fn dismiss(&self) -> Result<(), DriverError> {
        self.beside.dismiss().await.map_err(|error| DriverError::Said(error.to_string()))
    }

    async fn reload(&self, reload: &Reload<'_>) -> Result<Reloaded, DriverError> {
        let wanted = self.written()?.awake(reload.announced);
        let Some(mut commands) = self.running().await?.change(&wanted) else {
            return Ok(Reloaded::NeedsRestart);
        };
        self.beside.attend(wanted.needs()).await;
        let unheard_of = std::mem::take(&mut *self.unheard_of.lock().unwrap_or_else(PoisonError::into_inner));
        if commands.is_empty() && !unheard_of.is_empty() {
            self.beside.asked.begin();
            commands = wanted.ask_again(&unheard_of);
        }
        if commands.is_empty() {
            return Ok(Reloaded::Live);
        }
        let told = control::tell(&self.socket(), &commands).await;
        let difference = self.running().await?.difference(&wanted);
        let before = self.remember(difference.as_ref());
        let Some(difference) = difference else { return Ok(Reloaded::Live) };
        let refused = told.err().map(|error| error.to_string());
        if before.as_ref() == Some(&difference) {
            // Started again for that once more it would be no other.
            let why = refused.unwrap_or_else(|| "it refused nothing".to_owned());
            return Err(DriverError::Said(format!("{difference}, even after a restart ({why})")));
        }
        tracing::warn!(difference, refused, "FRR does not take the change while it runs");
        Ok(Reloaded::NeedsRestart)
    }

    async fn observe(&self, config: Option<&RoutingConfig>) -> Result<DaemonState, DriverError> {
        let [running, neighbors] = self.ask([RUNNING, show::NEIGHBORS]).await?;
        let not_understood = |error: serde_json::Error| DriverError::Said(format!("its answer: {error}"));
        let running = Lines::parse(&running);
        let neighbors = show::neighbors(&neighbors).map_err(not_understood)?;
        let established: Vec<IpAddr> = neighbors
            .iter()
            .filter(|(_, neighbor)| neighbor.is_established())
            .map(|(address, _)| *address)
            .collect();
        let questions: Vec<String> = established.iter().map(|address| show::advertised(*address)).collect();
        let answers = control::ask(&self.socket(), &questions).await?;
        let mut told = BTreeMap::new();
        for (address, answer) in established.into_iter().zip(answers) {
            // A refusal: it has ended meanwhile.
            if answer.done {
                told.insert(address, show::told(&answer.text).map_err(not_understood)?);
            }
        }
        let beside = match config {
            Some(_) => self.beside.look(running.needs()).await,
            None => beside::Seen::default(),
        };
        let by_bfd = running.by_bfd();
        let sessions = neighbors.iter().filter_map(|(address, neighbor)| {
            let name = neighbor.session()?;
            let sent = told.remove(address).unwrap_or_default();
            let mut seen = neighbor.observed(&name, *address, config, sent);
            if by_bfd.contains(address) {
                seen.bfd = Some(BfdState::of(beside.heard.get(address)));
            }
            Some((name, seen))
        });
        let sessions = sessions.collect();
        let mut drift = match config {
            Some(_) => running.difference(&self.written()?.awake(&running.announced())),
            None => None,
        };
        if config.is_some() && drift.is_none() {
            self.remember(None);
            drift = self.lacks(beside, &neighbors, by_bfd);
        }
        Ok(DaemonState { announced: running.announced(), sessions, mark: String::new(), drift })
    }

    async fn originate(
        &self,
        _config: Option<&RoutingConfig>,
        _present: &Origination,
        wanted: &Origination,
    ) -> Result<(), DriverError> {
        let commands = self.running().await?.announce(wanted).map_err(DriverError::Said)?;
        if commands.is_empty() { Ok(()) } else { control::tell(&self.socket(), &commands).await }
    }

    async fn part(&self, message: &str) -> Result<(), DriverError> {
        let Some(router) = self.running().await?.router().map(str::to_owned) else { return Ok(()) };
        let shut = format!("bgp shutdown message {message}");
        control::tell(&self.socket(), &["configure terminal".to_owned(), router, shut]).await
    }
}
