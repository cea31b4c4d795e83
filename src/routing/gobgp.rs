//! GoBGP 3 (3.10 and later), controlled by its own `gobgp` over a socket.
//!
//! ```text
//! etc/gobgp.json ─→ run/gobgp.json ─SIGHUP→ the daemon ─→ the policies of this reading, then the neighbors ─→ soft reset
//! gobgp global rib add, del ─→ what is announced; it is written nowhere
//! ```
//!
//! The daemon reads the copy in `run`, since it has to be led through steps in between: of several neighbors that are
//! changed at once it changes only the first, so each is removed and added again. Every copy names its *reading*, a
//! prefix set that nothing uses. It makes the daemon take all policies anew, and show that it has.
//!
//! A drain is a route with the graceful-shutdown community and its prepends already in the path; the statement of a session
//! adds the session's own. What GoBGP cannot: roles (RFC 9234); say why a session was last closed, except to its log; let a
//! session that was cut off for too many routes try again, which is done here; be told of extended communities other than
//! route targets and origins.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use ipnet::IpNet;

use super::external::{DaemonState, Driver, DriverError, Place, Reload, Reloaded, Setup};
use super::{Family, Origination, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName};
use crate::fingerprint::Fingerprint;
use crate::keyring::Secret;
use crate::process::files::{ConfigFile, write_private};
use crate::process::{Launch, Version, find_program, tool};

mod conf;
mod control;
#[cfg(test)]
mod golden;
mod show;

use conf::File;
use control::Control;
use show::{Neighbor, Table};

const FILE: &str = "gobgp.json";
/// For one call of its checker.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to do what it was told.
const RECONFIGURATION: Duration = Duration::from_secs(10);
/// The first version that this was measured with, and the first that is too new.
const VERSIONS: std::ops::Range<Version> = Version(3, 10, 0)..Version(4, 0, 0);
/// What TCP MD5 takes.
const LONGEST_PASSWORD: usize = 80;
/// What GoBGP sends of a message to a peer's operator.
const LONGEST_MESSAGE: usize = 128;

/// GoBGP 3.
pub(crate) struct Gobgp {
    place: Place,
    version: Version,
    program: PathBuf,
    control: Control,
    /// It has been started and may still be reading its file, though it answers.
    starting: AtomicBool,
}

/// What it says.
struct Seen {
    neighbors: Vec<Neighbor>,
    /// Of both families; of our own prefixes only, where the whole would be a full table.
    table: Table,
    /// All its policies, in one mark.
    mark: String,
}

impl Gobgp {
    /// `None` where it is not installed, or another version.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let program = find_program("gobgpd")?;
        let control = Control { program: find_program("gobgp")?, socket: place.run().join("api") };
        let said = tool::run(&program, ["--version"], b"", PATIENCE).await.ok()?;
        let version = Version::find(&said.text())?;
        if !VERSIONS.contains(&version) {
            tracing::warn!(%version, oldest = %VERSIONS.start, before = %VERSIONS.end, "another GoBGP is needed");
            return None;
        }
        Some(Self { place, version, program, control, starting: AtomicBool::new(false) })
    }

    fn written(&self) -> PathBuf {
        self.place.etc().join(FILE)
    }

    /// The copy that the daemon reads.
    fn told(&self) -> PathBuf {
        self.place.run().join(FILE)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), DriverError> {
        write_private(path, text.as_bytes(), self.place.user.as_ref())
            .map_err(|error| DriverError::Said(format!("{}: {error}", path.display())))
    }

    async fn look(&self, told: Option<&File>) -> Result<Seen, DriverError> {
        let policies = [["global", "policy"], ["policy", "prefix"], ["policy", "neighbor"]]
            .map(|words| async move { self.control.ask_text(&words).await });
        let (neighbors, table, policies) = tokio::try_join!(
            self.control.ask::<Option<Vec<Neighbor>>>(&["neighbor"]),
            self.table(told),
            try_join_all(policies),
        )?;
        let parts: Vec<&[u8]> = policies.iter().map(String::as_bytes).collect();
        let mark = Fingerprint::of(&parts).to_string();
        Ok(Seen { neighbors: neighbors.unwrap_or_default(), table, mark })
    }

    async fn table(&self, told: Option<&File>) -> Result<Table, DriverError> {
        let questions: Vec<(Option<IpNet>, Family)> = match told.filter(|told| told.imports_everything()) {
            None => vec![(None, Family::V4), (None, Family::V6)],
            Some(told) => {
                let ours = told.prefixes().into_iter();
                ours.map(|prefix| (Some(prefix), Family::of(prefix.addr()))).collect()
            }
        };
        let tables = questions.into_iter().map(|(prefix, family)| async move {
            let prefix = prefix.map(|prefix| prefix.to_string());
            let mut words = vec!["global", "rib"];
            words.extend(prefix.as_deref());
            words.extend(["-a", family.word()]);
            self.control.ask::<Table>(&words).await
        });
        Ok(try_join_all(tables).await?.into_iter().flatten().collect())
    }

    /// What an established neighbor was told.
    async fn sent(&self, neighbor: &Neighbor, name: &SessionName) -> Result<BTreeSet<IpNet>, DriverError> {
        let Some(address) = neighbor.address().filter(|_| neighbor.is_established()) else {
            return Ok(BTreeSet::new());
        };
        let address = address.to_string();
        let words = ["neighbor", &address, "adj-out", "-a", name.family.word()];
        Ok(self.control.ask::<Table>(&words).await?.into_keys().collect())
    }

    /// Makes the daemon read a file, and waits until it has.
    async fn read(&self, file: &File, reading: u64) -> Result<(), DriverError> {
        self.write(&self.told(), &file.for_reading(reading).text())?;
        self.control.signal().await?;
        let wanted: BTreeSet<IpAddr> = file.neighbors().into_keys().collect();
        let set = format!("\"{}\"", conf::reading(reading));
        let begun = Instant::now();
        while begun.elapsed() < RECONFIGURATION {
            let sets = self.control.ask_text(&["policy", "prefix"]).await?;
            let neighbors: Option<Vec<Neighbor>> = self.control.ask(&["neighbor"]).await?;
            let present = neighbors.iter().flatten().filter_map(Neighbor::address).collect();
            if sets.contains(&set) && wanted == present {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let seconds = RECONFIGURATION.as_secs();
        Err(DriverError::Said(format!("it has not taken {} after {seconds} s", self.told().display())))
    }

    /// Puts right who its neighbors are, and leads it to the file.
    async fn lead(&self, told: &File, next: &File, seen: &Seen) -> Result<(), DriverError> {
        let (was, wanted) = (told.neighbors(), next.neighbors());
        for neighbor in &seen.neighbors {
            let Some(address) = neighbor.address() else { continue };
            let text = address.to_string();
            // Of those that it was not told of it takes nothing back by itself.
            if !was.contains_key(&address) {
                self.control.tell(&["neighbor", "del", &text]).await?;
            } else if neighbor.is_disabled() {
                self.control.tell(&["neighbor", &text, "enable"]).await?;
            }
        }
        let is_as = |address: &IpAddr, wanted| {
            let mut present = seen.neighbors.iter().filter(|one| one.address() == Some(*address));
            present.any(|neighbor| neighbor.is(wanted))
        };
        let stale: BTreeSet<IpAddr> = wanted
            .iter()
            .filter(|(address, wanted)| match was.get(*address) {
                Some(was) => was != *wanted || !is_as(address, wanted),
                None => false,
            })
            .map(|(address, _)| *address)
            .collect();
        let mut reading = told.reading() + 1;
        if !stale.is_empty() {
            self.read(&next.without(&stale), reading).await?;
            reading += 1;
        }
        self.read(next, reading).await?;
        for direction in ["import", "export"] {
            let words = ["global", "policy", direction, "set", direction, "default", "reject"];
            self.control.tell(&words).await?;
        }
        self.control.tell(&["neighbor", "all", "softreset"]).await
    }
}

fn read(path: &Path) -> Result<File, DriverError> {
    let said = |why: String| DriverError::Said(format!("{}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
    File::parse(&text).map_err(|error| said(error.to_string()))
}

/// Seconds since 1970, in which GoBGP says when a session began and ended.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[async_trait]
impl Driver for Gobgp {
    fn kind(&self) -> RoutingDaemonKind {
        RoutingDaemonKind::Gobgp
    }

    fn title(&self) -> &'static str {
        "GoBGP"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        // It dies where its socket is left over; and whoever starts it again need not be the agent.
        let script = "rm -f \"$1\" && shift && exec \"$@\"";
        let mut arguments: Vec<std::ffi::OsString> = ["-c", script, "gobgpd"].map(Into::into).into();
        arguments.extend([self.control.socket.clone().into(), self.program.clone().into()]);
        arguments.extend(["-t", "json", "-f"].map(Into::into));
        arguments.push(self.told().into());
        let api = format!("unix://{}", self.control.socket.display());
        arguments.extend(["--api-hosts", &api, "--pprof-disable", "--log-plain"].map(Into::into));
        Launch { program: "/bin/sh".into(), arguments, folder: self.place.folder.clone() }
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
        if config.strict_role {
            let why = "GoBGP sends no role (RFC 9234), which this peer insists on: set strict_role to false, \
                       or choose another daemon";
            return Some(why.to_owned());
        }
        if let Some(community) = conf::untold(config) {
            return Some(format!(
                "GoBGP cannot be told of the community {community}: remove it from the peer"
            ));
        }
        let password = password?.expose();
        if std::str::from_utf8(password).is_err() {
            let why = "its password is not text, and GoBGP cannot be told another: agree on another password";
            return Some(why.to_owned());
        }
        (password.len() > LONGEST_PASSWORD).then(|| {
            format!("its password is longer than {LONGEST_PASSWORD} octets: agree on another password")
        })
    }

    fn render(&self, setup: &Setup<'_>) -> Vec<ConfigFile> {
        vec![ConfigFile { name: FILE, text: File::render(setup).text() }]
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let file = staged.join(FILE);
        let options = ["--pprof-disable", "--log-plain", "-d", "-t", "json", "-f"].map(AsRef::as_ref);
        let arguments = options.into_iter().chain([file.as_os_str()]);
        tool::run(&self.program, arguments, b"", PATIENCE).await?;
        Ok(())
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        self.write(&self.told(), &read(&self.written())?.text())?;
        self.starting.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn reload(&self, reload: &Reload<'_>) -> Result<Reloaded, DriverError> {
        let next = read(&self.written())?;
        let Ok(told) = read(&self.told()) else { return Ok(Reloaded::NeedsRestart) };
        if told.global() != next.global() {
            return Ok(Reloaded::NeedsRestart);
        }
        let left = self.place.run().join("mark");
        let seen = self.look(Some(&told)).await?;
        let is_as_left = fs::read_to_string(&left).is_ok_and(|mark| mark == seen.mark);
        let drift = show::drift(&seen.neighbors, &seen.table, &next);
        if is_as_left && told.for_reading(0) == next && drift.is_none() {
            return Ok(Reloaded::Live);
        }
        self.lead(&told, &next, &seen).await?;
        let asn = next.asn().unwrap_or_default();
        for prefix in show::foreign(&seen.table, &next) {
            match reload.announced.get(&prefix) {
                Some(how) => self.control.announce(prefix, *how, asn).await?,
                None => self.control.withdraw(prefix).await?,
            }
        }
        let seen = self.look(Some(&next)).await?;
        self.write(&left, &seen.mark)?;
        Ok(Reloaded::Live)
    }

    async fn observe(&self, config: Option<&RoutingConfig>) -> Result<DaemonState, DriverError> {
        let told = read(&self.told()).ok();
        let seen = self.look(told.as_ref()).await?;
        if self.starting.load(Ordering::Relaxed) {
            if told.as_ref().is_some_and(|told| seen.neighbors.len() < told.neighbors().len()) {
                return Err(DriverError::Said("it still reads its configuration".to_owned()));
            }
            self.starting.store(false, Ordering::Relaxed);
        }
        let now = now();
        for neighbor in &seen.neighbors {
            // It would never try again by itself.
            if let Some(address) = neighbor.address()
                && neighbor.cut_off_s(now).is_some_and(|since| since >= show::HOLD_OFF_S)
            {
                self.control.tell(&["neighbor", &address.to_string(), "enable"]).await?;
            }
        }
        let ours = seen.neighbors.iter().filter_map(|neighbor| Some((neighbor.session()?, neighbor)));
        let sessions = ours.map(|(name, neighbor)| {
            let paths = seen.table.values().flatten();
            let imported =
                neighbor.address().map_or(0, |address| paths.filter(|path| path.is_of(address)).count());
            async move {
                let sent = self.sent(neighbor, &name).await?;
                let observed = neighbor.observed(&name, config, now, sent, imported as u64);
                Ok::<_, DriverError>((name, observed))
            }
        });
        let prefixes = told.as_ref().map(File::prefixes);
        Ok(DaemonState {
            announced: show::announced(&seen.table, prefixes.as_ref()),
            sessions: try_join_all(sessions).await?.into_iter().collect(),
            drift: match (config, &told) {
                (None, _) => None,
                (Some(_), Some(told)) => show::drift(&seen.neighbors, &seen.table, told),
                (Some(_), None) => Some(format!("{} is gone", self.told().display())),
            },
            mark: seen.mark,
        })
    }

    async fn originate(
        &self,
        _config: Option<&RoutingConfig>,
        present: &Origination,
        wanted: &Origination,
    ) -> Result<(), DriverError> {
        let asn = read(&self.told()).ok().and_then(|told| told.asn()).unwrap_or_default();
        let changed = wanted.iter().filter(|(prefix, how)| present.get(*prefix) != Some(*how));
        let gone = present.keys().filter(|prefix| !wanted.contains_key(*prefix));
        // All at once, and one that fails keeps no other back.
        let announced = join_all(changed.map(|(prefix, how)| self.control.announce(*prefix, *how, asn)));
        let withdrawn = join_all(gone.map(|prefix| self.control.withdraw(*prefix)));
        let (announced, withdrawn) = tokio::join!(announced, withdrawn);
        announced.into_iter().chain(withdrawn).collect()
    }

    async fn part(&self, message: &str) -> Result<(), DriverError> {
        let message: String = message
            .char_indices()
            .take_while(|(at, letter)| at + letter.len_utf8() <= LONGEST_MESSAGE)
            .map(|(_, letter)| letter)
            .collect();
        // What it calls `disable` is the newer word, but forgets the message.
        let ask = async || self.control.ask::<Option<Vec<Neighbor>>>(&["neighbor"]).await;
        for neighbor in ask().await?.into_iter().flatten().filter(|neighbor| !neighbor.is_disabled()) {
            let Some(address) = neighbor.address() else { continue };
            let words = ["neighbor", &address.to_string(), "shutdown", "--reason", &message];
            self.control.tell(&words).await?;
        }
        // It only begins to say so.
        let begun = Instant::now();
        while ask().await?.iter().flatten().any(Neighbor::is_established) && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
