//! Ended: that a daemon is gone is told at once, instead of being seen at the next look.
//!
//! The kernel says so by a file descriptor of the process (pidfd_open(2)), whoever started it. It only triggers a look,
//! which finds out what has happened: where there is no such descriptor, the next look does.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::debug;

static ENDED: Notify = Notify::const_new();

/// Waits until a process that is watched has ended. One end is told to one who waits, or to the next who does.
pub(crate) async fn one_ended() {
    ENDED.notified().await;
}

/// At most one process, whose end is told.
#[derive(Default)]
pub(super) struct Watch(Option<(i32, AbortHandle)>);

impl Watch {
    /// Watches the process that has this id now, and no other.
    pub(super) fn over(&mut self, pid: i32) {
        if self.0.as_ref().is_some_and(|(before, task)| *before == pid && !task.is_finished()) {
            return;
        }
        self.nothing();
        match descriptor(pid) {
            Ok(descriptor) => {
                let task = tokio::spawn(async move {
                    if descriptor.readable().await.is_ok() {
                        ENDED.notify_one();
                    }
                });
                self.0 = Some((pid, task.abort_handle()));
            }
            Err(error) => debug!(pid, %error, "its end will be seen at the next look"),
        }
    }

    /// Watches nothing any more: it is to end.
    pub(super) fn nothing(&mut self) {
        if let Some((_, task)) = self.0.take() {
            task.abort();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.nothing();
    }
}

#[expect(unsafe_code, reason = "tokio has no safe way for a descriptor that is none of a socket's")]
fn descriptor(pid: i32) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    // SAFETY: it is owned by what it is given to, and so open, and the same one, until that is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}
