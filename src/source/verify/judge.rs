//! One commit, judged by its first parent (R2, R3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Broken, Judge, Judged, State, broken};
use crate::names::{PrincipalName, Revision};
use crate::source::commit::Commit;
use crate::source::hygiene::{self, Change};
use crate::source::signature::{self, Key, Verdict};
use crate::source::trust::{self, Lack, Trust};

impl Judge<'_> {
    /// One commit by its first parent.
    pub(super) fn judge(&self, parent: &State, revision: Revision) -> Result<(State, Judged), Broken> {
        let commit = self.commit(revision)?;
        if commit.parents.first() != Some(&parent.revision) {
            return broken("R8", "the commit's parents read differently a second time");
        }
        let (signer, fingerprints) = self.signer(&commit, &parent.trust)?;
        let mut usage = parent.usage;
        let changes = hygiene::changes(&self.objects, Some(parent.tree), commit.tree, &mut usage)?;
        let signed = BTreeSet::from([signer.clone()]);
        // What may not be changed is not even read.
        allowed(&parent.trust, &signed, changes.keys().map(|path| (path, path.as_str())))?;
        let trust = self.next_trust(parent, commit.tree, &changes)?;
        // Whose key counts as whose is what the trust file says, in another file.
        let is_key =
            |path: &&String| parent.trust.key_files.contains(*path) || trust.key_files.contains(*path);
        allowed(&parent.trust, &signed, changes.keys().filter(is_key).map(|path| (path, trust::PATH)))?;
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
}

/// Whether the parent's rules allow those who signed to change these paths. Each comes with the path whose rules it
/// goes by. The error tells of one path, and how many more there are.
fn allowed<'a>(
    trust: &Trust,
    signed: &BTreeSet<PrincipalName>,
    paths: impl Iterator<Item = (&'a String, &'a str)>,
) -> Result<(), Broken> {
    let mut lacking = paths.filter_map(|(path, by)| Some((path, trust.lack(by, signed)?)));
    let Some((path, lack)) = lacking.next() else { return Ok(()) };
    let path = match lacking.count() {
        0 => path.clone(),
        more => format!("{path} (and {more} more)"),
    };
    let list = |names: &BTreeSet<PrincipalName>| {
        names.iter().map(PrincipalName::as_str).collect::<Vec<_>>().join(", ")
    };
    match lack {
        Lack::NoRule => {
            broken("R3", format!("nobody may change {path}: no rule of trust.yaml matches it; add one"))
        }
        Lack::NotTheirs { rule, signers } => broken(
            "R3",
            format!(
                "{} may not change {path}: rule {rule} of trust.yaml gives it to {}; one of them must sign the commit",
                list(signed),
                list(&signers)
            ),
        ),
        Lack::More { rule, need, have, others } => broken(
            "R4",
            format!(
                "{path} needs {need} signatures by rule {rule} of trust.yaml: {} signed, {} of {} must still approve, \
                 and approvals are not supported yet",
                list(&have),
                need - have.len(),
                list(&others)
            ),
        ),
    }
}
