//! A daemon as a transient unit of systemd.
//!
//! `systemd-run` makes the unit, so nothing is installed, and the distribution's own unit and configuration of the same
//! daemon are left alone. systemd restarts it when it ends by itself, also while there is no agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::tool::{self, ToolError};
use super::{Launch, Process, ProcessError, ProcessState, find_program, last_line};

/// For one call of systemctl.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon as a transient unit of systemd.
pub struct Unit {
    /// Of the unit, without `.service`.
    name: String,
    log: PathBuf,
}

impl Unit {
    /// `shoestring-<name>.service`, with its log in a folder.
    pub fn new(name: &str, folder: &Path) -> Self {
        Self { name: format!("shoestring-{name}"), log: folder.join(format!("{name}.log")) }
    }

    async fn call(
        &self,
        tool: &str,
        arguments: &[String],
        patience: Duration,
    ) -> Result<String, ProcessError> {
        let failed = |why: String| ProcessError { operation: format!("{tool} of {}", self.name), why };
        let program = find_program(tool).ok_or_else(|| failed(format!("{tool} is not installed")))?;
        let said = tool::run(&program, arguments, b"", patience).await;
        said.map(|said| said.text()).map_err(|error: ToolError| failed(error.to_string()))
    }
}

#[async_trait]
impl Process for Unit {
    async fn state(&self) -> Result<ProcessState, ProcessError> {
        let ask = ["show", "--property=ActiveState,MainPID,Result,ExecMainStatus,NRestarts", &self.name];
        let text = self.call("systemctl", &ask.map(str::to_owned), PATIENCE).await?;
        Ok(match state(&text) {
            ProcessState::Ended { why } => match last_line(&self.log) {
                Some(line) => ProcessState::Ended { why: format!("{why}; its last words: {line}") },
                None => ProcessState::Ended { why },
            },
            known @ (ProcessState::Running { .. } | ProcessState::Stopped) => known,
        })
    }

    async fn start(&self, launch: &Launch) -> Result<(), ProcessError> {
        if let ProcessState::Running { .. } = self.state().await? {
            return Ok(());
        }
        // One that failed keeps its name until it is reset.
        let _ = self.call("systemctl", &["reset-failed".to_owned(), self.name.clone()], PATIENCE).await;
        let _ = self.call("systemctl", &["stop".to_owned(), self.name.clone()], PATIENCE).await;
        let mut arguments: Vec<String> = vec![
            format!("--unit={}", self.name),
            "--quiet".to_owned(),
            "--property=Restart=on-failure".to_owned(),
            "--property=RestartSec=1".to_owned(),
            "--property=LimitNOFILE=65536".to_owned(),
            format!("--property=WorkingDirectory={}", launch.folder.display()),
            format!("--property=StandardOutput=append:{}", self.log.display()),
            format!("--property=StandardError=append:{}", self.log.display()),
            "--".to_owned(),
            launch.program.display().to_string(),
        ];
        arguments.extend(launch.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()));
        self.call("systemd-run", &arguments, PATIENCE).await.map(drop)
    }

    async fn end(&self, patience: Duration) -> Result<(), ProcessError> {
        if self.state().await? == ProcessState::Stopped {
            return Ok(());
        }
        let kill = ["kill", "--signal=SIGKILL", &self.name].map(str::to_owned);
        let stop = ["stop", &self.name].map(str::to_owned);
        if self.call("systemctl", &stop, patience).await.is_err() {
            self.call("systemctl", &kill, PATIENCE).await?;
        }
        let _ = self.call("systemctl", &["reset-failed".to_owned(), self.name.clone()], PATIENCE).await;
        Ok(())
    }

    fn log(&self) -> &Path {
        &self.log
    }
}

/// What the properties of a unit say.
fn state(text: &str) -> ProcessState {
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let pid = of("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0);
    match (of("ActiveState"), pid) {
        (Some("active" | "reloading" | "deactivating"), Some(pid)) => ProcessState::Running { pid },
        (Some("inactive") | None, _) => ProcessState::Stopped,
        (Some(state), _) => ProcessState::Ended {
            why: format!(
                "its unit is {state} (result {}, status {}, restarted {} times)",
                of("Result").unwrap_or("unknown"),
                of("ExecMainStatus").unwrap_or("unknown"),
                of("NRestarts").unwrap_or("0"),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_of_a_unit_say_whether_it_runs() {
        let show = |state: &str, pid: u32| {
            format!("MainPID={pid}\nResult=exit-code\nExecMainStatus=7\nNRestarts=3\nActiveState={state}\n")
        };
        assert_eq!(state(&show("active", 12)), ProcessState::Running { pid: 12 });
        assert_eq!(state(&show("inactive", 0)), ProcessState::Stopped);
        let why = "its unit is activating (result exit-code, status 7, restarted 3 times)".to_owned();
        assert_eq!(state(&show("activating", 0)), ProcessState::Ended { why });
    }
}
