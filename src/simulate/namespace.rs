//! Namespace: one network namespace, kept by a bind mount, with a netlink socket inside.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::sandbox::WORK;
use super::{Context, SimulationError};

/// A network namespace of the run. The kernel drops it with the run's mount namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// The node's or client's name.
    pub(crate) name: String,
    file: File,
    netlink: rtnetlink::Handle,
}

/// Where the namespace of this name can be opened, inside the sandbox.
pub(crate) fn path_of(name: &str) -> PathBuf {
    PathBuf::from(format!("{WORK}/net/{name}"))
}

impl Namespace {
    /// Makes a namespace, with `lo` still down. Must be called inside a runtime.
    pub(crate) fn create(name: &str) -> Result<Self, SimulationError> {
        let path = path_of(name);
        File::create(&path).context(|| format!("make {}", path.display()))?;
        let runtime = tokio::runtime::Handle::current();
        // A namespace belongs to a thread, so a thread of its own makes it and is gone.
        let netlink = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context(|| format!("make the network namespace of {name}"))?;
            let nothing = None::<&str>;
            mount(Some("/proc/thread-self/ns/net"), &path, nothing, MsFlags::MS_BIND, nothing)
                .context(|| format!("keep the network namespace of {name}"))?;
            quiet()?;
            let _inside = runtime.enter();
            open_netlink()
        })?;
        let file = File::open(&path).context(|| format!("open {}", path.display()))?;
        Ok(Self { name: name.to_owned(), file, netlink })
    }

    /// The netlink socket inside.
    pub(crate) fn netlink(&self) -> &rtnetlink::Handle {
        &self.netlink
    }

    /// For netlink requests from outside that put a link into this namespace.
    pub(crate) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs something short inside, on a thread of its own: to make a socket, which then stays in there.
    pub(crate) fn within<T: Send>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> Result<T, SimulationError> {
        on_a_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .context(|| format!("enter the network namespace of {}", self.name))?;
            work().context(|| format!("make a socket in the network namespace of {}", self.name))
        })
    }
}

/// A netlink socket in the network namespace of the calling thread, driven by the current runtime.
pub(crate) fn open_netlink() -> Result<rtnetlink::Handle, SimulationError> {
    let (connection, handle, _) = rtnetlink::new_connection().context(|| "open a netlink socket".into())?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Makes the calling thread's network namespace one where addresses work at once and nothing comes by itself.
pub(crate) fn quiet() -> Result<(), SimulationError> {
    for scope in ["all", "default"] {
        for (switch, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0")] {
            sysctl(&format!("net/ipv6/conf/{scope}/{switch}"), value)?;
        }
        sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    Ok(())
}

/// Makes the calling thread's network namespace one that forwards.
pub(crate) fn forward() -> Result<(), SimulationError> {
    sysctl("net/ipv4/conf/all/forwarding", "1")?;
    sysctl("net/ipv6/conf/all/forwarding", "1")?;
    // Never tell a client of a shorter way: it has only the one.
    sysctl("net/ipv4/conf/all/send_redirects", "0")?;
    sysctl("net/ipv4/conf/default/send_redirects", "0")
}

fn sysctl(name: &str, value: &str) -> Result<(), SimulationError> {
    fs::write(format!("/proc/sys/{name}"), value).context(|| format!("set {name} to {value}"))
}

fn on_a_thread<T: Send>(
    work: impl FnOnce() -> Result<T, SimulationError> + Send,
) -> Result<T, SimulationError> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
