//! Keeper: the agent's side. It gives signs of life, and sees to it that there is a watchdog to hear them.
//!
//! Each agent has a watchdog of its own version: one that the agent before left is replaced. One that has died is started
//! again, and one that does not listen is replaced, too. None of that holds up the guard.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{Mandate, SOCKET};
use crate::process::{Launch, Process, ProcessError, ProcessState, Supervision};

/// How long it may take to end.
const END: Duration = Duration::from_secs(2);
/// Signs of life in a row that it did not take, after which it is replaced.
const UNHEARD: u32 = 5;

/// Keeps a watchdog.
pub(crate) struct Keeper {
    process: Arc<dyn Process>,
    launch: Launch,
    socket: UnixDatagram,
    path: PathBuf,
    /// What it is now, as far as this agent has seen to it.
    kept: Kept,
    unheard: u32,
    /// The last mandate, and as it is sent.
    mandate: Option<(Mandate, Vec<u8>)>,
    /// What is being done about the process.
    doing: Option<JoinHandle<()>>,
    /// Why there is none, where there should be.
    fault: watch::Sender<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// One of an agent before may be there.
    Unknown,
    /// It is ours.
    Ours,
    /// There is none.
    Dismissed,
}

/// What is to be done about the process.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Start,
    Replace,
    End,
}

impl Keeper {
    /// In this folder. `program` is what is started as `watchdog`: this very binary.
    pub(crate) fn new(program: PathBuf, folder: &Path, supervision: Supervision) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let arguments: Vec<OsString> = vec!["watchdog".into(), "--folder".into(), folder.into()];
        Ok(Self {
            process: supervision.process("watchdog", folder),
            launch: Launch { program, arguments, folder: folder.to_owned() },
            socket,
            path: folder.join(SOCKET),
            kept: Kept::Unknown,
            unheard: 0,
            mandate: None,
            doing: None,
            fault: watch::Sender::new(None),
        })
    }

    /// Why there is no watchdog, where there should be one.
    pub(crate) fn fault(&self) -> watch::Receiver<Option<String>> {
        self.fault.subscribe()
    }

    /// Gives a sign of life.
    pub(crate) fn sign(&mut self, mandate: Mandate) {
        if self.mandate.as_ref().is_none_or(|(before, _)| *before != mandate) {
            // It has maps of nothing but texts, so it becomes JSON.
            self.mandate = serde_json::to_vec(&mandate).ok().map(|octets| (mandate, octets));
        }
        let Some((_, octets)) = &self.mandate else { return };
        let sent = self.socket.send_to(octets, &self.path);
        if self.kept != Kept::Ours {
            if self.begin(Deed::Replace) {
                (self.kept, self.unheard) = (Kept::Ours, 0);
            }
            return;
        }
        let Err(error) = sent else {
            self.unheard = 0;
            return;
        };
        self.unheard += 1;
        if self.unheard.is_multiple_of(UNHEARD) {
            warn!(%error, "the watchdog does not listen; replacing it");
            self.begin(Deed::Replace);
        } else {
            self.begin(Deed::Start);
        }
    }

    /// There is nothing that it could withdraw.
    pub(crate) fn dismiss(&mut self) {
        if self.kept != Kept::Dismissed && self.begin(Deed::End) {
            self.kept = Kept::Dismissed;
        }
    }

    /// Begins a deed, unless one is under way.
    fn begin(&mut self, deed: Deed) -> bool {
        if self.doing.as_ref().is_some_and(|doing| !doing.is_finished()) {
            return false;
        }
        let (process, launch, fault) = (Arc::clone(&self.process), self.launch.clone(), self.fault.clone());
        self.doing = Some(tokio::spawn(async move {
            let why = carry_out(deed, &*process, &launch).await.err().map(|error| error.to_string());
            if let Some(why) = &why
                && fault.borrow().is_none()
            {
                warn!(why, "there is no watchdog");
            }
            fault.send_replace(why);
        }));
        true
    }
}

async fn carry_out(deed: Deed, process: &dyn Process, launch: &Launch) -> Result<(), ProcessError> {
    let running = process.state().await?;
    match deed {
        Deed::Start if matches!(running, ProcessState::Running { .. }) => return Ok(()),
        Deed::Start => info!("starting the watchdog"),
        Deed::Replace | Deed::End => process.end(END).await?,
    }
    match deed {
        Deed::Start | Deed::Replace => process.start(launch).await,
        Deed::End => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::health::testing::policy;
    use crate::routing::RoutingDaemons;

    fn mandate(folder: &Path) -> Mandate {
        Mandate {
            service_addresses: ["192.0.2.53".parse().unwrap()].into(),
            identity: "london-a".to_owned(),
            health: policy(),
            daemons: RoutingDaemons { folder: folder.to_owned(), supervision: Supervision::Child },
        }
    }

    /// What runs, after all that is under way is done.
    async fn running(keeper: &mut Keeper) -> Option<u32> {
        if let Some(doing) = keeper.doing.take() {
            doing.await.unwrap();
        }
        match keeper.process.state().await.unwrap() {
            ProcessState::Running { pid } => Some(pid),
            ProcessState::Stopped | ProcessState::Ended { .. } => None,
        }
    }

    #[tokio::test]
    async fn there_is_one_and_of_this_agent() {
        let folder = tempfile::tempdir().unwrap();
        // It runs, and hears nothing.
        let program = folder.path().join("deaf");
        fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        let open = || Keeper::new(program.clone(), folder.path(), Supervision::Child).unwrap();
        let mut keeper = open();
        assert_eq!(running(&mut keeper).await, None, "nobody asked for one yet");
        keeper.sign(mandate(folder.path()));
        let first = running(&mut keeper).await.unwrap();
        // One that does not listen is left alone at first, and then replaced.
        for sign in 1..=UNHEARD {
            keeper.sign(mandate(folder.path()));
            assert_eq!(running(&mut keeper).await == Some(first), sign < UNHEARD, "at sign {sign}");
        }
        // One that listens is not.
        let socket = UnixDatagram::bind(&keeper.path).unwrap();
        let second = running(&mut keeper).await.unwrap();
        let mut buffer = [0; 4096];
        for _ in 0..UNHEARD * 3 {
            keeper.sign(mandate(folder.path()));
            let length = socket.recv(&mut buffer).unwrap();
            let said: Mandate = serde_json::from_slice(&buffer[..length]).unwrap();
            assert_eq!(said, mandate(folder.path()));
        }
        assert_eq!(running(&mut keeper).await, Some(second));
        // The next agent has one of its own, and there are never two.
        let mut next = open();
        next.sign(mandate(folder.path()));
        let third = running(&mut next).await.unwrap();
        assert_ne!(third, second);
        assert!(!Path::new(&format!("/proc/{second}/exe")).exists(), "the one before is gone");
        next.dismiss();
        assert_eq!(running(&mut next).await, None);
        next.dismiss();
        assert!(next.doing.is_none(), "there is nothing left to end");
        next.sign(mandate(folder.path()));
        assert!(running(&mut next).await.is_some());
        next.dismiss();
        assert_eq!(running(&mut next).await, None);
    }

    #[tokio::test]
    async fn one_that_cannot_be_started_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("none");
        let mut keeper = Keeper::new(program, folder.path(), Supervision::Child).unwrap();
        let fault = keeper.fault();
        keeper.sign(mandate(folder.path()));
        assert_eq!(running(&mut keeper).await, None);
        assert!(fault.borrow().as_ref().is_some_and(|why| why.starts_with("start watchdog: ")));
    }
}
