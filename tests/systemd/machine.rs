//! A machine that a real systemd runs, in the network namespace of the test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use crate::namespace::in_a_thread;

const SYSTEMD: &str = "/lib/systemd/systemd";
const PATIENCE: Duration = Duration::from_secs(60);

/// The machine; it ends with this, and all that runs on it.
pub(super) struct Machine {
    /// It ends systemd when it is ended.
    unshare: Child,
    /// Of systemd, out here.
    pid: String,
    group: PathBuf,
}

impl Machine {
    /// Why there can be none here.
    pub(super) fn missing() -> Option<String> {
        match (Path::new(SYSTEMD).exists(), group()) {
            (false, _) => Some(format!("needs {SYSTEMD}")),
            (_, None) => Some("needs control groups of version 2".to_owned()),
            (true, Some(_)) => None,
        }
    }

    /// Boots it. It has this folder in common with us, and what is in `units` there as its units.
    pub(super) fn boot(shared: &Path) -> Self {
        for target in ["sysinit", "basic", "shutdown", "multi-user"] {
            let text = format!("[Unit]\nDescription={target}\nDefaultDependencies=no\n");
            fs::create_dir_all(shared.join("units")).unwrap();
            fs::write(shared.join("units").join(format!("{target}.target")), text).unwrap();
        }
        let name = shared.file_name().unwrap().to_string_lossy();
        let group = group().unwrap().join(format!("shoestring-{}", name.trim_start_matches('.')));
        let log = File::create(shared.join("boot.log")).unwrap();
        let boot = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/boot");
        let mut boot = Command::new(boot);
        boot.arg(&group).arg(shared).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut machine = Self { unshare: boot.spawn().unwrap(), pid: String::new(), group };
        let begun = Instant::now();
        while !machine.is_booted() {
            let why = || fs::read_to_string(shared.join("boot.log")).unwrap_or_default();
            assert!(machine.unshare.try_wait().unwrap().is_none(), "it does not boot: {}", why());
            assert!(begun.elapsed() < PATIENCE, "not booted in time: {}", why());
            std::thread::sleep(Duration::from_millis(20));
        }
        machine
    }

    fn is_booted(&mut self) -> bool {
        let id = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.trim().clone_into(&mut self.pid);
        let program = fs::read_link(format!("/proc/{}/exe", self.pid));
        program.is_ok_and(|program| program.ends_with("systemd/systemd"))
            && matches!(&*self.run(&["systemctl", "is-system-running"]), "running" | "degraded")
    }

    /// What a command says that is run there, whatever its exit code.
    pub(super) fn run<S: AsRef<OsStr>>(&self, command: &[S]) -> String {
        let output = enter(&self.pid, command).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    /// A property of a unit.
    pub(super) fn property(&self, unit: &str, property: &str) -> String {
        self.run(&["systemctl", "show", "--value", "--property", property, unit])
    }

    /// Of the unit's main process, there; 0 where there is none.
    pub(super) fn pid(&self, unit: &str) -> u32 {
        self.property(unit, "MainPID").parse().unwrap()
    }

    /// Kills the main process of a unit without warning.
    pub(super) fn kill(&self, unit: &str) {
        let pid = self.pid(unit);
        assert!(pid > 0, "{unit} does not run");
        assert_eq!(self.run(&["sh", "-c", &format!("kill -KILL {pid}")]), "");
    }

    /// The units whose names begin so, and that are there.
    pub(super) fn units(&self, pattern: &str) -> Vec<String> {
        let listed = self.run(&["systemctl", "list-units", "--all", "--plain", "--no-legend", pattern]);
        listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    /// Runs in a thread that has the machine's files before it, and whose processes are processes of the machine: systemd
    /// talks to no others. It can begin no further threads.
    pub(super) fn inside(&self, test: impl FnOnce() + Send) {
        let namespace = |name: &str| File::open(format!("/proc/{}/ns/{name}", self.pid)).unwrap();
        let (files, processes) = (namespace("mnt"), namespace("pid"));
        in_a_thread(move || {
            unshare(CloneFlags::CLONE_FS).unwrap();
            setns(files, CloneFlags::CLONE_NEWNS).unwrap();
            setns(processes, CloneFlags::CLONE_NEWPID).unwrap();
            test();
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Systemd goes with it, and all that has it as its process 1.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let begun = Instant::now();
        while remove(&self.group).is_err() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A control group and those in it; they have to be empty.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

fn enter<S: AsRef<OsStr>>(pid: &str, command: &[S]) -> Command {
    let mut enter = Command::new("nsenter");
    enter.args(["--target", pid, "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--root", "--wd", "--"]);
    enter.args(command);
    enter
}

/// The folder of our own control group of version 2.
fn group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(at)
    })?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}
