//! Repository: the bare repository that every node watches, and the operator who pushes to it.

use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, RepositoryOpenFlags, Signature};
use ssh_key::PrivateKey;

use super::draft::Draft;
use super::sandbox::WORK;
use super::{Context, SimulationError};
use crate::names::Revision;
use crate::source::history::read_tree;
use crate::source::sign;

/// The branch that the nodes follow.
pub(crate) const BRANCH: &str = "main";

/// Where the nodes fetch from.
pub(crate) fn bare() -> PathBuf {
    Path::new(WORK).join("network.git")
}

/// The operator's private key, for whoever goes inside to push something of their own.
pub(crate) fn key_file() -> PathBuf {
    Path::new(WORK).join("operator.key")
}

/// The operator's end: a clone to commit in, and a key to sign with.
pub(crate) struct Operator {
    clone: Repository,
    key: PrivateKey,
    tip: Oid,
}

impl Operator {
    /// Makes the bare repository, and a clone and a key for an operator. Nothing is committed yet.
    pub(crate) fn create() -> Result<Self, SimulationError> {
        let operation = || "make the repository".into();
        Repository::init_bare(bare()).context(operation)?;
        let clone = Repository::init_bare(Path::new(WORK).join("operator.git")).context(operation)?;
        let key = sign::new_key("operator@simulation").context(|| "make the operator's key".into())?;
        key.write_openssh_file(&key_file(), ssh_key::LineEnding::LF)
            .context(|| "keep the operator's key".into())?;
        Ok(Self { clone, key, tip: Oid::ZERO_SHA1 })
    }

    /// The operator's public key, as a trust file has it.
    pub(crate) fn public_key(&self) -> Result<String, SimulationError> {
        self.key.public_key().to_openssh().context(|| "write the operator's public key".into())
    }

    /// Takes the history of a folder that is the top of a repository: its tip's files. `None` if it is not one.
    pub(crate) fn adopt(&mut self, folder: &Path) -> Result<Option<Draft>, SimulationError> {
        // The folder itself, not a repository around it.
        let nowhere = std::iter::empty::<&std::ffi::OsStr>();
        let flags = RepositoryOpenFlags::NO_SEARCH;
        let given = match Repository::open_ext(folder, flags, nowhere) {
            Ok(given) => given,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error).context(|| format!("open the repository {}", folder.display())),
        };
        let operation = || format!("take the history of {}", folder.display());
        let tip = match given.head() {
            Ok(head) => head.peel_to_commit().context(operation)?.id(),
            // A repository without a commit is a folder.
            Err(error) if error.code() == git2::ErrorCode::UnbornBranch => return Ok(None),
            Err(error) => return Err(error).context(operation),
        };
        let path = given.path().to_str().ok_or("the path is not UTF-8").context(operation)?;
        let mut remote = self.clone.remote_anonymous(path).context(operation)?;
        remote.fetch(&["+HEAD:refs/heads/given"], None, None).context(operation)?;
        drop(remote);
        self.tip = tip;
        let tree = read_tree(&self.clone, revision(tip), None).context(operation)?;
        Ok(Some(Draft::of(&tree)))
    }

    /// Commits exactly these files on top of the tip, signed, and moves the tip there.
    pub(crate) fn commit_all(&mut self, draft: &Draft, message: &str) -> Result<Revision, SimulationError> {
        let operation = || format!("commit {message:?}");
        let tree = self.write_tree(
            None,
            draft.files.iter().map(|(path, bytes)| (path.as_str(), Some(bytes.as_slice()))),
        )?;
        let parents: Vec<Oid> = (!self.tip.is_zero()).then_some(self.tip).into_iter().collect();
        let author = author()?;
        self.tip = sign::commit_signed(&self.clone, &parents, tree, message, &author, &self.key)
            .context(operation)?;
        Ok(revision(self.tip))
    }

    /// Commits changes on top of the tip and moves the tip there: signed, or not.
    pub(crate) fn commit(
        &mut self,
        changes: &[(&str, Option<&[u8]>)],
        message: &str,
        signed: bool,
    ) -> Result<Revision, SimulationError> {
        let operation = || format!("commit {message:?}");
        let before = self.clone.find_commit(self.tip).and_then(|tip| tip.tree()).context(operation)?;
        let tree = self.write_tree(Some(before), changes.iter().copied())?;
        let author = author()?;
        self.tip = if signed {
            sign::commit_signed(&self.clone, &[self.tip], tree, message, &author, &self.key)
                .context(operation)?
        } else {
            let tree = self.clone.find_tree(tree).context(operation)?;
            let parent = self.clone.find_commit(self.tip).context(operation)?;
            self.clone.commit(None, &author, &author, message, &tree, &[&parent]).context(operation)?
        };
        Ok(revision(self.tip))
    }

    /// Commits what `change` makes of the files, signed, and pushes it.
    pub(crate) fn change(
        &mut self,
        message: &str,
        change: impl FnOnce(&mut Draft) -> Result<(), SimulationError>,
    ) -> Result<Revision, SimulationError> {
        let before = self.draft()?;
        let mut draft = before.clone();
        change(&mut draft)?;
        let changed = draft.files.iter().filter(|(path, text)| before.files.get(*path) != Some(text));
        let changes: Vec<_> = changed.map(|(path, text)| (path.as_str(), Some(text.as_slice()))).collect();
        let revision = self.commit(&changes, message, true)?;
        self.push(false)?;
        Ok(revision)
    }

    fn write_tree<'a>(
        &self,
        before: Option<git2::Tree<'_>>,
        changes: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Oid, SimulationError> {
        let operation = || "write a commit's files".into();
        let mut update = TreeUpdateBuilder::new();
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => {
                    let blob = self.clone.blob(bytes).context(operation)?;
                    update.upsert(path, blob, FileMode::Blob);
                }
                None => {
                    update.remove(path);
                }
            }
        }
        let before = match before {
            Some(tree) => tree,
            None => {
                let empty = self.clone.treebuilder(None).and_then(|tree| tree.write()).context(operation)?;
                self.clone.find_tree(empty).context(operation)?
            }
        };
        update.create_updated(&self.clone, &before).context(operation)
    }

    /// The files at the tip.
    pub(crate) fn draft(&self) -> Result<Draft, SimulationError> {
        let tree = read_tree(&self.clone, self.tip(), None).context(|| "read the tip".into())?;
        Ok(Draft::of(&tree))
    }

    /// The tip.
    pub(crate) fn tip(&self) -> Revision {
        revision(self.tip)
    }

    /// The tip's first parent, if it has one.
    pub(crate) fn parent_of_tip(&self) -> Option<Revision> {
        let parent = self.clone.find_commit(self.tip).and_then(|tip| tip.parent_id(0)).ok()?;
        Some(revision(parent))
    }

    /// Moves the operator's tip, without a commit.
    pub(crate) fn reset(&mut self, to: Revision) -> Result<(), SimulationError> {
        self.tip = Oid::from_bytes(&to.0).context(|| format!("go to {}", to.short()))?;
        Ok(())
    }

    /// `git push`, or `git push --force`.
    pub(crate) fn push(&self, force: bool) -> Result<(), SimulationError> {
        let operation = || format!("push {}", revision(self.tip).short());
        sign::set_branch(&self.clone, BRANCH, self.tip).context(operation)?;
        let bare = bare();
        let path = bare.to_str().ok_or("the path is not UTF-8").context(operation)?;
        let mut remote = self.clone.remote_anonymous(path).context(operation)?;
        let force = if force { "+" } else { "" };
        remote.push(&[format!("{force}refs/heads/{BRANCH}:refs/heads/{BRANCH}")], None).context(operation)
    }
}

fn author() -> Result<Signature<'static>, SimulationError> {
    Signature::now("Operator", "operator@simulation.example").context(|| "name the operator".into())
}

fn revision(id: Oid) -> Revision {
    Revision(id.as_bytes().try_into().expect("a SHA-1 object id has 20 octets"))
}
