//! `gobgp`, which asks and tells the daemon over its socket, and the signal that makes the daemon read its file.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::process::tool;
use crate::routing::external::DriverError;
use crate::routing::{Announcement, Family};

/// For one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ways to the running daemon.
pub(super) struct Control {
    pub(super) program: PathBuf,
    pub(super) socket: PathBuf,
}

impl Control {
    async fn call(&self, options: &[&str], words: &[&str]) -> Result<String, DriverError> {
        let target = format!("unix://{}", self.socket.display());
        let arguments = ["--target", &target].into_iter().chain(options.iter().chain(words).copied());
        Ok(tool::run(&self.program, arguments, b"", PATIENCE).await?.text())
    }

    /// Has something done. That it was done has to be looked for: not every failure is told.
    pub(super) async fn tell(&self, words: &[&str]) -> Result<(), DriverError> {
        self.call(&[], words).await.map(drop)
    }

    /// An answer in JSON.
    pub(super) async fn ask<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, DriverError> {
        let answer = self.ask_text(words).await?;
        serde_json::from_str(&answer)
            .map_err(|error| DriverError::Said(format!("its answer to {}: {error}", words.join(" "))))
    }

    /// The same as it is written.
    pub(super) async fn ask_text(&self, words: &[&str]) -> Result<String, DriverError> {
        self.call(&["-j"], words).await
    }

    /// Makes the daemon read its file again. It is the process that listens on its socket, whoever started it.
    pub(super) async fn signal(&self) -> Result<(), DriverError> {
        let said = |why: String| DriverError::Said(format!("{}: {why}", self.socket.display()));
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| said(error.to_string()))?;
        let peer = stream.peer_cred().map_err(|error| said(error.to_string()))?;
        let pid = peer.pid().filter(|pid| *pid > 1).ok_or_else(|| said("nobody known listens".to_owned()))?;
        kill(Pid::from_raw(pid), Signal::SIGHUP).map_err(|error| said(error.to_string()))
    }

    /// Originates a prefix; whatever was originated of it before gives place.
    pub(super) async fn announce(
        &self,
        prefix: IpNet,
        how: Announcement,
        asn: u64,
    ) -> Result<(), DriverError> {
        let prefix_text = prefix.to_string();
        let family = Family::of(prefix.addr()).word();
        let mut words = vec!["global", "rib", "add", "-a", family, &prefix_text, "origin", "igp"];
        let path;
        if let Announcement::Draining { prepend } = how {
            words.extend(["community", "65535:0"]);
            path = vec![asn.to_string(); prepend.into()].join(" ");
            if prepend > 0 {
                words.extend(["aspath", &path]);
            }
        }
        self.tell(&words).await
    }

    /// Ends that.
    pub(super) async fn withdraw(&self, prefix: IpNet) -> Result<(), DriverError> {
        let family = Family::of(prefix.addr()).word();
        self.tell(&["global", "rib", "del", "-a", family, &prefix.to_string()]).await
    }
}
