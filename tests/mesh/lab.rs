//! Network namespaces for the mesh: one per node, joined by a bridge in a namespace between them.
//!
//! A namespace has no name and no process: it is held by the threads of a runtime that were born in it, and goes away
//! with them.

use std::fs::File;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};
use tokio::runtime::{Builder, Runtime};

/// For anything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A network namespace with a runtime in it.
pub(crate) struct Namespace {
    runtime: Option<Runtime>,
    file: File,
}

impl Namespace {
    /// `None` when this user may not make one.
    pub(crate) fn new() -> Option<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).ok()?;
            let file = File::open("/proc/thread-self/ns/net").unwrap();
            // Its threads are born here, in the new namespace, and stay in it.
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            Some(Self { runtime: Some(runtime), file })
        });
        let namespace = made.join().unwrap()?;
        namespace.run(async {
            let handle = netlink();
            let lo = index_of(&handle, "lo").await;
            handle.link().set(LinkUnspec::new_with_index(lo).up().build()).execute().await.unwrap();
        });
        Some(namespace)
    }

    /// Runs something in the namespace and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        self.spawn(async move {
            let _ = sender.send(future.await);
        });
        receiver.recv_timeout(PATIENCE * 2).expect("it ends, and does not panic")
    }

    /// Starts something in the namespace.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.as_ref().expect("there until dropped").spawn(future);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

/// Whether the test can be run; says why not. In CI nothing is skipped.
pub(crate) fn is_possible() -> bool {
    let missing = if Namespace::new().is_none() {
        "network namespaces cannot be made: run as root"
    } else if File::options().read(true).write(true).open("/dev/net/tun").is_err() {
        "/dev/net/tun cannot be opened"
    } else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("skipped: {missing}");
    false
}

/// Namespaces on one bridge; the first has 192.0.2.1, and so on.
pub(crate) fn bridged(count: u8) -> (Namespace, Vec<Namespace>) {
    let between = Namespace::new().unwrap();
    let nodes: Vec<Namespace> = (0..count).map(|_| Namespace::new().unwrap()).collect();
    let files: Vec<File> = nodes.iter().map(|node| node.file.try_clone().unwrap()).collect();
    between.run(async move {
        let handle = netlink();
        handle.link().add(LinkBridge::new("between").up().build()).execute().await.unwrap();
        let bridge = index_of(&handle, "between").await;
        for (file, number) in files.iter().zip(1u8..) {
            let (near, far) = (format!("to{number}"), format!("from{number}"));
            handle.link().add(LinkVeth::new(&near, &far).build()).execute().await.unwrap();
            let far = index_of(&handle, &far).await;
            let moved = LinkUnspec::new_with_index(far).name("eth0").setns_by_fd(file.as_raw_fd()).build();
            handle.link().set(moved).execute().await.unwrap();
            let near = index_of(&handle, &near).await;
            let attached = LinkUnspec::new_with_index(near).controller(bridge).up().build();
            handle.link().set(attached).execute().await.unwrap();
        }
    });
    for (node, number) in nodes.iter().zip(1..) {
        node.run(async move {
            let handle = netlink();
            let index = index_of(&handle, "eth0").await;
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
            handle.address().add(index, address, 24).execute().await.unwrap();
            handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
        });
    }
    (between, nodes)
}

/// Talks to the kernel about the namespace of the thread.
pub(crate) fn netlink() -> Handle {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    handle
}

/// The kernel's number for an interface.
pub(crate) async fn index_of(handle: &Handle, name: &str) -> u32 {
    let found = handle.link().get().match_name(name).execute().try_next().await;
    found.unwrap().unwrap().header.index
}
