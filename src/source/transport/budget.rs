//! Budget: what is left of a fetch's limits.

use std::time::{Duration, Instant};

use git2::Oid;

use super::super::SourceError;
use super::super::history::revision;
use super::super::repository::Limits;

/// Counts down while a fetch runs.
pub(in super::super) struct Budget {
    address: String,
    /// What the other side offers, once it has said so, and which commit of it is being looked at.
    offered: Option<(Oid, Oid)>,
    limits: Limits,
    bytes: u64,
    objects: usize,
    deadline: Instant,
}

impl Budget {
    pub(in super::super) fn new(address: String, limits: Limits) -> Self {
        Self {
            address,
            offered: None,
            limits,
            bytes: 0,
            objects: 0,
            deadline: Instant::now() + limits.timeout,
        }
    }

    /// One object of this many octets is taken.
    pub(super) fn object(&mut self, bytes: u64, id: Oid) -> Result<(), SourceError> {
        let most = self.limits.object_bytes;
        if bytes > most {
            return Err(self.refused(format!("object {id} of it has {bytes} bytes, and {most} are allowed")));
        }
        self.objects(1)?;
        self.bytes(bytes)
    }

    /// So many objects are taken.
    pub(super) fn objects(&mut self, objects: usize) -> Result<(), SourceError> {
        self.objects = self.objects.saturating_add(objects);
        let most = self.limits.objects;
        if self.objects > most {
            return Err(self.refused(format!("it brings more than {most} new objects")));
        }
        self.in_time()
    }

    /// So many octets are taken.
    pub(super) fn bytes(&mut self, bytes: u64) -> Result<(), SourceError> {
        self.bytes = self.bytes.saturating_add(bytes);
        let most = self.limits.bytes;
        if self.bytes > most {
            return Err(self.refused(format!("it brings more than {most} new bytes")));
        }
        self.in_time()
    }

    /// Until the fetch must be done.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn in_time(&self) -> Result<(), SourceError> {
        if self.time_left().is_zero() {
            let seconds = self.limits.timeout.as_secs_f32();
            return Err(self.unreachable(format!("the fetch was not done within {seconds} s")));
        }
        Ok(())
    }

    /// Without limits, for what is here already.
    pub(in super::super) fn unlimited(address: String) -> Self {
        let timeout = Duration::from_secs(24 * 3600);
        Self::new(address, Limits { bytes: u64::MAX, objects: usize::MAX, object_bytes: u64::MAX, timeout })
    }

    /// The other side offers this commit.
    pub(super) fn offered(&mut self, tip: Oid) {
        self.offered = Some((tip, tip));
    }

    /// Begins to count anew, for this commit of what is offered.
    pub(super) fn look_at(&mut self, commit: Oid) {
        (self.bytes, self.objects) = (0, 0);
        let tip = self.offered.map_or(commit, |(tip, _)| tip);
        self.offered = Some((tip, commit));
    }

    /// R8: what is offered is not taken.
    pub(super) fn refused(&self, why: String) -> SourceError {
        match self.offered {
            Some((tip, at)) => SourceError::Refused { offered: revision(tip), revision: revision(at), why },
            None => self.protocol(why),
        }
    }

    /// R8: an object that is offered is not there, or is not what its name says.
    pub(super) fn unreadable(&self, id: Oid, error: &git2::Error) -> SourceError {
        self.refused(format!("object {id} of it cannot be read: {}", error.message()))
    }

    pub(super) fn unreachable(&self, why: impl ToString) -> SourceError {
        SourceError::Unreachable { address: self.address.clone(), why: why.to_string() }
    }

    pub(super) fn denied(&self, why: impl ToString) -> SourceError {
        SourceError::Denied { address: self.address.clone(), why: why.to_string() }
    }

    pub(super) fn protocol(&self, why: impl ToString) -> SourceError {
        SourceError::Protocol { address: self.address.clone(), why: why.to_string() }
    }
}

/// The clone here cannot be read or written.
pub(super) fn damaged(here: &git2::Repository, error: &git2::Error) -> SourceError {
    SourceError::Damaged { path: here.path().to_owned(), why: error.message().to_owned() }
}
