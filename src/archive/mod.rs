//! Archives: what a node has heard of the internet's routes, kept for people (MRT, RFC 6396).
//!
//! ```text
//! daemon ─every interval→ a table, in a file ─finished→ gzip ─too old, too much→ gone
//!                                               └──── plan (pure): files, time, room → tasks; tend carries them out
//! shoestring mrt ←─ read
//! ```
//!
//! Words: a file is *finished* when nothing was written to it for a while; only then it is touched. A daemon of which the
//! tables all go into one file that it keeps open (GoBGP) has it *cut*: what is in it becomes a file of its own.
//!
//! What is kept of a daemon's archive stays within a size and an age, and leaves a part of the disk free whatever they say.

mod plan;
mod read;
mod tend;
mod utc;

pub use plan::{Kept, Room, Task, plan};
pub use read::{Heard, ReadError, States, Summary, summarise};
pub use tend::{entries, open, tend};
pub use utc::Utc;

use std::time::Duration;

/// What a node keeps of the routes that it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePolicy {
    /// Between two tables.
    pub interval: Duration,
    /// What all files may take, in octets.
    pub keep_size: u64,
    /// How old the oldest may be.
    pub keep_age: Duration,
}

impl ArchivePolicy {
    /// Of a node that says only that it wants archives.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_secs(15 * 60),
        keep_size: 1_000_000_000,
        keep_age: Duration::from_secs(30 * 24 * 3600),
    };
}

/// How a file ends that a daemon wrote.
pub const WRITTEN: &str = ".mrt";
/// How it ends once it is compressed.
pub const COMPRESSED: &str = ".mrt.gz";
/// How it ends while it is being compressed.
pub const PART: &str = ".part";
/// The file that a daemon keeps open, so that it is cut.
pub const KEPT_OPEN: &str = "open.mrt";
