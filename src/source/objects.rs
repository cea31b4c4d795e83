//! Objects: the raw bytes of the repository's objects, each with a limit.
//!
//! Read straight from the object database: replace refs, grafts, attributes and the working tree are of the
//! porcelain and have no say here. libgit2 hashes every object that it reads (strict hash verification is its
//! default), so the bytes are those that the id names.

use git2::{ObjectType, Odb, Repository};

use super::history::oid;
use super::hygiene::Limits;
use crate::names::Revision;

/// An object of the given kind.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is not in the database, or the database cannot give it.
    #[error("cannot read the object {id}: {source}")]
    Read {
        /// Which.
        id: Revision,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// It is something else.
    #[error("the object {id} is a {found}, where a {expected} was expected")]
    Kind {
        /// Which.
        id: Revision,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// It is larger than allowed.
    #[error("the {kind} {id} has {size} bytes; at most {limit} are allowed")]
    Size {
        /// Which.
        id: Revision,
        /// What it is.
        kind: &'static str,
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
}

/// The object database of one repository.
pub(super) struct Objects<'a> {
    database: Odb<'a>,
    /// The sizes that are accepted.
    pub(super) limits: Limits,
}

impl<'a> Objects<'a> {
    /// Opens the database of a repository.
    pub(super) fn open(repository: &'a Repository, limits: Limits) -> Result<Self, git2::Error> {
        Ok(Self { database: repository.odb()?, limits })
    }

    /// A commit's bytes.
    pub(super) fn commit(&self, id: Revision) -> Result<Vec<u8>, ObjectError> {
        self.read(id, ObjectType::Commit, "commit", self.limits.commit_bytes)
    }

    /// A tree's bytes.
    pub(super) fn tree(&self, id: Revision) -> Result<Vec<u8>, ObjectError> {
        self.read(id, ObjectType::Tree, "tree", self.limits.tree_bytes)
    }

    /// A file's bytes.
    pub(super) fn blob(&self, id: Revision) -> Result<Vec<u8>, ObjectError> {
        self.read(id, ObjectType::Blob, "blob", self.limits.blob_bytes)
    }

    /// A file's size, without reading it.
    pub(super) fn blob_size(&self, id: Revision) -> Result<u64, ObjectError> {
        self.size(id, ObjectType::Blob, "blob", self.limits.blob_bytes)
    }

    fn size(
        &self,
        id: Revision,
        expected: ObjectType,
        kind: &'static str,
        limit: u64,
    ) -> Result<u64, ObjectError> {
        let (size, found) =
            self.database.read_header(oid(id)).map_err(|source| ObjectError::Read { id, source })?;
        if found != expected {
            return Err(ObjectError::Kind { id, found: found.to_string(), expected: kind });
        }
        let size = size as u64;
        if size > limit {
            return Err(ObjectError::Size { id, kind, size, limit });
        }
        Ok(size)
    }

    fn read(
        &self,
        id: Revision,
        expected: ObjectType,
        kind: &'static str,
        limit: u64,
    ) -> Result<Vec<u8>, ObjectError> {
        self.size(id, expected, kind, limit)?;
        let object = self.database.read(oid(id)).map_err(|source| ObjectError::Read { id, source })?;
        Ok(object.data().to_vec())
    }
}
