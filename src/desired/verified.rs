//! The only way from a repository to a state that may be applied.

use super::load::read;
use super::model::DesiredState;
use crate::finding::Finding;
use crate::names::Revision;
use crate::source::verify::VerifiedRevision;

/// The desired state of a verified revision. Only [`load`] makes one, so unverified state cannot be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedState {
    revision: Revision,
    state: DesiredState,
}

impl VerifiedState {
    /// Which revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What it says.
    pub fn state(&self) -> &DesiredState {
        &self.state
    }
}

/// Loads a verified revision.
///
/// # Errors
/// Everything that is wrong with its contents.
pub fn load(verified: &VerifiedRevision) -> Result<VerifiedState, Vec<Finding>> {
    let state = read(verified.tree())?;
    Ok(VerifiedState { revision: verified.revision(), state })
}
