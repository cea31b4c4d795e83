//! The only way from a repository to a state that may be applied.

use std::sync::Arc;

use super::configuration::Configuration;
use super::load::read;
use super::model::DesiredState;
use crate::finding::Finding;
use crate::fingerprint::Fingerprint;
use crate::names::Revision;
use crate::source::verify::VerifiedRevision;

/// The desired state of a verified revision, or of two: one's configuration, and the rest of the other. Only [`load`] makes
/// one, so unverified state cannot be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedState {
    revision: Revision,
    state: DesiredState,
    configuration: Arc<VerifiedConfiguration>,
}

/// The configuration of a verified revision.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedConfiguration {
    revision: Revision,
    digest: Fingerprint,
    configuration: Configuration,
}

impl VerifiedState {
    /// Which revision, the configuration aside.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What it says.
    pub fn state(&self) -> &DesiredState {
        &self.state
    }

    /// Its configuration.
    pub fn configuration(&self) -> &Arc<VerifiedConfiguration> {
        &self.configuration
    }

    /// The same with the configuration of another revision.
    #[must_use]
    pub fn with_configuration(&self, configuration: &Arc<VerifiedConfiguration>) -> Self {
        Self {
            revision: self.revision,
            state: self.state.with_configuration(&configuration.configuration),
            configuration: Arc::clone(configuration),
        }
    }
}

impl VerifiedConfiguration {
    /// Of which revision: the first that was met with it, perhaps, of several.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// By which nodes tell it from others.
    pub fn digest(&self) -> Fingerprint {
        self.digest
    }
}

/// Loads a verified revision.
///
/// # Errors
/// Everything that is wrong with its contents.
pub fn load(verified: &VerifiedRevision) -> Result<VerifiedState, Vec<Finding>> {
    let (state, revision) = (read(verified.tree())?, verified.revision());
    let configuration = state.configuration();
    let digest = configuration.digest();
    let configuration = Arc::new(VerifiedConfiguration { revision, digest, configuration });
    Ok(VerifiedState { revision, state, configuration })
}
