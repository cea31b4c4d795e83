//! Beside: the daemons that bgpd has beside itself for what it cannot do alone.
//!
//! ```text
//! bgpd ──→ zebra ←── bfdd     zebra: which address is on which link      bfdd: which neighbour is heard
//! ```
//!
//! They run only for who needs them: zebra takes 11 MB and bfdd 4, beside bgpd's 14. bgpd looks for zebra at its start,
//! twice more within 20 s and then each minute, so one that comes later ends no session; but one that went would leave bgpd
//! waiting for it before each new session, so zebra stays for as long as bgpd does.
//!
//! zebra believes that it looks after the kernel's routes: it would remove what looks like its own from before, and add
//! next hops. It cannot here: it is in a user namespace of its own, where it has all rights that it asks for, but none over
//! our network, so that the kernel refuses whatever it tries.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use super::{control, show};
use crate::process::{Launch, Process, ProcessError, ProcessState, Supervision, find_program};
use crate::routing::external::{DriverError, Place};

/// Their names as processes.
pub(crate) const NAMES: [&str; 2] = ["frr-zebra", "frr-bfdd"];
pub(super) const ZEBRA_FILE: &str = "zebra.conf";
pub(super) const BFDD_FILE: &str = "bfdd.conf";
/// How long one may take until it answers.
const START: Duration = Duration::from_secs(5);
/// How long one may take to end.
const END: Duration = Duration::from_secs(2);
/// How soon what could not be put right is tried again: a session without BFD is better than none.
const AGAIN: Duration = Duration::from_secs(60);
const CLIENTS: &str = "show zebra client summary";

/// What a configuration needs beside bgpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    /// For bfdd, and for next hops that are link-local addresses.
    pub(super) zebra: bool,
    /// For sessions with BFD.
    pub(super) bfdd: bool,
}

/// What they say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Which of them does not answer, and why.
    pub(super) fault: Option<String>,
    /// Whether bgpd has found zebra.
    pub(super) is_joined: bool,
    /// The neighbours that bfdd listens for, and whether they are heard.
    pub(super) heard: BTreeMap<IpAddr, bool>,
}

/// zebra and bfdd.
pub(super) struct Beside {
    place: Place,
    zebra: Arc<dyn Process>,
    bfdd: Arc<dyn Process>,
    /// After one of them could not be started.
    pub(super) failed: Pause,
    /// After bgpd was made to ask bfdd once more.
    pub(super) asked: Pause,
}

/// A while in which something is not tried again.
#[derive(Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    pub(super) fn is_over(&self) -> bool {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.is_none_or(|begun| begun.elapsed() > AGAIN)
    }

    pub(super) fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Beside {
    pub(super) fn new(place: Place, supervision: Supervision) -> Self {
        let [zebra, bfdd] = NAMES.map(|name| supervision.process(name, &place.folder));
        Self { place, zebra, bfdd, failed: Pause::default(), asked: Pause::default() }
    }

    fn run(&self, name: &str) -> PathBuf {
        self.place.run().join(name)
    }

    /// Where bgpd and bfdd look for zebra.
    pub(super) fn api(&self) -> PathBuf {
        self.run("zebra.api")
    }

    /// Also where it was needed once, since this bgpd was started.
    fn has_zebra(&self, needs: Needs) -> bool {
        needs.zebra || self.api().exists()
    }

    async fn ask(&self, socket: &str, question: &str) -> Result<String, DriverError> {
        let mut answers = control::ask(&self.run(socket), &[question.to_owned()]).await?;
        Ok(answers.pop().map(|answer| answer.text).unwrap_or_default())
    }

    pub(super) async fn look(&self, needs: Needs) -> Seen {
        let mut seen = Seen::default();
        if !self.has_zebra(needs) {
            return seen;
        }
        match self.ask("zebra.vty", CLIENTS).await {
            Ok(clients) => seen.is_joined = clients.lines().any(|line| line.starts_with("bgp ")),
            Err(error) => seen.fault = Some(format!("zebra: {error}")),
        }
        if needs.bfdd {
            let heard = self.ask("bfdd.vty", show::HEARD).await.map(|text| show::heard(&text));
            match heard {
                Ok(Ok(heard)) => seen.heard = heard,
                Ok(Err(error)) => seen.fault = Some(format!("bfdd: its answer: {error}")),
                Err(error) => seen.fault = Some(format!("bfdd: {error}")),
            }
        }
        seen
    }

    /// Has those run that are needed, with what their files say, and no bfdd otherwise. One that does not come is waited for
    /// by no session.
    pub(super) async fn attend(&self, needs: Needs) {
        if self.has_zebra(needs) {
            self.revive("zebra", &self.zebra, self.zebra_launch()).await;
        }
        if needs.bfdd {
            self.revive("bfdd", &self.bfdd, self.bfdd_launch()).await;
            if let Err(error) = self.tell_profiles().await {
                warn!(%error, "bfdd does not take its profiles");
            }
        } else if self.run("bfdd.vty").exists()
            && let Err(error) = self.end(&self.bfdd, "bfdd.vty").await
        {
            warn!(%error, "bfdd is not needed any more");
        }
    }

    /// Starts one that does not answer.
    async fn revive(&self, name: &str, process: &Arc<dyn Process>, launch: Option<Launch>) {
        let socket = self.run(&format!("{name}.vty"));
        if control::ask(&socket, &[]).await.is_ok() {
            return;
        }
        match Self::start(process, launch, &socket).await {
            // What it does not know, it has to be told at once.
            Ok(()) => self.asked.end(),
            Err(why) => {
                warn!(name, why, "BFD has to wait");
                self.failed.begin();
            }
        }
    }

    async fn start(process: &Arc<dyn Process>, launch: Option<Launch>, socket: &Path) -> Result<(), String> {
        let said = |error: ProcessError| error.to_string();
        let launch = launch.ok_or("it needs the user frr, and setpriv and unshare of util-linux")?;
        // One that runs hangs.
        if let ProcessState::Running { .. } = process.state().await.map_err(said)? {
            process.end(END).await.map_err(said)?;
        }
        process.start(&launch).await.map_err(said)?;
        let begun = Instant::now();
        while control::ask(socket, &[]).await.is_err() {
            if let Ok(ProcessState::Ended { why }) = process.state().await {
                return Err(why);
            }
            if begun.elapsed() > START {
                return Err(format!("it gives no answer within {} s", START.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What is no longer asked for stays, and harms nobody.
    async fn tell_profiles(&self) -> Result<(), DriverError> {
        let path = self.place.etc().join(BFDD_FILE);
        let text = fs::read_to_string(&path)
            .map_err(|error| DriverError::Said(format!("{}: {error}", path.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['!', '#']));
        let commands: Vec<String> =
            ["configure terminal"].into_iter().chain(lines).map(str::to_owned).collect();
        control::tell(&self.run("bfdd.vty"), &commands).await
    }

    /// Ends both: bgpd has ended.
    pub(super) async fn dismiss(&self) -> Result<(), ProcessError> {
        self.end(&self.bfdd, "bfdd.vty").await?;
        self.end(&self.zebra, "zebra.vty").await?;
        let _ = fs::remove_file(self.api());
        Ok(())
    }

    async fn end(&self, process: &Arc<dyn Process>, socket: &str) -> Result<(), ProcessError> {
        process.end(END).await?;
        let _ = fs::remove_file(self.run(socket));
        Ok(())
    }

    /// Common to both. Without a user of theirs they do not start.
    fn arguments(&self, name: &str, file: &str) -> Option<Vec<OsString>> {
        let user = &self.place.user.as_ref()?.name;
        let mut arguments: Vec<OsString> = ["-P", "0", "-u", user, "-g", user].map(Into::into).into();
        let paths = [
            ("-f", self.place.etc().join(file)),
            ("-i", self.run(&format!("{name}.pid"))),
            ("-z", self.api()),
            ("--vty_socket", self.place.run()),
        ];
        for (option, path) in paths {
            arguments.extend([option.into(), path.into()]);
        }
        Some(arguments)
    }

    fn zebra_launch(&self) -> Option<Launch> {
        let user = &self.place.user.as_ref()?.name;
        let becoming = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
        // Where only the privileged may make user namespaces it has to be one of them until it has its own.
        let privileged = ["--inh-caps=+sys_admin", "--ambient-caps=+sys_admin"].map(str::to_owned);
        let namespace = ["--user".to_owned(), format!("--map-user={user}"), format!("--map-group={user}")];
        let mut arguments: Vec<OsString> = becoming.into_iter().chain(privileged).map(Into::into).collect();
        arguments.push(find_program("unshare")?.into());
        arguments.extend(namespace.map(Into::into));
        arguments.extend(["--keep-caps", "/usr/lib/frr/zebra"].map(Into::into));
        arguments.extend(self.arguments("zebra", ZEBRA_FILE)?);
        Some(Launch { program: find_program("setpriv")?, arguments, folder: self.place.folder.clone() })
    }

    fn bfdd_launch(&self) -> Option<Launch> {
        let mut arguments = self.arguments("bfdd", BFDD_FILE)?;
        arguments.extend(["--bfdctl".into(), self.run("bfdd.sock").into()]);
        Some(Launch { program: "/usr/lib/frr/bfdd".into(), arguments, folder: self.place.folder.clone() })
    }
}
