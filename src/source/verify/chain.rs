//! The first-parent chain of a candidate, back to what is known already (R1, R5).

use super::{Broken, Judge, refusal};
use crate::config::Pin;
use crate::names::Revision;
use crate::status::Refusal;

impl Judge<'_> {
    /// The first-parent chain, oldest first, from the base (included) to the candidate.
    pub(super) fn chain(
        &self,
        applied: Option<Revision>,
        candidate: Revision,
    ) -> Result<Vec<Revision>, Refusal> {
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

    /// Whether an earlier commit is on the first-parent chain of a verified one, not before the pin.
    pub(super) fn is_on_chain(&self, verified: Revision, earlier: Revision) -> bool {
        let mut next = Some(verified);
        for _ in 0..self.terms.limits.chain {
            let Some(revision) = next else { return false };
            if revision == earlier {
                return true;
            }
            if self.terms.pin == Pin::Root(revision) {
                return false;
            }
            next = self.objects.commit(revision).ok().and_then(|raw| first_parent(&raw));
        }
        false
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
}

/// The first parent as even a malformed commit names it, to find what was before it. The commit itself is judged
/// by the strict reader.
fn first_parent(raw: &[u8]) -> Option<Revision> {
    let headers = raw.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    let line = headers.into_iter().find_map(|line| line.strip_prefix(b"parent "))?;
    std::str::from_utf8(line).ok()?.parse().ok()
}
