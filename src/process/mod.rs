//! Process: the programs that a node runs beside the agent, and the tools that control them.
//!
//! A *daemon* is a program that stays: started as a child of the agent ([`Child`], in a simulation or a container) or as a
//! transient unit of systemd ([`Unit`], on a machine that has it). It outlives the agent, which finds it again. A *tool* is
//! a program that answers and ends ([`tool`]): it has a time-out, and its exit code is never the only evidence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

mod child;
pub(crate) mod driver;
mod ended;
pub(crate) mod files;
mod identity;
mod log;
mod pace;
pub mod tool;
mod unit;
mod user;
mod version;

pub use child::Child;
pub(crate) use ended::one_ended;
pub use unit::Unit;
pub use user::DaemonUser;
pub use version::Version;

/// How a daemon is started: in the foreground, with everything in its own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The folder that it starts in.
    pub folder: PathBuf,
}

/// Whether a daemon runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessState {
    /// It does.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It was never started, or was ended on purpose.
    Stopped,
    /// It ended by itself.
    Ended {
        /// How, and what it said last.
        why: String,
    },
}

/// Why a process could not be looked at, started or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {why}")]
pub struct ProcessError {
    /// What was being done, and to what.
    pub operation: String,
    /// What was met.
    pub why: String,
}

impl ProcessError {
    /// It keeps ending, so it is not started yet.
    fn too_soon(name: &str, wait: Duration, ended: Option<String>) -> Self {
        let (wait, why) = (wait.as_secs_f32().ceil(), ended.unwrap_or_else(|| "it has ended".to_owned()));
        let why = format!("it keeps ending, so the next try is in {wait:.0} s: {why}");
        Self { operation: format!("start {name}"), why }
    }
}

/// A daemon that can be started and ended.
#[async_trait]
pub trait Process: Send + Sync {
    /// Whether it runs. Never waits for the daemon itself.
    async fn state(&self) -> Result<ProcessState, ProcessError>;

    /// Starts it. One that ended by itself again and again is not started at once: the error says when.
    async fn start(&self, launch: &Launch) -> Result<(), ProcessError>;

    /// Ends it: politely, and after `patience` without mercy. One that does not run is fine.
    async fn end(&self, patience: Duration) -> Result<(), ProcessError>;

    /// Where it writes what it says.
    fn log(&self) -> &Path;
}

/// How the daemons of a node are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Supervision {
    /// As transient units of systemd, `shoestring-<daemon>.service`.
    Systemd,
    /// As processes of their own, which the agent starts and watches.
    Child,
}

impl Supervision {
    /// What this machine has: systemd where it runs the machine.
    pub fn of_this_machine() -> Self {
        if Path::new("/run/systemd/system").is_dir() { Self::Systemd } else { Self::Child }
    }

    /// A process of this name, which keeps what it says and its process id in a folder.
    pub fn process(self, name: &str, folder: &Path) -> Arc<dyn Process> {
        match self {
            Self::Systemd => Arc::new(Unit::new(name, folder)),
            Self::Child => Arc::new(Child::new(name, folder)),
        }
    }
}

/// A program of this name in the folders of programs; `None` where it is not installed. `sbin` counts, whoever asks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];
    std::env::split_paths(&path)
        .chain(usual.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
