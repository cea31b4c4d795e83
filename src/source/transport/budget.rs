//! Budget: what is left of a fetch's limits.

use std::time::Instant;

use git2::Oid;

use super::super::SourceError;
use super::super::history::revision;
use super::super::repository::Limits;

/// Counts down while a fetch runs.
pub(in super::super) struct Budget {
    address: String,
    /// What the other side offers, once it has said so.
    tip: Option<Oid>,
    limits: Limits,
    bytes: u64,
    objects: usize,
    deadline: Instant,
}

impl Budget {
    pub(in super::super) fn new(address: String, limits: Limits) -> Self {
        Self { address, tip: None, limits, bytes: 0, objects: 0, deadline: Instant::now() + limits.timeout }
    }

    /// One object of this many octets is about to be taken.
    pub(super) fn object(&mut self, bytes: u64, what: &str) -> Result<(), SourceError> {
        if bytes > self.limits.object_bytes {
            return Err(
                self.refused(format!("{what} has {bytes} bytes, of at most {}", self.limits.object_bytes))
            );
        }
        self.objects += 1;
        if self.objects > self.limits.objects {
            return Err(self.refused(format!("more than {} new objects", self.limits.objects)));
        }
        self.bytes(bytes)
    }

    /// This many octets are about to be taken.
    pub(super) fn bytes(&mut self, bytes: u64) -> Result<(), SourceError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes {
            return Err(self.refused(format!("more than {} new bytes", self.limits.bytes)));
        }
        if Instant::now() > self.deadline {
            let why = format!("the fetch was not done within {} s", self.limits.timeout.as_secs());
            return Err(self.unreachable(why));
        }
        Ok(())
    }

    /// The other side offers this commit.
    pub(super) fn offered(&mut self, tip: Oid) {
        self.tip = Some(tip);
    }

    /// R8: what is offered is not taken.
    pub(super) fn refused(&self, why: String) -> SourceError {
        match self.tip {
            Some(tip) => SourceError::Refused { revision: revision(tip), why },
            None => SourceError::Protocol { address: self.address.clone(), why },
        }
    }

    /// R8: an object that is offered is not there, or is not what its name says.
    pub(super) fn unreadable(&self, id: Oid, error: &git2::Error) -> SourceError {
        self.refused(format!("object {id} of it cannot be read: {}", error.message()))
    }

    pub(super) fn unreachable(&self, why: impl ToString) -> SourceError {
        SourceError::Unreachable { address: self.address.clone(), why: why.to_string() }
    }

    #[expect(clippy::unused_self, reason = "one place makes all errors of a fetch")]
    pub(super) fn clone_failed(&self, here: &git2::Repository, error: &git2::Error) -> SourceError {
        SourceError::Damaged { path: here.path().to_owned(), why: error.message().to_owned() }
    }
}
