//! Zones: those of which revision a node has. They change everywhere at once, so there is nothing to wait for on the way
//! there, and one way back:
//!
//! ```text
//! newest revision ─→ taken on ─────── half a minute, no frozen gate ─────→ what later ones go back to
//!                       └─ the gate freezes within five minutes ─→ rejected: those before, until a commit brings others
//! ```
//! A frozen gate (`health`) means that half of the nodes came into one class together: after new zones, it may well be for
//! them, such as one that a name server dies of. Each node that the gate freezes goes back by itself; one that is well has no
//! reason to.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::health::AFTER_REVISION;
use crate::names::Revision;
use crate::whole_file;

/// The name of the file in the state folder.
const FILE: &str = "zones.json";
/// So long zones run before they are something to go back to. What a name server dies of it dies of at once.
pub const PROOF: Duration = Duration::from_secs(30);

/// The zones of a revision, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZonesId {
    /// A revision that has them.
    pub revision: Revision,
    /// What tells them from others.
    pub digest: Fingerprint,
}

impl ZonesId {
    /// Another version of this agent may have made another digest of the same.
    fn are(&self, other: &Self) -> bool {
        self.digest == other.digest || self.revision == other.revision
    }
}

impl fmt::Display for ZonesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the zones of {}", self.revision.short())
    }
}

/// What is remembered, in `zones.json` in the state folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZonesMemory {
    /// What the node has; `None` before it had any.
    pub runs: Option<ZonesId>,
    /// What it may still go back to.
    pub before: Option<ZonesId>,
    /// The newest, where they are rejected.
    pub rejected: Option<RejectedZones>,
}

/// Zones that are rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedZones {
    /// Which.
    pub of: ZonesId,
    /// What was met.
    pub why: String,
}

impl ZonesMemory {
    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read. The text says what to do.
    pub fn load(state: &Path) -> Result<Self, String> {
        let advice =
            "it says which zones this node rejected: put it right, or remove it to take on the newest";
        whole_file::recall(&state.join(FILE), advice)
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, state: &Path) -> Result<(), String> {
        whole_file::keep(&state.join(FILE), self)
    }
}

/// What a node knows of its zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zones {
    memory: ZonesMemory,
    /// Since when it has what it has.
    since: Duration,
    /// Whether the gate was not frozen at some time since. One that was before says nothing of them.
    calm: bool,
}

impl Zones {
    /// With what was remembered. A trial that was going on begins anew.
    pub fn new(memory: ZonesMemory) -> Self {
        Self { memory, since: Duration::ZERO, calm: false }
    }

    /// What is to be remembered.
    pub fn memory(&self) -> &ZonesMemory {
        &self.memory
    }

    /// Why the newest are not in use.
    pub fn wait(&self) -> Option<String> {
        let ZonesMemory { runs, before: _, rejected } = &self.memory;
        let (runs, RejectedZones { of, why }) = (runs.as_ref()?, rejected.as_ref()?);
        Some(format!("{of} are rejected: {why}; {runs} are in use until a commit changes zones"))
    }

    /// Zones that were remembered have this name now.
    pub fn rename(&mut self, now: ZonesId) {
        let ZonesMemory { runs, before, rejected: _ } = &mut self.memory;
        let renamed = [runs, before].into_iter().flatten().filter(|of| of.revision == now.revision);
        renamed.for_each(|of| *of = now);
    }

    /// What was remembered of this revision cannot be had any more.
    pub fn forget(&mut self, revision: Revision) {
        let ZonesMemory { runs, before, rejected: _ } = &mut self.memory;
        for gone in [runs, before] {
            *gone = gone.filter(|of| of.revision != revision);
        }
    }

    /// What is known after one more look. Pure: no clock and no I/O.
    #[must_use]
    pub fn fold(&self, now: Duration, newest: ZonesId, frozen: Option<&str>) -> Self {
        let mut next = self.clone();
        let ZonesMemory { runs, before, rejected } = &mut next.memory;
        // Others are another matter.
        *rejected = rejected.take().filter(|rejected| rejected.of.are(&newest));
        next.calm |= frozen.is_none();
        let had = now.saturating_sub(self.since);
        match *runs {
            Some(of) if of.digest == newest.digest => {
                *before = before.filter(|_| had <= AFTER_REVISION);
                let Some((why, back)) = frozen.filter(|_| next.calm).zip(*before) else { return next };
                *rejected = Some(RejectedZones { of: newest, why: why.to_owned() });
                (*runs, *before) = (Some(back), None);
            }
            Some(_) if rejected.is_some() => return next,
            _ => {
                let is_proven = had >= PROOF && frozen.is_none();
                *before = if is_proven { *runs } else { *before };
                *before = before.filter(|before| before.digest != newest.digest);
                (*runs, *rejected) = (Some(newest), None);
            }
        }
        (next.since, next.calm) = (now, frozen.is_none());
        next
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FROZEN: Option<&str> = Some("3 of 4 nodes became HARD");

    fn of(name: &str) -> ZonesId {
        let digest = Fingerprint::of(&[name.as_bytes()]);
        ZonesId { revision: Revision([name.as_bytes()[0]; 20]), digest }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What it has after these looks: when, the newest zones, and whether the gate is frozen.
    fn after(looks: &[(u64, &str, Option<&str>)]) -> Zones {
        looks.iter().fold(Zones::new(ZonesMemory::default()), |zones, (now, newest, frozen)| {
            zones.fold(seconds(*now), of(newest), *frozen)
        })
    }

    fn has(zones: &Zones) -> Option<ZonesId> {
        zones.memory().runs
    }

    #[test]
    fn the_newest_are_taken_on_at_once() {
        let zones = after(&[(0, "a", None), (1, "b", None), (2, "c", None)]);
        assert_eq!((has(&zones), zones.wait()), (Some(of("c")), None));
    }

    #[test]
    fn a_gate_that_freezes_soon_after_them_brings_back_those_before() {
        let zones = after(&[(0, "a", None), (100, "b", None), (130, "b", FROZEN)]);
        assert_eq!(has(&zones), Some(of("a")));
        assert_eq!(
            zones.wait().unwrap(),
            "the zones of 6262626262 are rejected: 3 of 4 nodes became HARD; the zones of 6161616161 are in use until a \
             commit changes zones"
        );
        // They stay so when all is well again, and when the agent starts again, until there are others.
        let zones = zones.fold(seconds(900), of("b"), None);
        let zones = Zones::new(zones.memory().clone()).fold(seconds(0), of("b"), None);
        assert_eq!(has(&zones), Some(of("a")));
        let zones = zones.fold(seconds(1), of("c"), None);
        assert_eq!((has(&zones), zones.wait()), (Some(of("c")), None));
    }

    #[test]
    fn a_gate_that_freezes_long_after_them_does_not() {
        let zones = after(&[(0, "a", None), (100, "b", None), (401, "b", None), (402, "b", FROZEN)]);
        assert_eq!(has(&zones), Some(of("b")));
    }

    #[test]
    fn what_mends_it_may_come_while_the_gate_is_frozen() {
        let frozen = after(&[(0, "a", None), (500, "a", FROZEN), (510, "b", FROZEN), (520, "b", FROZEN)]);
        assert_eq!(has(&frozen), Some(of("b")));
        // It thaws and freezes anew: that tells nothing of those before, which it was frozen with.
        let again = frozen.fold(seconds(530), of("b"), None).fold(seconds(540), of("b"), FROZEN);
        assert_eq!((has(&again), again.wait()), (Some(of("b")), None));
    }

    #[test]
    fn those_that_hardly_ran_are_nothing_to_go_back_to() {
        let zones = after(&[(0, "a", None), (100, "b", None), (110, "c", None), (120, "c", FROZEN)]);
        assert_eq!(has(&zones), Some(of("a")));
        let first = after(&[(0, "a", None), (10, "a", FROZEN)]);
        assert_eq!((has(&first), first.wait()), (Some(of("a")), None));
    }

    #[test]
    fn an_agent_that_starts_during_the_trial_may_still_go_back() {
        let zones = after(&[(0, "a", None), (100, "b", None)]);
        let zones = Zones::new(zones.memory().clone());
        let zones = zones.fold(seconds(1), of("b"), None).fold(seconds(9), of("b"), FROZEN);
        assert_eq!(has(&zones), Some(of("a")));
        let mut zones = zones;
        let renamed = ZonesId { digest: of("other").digest, ..of("a") };
        zones.rename(renamed);
        assert_eq!(has(&zones), Some(renamed));
        zones.forget(of("a").revision);
        assert_eq!(has(&zones.fold(seconds(10), of("b"), None)), Some(of("b")), "they cannot be had");
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ZonesMemory::load(folder.path()), Ok(ZonesMemory::default()));
        let memory = ZonesMemory {
            runs: Some(of("a")),
            before: Some(of("b")),
            rejected: Some(RejectedZones { of: of("c"), why: "HARD".to_owned() }),
        };
        memory.save(folder.path()).unwrap();
        assert_eq!(ZonesMemory::load(folder.path()), Ok(memory));
        fs::write(folder.path().join(FILE), "{\"runs\": 1}").unwrap();
        assert!(ZonesMemory::load(folder.path()).unwrap_err().contains("remove it"));
    }
}
