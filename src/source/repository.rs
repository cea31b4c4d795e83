//! Repository: the clone in the state folder, and fetching into it.
//!
//! The clone is bare and ours: made here, without hooks, without a checkout, and what it was cloned from cannot put
//! anything into it but objects (trust.md, R8). It has two references, and git clients elsewhere are never asked to
//! write into it:
//!
//! - `refs/shoestring/candidate`: what the git host last offered; nobody has judged it yet.
//! - `refs/shoestring/applied`: what is applied, so that its objects are never collected.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorCode, ObjectType, RepositoryInitOptions};

use super::SourceError;
use super::history::{oid, revision};
use super::transport::{Address, Budget, local};
use crate::config::LocalConfig;
use crate::names::Revision;

/// The clone, in the state folder.
pub(super) const DIRECTORY: &str = "repository.git";
/// What is applied.
pub(super) const APPLIED: &str = "refs/shoestring/applied";
/// What was offered last.
const CANDIDATE: &str = "refs/shoestring/candidate";

/// How much one fetch may bring, and how long it may take (trust.md, R8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets received; for a local repository, octets of objects copied.
    pub bytes: u64,
    /// Objects received.
    pub objects: usize,
    /// Octets of one object.
    pub object_bytes: u64,
    /// From start to end.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            objects: 2_000_000,
            object_bytes: 32 << 20,
            timeout: Duration::from_secs(300),
        }
    }
}

/// The clone of one network's repository. Its functions block.
pub struct Repository {
    git: git2::Repository,
    path: PathBuf,
    address: Address,
    branch: String,
    limits: Limits,
}

impl Repository {
    /// Opens the clone in the state folder. One that is damaged is made anew, empty; the ledger is kept elsewhere.
    ///
    /// # Errors
    /// When the address cannot be fetched from, or the state folder cannot be used.
    pub fn open(config: &LocalConfig) -> Result<Self, SourceError> {
        Self::open_with(config, Limits::default())
    }

    /// The same, with limits of one's own.
    pub fn open_with(config: &LocalConfig, limits: Limits) -> Result<Self, SourceError> {
        let address = config.repository.parse()?;
        if !git2::Reference::is_valid_name(&format!("refs/heads/{}", config.branch)) {
            let why = format!("{:?} is not the name of a branch", config.branch);
            return Err(SourceError::Address { address: config.repository.clone(), why });
        }
        // An object whose bytes do not hash to its name is not that object.
        git2::opts::strict_hash_verification(true);
        let path = config.state.join(DIRECTORY);
        let git = match git2::Repository::open_bare(&path) {
            Ok(git) => match sound(&git) {
                Ok(()) => git,
                Err(error) => anew(&path, error.message())?,
            },
            Err(error) if error.code() == ErrorCode::NotFound && !path.exists() => init(&path)?,
            Err(error) => anew(&path, error.message())?,
        };
        Ok(Self { git, path, address, branch: config.branch.clone(), limits })
    }

    /// The clone, for reading objects.
    pub fn git(&self) -> &git2::Repository {
        &self.git
    }

    /// Fetches the branch, and nothing else, and returns its tip: a candidate, which nobody has judged yet.
    ///
    /// # Errors
    /// In every case what was fetched before stays; see [`SourceError::class`] for what to do.
    pub fn fetch(&self) -> Result<Revision, SourceError> {
        let mut budget = Budget::new(self.address.to_string(), self.limits);
        let reference = format!("refs/heads/{}", self.branch);
        let tip = match &self.address {
            Address::Local(path) => local::fetch(path, &reference, &self.git, &mut budget)?,
            Address::Http(_) | Address::Ssh(_) => {
                return Err(SourceError::Address {
                    address: self.address.to_string(),
                    why: "this kind of address comes later".to_owned(),
                });
            }
        };
        let tip = tip.ok_or_else(|| SourceError::NoBranch {
            address: self.address.to_string(),
            branch: self.branch.clone(),
        })?;
        let commit = self.git.find_commit(tip).map_err(|error| self.damaged(&error))?;
        self.git.reference(CANDIDATE, commit.id(), true, "").map_err(|error| self.damaged(&error))?;
        Ok(revision(tip))
    }

    /// The candidate of the last fetch that went well, over restarts.
    pub fn candidate(&self) -> Option<Revision> {
        self.git.refname_to_id(CANDIDATE).ok().map(revision)
    }

    /// Keeps the objects of an applied revision for good.
    pub fn keep_applied(&self, applied: Revision) -> Result<(), SourceError> {
        self.git.reference(APPLIED, oid(applied), true, "").map_err(|error| self.damaged(&error))?;
        Ok(())
    }

    fn damaged(&self, error: &git2::Error) -> SourceError {
        SourceError::Damaged { path: self.path.clone(), why: error.message().to_owned() }
    }
}

/// Whether every object of the applied revision can be read.
fn sound(git: &git2::Repository) -> Result<(), git2::Error> {
    let applied = match git.find_reference(APPLIED) {
        Ok(applied) => applied,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let odb = git.odb()?;
    let mut failed = Ok(());
    applied.peel_to_tree()?.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
        let read = match entry.kind() {
            Some(ObjectType::Blob) => odb.read(entry.id()).map(drop),
            // The walk itself reads folders, and ends where it cannot.
            _ => Ok(()),
        };
        match read {
            Ok(()) => git2::TreeWalkResult::Ok,
            Err(error) => {
                failed = Err(error);
                git2::TreeWalkResult::Abort
            }
        }
    })?;
    failed
}

fn init(path: &Path) -> Result<git2::Repository, SourceError> {
    let options = &mut RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true).mkpath(true).initial_head("main");
    git2::Repository::init_opts(path, options).map_err(|error| SourceError::State {
        operation: "make",
        path: path.to_owned(),
        source: io::Error::other(error.message().to_owned()),
    })
}

/// Puts an empty clone in the place of a damaged one.
fn anew(path: &Path, why: &str) -> Result<git2::Repository, SourceError> {
    tracing::warn!(path = %path.display(), why, "the clone is damaged; it is made anew");
    fs::remove_dir_all(path).map_err(|source| SourceError::State {
        operation: "remove",
        path: path.to_owned(),
        source,
    })?;
    init(path)
}
