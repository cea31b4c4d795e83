//! NSD, Knot and BIND in the foreground, each on a loopback port of its own with its files in a temporary folder, set up
//! to be comparable: no rate limits, no recursion, cookies answered, the same identity and the same buffer size. BIND
//! says no more than it has to (`minimal-responses no-auth`), but adds addresses as the others do; NSD's authority
//! section of positive answers cannot be turned off without its addresses, so it is a difference with a name. BIND's own
//! view of class CHAOS has a rate limit, so it is given another.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ask::ask;
use super::questions::Case;
use super::wire::Aspect;
use super::worlds::World;
use crate::name_server::network::{PATIENCE, free_address};

/// What NSID and CHAOS say.
pub const IDENTITY: &str = "node-a";

/// A name server to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Nsd,
    Knot,
    Bind,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Nsd, Self::Knot, Self::Bind];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Bind => "BIND",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
            Self::Bind => "named",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nsd => &["-d", "-c"],
            Self::Knot => &["-c"],
            Self::Bind => &["-g", "-n", "1", "-c"],
        }
    }

    /// Its configuration file.
    fn config(self, folder: &Path, address: SocketAddr, world: &World) -> String {
        let (at, ip, port) = (folder.display(), address.ip(), address.port());
        let mut text = match self {
            Self::Nsd => format!(
                "server:\n ip-address: {ip}@{port}\n do-ip6: no\n username: \"\"\n zonesdir: \"{at}\"\n database: \"\"\n\
                 pidfile: \"{at}/nsd.pid\"\n xfrdfile: \"{at}/xfrd.state\"\n xfrdir: \"{at}\"\n\
                 zonelistfile: \"{at}/zone.list\"\n server-count: 1\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n\
                 identity: \"{IDENTITY}\"\n nsid: \"ascii_{IDENTITY}\"\n version: \"shoestring\"\n answer-cookie: yes\n\
                 ipv4-edns-size: 1232\n\
                 cookie-secret: 000102030405060708090a0b0c0d0e0f\nremote-control:\n control-enable: no\n"
            ),
            Self::Knot => format!(
                "server:\n listen: {ip}@{port}\n rundir: {at}\n identity: {IDENTITY}\n nsid: {IDENTITY}\n\
                 \x20version: shoestring\n udp-workers: 1\n tcp-workers: 1\n background-workers: 1\n\
                 \x20udp-max-payload: 1232\n\
                 database:\n storage: {at}\nlog:\n - target: stderr\n   any: warning\nmod-cookies:\n - id: on\n\
                 template:\n - id: default\n   storage: {at}\n   zonefile-load: whole\n   journal-content: none\n\
                 \x20  global-module: mod-cookies/on\nzone:\n"
            ),
            Self::Bind => format!(
                "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; notify no;\n\
                 listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; dnssec-validation no;\n\
                 minimal-responses no-auth; minimal-any no; zero-no-soa-ttl no; check-names primary ignore;\n\
                 server-id \"{IDENTITY}\"; hostname \"{IDENTITY}\"; version \"shoestring\"; answer-cookie yes;\n\
                 max-udp-size 1232; edns-udp-size 1232; allow-transfer {{ none; }}; max-records-per-type 0; }};\n\
                 controls {{ }};\n\
                 view \"chaos\" chaos {{\n\
                 zone \"version.bind\" {{ type primary; database \"_builtin version\"; }};\n\
                 zone \"hostname.bind\" {{ type primary; database \"_builtin hostname\"; }};\n\
                 zone \"id.server\" {{ type primary; database \"_builtin id\"; }}; }};\nview \"in\" {{\n"
            ),
        };
        for zone in &world.zones {
            let (apex, file) = (&zone.apex, folder.join(&zone.file));
            let file = file.display();
            match self {
                Self::Nsd => writeln!(text, "zone:\n name: \"{apex}\"\n zonefile: \"{file}\""),
                Self::Knot => writeln!(text, " - domain: {apex}\n   file: {file}"),
                Self::Bind => writeln!(text, "zone \"{apex}\" {{ type primary; file \"{file}\"; }};"),
            }
            .expect("a string takes it");
        }
        if self == Self::Bind {
            text += "};\n";
        }
        text
    }
}

/// A daemon that runs until it is dropped.
pub struct Daemon {
    pub address: SocketAddr,
    process: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts one and waits until it listens. `None` where it is not installed, which in CI it must be.
    pub fn start(kind: Kind, world: &World) -> Option<Self> {
        let program = ["/usr/sbin", "/usr/local/sbin"].map(|folder| Path::new(folder).join(kind.program()));
        let Some(program) = program.into_iter().find(|path| path.exists()) else {
            assert!(std::env::var_os("CI").is_none(), "{} is not installed", kind.program());
            eprintln!("skipped: {} is not installed", kind.program());
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let address = free_address("127.0.0.1");
        for zone in &world.zones {
            fs::write(folder.path().join(&zone.file), &zone.text).unwrap();
        }
        let config = folder.path().join("config");
        fs::write(&config, kind.config(folder.path(), address, world)).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .args(kind.arguments())
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { address, process, folder };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = daemon.process.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "{kind:?} does not come up:\n{}",
                daemon.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(daemon)
    }

    /// Fails if it does not answer for one of the zones, which it may have refused to load.
    pub fn assert_serves(&self, world: &World) {
        let cases: Vec<Case> = world.zones.iter().map(|zone| Case::new(zone.apex.as_wire(), 6)).collect();
        for (zone, seen) in world.zones.iter().zip(ask(self.address, &cases)) {
            let served = seen.get(Aspect::Rcode) == "0" && seen.get(Aspect::Aa) == "1";
            assert!(served, "{} is not served: {:?}\n{}", zone.apex, seen.aspects, self.log());
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // NSD's children end with it only if it is asked to.
        let pid = i32::try_from(self.process.id()).map(Pid::from_raw);
        let _ = pid.map(|pid| kill(pid, Signal::SIGTERM));
        let start = Instant::now();
        while self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            if start.elapsed() > PATIENCE {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
