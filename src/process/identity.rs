//! A process that can be told from a later one with the same id.

use std::fs;
use std::path::Path;

/// A process that can be told from a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Field 22 of /proc/<pid>/stat: when it started, in ticks since boot.
    pub(super) started: u64,
}

impl Identity {
    /// Of the process that has this id now, if there is one.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses that may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        // Field 20. While others of its threads end it holds its sockets, cannot be waited for, and is no dead process yet.
        let threads: u32 = fields.nth(16)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        (!matches!(state, "Z" | "X") || threads > 1).then_some(Self { pid, started })
    }

    /// As it was written to a file.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    /// Whether it still runs.
    pub(super) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}
