//! Place: where a daemon lives.

use std::path::PathBuf;

use crate::process::DaemonUser;

/// The name of the folder of the routes that a daemon has heard.
pub(crate) const ARCHIVE: &str = "mrt";

/// Where a daemon lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Everything that it reads and writes.
    pub folder: PathBuf,
    /// What it becomes once it has its sockets; `None` where it stays what the agent is.
    pub user: Option<DaemonUser>,
}

impl Place {
    /// The folder of its configuration.
    pub fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// The folder of the routes that it has heard.
    pub fn archive(&self) -> PathBuf {
        self.folder.join(ARCHIVE)
    }

    /// The folder of sockets, and of what is written for the running daemon only.
    pub fn run(&self) -> PathBuf {
        self.folder.join("run")
    }
}
