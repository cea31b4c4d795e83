//! Why the repository could not be fetched or read, and what that means for the next try.

use std::path::PathBuf;

use crate::names::Revision;

/// Whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may work by itself, soon: try again at the next trigger.
    Retry,
    /// It works once the other side changes something: keep trying, at leisure, and say so.
    Wait,
    /// It works once somebody changes something here.
    Stalled,
}

/// Why the repository could not be fetched or read. The last good state stays in every case.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address is not one that can be fetched from.
    #[error(
        "cannot fetch from {address:?}: {why}; give a path, or a file://, https://, ssh:// or user@host:path address"
    )]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answered, or the conversation broke off.
    #[error("cannot reach {address}: {why}; nothing changes until it answers, and it is asked again")]
    Unreachable {
        /// Whom.
        address: String,
        /// What was met.
        why: String,
    },
    /// The other side answered that we may not.
    #[error("{address} refuses access: {why}; give this machine read access, or correct the address")]
    Denied {
        /// Who.
        address: String,
        /// What was said.
        why: String,
    },
    /// The other side has no such branch.
    #[error(
        "{address} has no branch {branch:?}; push it there, or correct `branch` in the local configuration"
    )]
    NoBranch {
        /// Where.
        address: String,
        /// Which.
        branch: String,
    },
    /// What the other side sent is not what git sends.
    #[error(
        "{address} does not speak git as expected: {why}; check that the address is that of a git repository"
    )]
    Protocol {
        /// Who.
        address: String,
        /// What was met.
        why: String,
    },
    /// What is offered is more than this node takes, or not whole (trust.md, R8).
    #[error("revision {} is not taken (R8): {why}; what is applied stays until something better is pushed", revision.short())]
    Refused {
        /// The tip that is offered.
        offered: Revision,
        /// The commit that is not taken: the tip, or one before it.
        revision: Revision,
        /// What is wrong with it, and what the limit is.
        why: String,
    },
    /// The clone in the state folder is damaged; it is made anew by the next fetch.
    #[error("the clone {path} is damaged ({why}); it is made anew by the next fetch")]
    Damaged {
        /// The clone.
        path: PathBuf,
        /// What was met.
        why: String,
    },
    /// A revision's contents cannot be read as files.
    #[error("revision {revision}: {why}")]
    Contents {
        /// The revision, in short.
        revision: String,
        /// What was met, and where.
        why: String,
    },
    /// The state folder cannot be read or written.
    #[error("cannot {operation} {path}: {source}")]
    State {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// What was met.
        source: std::io::Error,
    },
    /// The ledger is unusable, or not ours.
    #[error("{path}: {why}")]
    Ledger {
        /// The state folder.
        path: PathBuf,
        /// What was met, and what to do.
        why: String,
    },
}

impl SourceError {
    /// Whether trying again helps.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Damaged { .. } => Class::Retry,
            Self::Denied { .. } | Self::NoBranch { .. } | Self::Protocol { .. } | Self::Refused { .. } => {
                Class::Wait
            }
            Self::Address { .. } | Self::Contents { .. } | Self::State { .. } | Self::Ledger { .. } => {
                Class::Stalled
            }
        }
    }
}
