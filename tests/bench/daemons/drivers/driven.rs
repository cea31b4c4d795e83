//! A name server under a driver, seen from outside.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use shoestring::dns::NameServerKind;
use tempfile::TempDir;

use crate::density::agent::{end_group, group};
use crate::density::pace;
use crate::density::until;
use crate::server::free_address;
use crate::usage::{Processes, Watch, with_tools};

/// For a driver to end its daemon.
const END: Duration = Duration::from_secs(45);

/// A driver and its name server, until it is dropped.
pub struct Driven {
    pub address: SocketAddr,
    pub started: Instant,
    process: Child,
    said: Receiver<String>,
    pid_file: PathBuf,
    /// Of the daemon, by its group; `None` of the embedded one, which is the driver itself.
    watch: RefCell<Option<(u32, Watch)>>,
    /// What daemons before it took: a driver may start another one.
    ended: Cell<Duration>,
    folder: TempDir,
}

/// CPU time of the driver with its tools, and of the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub ours: Duration,
    pub daemon: Option<Duration>,
}

impl Driven {
    /// Starts both, with the zones of a folder, or of a primary which has them.
    pub fn start(kind: NameServerKind, zones: &Path, primary: Option<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The daemon's user comes through here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["drive", &kind.to_string(), &address.to_string()]).args([zones, folder.path()]);
        command.args(primary.map(|primary| primary.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // It sees that we are gone, and ends its daemon then.
        command.stderr(File::create(folder.path().join("log")).unwrap()).process_group(0);
        let (started, mut process) = (Instant::now(), command.spawn().unwrap());
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let pid_file = folder.path().join(format!("daemons/{kind}/{kind}.pid"));
        let driven = Self {
            address,
            started,
            process,
            said,
            pid_file,
            watch: RefCell::default(),
            ended: Cell::default(),
            folder,
        };
        if kind != NameServerKind::Embedded {
            until(Duration::from_secs(30), || group(&driven.pid_file).is_some());
            driven.daemon();
        }
        driven
    }

    /// Waits until there is nothing left to do.
    pub fn settles(&self, patience: Duration) -> bool {
        self.said.recv_timeout(patience).is_ok()
    }

    /// Tells it of another zone.
    pub fn add(&mut self, file: &Path) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{}", file.display()).unwrap();
    }

    /// Tells it of another zone. Milliseconds until that answers; `None` if it does not in time.
    pub fn add_and_await(&mut self, (apex, file): &(String, PathBuf), patience: Duration) -> Option<f64> {
        let ordered = Instant::now();
        self.add(file);
        until(patience, || pace::answers(self.address, apex))?;
        let live = ordered.elapsed();
        self.settles(patience).then_some(live.as_secs_f64() * 1000.0)
    }

    pub fn spent(&self) -> Spent {
        Spent { ours: with_tools(self.process.id()), daemon: self.daemon() }
    }

    /// CPU time of the daemon, and of those before it that were seen.
    fn daemon(&self) -> Option<Duration> {
        let mut watch = self.watch.borrow_mut();
        let now = group(&self.pid_file);
        if let Some(now) = now.filter(|now| watch.as_ref().is_none_or(|(group, _)| group != now)) {
            let before = watch.replace((now, Watch::new(now)));
            self.ended.set(self.ended.get() + before.map_or(Duration::ZERO, |(_, watch)| watch.cpu()));
        }
        watch.as_ref().map(|(_, watch)| self.ended.get() + watch.cpu())
    }

    /// CPU time of the name server.
    pub fn server_cpu(&self) -> Duration {
        let spent = self.spent();
        spent.daemon.unwrap_or(spent.ours)
    }

    /// Memory of the name server.
    pub fn memory(&self) -> f64 {
        match group(&self.pid_file) {
            Some(group) => Processes::of_group(group).memory(),
            None => Processes::only(self.process.id()).memory(),
        }
    }

    /// What the driver complained about, shortened.
    pub fn complaints(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.last()?.chars().take(400).collect::<String>();
        Some(format!("its driver complained {} times, at last: {last}", lines.len()))
    }
}

impl Spent {
    /// Since then.
    pub fn since(self, before: Self) -> Self {
        let daemon = self.daemon.zip(before.daemon).map(|(now, then)| now.saturating_sub(then));
        Self { ours: self.ours.saturating_sub(before.ours), daemon }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.watch.take();
        drop(self.process.stdin.take());
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > END {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        end_group(&self.pid_file);
    }
}
