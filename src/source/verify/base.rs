//! The commit that the chain begins with: applied before, or vouched for by the local configuration (R1).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Broken, Judge, State, VerifiedRevision, broken, refusal};
use crate::config::Pin;
use crate::names::Revision;
use crate::source::commit::Commit;
use crate::source::hygiene::{self, Usage};
use crate::source::signature::{self, Key, Verdict, ssh};
use crate::source::trust::{Trust, canonical_fingerprint};
use crate::status::Refusal;

impl Judge<'_> {
    /// The applied revision, which was judged before it was applied.
    pub(super) fn kept(
        &self,
        applied: Revision,
        previous: Option<&VerifiedRevision>,
    ) -> Result<State, Refusal> {
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
    pub(super) fn introduce(&self, revision: Revision) -> Result<State, Refusal> {
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
}
