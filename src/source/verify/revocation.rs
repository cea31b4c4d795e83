//! Revocation (R7).

use super::{Broken, State};

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
pub(super) fn revocation(states: &[State]) -> Option<(usize, Broken)> {
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
