//! A daemon as a transient unit of systemd.
//!
//! `systemd-run` makes the unit, so nothing is installed, and the distribution's own unit and configuration of the same
//! daemon are left alone. systemd starts it again a second after it has ended by itself, also while there is no agent. An
//! agent that finds it so does that at once, and keeps systemd from it for longer and longer where it keeps ending.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tracing::warn;

use super::ended::Watch;
use super::identity::Identity;
use super::log::{make_room, with_last_words};
use super::pace::Pace;
use super::tool::{self, ToolError};
use super::{Launch, Process, ProcessError, ProcessState, find_program};

/// For one call of systemctl.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often, and how long after each other, systemd is asked again that has not noticed yet what the kernel has told.
const AGAIN: (u32, Duration) = (20, Duration::from_millis(20));

/// A daemon as a transient unit of systemd.
pub struct Unit {
    /// Of the unit, without `.service`.
    name: String,
    log: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Its main process when systemd was last asked. While that is alive nobody has to be: systemctl costs more than the
    /// agent in a whole cycle.
    running: Option<Identity>,
    pace: Pace,
    /// How it ended, where its unit is gone meanwhile.
    ended: Option<String>,
    watch: Watch,
}

impl Unit {
    /// `shoestring-<name>.service`, with its log in a folder.
    pub fn new(name: &str, folder: &Path) -> Self {
        let (name, log) = (format!("shoestring-{name}"), folder.join(format!("{name}.log")));
        Self { name, log, inner: Mutex::default() }
    }

    fn failed(&self, operation: &str, why: String) -> ProcessError {
        ProcessError { operation: format!("{operation} {}", self.name), why }
    }

    async fn call(
        &self,
        tool: &str,
        arguments: &[String],
        patience: Duration,
    ) -> Result<String, ProcessError> {
        let failed = |why: String| self.failed(&format!("{tool} of"), why);
        let program = find_program(tool).ok_or_else(|| failed(format!("{tool} is not installed")))?;
        let said = tool::run(&program, arguments, b"", patience).await;
        said.map(|said| said.text()).map_err(|error: ToolError| failed(error.to_string()))
    }

    async fn systemctl(&self, arguments: &[&str], patience: Duration) -> Result<String, ProcessError> {
        let arguments: Vec<String> =
            arguments.iter().copied().chain([&*self.name]).map(str::to_owned).collect();
        self.call("systemctl", &arguments, patience).await
    }

    async fn show(&self) -> Result<ProcessState, ProcessError> {
        let ask = ["show", "--property=ActiveState,MainPID,Result,ExecMainStatus,NRestarts"];
        Ok(state(&self.systemctl(&ask, PATIENCE).await?))
    }

    async fn look(&self, inner: &mut Inner) -> Result<ProcessState, ProcessError> {
        let before = inner.running;
        if let Some(process) = before.filter(|process| process.is_alive()) {
            return Ok(ProcessState::Running { pid: process.pid.cast_unsigned() });
        }
        inner.watch.nothing();
        inner.running = None;
        let mut state = self.show().await?;
        for _ in 0..AGAIN.0 {
            match state {
                ProcessState::Running { pid } if Identity::of(pid.cast_signed()).is_none() => {
                    tokio::time::sleep(AGAIN.1).await;
                    state = self.show().await?;
                }
                ProcessState::Running { .. } | ProcessState::Stopped | ProcessState::Ended { .. } => break,
            }
        }
        let state = match (state, inner.ended.take()) {
            (ProcessState::Running { pid }, _) => {
                inner.running = Identity::of(pid.cast_signed());
                inner.watch.over(pid.cast_signed());
                if before.is_some() {
                    warn!(unit = self.name, pid, "it had ended; systemd has started it again");
                }
                ProcessState::Running { pid }
            }
            (ProcessState::Ended { why }, _) => ProcessState::Ended { why: with_last_words(why, &self.log) },
            (ProcessState::Stopped, Some(why)) => ProcessState::Ended { why },
            (ProcessState::Stopped, None) => ProcessState::Stopped,
        };
        if let ProcessState::Ended { why } = &state {
            inner.ended = Some(why.clone());
        }
        Ok(state)
    }

    /// Keeps systemd from starting it again, and frees its name, which one that failed has until it is reset. One that is
    /// gone has nothing to be freed.
    async fn clear(&self) {
        let _ = self.systemctl(&["stop"], PATIENCE).await;
        let _ = self.systemctl(&["reset-failed"], PATIENCE).await;
    }
}

#[async_trait]
impl Process for Unit {
    async fn state(&self) -> Result<ProcessState, ProcessError> {
        self.look(&mut *self.inner.lock().await).await
    }

    async fn start(&self, launch: &Launch) -> Result<(), ProcessError> {
        let mut inner = self.inner.lock().await;
        if let ProcessState::Running { .. } = self.look(&mut inner).await? {
            return Ok(());
        }
        self.clear().await;
        let why = inner.ended.clone();
        inner.pace.admit(Instant::now()).map_err(|wait| ProcessError::too_soon(&self.name, wait, why))?;
        let no_room = |error| self.failed("start", format!("{}: {error}", self.log.display()));
        make_room(&self.log).map_err(no_room)?;
        let mut arguments: Vec<String> = vec![
            format!("--unit={}", self.name),
            format!("--description=shoestring: {}", launch.program.display()),
            "--quiet".to_owned(),
            // A program that cannot be run is an error of this call.
            "--service-type=exec".to_owned(),
            "--property=Restart=always".to_owned(),
            "--property=RestartSec=1".to_owned(),
            "--property=StartLimitIntervalSec=0".to_owned(),
            // The main process ends the others; what is left of them after it is killed.
            "--property=KillMode=mixed".to_owned(),
            "--property=LimitNOFILE=65536".to_owned(),
            format!("--property=WorkingDirectory={}", launch.folder.display()),
            format!("--property=StandardOutput=append:{}", self.log.display()),
            format!("--property=StandardError=append:{}", self.log.display()),
            "--".to_owned(),
            launch.program.display().to_string(),
        ];
        arguments.extend(launch.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()));
        inner.ended = None;
        let Err(error) = self.call("systemd-run", &arguments, PATIENCE).await else { return Ok(()) };
        Err(match self.look(&mut inner).await? {
            ProcessState::Ended { why } => self.failed("start", why),
            ProcessState::Running { .. } | ProcessState::Stopped => error,
        })
    }

    async fn end(&self, patience: Duration) -> Result<(), ProcessError> {
        let mut inner = self.inner.lock().await;
        let state = self.look(&mut inner).await?;
        *inner = Inner::default();
        if state == ProcessState::Stopped {
            return Ok(());
        }
        if self.systemctl(&["stop"], patience).await.is_err() {
            // The order to stop is still there, so this one ends with it.
            let _ = self.systemctl(&["kill", "--signal=SIGKILL"], PATIENCE).await;
        }
        self.clear().await;
        match self.look(&mut inner).await? {
            ProcessState::Stopped => Ok(()),
            ProcessState::Running { pid } => {
                Err(self.failed("end", format!("process {pid} is still there after SIGKILL")))
            }
            ProcessState::Ended { why } => Err(self.failed("end", why)),
        }
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
