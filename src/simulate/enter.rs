//! Enter: the ways into a running simulation, for the agents and for whoever wants to look.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setgid, setuid};

use super::sandbox::{INNER, MYSELF, WORK};
use super::{Context, SimulationError, namespace};

/// The place that is every namespace's way to every other.
const INTERNET: &str = "internet";

/// Becomes a command in a node's namespaces. Called inside the sandbox; returns only if it fails.
pub fn enter(place: &str, command: &[OsString]) -> Result<u8, SimulationError> {
    if place != INTERNET {
        let path = namespace::path_of(place);
        let file = File::open(&path).map_err(|error| SimulationError {
            operation: format!("enter {place}"),
            why: format!("{error}; there are {}", places()),
        })?;
        setns(file, CloneFlags::CLONE_NEWNET).context(|| format!("enter the network of {place}"))?;
        private_wireguard_sockets(place)?;
    }
    let [program, args @ ..] = command else {
        return Err(SimulationError { operation: format!("run in {place}"), why: "no command".into() });
    };
    Err(Command::new(program).args(args).exec()).context(|| format!("run {}", program.display()))
}

/// WireGuard's socket folder knows no network namespaces: each node sees one of its own.
fn private_wireguard_sockets(place: &str) -> Result<(), SimulationError> {
    let own = Path::new(WORK).join("nodes").join(place).join("wireguard");
    if !own.is_dir() {
        return Ok(());
    }
    let shared = "/run/wireguard";
    unshare(CloneFlags::CLONE_NEWNS).context(|| format!("make a mount namespace in {place}"))?;
    let nothing = None::<&str>;
    mount(Some(&own), shared, nothing, MsFlags::MS_BIND, nothing)
        .context(|| format!("mount {} on {shared}", own.display()))
}

fn places() -> String {
    let mut names = vec![INTERNET.to_owned()];
    let entries = fs::read_dir(Path::new(WORK).join("net")).into_iter().flatten().flatten();
    names.extend(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.sort();
    names.join(", ")
}

/// Runs a command in a node of the simulation that is running on this machine, from outside: its exit status.
/// `run` says which, by the process id of the outer process, where there are several.
pub fn exec(run: Option<u32>, place: &str, command: &[OsString]) -> Result<u8, SimulationError> {
    let pid = find_inner(run)?;
    let open = |kind: &str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        File::open(&path).context(|| format!("open {path} (is it another user's simulation?)"))
    };
    let (user, pids, mounts, net) = (open("user")?, open("pid")?, open("mnt")?, open("net")?);
    let same_user = {
        let own = fs::metadata("/proc/self/ns/user").context(|| "look at /proc/self/ns/user".into())?;
        let its = user.metadata().context(|| "look at the simulation's user namespace".into())?;
        (own.dev(), own.ino()) == (its.dev(), its.ino())
    };
    if !same_user {
        setns(&user, CloneFlags::CLONE_NEWUSER).context(|| "enter the user namespace".into())?;
        // Whoever is nobody in there loses every right at the next exec: be its root.
        setgid(Gid::from_raw(0)).context(|| "be root in the user namespace".into())?;
        setuid(Uid::from_raw(0)).context(|| "be root in the user namespace".into())?;
    }
    setns(&net, CloneFlags::CLONE_NEWNET).context(|| "enter the network namespace".into())?;
    setns(&pids, CloneFlags::CLONE_NEWPID).context(|| "enter the pid namespace".into())?;
    setns(&mounts, CloneFlags::CLONE_NEWNS).context(|| "enter the mount namespace".into())?;
    // Only a child is in the new pid namespace, so only there is /proc/self what it says.
    let status = Command::new(MYSELF)
        .args(["simulate", "enter", place, "--"])
        .args(command)
        .status()
        .context(|| format!("start a process in {place}"))?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
}

/// The process id of the running simulation's inner process.
fn find_inner(run: Option<u32>) -> Result<u32, SimulationError> {
    let nobody = |why: String| SimulationError { operation: "find the simulation".into(), why };
    let is_inner = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.get(1..3).is_some_and(|words| words == INNER.map(str::as_bytes))
    };
    let entries = fs::read_dir("/proc").context(|| "read /proc".into())?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs: Vec<(u32, u32)> = pids.filter(is_inner).map(|pid| (outer_of(pid), pid)).collect();
    match (&runs[..], run) {
        ([], _) => {
            Err(nobody("none is running on this machine; start one: shoestring simulate --hold".into()))
        }
        ([(_, inner)], None) => Ok(*inner),
        (several, None) => {
            let outers: Vec<String> = several.iter().map(|(outer, _)| outer.to_string()).collect();
            Err(nobody(format!("more than one is running; choose with --run one of {}", outers.join(", "))))
        }
        (several, Some(run)) => several
            .iter()
            .find(|(outer, inner)| *outer == run || *inner == run)
            .map(|(_, inner)| *inner)
            .ok_or_else(|| nobody(format!("process {run} is none"))),
    }
}

/// The parent of a process; 0 if it cannot be told.
fn outer_of(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or_default()
}
