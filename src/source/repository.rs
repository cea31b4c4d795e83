//! Repository: fetching candidates into the clone in the state folder.
//!
//! The clone is bare and ours: made here, without hooks, without a checkout, and where it was cloned from cannot put
//! anything into it but objects (trust.md, R8). It has two references:
//!
//! - `refs/shoestring/candidate`: what the git host last offered; nobody has judged it yet.
//! - `refs/shoestring/applied`: what is applied, so that its objects are never collected.
//!
//! Nothing is missing of either: the references are set only when all that belongs to them is here.

use std::path::PathBuf;
use std::time::Duration;

use git2::Oid;

use super::SourceError;
use super::clone::{self, Size};
use super::history::{oid, revision};
use super::transport::{self, Address, Budget, Wanted};
use crate::config::LocalConfig;
use crate::names::Revision;

/// The clone, in the state folder.
pub(super) const DIRECTORY: &str = "repository.git";
/// What is applied.
pub(super) const APPLIED: &str = "refs/shoestring/applied";
/// What was offered last.
pub(super) const CANDIDATE: &str = "refs/shoestring/candidate";

/// The clone is measured once in so many fetches that brought something.
const MEASURE_EVERY: u32 = 32;
/// With more files than this beyond what is applied, the clone is packed by being made anew.
const LOOSE_FILES: u64 = 10_000;

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

/// What git clients take from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `GIT_SSH_COMMAND`: run, by a shell, in the place of `ssh`.
    pub ssh_command: Option<String>,
    /// `SSL_CERT_FILE`: the authorities to trust instead of those compiled in, in PEM.
    pub certificates: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            ssh_command: set("GIT_SSH_COMMAND").and_then(|command| command.into_string().ok()),
            certificates: set("SSL_CERT_FILE").map(PathBuf::from),
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
    environment: Environment,
    /// Fetches that brought something since the clone was opened.
    fetched: u32,
    /// How large it was when it was last made anew.
    floor: Size,
}

impl Repository {
    /// Opens the clone in the state folder. One that is damaged is made anew, with what is applied as far as that
    /// can be read; the ledger is kept elsewhere.
    ///
    /// # Errors
    /// When the address cannot be fetched from, or the state folder cannot be used.
    pub fn open(config: &LocalConfig) -> Result<Self, SourceError> {
        Self::open_with(config, Limits::default(), Environment::read())
    }

    /// The same, with limits and an environment of one's own.
    pub fn open_with(
        config: &LocalConfig,
        limits: Limits,
        environment: Environment,
    ) -> Result<Self, SourceError> {
        let address = config.repository.parse()?;
        if !git2::Reference::is_valid_name(&format!("refs/heads/{}", config.branch)) {
            let why = format!("{:?} is not the name of a branch", config.branch);
            return Err(SourceError::Address { address: config.repository.clone(), why });
        }
        let path = config.state.join(DIRECTORY);
        let git = clone::open(&path)?;
        let branch = config.branch.clone();
        Ok(Self { git, path, address, branch, limits, environment, fetched: 0, floor: Size::default() })
    }

    /// The clone, for reading objects.
    pub fn git(&self) -> &git2::Repository {
        &self.git
    }

    /// Fetches the branch, and nothing else, and returns its tip: a candidate, which nobody has judged yet. Finding
    /// the clone damaged, makes it anew and tries once more.
    ///
    /// # Errors
    /// In every case what is applied stays; see [`SourceError::class`] for what to do. With
    /// [`SourceError::Refused`], what came before the refused commit may be a candidate yet: see
    /// [`Repository::candidate`].
    pub fn fetch(&mut self) -> Result<Revision, SourceError> {
        match self.try_fetch() {
            Err(SourceError::Damaged { why, .. }) => {
                self.anew(&why)?;
                self.try_fetch()
            }
            other => other,
        }
    }

    fn try_fetch(&mut self) -> Result<Revision, SourceError> {
        let mut budget = Budget::new(self.address.to_string(), self.limits);
        let reference = format!("refs/heads/{}", self.branch);
        clone::begin_fetch(&self.path)?;
        let wanted = Wanted { reference: &reference, here: &self.git, whole: &self.whole() };
        let taken = transport::fetch(&self.address, &self.environment, &wanted, &mut budget);
        let is_new = match &taken {
            Ok(Some(taken)) if self.candidate() != Some(revision(taken.commit)) => {
                self.set(CANDIDATE, taken.commit)?;
                true
            }
            Ok(_) | Err(_) => false,
        };
        clone::end_fetch(&self.path)?;
        let taken = taken?.ok_or_else(|| SourceError::NoBranch {
            address: self.address.to_string(),
            branch: self.branch.clone(),
        })?;
        if is_new {
            self.tidy()?;
        }
        match taken.refused {
            Some(refused) => Err(refused),
            None => Ok(revision(taken.commit)),
        }
    }

    /// The newest commit that a fetch brought here whole, over restarts.
    pub fn candidate(&self) -> Option<Revision> {
        self.git.refname_to_id(CANDIDATE).ok().map(revision)
    }

    /// Keeps the objects of an applied revision for good.
    ///
    /// # Errors
    /// When the revision is not here, or the clone cannot be written.
    pub fn keep_applied(&self, applied: Revision) -> Result<(), SourceError> {
        self.set(APPLIED, oid(applied))
    }

    fn set(&self, reference: &str, to: Oid) -> Result<(), SourceError> {
        let set = self.git.reference(reference, to, true, "");
        set.map(drop).map_err(|error| SourceError::Damaged {
            path: self.path.clone(),
            why: error.message().to_owned(),
        })
    }

    /// The commits of which nothing is missing here.
    fn whole(&self) -> Vec<Oid> {
        [CANDIDATE, APPLIED].iter().filter_map(|name| self.git.refname_to_id(name).ok()).collect()
    }

    /// Makes the clone anew when refused candidates, or many small files, have made it large.
    fn tidy(&mut self) -> Result<(), SourceError> {
        self.fetched += 1;
        if self.fetched % MEASURE_EVERY != 1 {
            return Ok(());
        }
        let size = clone::size(&self.path);
        let too_many_bytes = size.bytes > (2 * self.floor.bytes).saturating_add(2 * self.limits.bytes);
        if too_many_bytes || size.files > self.floor.files + LOOSE_FILES {
            let candidate = self.git.refname_to_id(CANDIDATE).ok();
            self.anew(&format!("it has {} files of {} bytes in all", size.files, size.bytes))?;
            // What was just fetched is wanted now; it is fetched again.
            if candidate.is_some() {
                self.try_fetch()?;
            }
        }
        Ok(())
    }

    fn anew(&mut self, why: &str) -> Result<(), SourceError> {
        self.git = clone::anew(&self.path, why)?;
        self.floor = clone::size(&self.path);
        Ok(())
    }
}
