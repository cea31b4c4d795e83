//! Verify: how far along its first-parent chain a candidate can be believed.
//!
//! ```text
//! base ──→ c1 ──→ c2 ──→ … ──→ candidate          (first parents)
//!   │       └ judged by the trust.yaml of base: signed? by whom? may they change these paths?
//!   └ the applied revision, or what the local configuration pins
//! ```
//!
//! - R1: without an applied revision the chain begins at the pin. A pinned commit need not be the root: a node that
//!   joins, or that is stuck behind a revoked key, can be told to begin at a later one.
//! - R2: each commit is judged by its first parent. The first that fails ends it; all before it count.
//! - R3: every path of the first-parent diff must be allowed to the signer.
//! - R5: the candidate must have the applied revision on its chain.
//! - R7: dates of commits are not read. What `revoked` does is told in `revocation`.
//! - R8: whatever is not a plain file in a plain folder ends the chain.

mod base;
mod chain;
mod contents;
mod judge;
mod revocation;

use std::sync::Arc;
use std::time::SystemTime;

use git2::Repository;
use serde::{Deserialize, Serialize};

use super::history;
use super::hygiene::{Limits, Unclean, Usage};
use super::objects::{ObjectError, Objects};
use super::trust::Trust;
use crate::config::Pin;
use crate::names::{NetworkName, PrincipalName, Revision};
use crate::status::Refusal;
use crate::tree::Tree;

/// What a candidate is held against.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The network's name; `network.yaml` must not say another.
    pub network: NetworkName,
    /// What the history must begin with.
    pub pin: Pin,
    /// How much is read.
    pub limits: Limits,
    /// The time of verification. Only the expiry of OpenPGP keys is held against it.
    pub now: SystemTime,
}

/// A revision whose every commit since the pin was judged and found good. Only this module makes one.
#[derive(Debug, Clone)]
pub struct VerifiedRevision {
    revision: Revision,
    trust: Arc<Trust>,
    tree: Arc<Tree>,
    usage: Usage,
}

impl VerifiedRevision {
    /// Which commit.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Its trust file, which judges what comes next.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Its files.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// What came of a candidate.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The furthest good revision, which may be the applied one itself; `None` when not even that can be had.
    pub verified: Option<VerifiedRevision>,
    /// Where it stopped before the candidate, and why.
    pub refused: Option<Refusal>,
    /// The commits after the base that were found good, oldest first.
    pub judged: Vec<Judged>,
}

/// A commit that was found good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Which.
    pub revision: Revision,
    /// Who signed it.
    pub signer: PrincipalName,
    /// With which key.
    pub fingerprint: String,
    /// What it changed.
    pub paths: Vec<String>,
}

/// Verification could not be done. Nothing is known about the candidate then.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The object database cannot be opened.
    #[error("cannot open the object database: {0}")]
    Repository(#[from] git2::Error),
    /// The files of a good revision cannot be read.
    #[error("cannot read the files of {revision}: {source}")]
    Files {
        /// Of which.
        revision: Revision,
        /// What failed.
        source: super::SourceError,
    },
}

/// Judges `candidate`, from the last applied revision on, or from the pin where none was applied yet.
///
/// `applied == candidate` gives the applied revision again, as at the agent's start.
pub fn verify(
    repository: &Repository,
    terms: &Terms,
    applied: Option<Revision>,
    candidate: Revision,
) -> Result<Verification, VerifyError> {
    run(repository, terms, applied, None, candidate)
}

/// As [`verify`], on top of a revision that is still in memory: only what came since is read.
pub fn verify_after(
    repository: &Repository,
    terms: &Terms,
    applied: &VerifiedRevision,
    candidate: Revision,
) -> Result<Verification, VerifyError> {
    run(repository, terms, Some(applied.revision), Some(applied), candidate)
}

/// A revision that lies before a verified one on its first-parent chain, the pinned one or later: every commit there was
/// judged on the way, so it is verified as well. `None` where it does not, or cannot be read any more.
///
/// # Errors
/// As [`verify`].
pub fn verify_earlier(
    repository: &Repository,
    terms: &Terms,
    verified: &VerifiedRevision,
    earlier: Revision,
) -> Result<Option<VerifiedRevision>, VerifyError> {
    let judge = Judge { objects: Objects::open(repository, terms.limits)?, terms };
    if !judge.is_on_chain(verified.revision, earlier) {
        return Ok(None);
    }
    match judge.kept(earlier, None) {
        Ok(State { revision, trust, usage, .. }) => {
            let tree = history::read_tree(repository, revision, None)
                .map_err(|source| VerifyError::Files { revision, source })?;
            Ok(Some(VerifiedRevision { revision, trust, tree: Arc::new(tree), usage }))
        }
        Err(_) => Ok(None),
    }
}

fn run(
    repository: &Repository,
    terms: &Terms,
    applied: Option<Revision>,
    previous: Option<&VerifiedRevision>,
    candidate: Revision,
) -> Result<Verification, VerifyError> {
    let judge = Judge { objects: Objects::open(repository, terms.limits)?, terms };
    let (states, judged, refused) = judge.walk(applied, previous, candidate);
    if let Some(Refusal { revision, rule, why }) = &refused {
        // R5 is somebody turning back the branch: an alarm, not a mistake in a file.
        if rule == "R5" {
            tracing::error!(%revision, rule, why, alarm = true, "candidate refused");
        } else {
            tracing::warn!(%revision, rule, why, "candidate refused");
        }
    }
    let verified = match states.into_iter().next_back() {
        None => None,
        Some(state) if previous.is_some_and(|previous| previous.revision == state.revision) => {
            previous.cloned()
        }
        Some(State { revision, trust, usage, .. }) => {
            let before = previous.map(|previous| (&previous.revision, previous.tree()));
            let tree = history::read_tree(repository, revision, before)
                .map_err(|source| VerifyError::Files { revision, source })?;
            Some(VerifiedRevision { revision, trust, tree: Arc::new(tree), usage })
        }
    };
    Ok(Verification { verified, refused, judged })
}

struct Judge<'a> {
    objects: Objects<'a>,
    terms: &'a Terms,
}

/// A good commit and what the next one is judged by.
#[derive(Clone)]
struct State {
    revision: Revision,
    tree: Revision,
    trust: Arc<Trust>,
    usage: Usage,
    /// The fingerprints that answer for its signature; none for the base, which is not judged here.
    fingerprints: Vec<String>,
    /// Whether it revokes the key that signed it.
    revokes_itself: bool,
}

/// A rule that was not kept, and how.
struct Broken {
    rule: &'static str,
    why: String,
}

fn broken<T>(rule: &'static str, why: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { rule, why: why.into() })
}

impl From<Unclean> for Broken {
    fn from(unclean: Unclean) -> Self {
        Self { rule: "R8", why: unclean.to_string() }
    }
}

impl From<ObjectError> for Broken {
    fn from(error: ObjectError) -> Self {
        Self { rule: "R8", why: error.to_string() }
    }
}

fn refusal(revision: Revision, Broken { rule, why }: Broken) -> Refusal {
    Refusal { revision, rule: rule.to_owned(), why }
}

/// The good states, oldest first; the commits judged; where it ended.
type Walk = (Vec<State>, Vec<Judged>, Option<Refusal>);

impl Judge<'_> {
    fn walk(
        &self,
        applied: Option<Revision>,
        previous: Option<&VerifiedRevision>,
        candidate: Revision,
    ) -> Walk {
        let chain = match self.chain(applied, candidate) {
            Ok(chain) => chain,
            Err(refused) => {
                let kept = applied.and_then(|applied| self.kept(applied, previous).ok());
                return (kept.into_iter().collect(), Vec::new(), Some(refused));
            }
        };
        let Some((&base, rest)) = chain.split_first() else {
            return (Vec::new(), Vec::new(), None);
        };
        let base = if applied == Some(base) { self.kept(base, previous) } else { self.introduce(base) };
        let mut states = match base {
            Ok(state) => vec![state],
            Err(refused) => return (Vec::new(), Vec::new(), Some(refused)),
        };
        let mut judged = Vec::new();
        let mut refused = None;
        for &revision in rest {
            let parent = &states[states.len() - 1];
            match self.judge(parent, revision) {
                Ok((state, verdict)) => {
                    states.push(state);
                    judged.push(verdict);
                }
                Err(broken) => {
                    refused = Some(refusal(revision, broken));
                    break;
                }
            }
        }
        if let Some((index, broken)) = revocation::revocation(&states) {
            refused = Some(refusal(states[index].revision, broken));
            states.truncate(index);
            judged.truncate(index - 1);
        }
        (states, judged, refused)
    }
}
