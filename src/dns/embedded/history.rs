//! History: how zones came to be what they are, for IXFR (RFC 1995).
//!
//! Whatever replaces a zone's data leaves the steps that lead to it. They are kept as long as there is room, the oldest
//! of all zones dropped first; of one zone no more than a transfer of the whole zone would take, since then that is
//! sent instead. A zone that does not change has no entry.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::delta::{Delta, difference};
use super::zone::Zone;
use crate::names::{DomainName, Serial};

/// How much all zones' steps may take, in octets.
const TOTAL: usize = 16 << 20;
/// What a small zone's steps may take at least.
const SMALL: usize = 4 << 10;
/// What a step takes besides its records: the entries that hold it.
const ENTRY: usize = 128;

/// The steps of all zones.
#[derive(Debug)]
pub(crate) struct History {
    kept: Mutex<Kept>,
    total: usize,
}

#[derive(Debug, Default)]
struct Kept {
    zones: HashMap<DomainName, VecDeque<Step>>,
    /// The zone of every step, the oldest first.
    ages: BTreeMap<u64, DomainName>,
    next_age: u64,
    octets: usize,
}

#[derive(Debug)]
struct Step {
    delta: Arc<Delta>,
    age: u64,
}

impl Step {
    fn octets(&self) -> usize {
        self.delta.octets().len() + ENTRY
    }
}

impl Default for History {
    fn default() -> Self {
        Self { kept: Mutex::default(), total: TOTAL }
    }
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zone's data has been replaced. `steps` lead to it from what it was, the oldest first; what does not lead there
    /// by ever newer serials (RFC 1982) ends the zone's history.
    pub(crate) fn replaced(&self, zone: &Zone, steps: impl IntoIterator<Item = Arc<Delta>>) {
        let apex = zone.apex();
        let mut kept = self.lock();
        for delta in steps {
            let reached = kept.zones.get(apex).and_then(|steps| steps.back()).map(|last| last.delta.to());
            if reached.is_some_and(|reached| reached != delta.from()) {
                kept.forget(apex);
            }
            if !delta.to().is_newer_than(delta.from()) {
                kept.forget(apex);
                continue;
            }
            let age = kept.next_age;
            kept.next_age += 1;
            kept.ages.insert(age, apex.clone());
            let step = Step { delta, age };
            kept.octets += step.octets();
            kept.zones.entry(apex.clone()).or_default().push_back(step);
        }
        let reached = kept.zones.get(apex).and_then(|steps| steps.back()).map(|last| last.delta.to());
        if reached.is_some_and(|reached| reached != zone.serial()) {
            kept.forget(apex);
        }
        let most = zone.heap_bytes().max(SMALL);
        while kept.octets_of(apex) > most {
            kept.drop_oldest_of(apex);
        }
        while kept.octets > self.total
            && let Some((_, oldest)) = kept.ages.first_key_value()
        {
            let oldest = oldest.clone();
            kept.drop_oldest_of(&oldest);
        }
    }

    /// The steps from this version to the zone, the oldest first; `None` if they are not all known.
    pub(crate) fn since(&self, zone: &Zone, from: Serial) -> Option<Vec<Arc<Delta>>> {
        let kept = self.lock();
        let steps = kept.zones.get(zone.apex())?;
        let first = steps.iter().position(|step| step.delta.from() == from)?;
        let last = steps.back().filter(|last| last.delta.to() == zone.serial());
        last.map(|_| steps.range(first..).map(|step| Arc::clone(&step.delta)).collect())
    }

    /// Forgets a zone.
    pub(crate) fn forget(&self, apex: &DomainName) {
        self.lock().forget(apex);
    }
}

impl Kept {
    fn octets_of(&self, apex: &DomainName) -> usize {
        self.zones.get(apex).map_or(0, |steps| steps.iter().map(Step::octets).sum())
    }

    fn drop_oldest_of(&mut self, apex: &DomainName) {
        let Some(steps) = self.zones.get_mut(apex) else { return };
        if let Some(step) = steps.pop_front() {
            self.ages.remove(&step.age);
            self.octets -= step.octets();
        }
        if steps.is_empty() {
            self.zones.remove(apex);
        }
    }

    fn forget(&mut self, apex: &DomainName) {
        while self.zones.contains_key(apex) {
            self.drop_oldest_of(apex);
        }
    }
}

/// The one step from what a zone was to what it is, where that is a step forward. Takes as long as the zones are
/// large.
pub(crate) fn step(old: Option<&Zone>, new: &Zone) -> Option<Arc<Delta>> {
    let old = old.filter(|old| new.serial().is_newer_than(old.serial()))?;
    Some(Arc::new(difference(old, new)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::embedded::testing;

    fn zone(apex: &str, serial: u32, names: usize) -> Zone {
        testing::zone(&apex.parse().unwrap(), serial, names)
    }

    /// What a zone's history reaches back to, of these serials.
    fn reach(history: &History, zone: &Zone, serials: std::ops::Range<u32>) -> Vec<u32> {
        serials.filter(|from| history.since(zone, Serial(*from)).is_some()).collect()
    }

    /// Takes a zone through these serials, each another size. The last is returned.
    fn versions(history: &History, apex: &str, serials: &[u32]) -> Zone {
        let mut old = None;
        for serial in serials {
            let new = zone(apex, *serial, 3);
            history.replaced(&new, step(old.as_ref(), &new));
            old = Some(new);
        }
        old.unwrap()
    }

    #[test]
    fn it_leads_from_any_version_that_it_knows_to_the_last() {
        let history = History::default();
        let last = versions(&history, "example", &[1, 3, 7, u32::MAX / 2, u32::MAX - 1, 2]);
        assert_eq!(reach(&history, &last, 0..9), [1, 3, 7]);
        let steps = history.since(&last, Serial(3)).unwrap();
        let chain: Vec<(u32, u32)> = steps.iter().map(|d| (d.from().0, d.to().0)).collect();
        let half = u32::MAX / 2;
        assert_eq!(chain, [(3, 7), (7, half), (half, u32::MAX - 1), (u32::MAX - 1, 2)]);
        assert_eq!(history.since(&zone("example", 9, 3), Serial(3)), None, "it leads elsewhere");
        history.forget(last.apex());
        assert_eq!(reach(&history, &last, 0..9), [0; 0]);
        assert!(history.lock().ages.is_empty() && history.lock().octets == 0);
    }

    #[test]
    fn a_step_back_or_a_gap_ends_it() {
        let history = History::default();
        let back = versions(&history, "example", &[5, 6, 4]);
        assert_eq!(reach(&history, &back, 0..9), [0; 0]);
        let (six, nine) = (zone("example", 6, 3), zone("example", 9, 3));
        versions(&history, "example", &[5, 6]);
        history.replaced(&nine, step(Some(&zone("example", 8, 3)), &nine));
        assert_eq!(reach(&history, &nine, 0..9), [8]);
        history.replaced(&six, None);
        assert_eq!(reach(&history, &six, 0..9), [0; 0]);
    }

    #[test]
    fn it_is_bounded_for_each_zone_and_in_all() {
        let history = History { total: 20_000, ..History::default() };
        let serials: Vec<u32> = (1..200).collect();
        let first = versions(&history, "first.example", &serials);
        let octets = history.lock().octets;
        assert!((SMALL / 2..=SMALL).contains(&octets), "{octets}");
        let reached = reach(&history, &first, 0..200);
        assert!(reached.last() == Some(&198) && reached[0] > 100);
        for other in 0..10 {
            versions(&history, &format!("{other}.example"), &serials);
        }
        let kept = history.lock();
        let total: usize = kept.zones.values().flatten().map(Step::octets).sum();
        assert!(kept.octets == total && total <= 20_000 && total > 16_000, "{total}");
        assert_eq!(kept.ages.len(), kept.zones.values().map(VecDeque::len).sum::<usize>());
        // The oldest went first.
        assert!(!kept.zones.contains_key(&"first.example".parse().unwrap()));
    }

    #[test]
    fn a_step_larger_than_the_zone_is_not_kept() {
        let history = History::default();
        let (old, new) = (zone("example", 1, 2000), zone("example", 2, 1));
        history.replaced(&new, step(Some(&old), &new));
        assert_eq!(reach(&history, &new, 0..9), [0; 0]);
    }
}
