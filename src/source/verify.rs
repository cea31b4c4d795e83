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
//! - R7: dates of commits are not read. See [`revocation`] for `revoked`.
//! - R8: whatever is not a plain file in a plain folder ends the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use git2::Repository;
use serde::{Deserialize, Serialize};

use super::commit::Commit;
use super::history;
use super::hygiene::{self, Change, Kind, Limits, Unclean, Usage};
use super::objects::{ObjectError, Objects};
use super::signature::{self, Key, Verdict, ssh};
use super::trust::{self, Lack, Trust, canonical_fingerprint};
use crate::config::Pin;
use crate::desired::files::yaml;
use crate::finding::Finding;
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
        if let Some((index, broken)) = revocation(&states) {
            refused = Some(refusal(states[index].revision, broken));
            states.truncate(index);
            judged.truncate(index - 1);
        }
        (states, judged, refused)
    }

    /// The first-parent chain, oldest first, from the base (included) to the candidate.
    fn chain(&self, applied: Option<Revision>, candidate: Revision) -> Result<Vec<Revision>, Refusal> {
        let pin = match &self.terms.pin {
            Pin::Root(revision) => Some(*revision),
            Pin::Signers(_) => None,
        };
        let mut chain = vec![];
        let mut pinned_at = None;
        let mut next = Some(candidate);
        while let Some(revision) = next {
            chain.push(revision);
            if pin == Some(revision) && pinned_at.is_none() {
                pinned_at = Some(chain.len());
            }
            if Some(revision) == applied || (applied.is_none() && pinned_at.is_some()) {
                // A pin that was moved past the applied revision takes its place: the local configuration decides.
                chain.truncate(pinned_at.unwrap_or(chain.len()));
                chain.reverse();
                return Ok(chain);
            }
            if chain.len() > self.terms.limits.chain {
                let why = format!(
                    "more than {} commits since what is known: let the operator check them, and pin a later one",
                    self.terms.limits.chain
                );
                return Err(refusal(candidate, Broken { rule: "R8", why }));
            }
            let raw = self.objects.commit(revision).map_err(|error| refusal(revision, error.into()))?;
            next = first_parent(&raw);
        }
        let root = chain[chain.len() - 1];
        match (applied, &self.terms.pin) {
            (Some(applied), _) => Err(refusal(candidate, self.not_forward(applied, candidate))),
            (None, Pin::Root(pin)) => {
                let why = format!(
                    "the history of {candidate} begins at {root} and does not hold the pinned commit {pin}: this \
                     is another repository, or the local configuration pins the wrong commit"
                );
                Err(refusal(root, Broken { rule: "R1", why }))
            }
            (None, Pin::Signers(_)) => {
                chain.reverse();
                Ok(chain)
            }
        }
    }

    /// R5: a rewind and a fork read differently to the one who has to find out.
    fn not_forward(&self, applied: Revision, candidate: Revision) -> Broken {
        let mut next = Some(applied);
        for _ in 0..self.terms.limits.chain {
            let Some(revision) = next else { break };
            if revision == candidate {
                let why = format!(
                    "the branch was turned back from {applied}, which is applied, to the older {candidate}; to go \
                     back, revert with a new commit on top of {applied}"
                );
                return Broken { rule: "R5", why };
            }
            next = self.objects.commit(revision).ok().and_then(|raw| first_parent(&raw));
        }
        let why = format!(
            "the branch does not descend from {applied}, which is applied: its history was forked or replaced; put \
             the change on top of {applied}"
        );
        Broken { rule: "R5", why }
    }

    /// The applied revision, which was judged before it was applied.
    fn kept(&self, applied: Revision, previous: Option<&VerifiedRevision>) -> Result<State, Refusal> {
        let state = || {
            let commit = self.commit(applied)?;
            let Some(VerifiedRevision { trust, usage, .. }) = previous else {
                return self.base(applied, commit.tree);
            };
            Ok(State {
                revision: applied,
                tree: commit.tree,
                trust: trust.clone(),
                usage: *usage,
                fingerprints: Vec::new(),
                revokes_itself: false,
            })
        };
        state().map_err(|broken| refusal(applied, broken))
    }

    /// R1: the commit that the local configuration vouches for.
    fn introduce(&self, revision: Revision) -> Result<State, Refusal> {
        let state = || {
            let commit = self.commit(revision)?;
            let state = match &self.terms.pin {
                Pin::Root(_) => self.base(revision, commit.tree)?,
                Pin::Signers(fingerprints) => {
                    let trust = self.trust(commit.tree)?;
                    self.signed_by_pin(&commit, &trust, fingerprints)?;
                    self.base(revision, commit.tree)?
                }
            };
            Ok(state)
        };
        state().map_err(|broken| refusal(revision, broken))
    }

    fn signed_by_pin(&self, commit: &Commit, trust: &Trust, pinned: &[String]) -> Result<(), Broken> {
        let Some(signature) = &commit.signature else {
            return broken(
                "R1",
                "the root commit is not signed, and the local configuration pins its signers",
            );
        };
        let pinned: BTreeSet<String> =
            pinned.iter().filter_map(|fingerprint| canonical_fingerprint(fingerprint)).collect();
        let is_pinned = |key: &Key| key.fingerprints().first().is_some_and(|first| pinned.contains(first));
        // An SSH signature brings its key along; an OpenPGP key is found by the root's own trust file.
        let claimed = ssh::claimed_key(&signature.armored).map(|key| Key::Ssh(Box::new(key)));
        let keys: Vec<&Key> = claimed
            .iter()
            .chain(trust.keys.iter().map(|(_, key)| key))
            .filter(|key| is_pinned(key))
            .collect();
        match signature::verify(&signature.armored, &signature.payload, &keys, self.terms.now) {
            Verdict::Good { .. } => Ok(()),
            Verdict::Bad(why) => broken("R1", format!("the root commit's signature is wrong: {why}")),
            Verdict::Unknown(why) => {
                broken("R1", format!("the root commit is not signed by one of the pinned keys: {why}"))
            }
        }
    }

    fn base(&self, revision: Revision, tree: Revision) -> Result<State, Broken> {
        let mut usage = Usage::default();
        let changes = hygiene::changes(&self.objects, None, tree, &mut usage)?;
        let trust = Arc::new(self.trust(tree)?);
        self.same_network(&changes)?;
        Ok(State { revision, tree, trust, usage, fingerprints: Vec::new(), revokes_itself: false })
    }

    fn commit(&self, revision: Revision) -> Result<Commit, Broken> {
        let raw = self.objects.commit(revision)?;
        Commit::parse(&raw).map_err(|error| Broken { rule: "R8", why: error.to_string() })
    }

    /// One commit by its first parent.
    fn judge(&self, parent: &State, revision: Revision) -> Result<(State, Judged), Broken> {
        let commit = self.commit(revision)?;
        if commit.parents.first() != Some(&parent.revision) {
            return broken("R8", "the commit's parents read differently a second time");
        }
        let (signer, fingerprints) = self.signer(&commit, &parent.trust)?;
        let mut usage = parent.usage;
        let changes = hygiene::changes(&self.objects, Some(parent.tree), commit.tree, &mut usage)?;
        let trust = self.next_trust(parent, commit.tree, &changes)?;
        let signed = BTreeSet::from([signer.clone()]);
        for path in changes.keys() {
            allowed(&parent.trust, path, &signed, path)?;
            if parent.trust.key_files.contains(path) || trust.key_files.contains(path) {
                // Whose key counts as whose is what the trust file says, in another file.
                allowed(&parent.trust, trust::PATH, &signed, path)?;
            }
        }
        self.same_network(&changes)?;
        let revoked = |trust: &Trust| fingerprints.iter().any(|one| trust.revoked.contains(one));
        let revokes_itself = revoked(&trust) && !revoked(&parent.trust);
        let fingerprint = fingerprints.last().cloned().unwrap_or_default();
        let judged = Judged { revision, signer, fingerprint, paths: changes.into_keys().collect() };
        Ok((State { revision, tree: commit.tree, trust, usage, fingerprints, revokes_itself }, judged))
    }

    fn signer(&self, commit: &Commit, trust: &Trust) -> Result<(PrincipalName, Vec<String>), Broken> {
        let Some(signature) = &commit.signature else {
            return broken("R2", "the commit is not signed; sign it (git commit -S) and push again");
        };
        let keys: Vec<&Key> = trust.keys.iter().map(|(_, key)| key).collect();
        match signature::verify(&signature.armored, &signature.payload, &keys, self.terms.now) {
            Verdict::Good { key, fingerprints } => {
                if let Some(revoked) = fingerprints.iter().find(|one| trust.revoked.contains(*one)) {
                    return broken("R7", format!("the key {revoked} is revoked"));
                }
                match trust.keys.get(key) {
                    Some((principal, _)) => Ok((principal.clone(), fingerprints)),
                    None => broken("R2", "the signature names no key of the trust file"),
                }
            }
            Verdict::Bad(why) => broken("R2", format!("the signature is wrong: {why}")),
            Verdict::Unknown(why) => broken(
                "R2",
                format!(
                    "the signature cannot be relied on: {why}; only keys in the first parent's trust.yaml count"
                ),
            ),
        }
    }

    /// The trust file of a commit, read anew only where it or a key file changed.
    fn next_trust(
        &self,
        parent: &State,
        tree: Revision,
        changes: &BTreeMap<String, Change>,
    ) -> Result<Arc<Trust>, Broken> {
        let file_changed = changes.contains_key(trust::PATH);
        if !file_changed && !parent.trust.key_files.iter().any(|path| changes.contains_key(path)) {
            return Ok(parent.trust.clone());
        }
        let trust = self.trust(tree)?;
        let expected = parent.trust.version.checked_add(u64::from(file_changed));
        if Some(trust.version) != expected {
            let (was, is) = (parent.trust.version, trust.version);
            return broken(
                "R3",
                format!("trust.yaml goes from version {was} to {is}: with each change it goes up by one"),
            );
        }
        Ok(Arc::new(trust))
    }

    /// R7: a trust file that is missing or cannot be read means stop.
    fn trust(&self, tree: Revision) -> Result<Trust, Broken> {
        let Some(bytes) = self.file(tree, trust::PATH)? else {
            return broken("R7", "there is no trust.yaml; without one nobody may sign anything");
        };
        let key_file = |path: &str| self.file(tree, path).ok().flatten();
        Trust::parse(&bytes, &key_file).map_err(|findings| {
            let findings: Vec<String> = findings.iter().map(Finding::to_string).collect();
            Broken { rule: "R7", why: format!("the trust file cannot be used: {}", findings.join("; ")) }
        })
    }

    /// The bytes of one file of a tree.
    fn file(&self, tree: Revision, path: &str) -> Result<Option<Vec<u8>>, Broken> {
        let mut tree = tree;
        let mut folder = String::new();
        for segment in path.split('/') {
            let entries = hygiene::read_tree(&self.objects.tree(tree)?, &folder)?;
            let Some(entry) = entries.get(segment) else { return Ok(None) };
            folder = format!("{folder}{segment}/");
            match entry.kind {
                Kind::Folder => tree = entry.id,
                Kind::File { .. } if folder.len() == path.len() + 1 => {
                    return Ok(Some(self.objects.blob(entry.id)?));
                }
                Kind::File { .. } => return Ok(None),
            }
        }
        Ok(None)
    }

    /// R1: a repository of another network is not ours, even where the same people sign it. A `network.yaml` that
    /// cannot be read is for `check` to tell of.
    fn same_network(&self, changes: &BTreeMap<String, Change>) -> Result<(), Broken> {
        #[derive(Deserialize)]
        struct Named {
            name: NetworkName,
        }
        let Some(file) = changes.get("network.yaml").and_then(|change| change.after) else { return Ok(()) };
        let bytes = self.objects.blob(file.id)?;
        match yaml::parse::<Named>("network.yaml", &bytes) {
            Ok(Named { name }) if name != self.terms.network => broken(
                "R1",
                format!(
                    "network.yaml is that of the network {name}; this node belongs to {}",
                    self.terms.network
                ),
            ),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Whether the parent's rules allow those who signed to change `path`; `shown` is the path to tell of.
fn allowed(trust: &Trust, path: &str, signed: &BTreeSet<PrincipalName>, shown: &str) -> Result<(), Broken> {
    let list = |names: &BTreeSet<PrincipalName>| {
        names.iter().map(PrincipalName::as_str).collect::<Vec<_>>().join(", ")
    };
    match trust.lack(path, signed) {
        None => Ok(()),
        Some(Lack::NoRule) => broken(
            "R3",
            format!("no rule of trust.yaml matches {shown}, so nobody may change it; add a rule"),
        ),
        Some(Lack::NotTheirs { rule, signers }) => broken(
            "R3",
            format!(
                "{} may not change {shown}: rule {rule} of trust.yaml gives it to {}",
                list(signed),
                list(&signers)
            ),
        ),
        Some(Lack::More { rule, need, have, others }) => broken(
            "R4",
            format!(
                "{shown} needs {need} signatures by rule {rule} of trust.yaml: {} signed, {} of {} must still approve, \
                 and approvals are not supported yet",
                list(&have),
                need - have.len(),
                list(&others)
            ),
        ),
    }
}

/// R7: `revoked` applies to every commit not yet applied, whatever its parent's file said.
///
/// The list is that of the newest commit which was found good: a revocation counts only if the commit that brings it
/// was itself signed by somebody who may change `trust.yaml`, and every commit before it is good. Of the commits not
/// yet applied, the first that a revoked key signed ends the chain, also where it is older than the revocation: from
/// a stolen key, dates and order mean nothing. Excepted are the base, for which the local configuration or the ledger
/// answers, and a commit that revokes the very key that signed it, so that a network with one key can give it up.
///
/// Limits: a revocation behind a commit that fails is not seen; one that the git host withholds is not seen (R6);
/// and a node that had not yet applied the revoked key's commits stays before them until its operator has looked at
/// them and pins a later commit.
fn revocation(states: &[State]) -> Option<(usize, Broken)> {
    let revoked = &states.last()?.trust.revoked;
    if revoked.is_empty() {
        return None;
    }
    states.iter().enumerate().skip(1).find_map(|(index, state)| {
        let fingerprint = state.fingerprints.iter().find(|one| revoked.contains(*one))?;
        let why = format!(
            "the key {fingerprint} that signed it is revoked; look at what it changed, and if that is well, pin a \
             later commit in the local configuration"
        );
        (!state.revokes_itself).then_some((index, Broken { rule: "R7", why }))
    })
}

/// The first parent as even a malformed commit names it, to find what was before it. The commit itself is judged
/// by the strict reader.
fn first_parent(raw: &[u8]) -> Option<Revision> {
    let headers = raw.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    let line = headers.into_iter().find_map(|line| line.strip_prefix(b"parent "))?;
    std::str::from_utf8(line).ok()?.parse().ok()
}
