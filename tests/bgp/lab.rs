//! A daemon in a network namespace of its own, linked to that of the test.
//!
//! The namespaces have no names: they end with the test's thread and with the daemon, and the daemon ends with the thread.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::PATIENCE;

/// A running daemon, and the folder that has its files.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) dir: TempDir,
}

impl Daemon {
    /// Runs `command` by a shell in a namespace that is linked to that of the calling thread, where we have the
    /// addresses `ours` and it has `theirs`. The folder has `files`; /run is empty but for /run/openbgpd.
    pub(crate) fn start(files: &[(&str, &str)], command: &str, ours: &[IpAddr], theirs: &[IpAddr]) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content.replace("DIR", &dir.path().display().to_string()))
                .unwrap();
            fs::set_permissions(dir.path().join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
        }
        let command = command.replace("DIR", &dir.path().display().to_string());
        // A holder of the namespace first: daemons want the addresses to be there.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c"])
            .arg(format!(
                "echo $$; mount -t tmpfs none /run && mkdir /run/openbgpd; read go; exec {command} >output 2>&1"
            ))
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut daemon = Self { process, dir };
        let mut pid = String::new();
        BufReader::new(daemon.process.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        link(pid.trim(), ours, theirs);
        daemon.process.stdin.take().unwrap().write_all(b"go\n").unwrap();
        daemon
    }

    /// What a command says, run in the daemon's folder.
    pub(crate) fn ask(&self, command: &str) -> String {
        let command = command.replace("DIR", &self.dir.path().display().to_string());
        let asked = Command::new("sh").arg("-c").arg(command).current_dir(self.dir.path()).output().unwrap();
        String::from_utf8_lossy(&asked.stdout).into_owned()
    }

    /// The same as JSON; null if it is none.
    pub(crate) fn ask_json(&self, command: &str) -> serde_json::Value {
        serde_json::from_str(&self.ask(command)).unwrap_or_default()
    }

    /// All that it wrote.
    pub(crate) fn log(&self) -> String {
        ["output", "log"]
            .map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// Lets the speaker run while the daemon is asked.
    pub(crate) async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn link(pid: &str, ours: &[IpAddr], theirs: &[IpAddr]) {
    let mut here =
        vec!["link set lo up".to_owned(), format!("link add bgp0 type veth peer name bgp0 netns {pid}")];
    here.extend(ours.iter().map(|address| add(*address)));
    here.push("link set bgp0 up".to_owned());
    batch(Command::new("ip").args(["-batch", "-"]), &here);
    let mut there = vec!["link set lo up".to_owned()];
    there.extend(theirs.iter().map(|address| add(*address)));
    there.push("link set bgp0 up".to_owned());
    batch(Command::new("nsenter").args(["--net", "-t", pid, "ip", "-batch", "-"]), &there);
}

/// An address of the network that namespaces are linked by.
pub(crate) fn ipv6(number: usize) -> IpAddr {
    format!("2001:db8:0:1::1:{number:x}").parse().unwrap()
}

/// Gives this namespace addresses that nobody else reaches.
pub(crate) fn on_loopback(addresses: impl IntoIterator<Item = IpAddr>) {
    let mut here = vec!["link set lo up".to_owned()];
    here.extend(addresses.into_iter().map(|address| format!("addr add {address} dev lo nodad")));
    batch(Command::new("ip").args(["-batch", "-"]), &here);
}

fn add(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("addr add {address}/16 dev bgp0"),
        IpAddr::V6(address) => format!("addr add {address}/64 dev bgp0 nodad"),
    }
}

fn batch(command: &mut Command, lines: &[String]) {
    let mut ip = command.stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{lines:?}");
}

/// Runs `test` in a network namespace of its own, if these programs are there; says why if it cannot.
pub(crate) fn in_a_namespace<T: Future<Output = ()>>(programs: &[&str], test: impl FnOnce() -> T + Send) {
    let missing = ["/usr/bin/setpriv", "/usr/bin/nsenter"]
        .iter()
        .chain(programs)
        .find(|program| !Path::new(program).exists());
    let why = if !nix::unistd::geteuid().is_root() {
        Some("needs root".to_owned())
    } else {
        missing.map(|program| format!("needs {program}"))
    };
    // One thread for all of it.
    crate::namespace::in_a_namespace(why, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
}
