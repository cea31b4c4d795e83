//! Sandbox: the namespaces that one run of the simulation lives in, made so that nothing outlives it.
//!
//! ```text
//! outer   the command as it was typed; in the host's network; waits, and turns Ctrl-C into an end
//!   └ inner   pid 1 of a new pid namespace, in a new mount and network namespace: the internet, and the run itself
//!       └ agents   one per node, each in that node's network namespace
//! ```
//!
//! The inner process dies with the outer one (`PR_SET_PDEATHSIG`), every other process dies with the inner one (it
//! is pid 1), and mounts, interfaces and files (all of them on a tmpfs) die with the last process. So a crash, a
//! `kill -9` of either and Ctrl-C end alike: nothing is left, and there is nothing to clean up.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, SimulationError};

/// Where everything that a run writes lies: on a tmpfs that only its own mount namespace sees.
pub(crate) const WORK: &str = "/run/shoestring";

/// The two words by which the inner process is known: to itself, and to `simulate exec`.
pub(crate) const INNER: [&str; 2] = ["simulate", "inner"];

/// This very binary, whatever has become of its path meanwhile.
pub(crate) const MYSELF: &str = "/proc/self/exe";

/// The same by its path, so that process lists name it; as long as it is still there.
pub(crate) fn program() -> PathBuf {
    std::env::current_exe().ok().filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(MYSELF))
}

/// Runs the inner process to its end: its exit status, or 130 after Ctrl-C (143 after SIGTERM).
///
/// Must be called while the process has a single thread: a user namespace is refused to any other.
pub(crate) fn contain(args: &[std::ffi::OsString], stdin: Option<OwnedFd>) -> Result<u8, SimulationError> {
    new_pid_namespace()?;
    // From here on this process cannot make threads (its children are in another pid namespace), so the runtime
    // must be one that makes none.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(|| "start the outer runtime".into())?;
    runtime.block_on(wait_for_inner(args, stdin))
}

async fn wait_for_inner(args: &[std::ffi::OsString], stdin: Option<OwnedFd>) -> Result<u8, SimulationError> {
    let listen = |kind| signal(kind).context(|| "listen for signals".into());
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut inner = tokio::process::Command::new(program())
        .arg0("shoestring")
        .args(INNER)
        .args(args)
        // Nobody's git configuration is part of a simulation, nor need it be readable in here.
        .env("HOME", WORK)
        .env_remove("XDG_CONFIG_HOME")
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
        // A group of its own: Ctrl-C is this process's to handle, and must not reach the agents one by one.
        .process_group(0)
        .spawn()
        .context(|| "start the inner process".into())?;
    let status = tokio::select! {
        status = inner.wait() => return Ok(exit_code(status.context(|| "wait for the inner process".into())?)),
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
        _ = hangup.recv() => 129,
    };
    // Killing pid 1 kills the namespace; the wait ends when its last process has ended.
    inner.kill().await.context(|| "end the inner process".into())?;
    Ok(status)
}

fn exit_code(status: ExitStatus) -> u8 {
    // No code: it was killed from outside.
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)
}

/// Makes the children of this process be in a new pid namespace; in a new user namespace too if that takes it.
fn new_pid_namespace() -> Result<(), SimulationError> {
    match unshare(CloneFlags::CLONE_NEWPID) {
        Ok(()) => return Ok(()),
        Err(Errno::EPERM) => {}
        Err(error) => return Err(error).context(|| "make a pid namespace".into()),
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| SimulationError {
        operation: "make a user namespace".into(),
        why: format!(
            "{error}; run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces)"
        ),
    })?;
    // user_namespaces(7): a process without privilege may map its own group only after giving up setgroups.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))?;
    unshare(CloneFlags::CLONE_NEWPID).context(|| "make a pid namespace".into())
}

/// The inner process's first act: namespaces and mounts of its own. Single-threaded still.
pub(crate) fn furnish() -> Result<(), SimulationError> {
    if std::process::id() != 1 {
        return Err(SimulationError {
            operation: "set up the sandbox".into(),
            why: "this is a part of `shoestring simulate` and not for use by hand".into(),
        });
    }
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .context(|| "tie the inner process to the outer".into())?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)
        .context(|| "make mount and network namespaces".into())?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(|error| {
            // Then nothing would keep our own mounts from the machine's.
            if error == Errno::EINVAL {
                "/ is no mount point, as in a chroot; run `mount --bind DIR DIR` before `chroot DIR`"
                    .to_owned()
            } else {
                error.to_string()
            }
        })
        .context(|| "make the mounts private".into())?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), plain, nothing).context(|| "mount /proc".into())?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("shoestring"), "/run", Some("tmpfs"), plain, Some("mode=0755"))
        .context(|| "mount a tmpfs on /run".into())?;
    // The last one is where WireGuard implementations put their sockets; each node mounts its own there.
    let folders = ["", "/net", "/nodes", "/logs"].map(|folder| format!("{WORK}{folder}"));
    for path in folders.iter().map(String::as_str).chain(["/run/wireguard"]) {
        fs::create_dir(path).context(|| format!("make {path}"))?;
    }
    Ok(())
}

/// Whether nodes can have a mesh here: WireGuard in userspace needs `/dev/net/tun`.
pub(crate) fn check_tun() -> Result<(), SimulationError> {
    let path = Path::new("/dev/net/tun");
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(SimulationError {
            operation: "open /dev/net/tun, which the mesh needs where the kernel has no WireGuard".into(),
            why: if error.kind() == ErrorKind::PermissionDenied {
                "permission denied; run as root, or let users open it: chmod 0666 /dev/net/tun".into()
            } else if error.kind() == ErrorKind::NotFound {
                "there is none; load the tun module: modprobe tun".into()
            } else {
                error.to_string()
            },
        }),
    }
}

fn write(path: &str, text: &str) -> Result<(), SimulationError> {
    fs::write(path, text).context(|| format!("write {text:?} to {path}"))
}
