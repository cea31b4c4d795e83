//! `bgpctl`, the daemon's own tool: a process for each question.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::show;
use crate::process::tool;
use crate::routing::external::DriverError;

/// For one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// The tool, and whom it talks to.
pub(super) struct Control {
    pub(super) program: PathBuf,
    pub(super) socket: PathBuf,
    /// Whether it escapes texts in its JSON.
    pub(super) escapes: bool,
}

impl Control {
    /// What it says to a command. It exits with 0 whatever the daemon says.
    pub(super) async fn call(&self, words: &[&str]) -> Result<String, DriverError> {
        let socket = self.socket.to_string_lossy();
        let arguments = ["-s", &socket].into_iter().chain(words.iter().copied());
        Ok(tool::run(&self.program, arguments, b"", PATIENCE).await?.text())
    }

    /// Has it done, by a command that the daemon answers.
    pub(super) async fn tell(&self, words: &[&str]) -> Result<(), DriverError> {
        let said = self.call(words).await?;
        match said.lines().last() {
            Some("request processed") => Ok(()),
            last => Err(DriverError::Said(format!("{}: {}", words.join(" "), last.unwrap_or("no answer")))),
        }
    }

    /// What the daemon shows of a kind.
    pub(super) async fn show<T: DeserializeOwned>(
        &self,
        words: &[&str],
        kind: &str,
    ) -> Result<Vec<T>, DriverError> {
        let options: Vec<&str> = ["-j"].into_iter().chain(words.iter().copied()).collect();
        let said = self.call(&options).await?;
        show::all(&said, self.escapes, kind)
            .map_err(|why| DriverError::Said(format!("{}: {why}", words.join(" "))))
    }
}
