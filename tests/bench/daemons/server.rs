//! The servers: real daemons in the foreground, in a folder and on a port of their own, response rate limits off.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::usage::Processes;
use super::zones;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Nsd,
    Knot,
    Bind,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Embedded, Self::Nsd, Self::Knot, Self::Bind];

    /// For the tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Bind => "BIND",
        }
    }

    /// The daemon's program and the argument that makes it say its version.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Embedded => None,
            Self::Nsd => Some(("nsd", "-v")),
            Self::Knot => Some(("knotd", "-V")),
            Self::Bind => Some(("named", "-v")),
        }
    }

    /// What it calls itself; `None` when it is not installed.
    pub fn version(self) -> Option<String> {
        let Some((program, argument)) = self.program() else { return Some("this one".to_owned()) };
        version(program, argument)
    }
}

/// The first line of what a program says when it is asked for its version; `None` when it is not installed.
pub fn version(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}

/// A server that runs until it is dropped.
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    pub processes: Processes,
    process: Child,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // NSD's children end with it only when it is asked to end.
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > Duration::from_secs(10) {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Server {
    /// Starts one with the zones of this folder and so many workers that share these CPUs, and waits until it
    /// answers.
    pub fn start(kind: Kind, zones: &Path, workers: usize, cpus: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let log = folder.path().join("log");
        // It ends when we do, however we end.
        let mut command = Command::new("taskset");
        command.args(["-c", cpus, "setpriv", "--pdeathsig", "TERM"]);
        daemon(&mut command, kind, folder.path(), zones, address, workers);
        command.stdin(Stdio::null()).stdout(File::create(&log).unwrap()).stderr(File::create(&log).unwrap());
        let mut process = command.spawn().unwrap();
        let asked = Instant::now();
        for zone in zones::apexes() {
            while !answers(address, &zone) {
                let running =
                    matches!(process.try_wait(), Ok(None)) && asked.elapsed() < Duration::from_secs(60);
                assert!(running, "{} does not come up:\n{}", kind.title(), fs::read_to_string(&log).unwrap());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let processes = Processes::of(process.id());
        Self { kind, address, processes, process, _folder: folder }
    }
}

/// Whether a zone is answered for.
fn answers(address: SocketAddr, zone: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut response = [0; 1500];
    let asked = socket.connect(address).and_then(|()| socket.send(&zones::message(1, zone, 6, false)));
    asked
        .and_then(|_| socket.recv(&mut response))
        .is_ok_and(|length| length > 12 && response[2] & 4 != 0 && response[3] & 15 == 0)
}

/// An address where nobody listens.
pub fn free_address() -> SocketAddr {
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Adds program and arguments, and writes what they name.
fn daemon(
    command: &mut Command,
    kind: Kind,
    folder: &Path,
    zones: &Path,
    address: SocketAddr,
    workers: usize,
) {
    let (dir, files, ip, port) = (folder.display(), zones.display(), address.ip(), address.port());
    let file = folder.join("configuration");
    let mut text = match kind {
        Kind::Embedded => {
            command
                .arg(std::env::current_exe().unwrap())
                .args(["serve", &address.to_string()])
                .args([zones, folder]);
            return;
        }
        Kind::Nsd => format!(
            "server:\n  ip-address: {ip}@{port}\n  server-count: {workers}\n  reuseport: {reuseport}\n  username: \"\"\n  \
             zonesdir: {files}\n  database: \"\"\n  pidfile: \"\"\n  xfrdfile: {dir}/xfrd\n  xfrdir: {dir}\n  \
             zonelistfile: {dir}/list\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  tcp-count: 200\n\
             remote-control:\n  control-enable: no\n",
            reuseport = if workers > 1 { "yes" } else { "no" },
        ),
        Kind::Knot => format!(
            "server:\n  rundir: {dir}\n  listen: {ip}@{port}\n  udp-workers: {workers}\n  tcp-workers: {workers}\n  \
             background-workers: 1\ndatabase:\n  storage: {dir}\nlog:\n  - target: stderr\n    any: warning\n\
             template:\n  - id: default\n    storage: {files}\n    file: \"%s.zone\"\n    zonefile-sync: -1\n    \
             zonefile-load: whole\n    journal-content: none\nzone:\n"
        ),
        Kind::Bind => format!(
            "options {{ directory \"{dir}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no;\n\
             pid-file none; session-keyfile none; dnssec-validation no; notify no; }};\ncontrols {{ }};\n"
        ),
    };
    for zone in zones::apexes() {
        let _ = match kind {
            Kind::Embedded => Ok(()),
            Kind::Nsd => write!(text, "zone:\n  name: {zone}\n  zonefile: {zone}.zone\n"),
            Kind::Knot => writeln!(text, "  - domain: {zone}"),
            Kind::Bind => {
                writeln!(text, "zone \"{zone}\" {{ type primary; file \"{files}/{zone}.zone\"; }};")
            }
        };
    }
    fs::write(&file, text).unwrap();
    match kind {
        Kind::Embedded => {}
        Kind::Nsd => drop(command.args(["nsd", "-d", "-c"]).arg(file)),
        Kind::Knot => drop(command.args(["knotd", "-c"]).arg(file)),
        Kind::Bind => drop(command.args(["named", "-g", "-n", &workers.to_string(), "-c"]).arg(file)),
    }
}
