//! The only way from a repository to a state that may be applied.

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};
use std::sync::Arc;

use super::configuration::Configuration;
use super::load::read;
use super::model::{DesiredState, Zone};
use crate::finding::Finding;
use crate::fingerprint::Fingerprint;
use crate::names::{Revision, SecretName};
use crate::source::verify::VerifiedRevision;
use crate::tree::{File, Tree};

/// Where zones stand.
const ZONES: &str = "zones/";

/// The desired state of a verified revision, or of several: the configuration of one, the zones of another, and the rest of
/// the newest. Only [`load`] makes one, so unverified state cannot be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedState {
    revision: Revision,
    state: DesiredState,
    zones: Fingerprint,
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
    /// Which revision, the configuration and the zones aside.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What tells it from others, of the same revision too: the revision, its zones, its configuration.
    pub fn id(&self) -> (Revision, Fingerprint, Fingerprint) {
        (self.revision, self.zones, self.configuration.digest)
    }

    /// What tells its zones, and the TSIG keys that they name, from those of other revisions.
    pub fn zones(&self) -> Fingerprint {
        self.zones
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
            zones: self.zones,
            configuration: Arc::clone(configuration),
        }
    }

    /// The same with the zones of another revision.
    #[must_use]
    pub fn with_zones(&self, other: &Self) -> Self {
        Self {
            revision: self.revision,
            state: self.state.with_zones(&other.state),
            zones: other.zones,
            configuration: Arc::clone(&self.configuration),
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
    let zones = zones(verified.tree(), &state);
    Ok(VerifiedState { revision, state, zones, configuration })
}

/// Of the files, which is quicker than of values: another comment makes other zones, and starts nothing.
fn zones(tree: &Tree, state: &DesiredState) -> Fingerprint {
    let of_file = |(path, file): (&Arc<str>, &File)| {
        Fingerprint::of(&[path.as_bytes(), &file.changed.to_be_bytes(), &file.bytes])
    };
    let files = tree
        .files
        .range::<str, _>((Included(ZONES), Unbounded))
        .take_while(|(path, _)| path.starts_with(ZONES));
    let keys: BTreeSet<&SecretName> = state.zones.values().flat_map(Zone::keys).collect();
    let sealed = keys.into_iter().filter_map(|name| state.secrets.get(name)).map(|secret| secret.sealed);
    let canary = Fingerprint::of(&[state.network.health.canary.as_wire()]);
    Fingerprint::of_all(&files.map(of_file).chain(sealed).chain([canary]).collect::<Vec<_>>())
}
