//! The zones of this node: folds when they go back to those before (`crate::rollout::Zones`), remembers it, and puts the zones
//! that it has together with all else of the newest revision.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::follow::Followed;
use crate::config::LocalConfig;
use crate::desired::verified::VerifiedState;
use crate::fingerprint::Fingerprint;
use crate::names::Revision;
use crate::rollout::{Zones, ZonesId, ZonesMemory};

/// What is known of the zones, and where it is kept.
pub(super) struct KeptZones {
    state: PathBuf,
    zones: Zones,
    /// States whose zones the node has, or may go back to.
    known: BTreeMap<Fingerprint, Arc<VerifiedState>>,
    /// The newest revision with the zones of another.
    mixed: Option<Arc<VerifiedState>>,
    /// Why the memory could not be written.
    unsaved: Option<String>,
}

impl KeptZones {
    /// With what was remembered.
    pub(super) fn open(config: &LocalConfig) -> Result<Self, String> {
        let zones = Zones::new(ZonesMemory::load(&config.state)?);
        Ok(Self { state: config.state.clone(), zones, known: BTreeMap::new(), mixed: None, unsaved: None })
    }

    /// The revisions whose zones may have to be loaded again.
    pub(super) fn remembered(&self) -> Vec<ZonesId> {
        let ZonesMemory { runs, before, rejected: _ } = self.zones.memory();
        runs.iter().chain(before).copied().collect()
    }

    /// The newest state, with the zones that the node is to have now. What is remembered is on disk before anybody acts on it.
    pub(super) fn decide(
        &mut self,
        followed: &Followed,
        frozen: Option<&str>,
        now: Duration,
    ) -> Option<Arc<VerifiedState>> {
        let newest = followed.state.as_ref()?;
        self.learn(followed, newest);
        let next = self.zones.fold(now, id(newest), frozen);
        tell(&self.zones, &next);
        if next.memory() != self.zones.memory() || self.unsaved.is_some() {
            self.unsaved = next.memory().save(&self.state).err();
            if let Some(why) = &self.unsaved {
                warn!(why, "what is known of the zones could not be written");
            }
        }
        self.zones = next;
        let kept = self.remembered();
        self.known.retain(|digest, _| kept.iter().any(|kept| kept.digest == *digest));

        let runs = self.zones.memory().runs.map(|runs| runs.digest);
        let other = runs.filter(|runs| *runs != newest.zones()).and_then(|runs| self.known.get(&runs));
        let Some(other) = other else {
            self.mixed = None;
            return Some(Arc::clone(newest));
        };
        let wanted = (newest.revision(), other.zones(), newest.configuration().digest());
        let mixed = self.mixed.take().filter(|mixed| mixed.id() == wanted);
        let mixed = mixed.unwrap_or_else(|| Arc::new(newest.with_zones(other)));
        self.mixed = Some(Arc::clone(&mixed));
        Some(mixed)
    }

    /// Takes in the states that came. Of one that was remembered, the digest is made anew: another version of this agent may
    /// have made another.
    fn learn(&mut self, followed: &Followed, newest: &Arc<VerifiedState>) {
        // Of an earlier revision with the same zones the newest is as good.
        self.known.insert(newest.zones(), Arc::clone(newest));
        for ZonesId { revision, digest } in self.remembered() {
            if self.known.contains_key(&digest) {
                continue;
            }
            let is_newest = revision == newest.revision();
            let earlier = || followed.earlier_zones.get(&revision).and_then(Option::as_ref);
            match Some(newest).filter(|_| is_newest).or_else(earlier) {
                Some(loaded) => {
                    self.zones.rename(id(loaded));
                    self.known.insert(loaded.zones(), Arc::clone(loaded));
                }
                None => {
                    warn!("the zones of {} were in use and cannot be loaded any more", revision.short());
                    self.zones.forget(revision);
                }
            }
        }
    }

    /// Why the node does not have the zones of the newest revision, or would forget why.
    pub(super) fn waits(&self) -> impl Iterator<Item = String> {
        let unsaved = self
            .unsaved
            .as_ref()
            .map(|why| format!("what is known of the zones would be lost if the agent ended now: {why}"));
        self.zones.wait().into_iter().chain(unsaved)
    }

    /// Whose zones the node has, where those of the newest revision are rejected.
    pub(super) fn returned_to(&self) -> Option<Revision> {
        let ZonesMemory { runs, before: _, rejected } = self.zones.memory();
        runs.filter(|_| rejected.is_some()).map(|runs| runs.revision)
    }
}

fn id(state: &Arc<VerifiedState>) -> ZonesId {
    ZonesId { revision: state.revision(), digest: state.zones() }
}

/// Says what changed, to whoever reads the log.
fn tell(before: &Zones, after: &Zones) {
    match (&before.memory().rejected, &after.memory().rejected) {
        (None, Some(rejected)) => {
            error!(why = rejected.why, alarm = true, "{} are rejected; those before are in use", rejected.of);
        }
        (Some(rejected), None) => info!("{} are no longer the newest", rejected.of),
        _ => {}
    }
}
