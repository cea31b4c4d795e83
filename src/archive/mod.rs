//! Archives: what a node has heard of the internet's routes, kept for people (MRT, RFC 6396).
//!
//! ```text
//! daemon ─every interval→ a table, in a file ───────────┬─finished→ gzip ─too old, too much→ gone
//!        ─all the time──→ updates, a file an interval ──┘  └ plan (pure): files, time, room → tasks; tend carries them out
//! shoestring mrt ←─ read
//! ```
//!
//! Words: a *table* is what a daemon has accepted of its peers (TABLE_DUMP_V2); *updates* are the messages of its peers as
//! they came, whatever it accepts, and how the states of their sessions changed (BGP4MP). A file is *finished* when its
//! daemon writes no more to it; only then it is touched. A file of tables is when nothing was written to it for a while. A
//! file of updates may be quiet for as long as its peers are: it is finished once a later one has been begun, or its
//! interval is over. A daemon of which the tables all go into one file that it keeps open (GoBGP) has it *cut*: what is in
//! it becomes a file of its own. One whose updates do (BIRD) has it *set aside* (`rotate`).
//!
//! What is kept of a daemon's archive stays within a size and an age, and leaves a part of the disk free whatever they say.

mod plan;
mod read;
mod rotate;
mod tend;
mod utc;

pub use plan::{Kept, Kind, Room, Task, plan};
pub use read::{Heard, ReadError, States, Summary, summarise};
pub use rotate::{Open, set_aside};
pub use tend::{entries, open, tend};
pub use utc::Utc;

use std::time::Duration;

/// What a node keeps of the routes that it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePolicy {
    /// Between two tables; and what a file of updates covers.
    pub interval: Duration,
    /// Whether updates are kept, beside tables.
    pub updates: bool,
    /// What all files may take, in octets.
    pub keep_size: u64,
    /// How old the oldest may be.
    pub keep_age: Duration,
}

impl ArchivePolicy {
    /// Of a node that says only that it wants archives.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_secs(15 * 60),
        updates: false,
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
/// How the name of a file of updates begins; one of tables begins with its time.
pub const UPDATES: &str = "updates.";
/// The file of tables that a daemon keeps open, so that it is cut.
pub const KEPT_OPEN: &str = "open.mrt";
/// The file of updates that a daemon keeps open, so that it is set aside.
pub const UPDATES_OPEN: &str = "updates.open.mrt";
