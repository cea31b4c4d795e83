//! OpenBGPD (7.5 and later, for roles), controlled by `bgpctl`.
//!
//! ```text
//! configure ─→ bgpd -n ─→ bgpctl reload ─→ has it read this file? ─→ clear the sessions that it opens otherwise now
//! originate ─→ bgpctl network add, delete ─→ is it so?
//! ```
//!
//! `etc/bgpd.conf` names no network. Those that are added to the running daemon outlive a reload, and adding one in another
//! way replaces it, without a withdrawal. `run/opened.conf` is the file that the sessions were opened with: a reload changes
//! what is kept of a session, and not how it was opened, so where that differs it is opened again.
//!
//! The daemon is several processes: the parent, which has the configuration; the session engine, which `bgpctl` talks to;
//! the route decision engine; and one for RPKI, unused. Only where the first three answer does it not hang. The engines leave
//! their folder for that of the user `_openbgpd`, which the package does not make, and become that user; the parent stays
//! root.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ipnet::IpNet;
use nix::unistd::User;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::external::{DaemonState, Driver, DriverError, Place, Reload, Reloaded, Setup};
use super::{Announcement, Origination, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName};
use crate::desired::model::Import;
use crate::keyring::Secret;
use crate::process::files::{ConfigFile, write_private};
use crate::process::{DaemonUser, Launch, Version, find_program, tool};

mod conf;
mod control;
#[cfg(test)]
mod golden;
mod show;

use control::Control;
use show::{Neighbor, Network, Route};

/// For one call of a tool.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to do what it was told and has begun.
const CHANGE: Duration = Duration::from_secs(5);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(10);
/// The first version with roles (RFC 9234).
const OLDEST: Version = Version(7, 5, 0);
/// The first version that escapes texts in its JSON.
const ESCAPES: Version = Version(8, 1, 0);
/// What it becomes.
const USER: &str = "_openbgpd";
/// The only file.
const FILE: &str = "bgpd.conf";
/// What it says of a neighbour whose session does not stand any more.
const GONE: &str = "no such neighbor";
/// A description has 32 octets, one of which ends it.
const LONGEST_NAME: usize = 31;
/// A password has 80 octets, one of which ends it.
const LONGEST_PASSWORD: usize = 79;
/// What an AS path is prepended with at most.
const MOST_PREPENDS: u8 = 128;

/// OpenBGPD.
pub(crate) struct OpenBgpd {
    place: Place,
    version: Version,
    program: PathBuf,
    control: Control,
}

impl OpenBgpd {
    /// `None` where it is not installed, too old, or cannot become its user.
    pub(crate) async fn find(place: Place) -> Option<Self> {
        let (program, bgpctl) = (find_program("bgpd")?, find_program("bgpctl")?);
        let said = tool::run(&program, ["-V"], b"", PATIENCE).await.ok()?;
        let said = said.text() + &String::from_utf8_lossy(&said.errors);
        // FRR has a program of the same name.
        let version = Version::find(said.strip_prefix("OpenBGPD")?)?;
        if version < OLDEST {
            tracing::warn!(%version, oldest = %OLDEST, "this OpenBGPD is too old");
            return None;
        }
        if DaemonUser::of(USER).is_none() {
            tracing::warn!(user = USER, "OpenBGPD cannot become its user here");
            return None;
        }
        let socket = place.run().join("bgpd.sock");
        Some(Self {
            control: Control { program: bgpctl, socket, escapes: version >= ESCAPES },
            place,
            version,
            program,
        })
    }

    fn file(&self) -> PathBuf {
        self.place.etc().join(FILE)
    }

    /// The file that the sessions were opened with.
    fn opened(&self) -> PathBuf {
        self.place.run().join("opened.conf")
    }

    async fn neighbors(&self) -> Result<Vec<Neighbor>, DriverError> {
        self.control.show(&["show", "neighbor"], "neighbors").await
    }

    async fn networks(&self) -> Result<Vec<Network>, DriverError> {
        #[derive(Deserialize)]
        struct Added {
            prefix: ipnet::IpNet,
        }
        let mut networks = Vec::new();
        for Added { prefix } in self.control.show(&["network", "show"], "fib").await? {
            let text = prefix.to_string();
            let routes: Vec<Route> = self.control.show(&["show", "rib", "detail", &text], "rib").await?;
            let ours = routes.iter().find(|route| route.prefix == prefix && route.is_ours());
            networks.push((prefix, ours.and_then(Route::announcement)));
        }
        Ok(networks)
    }

    /// Adds, changes and deletes networks until they are these.
    async fn announce(&self, wanted: &Origination) -> Result<(), DriverError> {
        let begun = Instant::now();
        loop {
            let present = self.networks().await?;
            let is_so = |(prefix, how)| present.contains(&(prefix, Some(how)));
            let missing: Vec<_> =
                wanted.iter().map(|(prefix, how)| (*prefix, *how)).filter(|one| !is_so(*one)).collect();
            let foreign: Vec<_> = present
                .iter()
                .map(|(prefix, _)| *prefix)
                .filter(|prefix| !wanted.contains_key(prefix))
                .collect();
            if missing.is_empty() && foreign.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > CHANGE {
                return Err(DriverError::Said(format!(
                    "it still has the networks {present:?} after {} s",
                    CHANGE.as_secs()
                )));
            }
            for (prefix, how) in missing {
                let prefix = prefix.to_string();
                match how {
                    Announcement::Normal => self.control.call(&["network", "add", &prefix]).await?,
                    Announcement::Draining { prepend } => {
                        let prepend = prepend.to_string();
                        let words =
                            ["network", "add", &prefix, "community", "65535:0", "prepend-self", &prepend];
                        self.control.call(&words).await?
                    }
                };
            }
            for prefix in foreign {
                self.control.call(&["network", "delete", &prefix.to_string()]).await?;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn mark(&self) -> Result<Option<String>, DriverError> {
        let sets: Vec<Value> = self.control.show(&["show", "sets"], "sets").await?;
        Ok(show::mark(&sets).map(str::to_owned))
    }

    /// Has it read its file, and waits until that is the one with this fingerprint.
    async fn read(&self, mark: &str) -> Result<(), DriverError> {
        self.control.tell(&["reload"]).await?;
        let begun = Instant::now();
        loop {
            if self.mark().await?.as_deref() == Some(mark) {
                return Ok(());
            }
            if begun.elapsed() > CHANGE {
                let why = format!("it has not read its configuration within {} s", CHANGE.as_secs());
                return Err(DriverError::Said(why));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes it forget some neighbours of a file: a neighbour's role is for it what it was when it first heard of it.
    async fn forget(&self, text: &str, addresses: &[&str]) -> Result<(), DriverError> {
        let (file, whole) = (self.file(), self.place.run().join("whole.conf"));
        let less = conf::without(text, addresses);
        let put_aside = fs::rename(&file, &whole)
            .and_then(|()| write_private(&file, less.as_bytes(), self.place.user.as_ref()));
        let read = match put_aside {
            Ok(()) => self.read(conf::mark(&less).unwrap_or_default()).await,
            Err(error) => Err(failed(&file, &error)),
        };
        // The very file, so that nobody seems to have written it.
        fs::rename(&whole, &file).map_err(|error| failed(&file, &error))?;
        read
    }

    /// What a peer was told, and how much of what it offers is discarded.
    async fn exchanged(
        &self,
        neighbor: &Neighbor,
        config: Option<&SessionConfig>,
    ) -> Result<(BTreeSet<IpNet>, u64), DriverError> {
        if !neighbor.is_established() {
            return Ok((BTreeSet::new(), 0));
        }
        let address = neighbor.remote_addr.to_string();
        let told: Vec<Route> =
            self.control.show(&["show", "rib", "out", "neighbor", &address], "rib").await?;
        let sent = told.iter().map(|route| route.prefix).collect();
        Ok((sent, self.discarded(neighbor, config).await?))
    }

    /// What is discarded of what a peer offers.
    async fn discarded(
        &self,
        neighbor: &Neighbor,
        config: Option<&SessionConfig>,
    ) -> Result<u64, DriverError> {
        let address = neighbor.remote_addr.to_string();
        let taken = match config.map(|config| config.import) {
            Some(Import::Nothing) => 0,
            Some(Import::Default) => {
                let family = super::Family::of(neighbor.remote_addr);
                let words = ["show", "rib", "neighbor", &address, family.default_route()];
                self.control.show::<Value>(&words, "rib").await?.len() as u64
            }
            Some(Import::Full) | None => return Ok(0),
        };
        Ok(neighbor.offered().saturating_sub(taken))
    }

    /// Keeps what the sessions were opened with.
    fn keep_opened(&self, text: &str) -> Result<(), DriverError> {
        write_private(&self.opened(), text.as_bytes(), self.place.user.as_ref())
            .map_err(|error| failed(&self.opened(), &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> DriverError {
    DriverError::Said(format!("{}: {error}", path.display()))
}

#[async_trait]
impl Driver for OpenBgpd {
    fn kind(&self) -> RoutingDaemonKind {
        RoutingDaemonKind::Openbgpd
    }

    fn title(&self) -> &'static str {
        "OpenBGPD"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn launch(&self) -> Launch {
        let arguments = vec!["-d".into(), "-f".into(), self.file().into()];
        Launch { program: self.program.clone(), arguments, folder: self.place.folder.clone() }
    }

    fn knows_sessions_by_neighbor(&self) -> bool {
        true
    }

    fn refuses(
        &self,
        name: &SessionName,
        config: &SessionConfig,
        password: Option<&Secret>,
    ) -> Option<String> {
        let name = name.to_string();
        if name.len() > LONGEST_NAME {
            return Some(format!(
                "OpenBGPD's descriptions have at most {LONGEST_NAME} characters, and {name} has {}: rename the peer",
                name.len()
            ));
        }
        if config.prepend > MOST_PREPENDS {
            return Some(format!("OpenBGPD prepends {MOST_PREPENDS} times at most, not {}", config.prepend));
        }
        let unknown = |community: &&crate::names::Community| conf::community(**community).is_none();
        if let Some(community) = config.communities.iter().find(unknown) {
            return Some(format!(
                "OpenBGPD has no word for the community {community}: leave it out, or select another daemon"
            ));
        }
        let password = password?.expose();
        if password.len() > LONGEST_PASSWORD {
            return Some(format!(
                "its password has {} octets, and OpenBGPD takes {LONGEST_PASSWORD}: agree on a shorter one",
                password.len()
            ));
        }
        (!conf::is_quotable(password)).then(|| {
            "its password ends with a backslash or is not all printable, which OpenBGPD cannot be told: agree on \
             another password"
                .to_owned()
        })
    }

    fn render(&self, setup: &Setup<'_>) -> Vec<ConfigFile> {
        let text = conf::render(setup, &self.control.socket.to_string_lossy(), self.version);
        vec![ConfigFile { name: FILE, text }]
    }

    async fn check(&self, staged: &Path) -> Result<(), DriverError> {
        let file = staged.join(FILE);
        tool::run(&self.program, ["-n".as_ref(), "-f".as_ref(), file.as_os_str()], b"", PATIENCE).await?;
        Ok(())
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        // Where its engines are shut in. Nothing is written there.
        if let Some(user) = User::from_name(USER).ok().flatten() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&user.dir)
                .map_err(|error| failed(&user.dir, &error))?;
        }
        // The engines of one that has died still have to find out.
        let begun = Instant::now();
        while UnixStream::connect(&self.control.socket).await.is_ok() {
            if begun.elapsed() > CHANGE {
                let why = format!("{}: another one still answers here", self.control.socket.display());
                return Err(DriverError::Said(why));
            }
            tokio::time::sleep(LOOK).await;
        }
        let text = fs::read_to_string(self.file()).map_err(|error| failed(&self.file(), &error))?;
        self.keep_opened(&text)
    }

    async fn reload(&self, reload: &Reload<'_>) -> Result<Reloaded, DriverError> {
        let text = fs::read_to_string(self.file()).map_err(|error| failed(&self.file(), &error))?;
        let Some(mark) = conf::mark(&text) else {
            return Err(DriverError::Said(format!("{} is none of ours", self.file().display())));
        };
        let mut announced = reload.announced.clone();
        let ours = conf::prefixes(&text);
        announced.retain(|prefix, _| ours.contains(prefix));
        if announced != *reload.announced {
            // Its fuse would cut off whoever still has them.
            self.announce(&announced).await?;
        }
        let before = fs::read_to_string(self.opened()).unwrap_or_default();
        let others = conf::with_another_role(&before, &text);
        if !others.is_empty() {
            self.forget(&text, &others).await?;
            if conf::archives_updates(&text) {
                // Read again within the second, it would begin the file anew that it has just begun.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        self.read(mark).await?;
        let reopened: BTreeSet<IpAddr> =
            conf::reopened(&before, &text).into_iter().filter_map(|address| address.parse().ok()).collect();
        for neighbor in self.neighbors().await? {
            let address = neighbor.remote_addr.to_string();
            let is_changed = reopened.contains(&neighbor.remote_addr);
            if is_changed {
                self.control.tell(&["neighbor", &address, "clear", "its configuration has changed"]).await?;
            }
            // One that was disabled stays so until it is told, and one that has failed waits longer and longer.
            if is_changed || !neighbor.is_established() {
                self.control.tell(&["neighbor", &address, "up"]).await?;
            }
        }
        self.keep_opened(&text)?;
        self.announce(&announced).await?;
        Ok(Reloaded::Live)
    }

    async fn observe(&self, config: Option<&RoutingConfig>) -> Result<DaemonState, DriverError> {
        // This is answered by the parent, the rest by its engines.
        self.control.call(&["show", "tables"]).await?;
        let neighbors = self.neighbors().await?;
        let networks = self.networks().await?;
        let mark = self.mark().await?;
        let drift = config.and_then(|config| show::drift(&neighbors, &networks, config));
        let mut state = DaemonState { mark: mark.unwrap_or_default(), drift, ..DaemonState::default() };
        for (prefix, how) in networks {
            if config.is_none_or(|config| config.prefixes.contains(&prefix)) {
                // One with other attributes is announced as well.
                state.announced.insert(prefix, how.unwrap_or(Announcement::Normal));
            }
        }
        for neighbor in neighbors {
            let Some(name) = neighbor.session() else { continue };
            let config = config.and_then(|config| config.sessions.get(&name));
            let (sent, discarded) = match self.exchanged(&neighbor, config).await {
                Ok(exchanged) => exchanged,
                // It was closed, or removed, meanwhile.
                Err(DriverError::Said(why)) if why.ends_with(GONE) => (BTreeSet::new(), 0),
                Err(error) => return Err(error),
            };
            let observed = neighbor.observed(&name, config, sent, discarded);
            state.sessions.insert(name, observed);
        }
        Ok(state)
    }

    async fn originate(
        &self,
        _config: Option<&RoutingConfig>,
        _present: &Origination,
        wanted: &Origination,
    ) -> Result<(), DriverError> {
        self.announce(wanted).await
    }

    async fn part(&self, message: &str) -> Result<(), DriverError> {
        for neighbor in self.neighbors().await? {
            self.control.tell(&["neighbor", &neighbor.remote_addr.to_string(), "down", message]).await?;
        }
        Ok(())
    }
}
