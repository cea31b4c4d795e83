//! The local configuration of one node: the little that does not come from the repository.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dns::Daemons;
use crate::names::{NetworkName, NodeName, Revision};
use crate::process::Supervision;
use crate::routing::RoutingDaemons;

/// What a machine must be told before it can read the repository. Pins the network, so there is no trust on first
/// use (trust.md, R1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    /// Which node of the network this machine is.
    pub node: NodeName,
    /// The network's name, as `network.yaml` must give it.
    pub network: NetworkName,
    /// Where the repository is: a path, or a `file://`, `https://`, `ssh://` or scp-style address.
    pub repository: String,
    /// The branch to follow.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// What the history must begin with.
    pub pin: Pin,
    /// The folder that holds the clone, the ledger, keys and zones; made with mode 0700.
    pub state: PathBuf,
    /// The private key that decrypts the node's secrets, where it is not the one that the agent makes in the state folder:
    /// an SSH host key (ssh-ed25519), or a file of `age-keygen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_identity: Option<PathBuf>,
    /// The folder in which name servers and routing daemons of their own have theirs; beside the state folder, with
    /// `-daemons` after its name, unless it is given. Their users must be able to come to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemons: Option<PathBuf>,
    /// How such daemons are run: as transient units of `systemd`, or as `child` processes; by default as the machine has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervision: Option<Supervision>,
    /// Between two looks at a repository that cannot be watched, in seconds; jittered by a tenth.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// The name of the WireGuard interface.
    #[serde(default = "mesh_interface")]
    pub mesh_interface: String,
}

/// What the history must begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Pin {
    /// This root commit.
    Root(Revision),
    /// A root commit that one of these keys signed: SSH (`SHA256:…`) or OpenPGP (hexadecimal) fingerprints.
    Signers(Vec<String>),
}

fn main_branch() -> String {
    "main".to_owned()
}

fn poll_seconds() -> u64 {
    30
}

fn mesh_interface() -> String {
    crate::mesh::INTERFACE.to_owned()
}

impl LocalConfig {
    /// Where the agent answers `shoestring status`.
    pub fn status_socket(&self) -> PathBuf {
        self.state.join("status.sock")
    }

    /// Where the agent takes the orders of `shoestring drain` and `undrain`.
    pub fn control_socket(&self) -> PathBuf {
        self.state.join("control.sock")
    }

    /// Where the watchdog lives.
    pub(crate) fn watchdog_folder(&self) -> PathBuf {
        self.state.join("watchdog")
    }

    fn daemons_folder(&self) -> PathBuf {
        let beside = || {
            let mut name = self.state.file_name().unwrap_or_default().to_owned();
            name.push("-daemons");
            self.state.with_file_name(name)
        };
        self.daemons.clone().unwrap_or_else(beside)
    }

    /// How daemons are run, and the watchdog.
    pub(crate) fn supervision(&self) -> Supervision {
        self.supervision.unwrap_or_else(Supervision::of_this_machine)
    }

    /// Where and how name servers of their own run.
    pub fn daemons(&self) -> Daemons {
        Daemons { folder: self.daemons_folder(), local: Daemons::LOCAL, supervision: self.supervision() }
    }

    /// Where and how routing daemons of their own run.
    pub fn routing_daemons(&self) -> RoutingDaemons {
        RoutingDaemons { folder: self.daemons_folder(), supervision: self.supervision() }
    }

    /// Reads it from a YAML file. The error names the file, the place and what was expected.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_yaml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
