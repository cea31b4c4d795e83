//! Agent: one node's agent as a process of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::sandbox::{WORK, program};
use super::{Context, SimulationError};
use crate::config::LocalConfig;
use crate::names::NodeName;
use crate::process::find_program;
use crate::status::Snapshot;

/// Characters of a log line that are shown.
const LINE: usize = 300;
/// For an agent to end by itself.
const PARTING: Duration = Duration::from_secs(20);

/// One node's agent, running or not.
#[derive(Debug)]
pub(crate) struct Agent {
    config: LocalConfig,
    process: Option<Child>,
}

/// The folder of one node, inside the sandbox.
pub(crate) fn folder(node: &NodeName) -> PathBuf {
    Path::new(WORK).join("nodes").join(node.as_str())
}

/// The tools that control daemons. A node has its own way to each of them, so that it can be made to crash there alone.
pub(crate) const TOOLS: [&str; 3] = ["knotc", "nsd-control", "named-nzd2nzf"];

/// The folder of a node's ways to its tools.
pub(crate) fn tools(node: &NodeName) -> PathBuf {
    folder(node).join("bin")
}

/// The folder of a daemon of a node.
pub(crate) fn daemon_folder(node: &NodeName, daemon: &str) -> PathBuf {
    folder(node).join("state-daemons").join(daemon)
}

/// Sends a signal to a daemon of a node, to all its processes: their group.
pub(crate) fn signal_daemon(node: &NodeName, daemon: &str, signal: Signal) -> Result<Pid, SimulationError> {
    let path = daemon_folder(node, daemon).join(format!("{daemon}.pid"));
    let operation = || format!("send {signal} to {daemon} of {node}");
    let text = fs::read_to_string(&path).context(operation)?;
    let group = text.split_whitespace().next().unwrap_or_default().parse().context(operation)?;
    let group = Pid::from_raw(group);
    killpg(group, signal).context(operation).map(|()| group)
}

/// Kills a daemon of a node whose agent is gone. Nobody but this process, which is their init, can wait for its processes;
/// as long as nobody has, some daemons take them for running.
pub(crate) async fn kill_orphan(node: &NodeName, daemon: &str) -> Result<(), SimulationError> {
    let group = signal_daemon(node, daemon, Signal::SIGKILL)?;
    let begun = Instant::now();
    let wait = || waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG));
    while wait().is_ok() && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Makes a node's folder: its state, and its private folder of WireGuard sockets.
pub(crate) fn make_folder(node: &NodeName) -> Result<PathBuf, SimulationError> {
    let folder = folder(node);
    let state = folder.join("state");
    for path in [&folder, &state, &folder.join("wireguard"), &tools(node)] {
        fs::create_dir(path).context(|| format!("make {}", path.display()))?;
    }
    for (tool, program) in TOOLS.iter().filter_map(|tool| Some((tool, find_program(tool)?))) {
        let link = tools(node).join(tool);
        std::os::unix::fs::symlink(program, &link).context(|| format!("make {}", link.display()))?;
    }
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .context(|| format!("close {}", state.display()))?;
    Ok(state)
}

impl Agent {
    /// Writes the node's local configuration. Nothing runs yet.
    pub(crate) fn prepare(config: LocalConfig) -> Result<Self, SimulationError> {
        let path = folder(&config.node).join("config.yaml");
        let text = serde_json::to_string_pretty(&config).context(|| "render a local configuration".into())?;
        // JSON is YAML.
        fs::write(&path, text).context(|| format!("write {}", path.display()))?;
        Ok(Self { config, process: None })
    }

    fn log(&self) -> PathBuf {
        Path::new(WORK).join("logs").join(format!("{}.log", self.config.node))
    }

    /// Starts it in its node's namespaces.
    pub(crate) fn start(&mut self) -> Result<(), SimulationError> {
        let node = &self.config.node;
        let operation = || format!("start the agent of {node}");
        let log = File::options().create(true).append(true).open(self.log()).context(operation)?;
        let path = std::env::var("PATH").unwrap_or_default();
        let process = Command::new(program())
            .env("PATH", format!("{}:{path}", tools(node).display()))
            .args(["simulate", "enter", node.as_str(), "--"])
            .arg(program())
            .args(["run", "--config"])
            .arg(folder(node).join("config.yaml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context(operation)?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context(operation)?;
        self.process = Some(process);
        Ok(())
    }

    /// Has it end by itself (SIGTERM), as for an upgrade. When it had.
    pub(crate) async fn end(&mut self) -> Result<Instant, SimulationError> {
        let operation = || format!("end the agent of {}", self.config.node);
        if let Some(mut process) = self.process.take() {
            if let Some(pid) = process.id().and_then(|pid| i32::try_from(pid).ok()) {
                kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(io::Error::from).context(operation)?;
            }
            let ended = tokio::time::timeout(PARTING, process.wait()).await;
            ended.map_err(io::Error::from).flatten().context(operation)?;
        }
        Ok(Instant::now())
    }

    /// Kills it without warning (SIGKILL), and with it the name server and the BGP speaker inside.
    pub(crate) async fn kill(&mut self) -> Result<Instant, SimulationError> {
        let operation = || format!("kill the agent of {}", self.config.node);
        let killed = Instant::now();
        if let Some(mut process) = self.process.take() {
            process.kill().await.context(operation)?;
        }
        Ok(killed)
    }

    /// Kills the routing daemon that outlived it, as when the machine itself had failed. Which one, if there was one.
    pub(crate) fn kill_routing_daemon(&self) -> Option<&'static str> {
        let killed = |daemon: &&str| {
            let file = daemon_folder(&self.config.node, daemon).join(format!("{daemon}.pid"));
            let pid = fs::read_to_string(file).ok()?.split(' ').next()?.parse().ok()?;
            // The leader of its group, so nobody else is met if it has ended already.
            nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok()
        };
        ["bird", "frr", "gobgp", "openbgpd"].into_iter().find(|daemon| killed(daemon).is_some())
    }

    /// What it says of itself; `None` while it does not answer.
    pub(crate) async fn snapshot(&self) -> Option<Snapshot> {
        let read = async {
            let mut stream = UnixStream::connect(self.config.status_socket()).await.ok()?;
            let mut document = Vec::new();
            stream.read_to_end(&mut document).await.ok()?;
            serde_json::from_slice(&document).ok()
        };
        tokio::time::timeout(Duration::from_secs(2), read).await.ok().flatten()
    }

    /// The memory that it holds (resident set size), in octets.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        let pid = self.process.as_ref()?.id()?;
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    /// How it ended, if it did so by itself.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.process.as_mut()?.try_wait().ok()??;
        Some(format!("the agent of {} ended by itself ({status})", self.config.node))
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        let short = |line: &&str| line.chars().take(LINE).collect::<String>();
        all[all.len().saturating_sub(lines)..].iter().map(short).collect::<Vec<_>>().join("\n")
    }
}
