//! Servers with many zones, each set up as it takes them best, and told of one more by its own tool.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{pace, until, write_zone};
use crate::server::{Kind, free_address};
use crate::usage::Processes;

/// For one zone to answer after it was added.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of rndc, which does without none.
const KEY: &str = "key control { algorithm hmac-sha256; secret \"c2hvZXN0cmluZw==\"; };\n";

/// The files of zones.
pub struct Zones {
    pub count: usize,
    pub folder: PathBuf,
    /// Of those that are added later.
    later: PathBuf,
}

/// The name of a zone.
pub fn apex(number: usize) -> String {
    format!("z{number}.test")
}

fn added(number: usize) -> String {
    format!("added{number}.test")
}

impl Zones {
    pub fn write(folder: &Path, count: usize, later: usize) -> Self {
        let zones = Self { count, folder: folder.join("zones"), later: folder.join("later") };
        fs::create_dir_all(&zones.folder).unwrap();
        fs::create_dir_all(&zones.later).unwrap();
        (0..count).for_each(|number| write_zone(&zones.folder, &apex(number)));
        (0..later).for_each(|number| write_zone(&zones.later, &added(number)));
        zones
    }

    /// A zone to be added: its apex and its file.
    pub fn later(&self, number: usize) -> (String, PathBuf) {
        let apex = added(number);
        let file = self.later.join(format!("{apex}.zone"));
        (apex, file)
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The embedded name server with primary zones.
    Files,
    /// The embedded name server with secondary zones.
    Kept,
    Daemon(Kind),
}

/// A server that runs until it is dropped.
pub struct Server {
    subject: Subject,
    pub address: SocketAddr,
    pub started: Instant,
    folder: PathBuf,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // NSD's children end with it only when it is asked to end.
        let _ = kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGTERM);
        let patience = Duration::from_secs(if matches!(self.subject, Subject::Daemon(_)) { 30 } else { 1 });
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > patience {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The embedded name server has been told of as many zones, and has kept them all. Its primary is another of its kind.
pub fn keep(zones: &Zones, folder: &Path, patience: Duration) -> Option<()> {
    let primary_folder = tempfile::tempdir().unwrap();
    let primary = Subject::Files.start(zones, primary_folder.path());
    let secondary = embedded(Subject::Kept, zones, folder, Some(primary.address));
    super::await_all(secondary.address, secondary.started, zones.count, patience)?;
    // Written behind the serving of them: nothing grows any more.
    let size = || {
        let files = fs::read_dir(folder.join("zones")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let (mut before, mut since) = (size(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) && secondary.started.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(100));
        let now = size();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    Some(())
}

impl Subject {
    /// For the tables.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Files => "embedded",
            Self::Kept => "secondary",
            Self::Daemon(kind) => kind.title(),
        }
    }

    /// Starts it; it does not answer yet.
    pub fn start(self, zones: &Zones, folder: &Path) -> Server {
        match self {
            Self::Files => embedded(self, zones, folder, None),
            // Nobody is there.
            Self::Kept => embedded(self, zones, folder, Some(free_address())),
            Self::Daemon(kind) => daemon(kind, zones, folder),
        }
    }
}

/// It ends when we do, however we end.
fn bound() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).stdin(Stdio::null());
    command
}

fn embedded(subject: Subject, zones: &Zones, folder: &Path, primary: Option<SocketAddr>) -> Server {
    let address = free_address();
    let mut command = bound();
    command.arg(std::env::current_exe().unwrap()).args(["serve", &address.to_string()]);
    command.args([&zones.folder, folder]).args(primary.map(|primary| primary.to_string()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let (started, process) = (Instant::now(), command.spawn().unwrap());
    Server { subject, address, started, folder: folder.to_owned(), process }
}

/// Writes what a daemon reads, and starts it.
fn daemon(kind: Kind, zones: &Zones, folder: &Path) -> Server {
    let address = free_address();
    let (ip, port, dir) = (address.ip(), address.port(), folder.display());
    let (files, later) = (zones.folder.display(), zones.later.display());
    let file = folder.join("configuration");
    let mut command = bound();
    let text = match kind {
        Kind::Embedded => unreachable!("it is started otherwise"),
        Kind::Nsd => {
            let mut list = "# NSD zone list\n# name pattern\n".to_owned();
            (0..zones.count).for_each(|number| writeln!(list, "add {} many", apex(number)).unwrap());
            fs::write(folder.join("list"), list).unwrap();
            command.args(["nsd", "-d", "-c"]).arg(&file);
            format!(
                "server:\n  ip-address: {ip}@{port}\n  server-count: 1\n  username: \"\"\n  zonesdir: {files}\n  database: \"\"\n  \
                 pidfile: \"\"\n  xfrdfile: {dir}/xfrd\n  xfrdir: {dir}\n  zonelistfile: {dir}/list\n  rrl-ratelimit: 0\n  \
                 rrl-whitelist-ratelimit: 0\n  xfrd-reload-timeout: 0\n\
                 remote-control:\n  control-enable: yes\n  control-interface: {dir}/control\n\
                 pattern:\n  name: many\n  zonefile: \"%s.zone\"\npattern:\n  name: added\n  zonefile: \"{later}/%s.zone\"\n"
            )
        }
        Kind::Knot => {
            let template = |id, storage| {
                format!(
                    "  - id: {id}\n    storage: {storage}\n    file: \"%s.zone\"\n    zonefile-sync: -1\n    \
                     zonefile-load: whole\n    journal-content: none\n"
                )
            };
            let mut text = format!(
                "server:\n  rundir: {dir}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                 database:\n  storage: {dir}\ncontrol:\n  listen: {dir}/control\nlog:\n  - target: stderr\n    any: warning\n\
                 template:\n{}{}zone:\n",
                template("default", &files),
                template("added", &later),
            );
            (0..zones.count).for_each(|number| writeln!(text, "  - domain: {}", apex(number)).unwrap());
            command.args(["knotd", "-C"]).arg(folder.join("confdb"));
            text
        }
        Kind::Bind => {
            let mut text = format!(
                "{KEY}options {{ directory \"{dir}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
                 recursion no; allow-new-zones yes; lmdb-mapsize 256M; pid-file none; session-keyfile none;\n\
                 dnssec-validation no; notify no; }};\n\
                 controls {{ inet {ip} port {control} allow {{ {ip}; }} keys {{ control; }}; }};\n",
                control = control_port(folder),
            );
            for number in 0..zones.count {
                let apex = apex(number);
                writeln!(text, "zone \"{apex}\" {{ type primary; file \"{files}/{apex}.zone\"; }};").unwrap();
            }
            command.args(["named", "-g", "-n", "1", "-c"]).arg(&file);
            text
        }
    };
    fs::write(&file, text).unwrap();
    if kind == Kind::Knot {
        let mut import = Command::new("knotc");
        import.arg("-C").arg(folder.join("confdb")).arg("conf-import").arg(&file);
        assert!(import.stdout(Stdio::null()).status().unwrap().success(), "knotc conf-import");
    }
    let log = File::create(folder.join("log")).unwrap();
    command.stdout(Stdio::null()).stderr(log);
    let (started, process) = (Instant::now(), command.spawn().unwrap());
    Server { subject: Subject::Daemon(kind), address, started, folder: folder.to_owned(), process }
}

/// Where BIND listens for rndc: chosen once, and told to rndc.
fn control_port(folder: &Path) -> u16 {
    let control = free_address();
    let (ip, port) = (control.ip(), control.port());
    let text =
        format!("{KEY}options {{ default-server {ip}; default-port {port}; default-key control; }};\n");
    fs::write(folder.join("rndc"), text).unwrap();
    port
}

impl Server {
    fn processes(&self) -> Processes {
        Processes::of(self.process.id())
    }

    pub fn memory(&self) -> f64 {
        self.processes().memory()
    }

    pub fn cpu(&self) -> Duration {
        self.processes().cpu()
    }

    /// Adds a zone. Milliseconds from the order until it answers; `None` if it does not.
    pub fn add(&mut self, zones: &Zones, number: usize) -> Option<f64> {
        let apex = added(number);
        let later = zones.later.display();
        let ordered = Instant::now();
        match self.subject {
            Subject::Files | Subject::Kept => {
                let order = self.process.stdin.as_mut().unwrap();
                writeln!(order, "{later}/{apex}.zone").unwrap();
            }
            Subject::Daemon(Kind::Nsd) => self.tool(
                Command::new("nsd-control").arg("-c").arg(self.folder.join("configuration")).arg("addzones"),
                &format!("{apex} added\n"),
            ),
            Subject::Daemon(Kind::Knot) => self.tool(
                Command::new("knotc").arg("-s").arg(self.folder.join("control")),
                &format!(
                    "conf-begin\nconf-set zone[{apex}]\nconf-set zone[{apex}].template added\nconf-commit\n"
                ),
            ),
            Subject::Daemon(Kind::Bind) => self.tool(
                Command::new("rndc")
                    .arg("-c")
                    .arg(self.folder.join("rndc"))
                    .args(["addzone", &apex])
                    .arg(format!("{{ type primary; file \"{later}/{apex}.zone\"; }};")),
                "",
            ),
            Subject::Daemon(Kind::Embedded) => unreachable!("it is started otherwise"),
        }
        until(PATIENCE, || pace::answers(self.address, &apex))?;
        Some(ordered.elapsed().as_secs_f64() * 1000.0)
    }

    /// Runs a daemon's tool with this as its input, without waiting for its end.
    fn tool(&self, command: &mut Command, input: &str) {
        let log = || File::options().append(true).create(true).open(self.folder.join("log")).unwrap();
        let mut tool = command.stdin(Stdio::piped()).stdout(log()).stderr(log()).spawn().unwrap();
        tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        std::thread::spawn(move || tool.wait());
    }
}
