//! Sweep: what is remembered of zones that were asked for, some at a time, until they are asked for again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sample::Sample;
use crate::names::{DomainName, Serial};

/// How long a round through all zones takes at most.
pub const ROUND: Duration = Duration::from_secs(300);
/// Zones that are asked for in one cycle, at least.
pub const LEAST: usize = 16;
/// What was seen of a zone is forgotten after two rounds: it may not be ours any more.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// How far a zone may be behind a hub.
pub(super) const LAG: Duration = Duration::from_secs(300);

/// How many zones to ask for so long after the last ones, so that a round through all of them takes no longer than it may.
pub fn size(zones: usize, since: Duration) -> usize {
    let due = (zones as u128 * since.min(ROUND).as_millis()).div_ceil(ROUND.as_millis());
    usize::try_from(due).unwrap_or(usize::MAX).max(LEAST)
}

/// Zones that something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sweep {
    failing: BTreeMap<DomainName, (Duration, &'static str)>,
    behind: BTreeMap<DomainName, Behind>,
}

/// A zone of which a hub has a newer serial.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Behind {
    own: Serial,
    since: Duration,
    seen: Duration,
}

impl Sweep {
    /// What is remembered after one more sample.
    pub(super) fn fold(&self, now: Duration, sample: &Sample) -> Self {
        let mut next = self.clone();
        for (zone, result) in &sample.zones {
            match result {
                Ok(_) => drop(next.failing.remove(zone)),
                Err(why) => drop(next.failing.insert(zone.clone(), (now, *why))),
            }
            let (Ok(own), Some(hub)) = (result, sample.hub.get(zone)) else { continue };
            if !hub.is_newer_than(*own) {
                next.behind.remove(zone);
                continue;
            }
            let same = self.behind.get(zone).filter(|before| before.own == *own);
            let since = same.map_or(now, |before| before.since);
            next.behind.insert(zone.clone(), Behind { own: *own, since, seen: now });
        }
        next.failing.retain(|_, (seen, _)| now.saturating_sub(*seen) < FORGOTTEN);
        next.behind.retain(|_, behind| now.saturating_sub(behind.seen) < FORGOTTEN);
        next
    }

    /// How many zones gave no good answer when they were last asked for.
    pub(super) fn failing(&self) -> usize {
        self.failing.len()
    }

    /// The first of them, and what it said.
    pub(super) fn example(&self) -> String {
        let first = self.failing.iter().next();
        first.map(|(zone, (_, why))| format!("{zone}: {why}")).unwrap_or_default()
    }

    /// How many zones are behind a hub for too long.
    pub(super) fn lagging(&self, now: Duration) -> usize {
        self.behind.values().filter(|behind| now.saturating_sub(behind.since) > LAG).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(zone: &str, own: Result<u32, &'static str>, hub: Option<u32>) -> Sample {
        let zone: DomainName = zone.parse().unwrap();
        Sample {
            zones: [(zone.clone(), own.map(Serial))].into(),
            hub: hub.map(|serial| (zone, Serial(serial))).into_iter().collect(),
            ..Sample::default()
        }
    }

    #[test]
    fn a_round_takes_five_minutes_at_most() {
        let since = Duration::from_secs(2);
        for (zones, asked) in [(0, 16), (2_400, 16), (2_401, 17), (100_000, 667)] {
            assert_eq!(size(zones, since), asked, "{zones}");
        }
        assert_eq!(size(10_000, Duration::from_secs(3_000)), 10_000);
        // However long the cycles are, so many zones are asked for in five minutes.
        for cycle in [100, 499, 2_000, 2_347, 60_000] {
            let cycles = ROUND.as_millis() as usize / cycle;
            let left = ROUND - Duration::from_millis((cycle * cycles) as u64);
            let asked = cycles * size(10_000, Duration::from_millis(cycle as u64)) + size(10_000, left);
            assert!(asked >= 10_000, "{asked} with cycles of {cycle} ms");
        }
    }

    #[test]
    fn a_zone_fails_until_it_answers_or_is_forgotten() {
        let at = Duration::from_secs;
        let sweep = Sweep::default().fold(at(0), &sample("a.example", Err("SERVFAIL"), None));
        assert_eq!((sweep.failing(), sweep.example().as_str()), (1, "a.example: SERVFAIL"));
        assert_eq!(sweep.fold(at(500), &sample("b.example", Ok(1), None)).failing(), 1);
        assert_eq!(sweep.fold(at(500), &sample("a.example", Ok(1), None)).failing(), 0);
        assert_eq!(sweep.fold(at(601), &sample("b.example", Ok(1), None)).failing(), 0);
    }

    #[test]
    fn a_zone_lags_while_it_stands_still_and_a_hub_does_not() {
        let at = Duration::from_secs;
        let sweep = Sweep::default().fold(at(0), &sample("a.example", Ok(1), Some(2)));
        assert_eq!((sweep.lagging(at(300)), sweep.lagging(at(301))), (0, 1));
        // The hub goes on, the zone does not: it is as late as it was.
        assert_eq!(sweep.fold(at(200), &sample("a.example", Ok(1), Some(9))).lagging(at(301)), 1);
        // It moved, though not far enough.
        assert_eq!(sweep.fold(at(200), &sample("a.example", Ok(3), Some(9))).lagging(at(301)), 0);
        assert_eq!(sweep.fold(at(200), &sample("a.example", Ok(2), Some(2))).lagging(at(301)), 0);
    }
}
