//! Round: through the zones that are served, some in each cycle, so that all have been asked for within a time.

use std::ops::Bound;
use std::time::Duration;

use crate::dns::{ObservedZone, Serials, ZoneState, ZoneTable};
use crate::names::DomainName;

/// Where a round is.
#[derive(Default)]
pub(super) struct Round {
    /// The last zone that was asked for.
    at: Option<DomainName>,
    /// When that was.
    since: Option<Duration>,
}

impl Round {
    /// How long ago the last zones were asked for, if any were.
    pub(super) fn since(&self, now: Duration) -> Option<Duration> {
        self.since.map(|since| now.saturating_sub(since))
    }

    /// The next so many zones, of those that the name server says it serves and that are wanted.
    pub(super) fn next(
        &self,
        table: &ZoneTable<ObservedZone>,
        count: usize,
        is_wanted: impl Fn(&DomainName) -> bool,
    ) -> Vec<DomainName> {
        let after = self.at.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let again = self.at.as_ref().map(|at| table.range::<DomainName, _>(..=at));
        let all = table.range::<DomainName, _>((after, Bound::Unbounded)).chain(again.into_iter().flatten());
        let is_served =
            |(name, zone): &(&DomainName, &ObservedZone)| zone.state == ZoneState::Served && is_wanted(name);
        all.filter(is_served).take(count).map(|(name, _)| name.clone()).collect()
    }

    /// These were asked for. Where nothing was said of any, they are asked for again.
    pub(super) fn asked(&mut self, zones: &[DomainName], answers: &Serials, now: Duration) {
        if !answers.is_empty() {
            (self.at, self.since) = (zones.last().cloned(), Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::names::Serial;

    fn name(number: usize) -> DomainName {
        format!("z{number:02}.example").parse().unwrap()
    }

    fn table(zones: usize) -> ZoneTable<ObservedZone> {
        let state = |number| match number {
            3..6 => ZoneState::Expired("long ago".to_owned()),
            _ => ZoneState::Served,
        };
        let seen = |number| ObservedZone {
            fingerprint: Fingerprint::of(&[]),
            serial: Some(Serial(1)),
            state: state(number),
            problem: None,
        };
        (0..zones).map(|number| (name(number), seen(number))).collect()
    }

    #[test]
    fn every_zone_that_is_served_has_its_turn() {
        let mut round = Round::default();
        let mut turn = |zones: usize, answered: bool| {
            let asked = round.next(&table(zones), 4, |zone| *zone != name(1));
            let answers = asked.iter().filter(|_| answered).map(|zone| (zone.clone(), Ok(Serial(1))));
            round.asked(&asked, &answers.collect(), Duration::from_secs(7));
            asked
        };
        let names = |numbers: &[usize]| numbers.iter().copied().map(name).collect::<Vec<_>>();
        assert_eq!(turn(10, true), names(&[0, 2, 6, 7]));
        assert_eq!(turn(10, false), names(&[8, 9, 0, 2]));
        assert_eq!(turn(10, true), names(&[8, 9, 0, 2]), "nothing was said of them");
        assert_eq!(turn(10, true), names(&[6, 7, 8, 9]));
        // None twice where there are few.
        assert_eq!(turn(3, true), names(&[0, 2]));
        assert_eq!(turn(0, true), []);
        assert_eq!(round.since(Duration::from_secs(9)), Some(Duration::from_secs(2)));
    }
}
