//! Sign: signed commits made in process, for `init` and for the operator that the simulation plays.

use git2::{Oid, Repository, Signature as Ident};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::signature::ssh::NAMESPACE;

/// What stopped the making of a signed commit.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// libgit2 could not write it.
    #[error("cannot write the commit: {0}")]
    Repository(#[from] git2::Error),
    /// The key does not sign.
    #[error("cannot sign the commit: {0}")]
    Key(#[from] ssh_key::Error),
    /// The author is not text.
    #[error("the commit is not UTF-8 text")]
    Text,
}

/// Writes a commit with an SSH signature, as `git commit -S` does with `gpg.format = ssh`. Moves no branch.
pub fn commit_signed(
    repository: &Repository,
    parents: &[Oid],
    tree: Oid,
    message: &str,
    author: &Ident<'_>,
    key: &PrivateKey,
) -> Result<Oid, SignError> {
    let tree = repository.find_tree(tree)?;
    let parents = parents.iter().map(|id| repository.find_commit(*id)).collect::<Result<Vec<_>, _>>()?;
    let parents: Vec<_> = parents.iter().collect();
    let unsigned = repository.commit_create_buffer(author, author, message, &tree, &parents)?;
    let unsigned = std::str::from_utf8(&unsigned).map_err(|_| SignError::Text)?;
    let signature = key.sign(NAMESPACE, HashAlg::Sha512, unsigned.as_bytes())?.to_pem(LineEnding::LF)?;
    Ok(repository.commit_signed(unsigned, signature.trim_end(), Some("gpgsig"))?)
}

/// Points a branch at a commit, whether or not the branch exists.
pub fn set_branch(repository: &Repository, branch: &str, to: Oid) -> Result<(), SignError> {
    repository.reference(&format!("refs/heads/{branch}"), to, true, "shoestring")?;
    Ok(())
}

/// A new ed25519 key from the system's random numbers.
pub fn new_key(comment: &str) -> Result<PrivateKey, SignError> {
    let mut key = PrivateKey::random(&mut ssh_key::rand_core::OsRng, ssh_key::Algorithm::Ed25519)?;
    key.set_comment(comment);
    Ok(key)
}
