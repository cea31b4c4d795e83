//! The whole agent: `shoestring run` in a network namespace of its own, with zones from a signed repository.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use shoestring::dns::NameServerKind;
use tempfile::TempDir;

use super::many::apex;
use super::{pace, until, write_zone};
use crate::figures::print;
use crate::usage::Processes;

/// Where it answers.
const SERVICE: &str = "192.0.2.53:53";
/// Folders that the zones are spread over.
const ACCOUNTS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(120);
/// The program itself.
pub const SHOESTRING: &str = env!("CARGO_BIN_EXE_shoestring");

const NETWORK: &str = "\
name: bench
description: One node
asn: 64500
prefixes: [192.0.2.0/24]
service_addresses: [192.0.2.53]
mesh: { loopbacks_v4: 172.31.77.0/24, loopbacks_v6: 'fd5e:77a1:3b09::/64', port: 51820 }
health: { canary: z0.test, interval: 2s, retry_interval: 100ms, timeout: 500ms, failures: 3, recoveries: 3 }
drain: { wait: 2s, prepend: 3 }
";

const NODE: &str = "\
place:
  city: Belfast
  country: United Kingdom
  country_iso: GB
  flag: 🇬🇧
  location: A shelf
  geo: { latitude: 54.6, longitude: -5.9 }
fqdn: alpha.test
description: The only node
management: [203.0.113.2]
interfaces: [{ name: eth0, addresses: [203.0.113.2/24], gateways: [203.0.113.1] }]
mesh: { loopback_v4: 172.31.77.1, loopback_v6: 'fd5e:77a1:3b09::1' }
roles: [edge, hub]
dns: embedded
routing: embedded
router_id: 203.0.113.2
state: live
";

/// Prints the table.
pub fn measure(quick: bool) {
    let sizes: &[usize] = if quick { &[1_000] } else { &[1_000, 100_000] };
    let columns = apart(|| sizes.iter().map(|zones| figures(*zones)).collect::<Vec<_>>());
    let Some(columns) = columns else { return };
    let names = [
        "memory, MB (PSS)",
        "first start until all answer, s",
        "CPU time of that, s",
        "another start until all answer, s",
        "CPU time of that, s",
        "a zone pushed until it answers, s",
        "memory after that, MB (PSS)",
    ];
    let header: Vec<String> =
        [String::new()].into_iter().chain(sizes.iter().map(|zones| format!("{zones} zones"))).collect();
    let rows: Vec<Vec<String>> = (0..names.len())
        .map(|row| {
            let cells = columns
                .iter()
                .map(|column| column[row].map_or("–".to_owned(), |cell| format!("{cell:.1}")));
            std::iter::once(names[row].to_owned()).chain(cells).collect()
        })
        .collect();
    print("The whole agent, with primary zones from its repository", &header, &rows);
}

/// Does something in a network namespace where an agent can run; `None`, said aloud, where none can be made.
pub fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    // A thread of its own, since it does not come back from its namespace.
    let apart = || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            println!("\nThe whole agent is left out, since a network namespace cannot be made: {error}");
            return None;
        }
        run(Command::new("ip").args(["link", "set", "lo", "up"]));
        run(Command::new("ip").args(["addr", "add", "203.0.113.2/24", "dev", "lo"]));
        Some(work())
    };
    std::thread::scope(|scope| scope.spawn(apart).join().unwrap())
}

/// What there is in one column.
fn figures(zones: usize) -> [Option<f64>; 7] {
    let lab = Lab::new(zones, NameServerKind::Embedded);
    let first = lab.start();
    let [first_start, first_cpu] = first.await_all(zones);
    std::thread::sleep(Duration::from_secs(3));
    let memory = first.processes().memory();
    drop(first);
    let again = lab.start();
    let [start, cpu] = again.await_all(zones);
    std::thread::sleep(Duration::from_secs(3));
    let pushed = lab.push();
    std::thread::sleep(Duration::from_secs(3));
    let after = again.processes().memory();
    [Some(memory), first_start, first_cpu, start, cpu, pushed, Some(after)]
}

/// The network's repository, and the agent's folder.
pub struct Lab {
    folder: TempDir,
    name_server: NameServerKind,
}

/// An agent that runs until it is dropped.
pub struct Agent {
    process: Child,
    started: Instant,
    /// Of a daemon that outlives it.
    pub pid_file: PathBuf,
}

impl Lab {
    pub fn new(zones: usize, name_server: NameServerKind) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap(), name_server };
        // A daemon's user comes through here.
        fs::set_permissions(lab.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let node = NODE.replace("dns: embedded", &format!("dns: {name_server}"));
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(lab.path("key")));
        let key = fs::read_to_string(lab.path("key.pub")).unwrap();
        let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let trust = format!(
            "version: 1\nprincipals:\n  nat: {{ keys: ['{key}'] }}\n\
             rules:\n  - {{ paths: ['**'], signers: [nat], need: 1 }}\nrevoked: []\n"
        );
        for (path, text) in [("network.yaml", NETWORK), ("trust.yaml", &trust), ("nodes/alpha.yaml", &node)] {
            let path = lab.path("work").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (0..zones).for_each(|number| lab.write(number));
        lab.git(&["init", "-q", "-b", "main", "."]);
        let signing_key = lab.path("key").display().to_string();
        for (name, value) in [
            ("user.name", "nat"),
            ("user.email", "nat@example.net"),
            ("gpg.format", "ssh"),
            ("user.signingkey", &signing_key),
        ] {
            lab.git(&["config", name, value]);
        }
        lab.commit("Begin");
        let network = lab.path("network.git").display().to_string();
        lab.git(&["clone", "-q", "--bare", ".", &network]);
        lab.git(&["remote", "add", "origin", &network]);
        let root = lab.git(&["rev-parse", "HEAD"]);
        let config = format!(
            "node: alpha\nnetwork: bench\nrepository: {network}\npin: {{ root: {root} }}\nstate: {}\n\
             supervision: child\n",
            lab.path("state").display(),
        );
        fs::write(lab.path("config.yaml"), config).unwrap();
        lab
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, number: usize) {
        let account = self.path("work/zones").join(format!("account{}", number % ACCOUNTS));
        fs::create_dir_all(&account).unwrap();
        fs::write(account.join(format!("{}.yaml", apex(number))), "kind: primary\n").unwrap();
        write_zone(&account, &apex(number));
    }

    fn git(&self, arguments: &[&str]) -> String {
        run(Command::new("git").arg("-C").arg(self.path("work")).args(arguments))
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-S", "-m", message]);
    }

    pub fn start(&self) -> Agent {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", SHOESTRING, "run", "--config"]);
        command.arg(self.path("config.yaml")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(self.path("log")).unwrap());
        let started = Instant::now();
        let kind = self.name_server;
        let pid_file = self.path(&format!("state-daemons/{kind}/{kind}.pid"));
        Agent { process: command.spawn().unwrap(), started, pid_file }
    }

    /// Whether the agent says that it has nothing left to do.
    pub fn is_settled(&self) -> bool {
        let mut command = Command::new(SHOESTRING);
        command.args(["status", "--config"]).arg(self.path("config.yaml"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// The last of what it wrote to its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.chars().skip(text.chars().count().saturating_sub(2_000)).collect()
    }

    /// Adds a zone. Seconds from the push until it answers.
    fn push(&self) -> Option<f64> {
        let number = 1_000_000;
        self.write(number);
        self.commit("Add a zone");
        let pushed = Instant::now();
        self.git(&["push", "-q", "origin", "main"]);
        let apex = apex(number);
        until(PATIENCE, || pace::answers(service(), &apex)).map(|_| pushed.elapsed().as_secs_f64())
    }
}

impl Agent {
    fn processes(&self) -> Processes {
        Processes::of(self.process.id())
    }

    /// Its own process alone.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Seconds from its start until zones from all over answer, and of its CPU time then.
    pub fn await_all(&self, zones: usize) -> [Option<f64>; 2] {
        let up = until(PATIENCE, || {
            let mut some = [zones - 1].into_iter().chain((0..zones).step_by((zones / 100).max(1)));
            some.all(|zone| pace::answers(service(), &apex(zone)))
        });
        let seconds = up.map(|_| self.started.elapsed().as_secs_f64());
        [seconds, seconds.map(|_| self.processes().cpu().as_secs_f64())]
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGTERM);
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > Duration::from_secs(20) {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        end_group(&self.pid_file);
    }
}

/// Ends a daemon that its driver wrote down in this file, with all its processes.
pub fn end_group(pid_file: &Path) {
    let Some(group) = group(pid_file) else { return };
    let group = Pid::from_raw(i32::try_from(group).unwrap());
    let _ = killpg(group, Signal::SIGTERM);
    // What it would write before it ends goes away with its folder.
    std::thread::sleep(Duration::from_millis(200));
    let _ = killpg(group, Signal::SIGKILL);
}

/// The process group of a daemon: its first process.
pub fn group(pid_file: &Path) -> Option<u32> {
    fs::read_to_string(pid_file).ok()?.split(' ').next()?.parse().ok()
}

fn service() -> SocketAddr {
    SERVICE.parse().unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
