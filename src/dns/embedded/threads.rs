//! Threads: those that answer on one address, one for each CPU.
//!
//! They wait in the kernel for what arrives and do nothing else, so no other work of the agent delays an answer. To end
//! them, their sockets are shut down, which wakes whoever waits for them, UDP or TCP.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, available_parallelism};

use socket2::Socket;

/// More do not help: the kernel's own work on a packet comes before ours.
const MOST: usize = 16;
/// What a thread may use of its stack. Only what it has touched takes memory.
const STACK: usize = 512 << 10;

/// How many threads answer on an address. On a machine with one CPU it is one.
pub(crate) fn count() -> usize {
    available_parallelism().map_or(1, |cpus| cpus.get().min(MOST))
}

/// Threads that run until they are told to stop. Dropping it tells them, and does not wait.
pub(crate) struct Threads {
    stop: Stop,
    running: Vec<JoinHandle<()>>,
}

/// Told to those who should end.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    told: Arc<AtomicBool>,
    sockets: Arc<[Arc<Socket>]>,
}

impl Stop {
    /// Whether to end. To be asked whenever something happened at the socket.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    fn tell(&self) {
        self.told.store(true, Ordering::Release);
        for socket in &*self.sockets {
            // Of a socket without a peer the kernel says that it is not connected, and does what is asked all the same.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Threads {
    /// Starts one for each of these sockets.
    pub(crate) fn start<Run: FnOnce() + Send + 'static>(
        name: &str,
        sockets: Vec<Arc<Socket>>,
        run: impl Fn(Arc<Socket>, Stop) -> Run,
    ) -> io::Result<Self> {
        let stop = Stop { told: Arc::default(), sockets: sockets.clone().into() };
        let mut threads = Self { stop, running: Vec::new() };
        for socket in sockets {
            let run = run(socket, threads.stop.clone());
            let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(run)?;
            threads.running.push(thread);
        }
        Ok(threads)
    }

    /// Whether all of them run.
    pub(crate) fn are_alive(&self) -> bool {
        !self.running.iter().any(JoinHandle::is_finished)
    }

    /// Ends them. Returns when their sockets are closed, which is soon.
    pub(crate) fn end(&mut self) {
        self.stop.tell();
        for thread in self.running.drain(..) {
            // One that panicked has ended as well.
            let _ = thread.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.tell();
    }
}
