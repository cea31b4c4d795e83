//! Rate: how often a name server is asked, of the counts that it gives now and then; and when that is as good as never.
//!
//! ```text
//! counts    t₀ ─────────────────────── t₁ ─ t₂ ─ t₃ ─ t₄ ─ t₅ ─ t₆
//! rate at t₆                                └──── ten seconds or more ┘
//! ```
//! A rate is what came since the newest count that is ten seconds old or older: that of the last minute or so while all is
//! calm and counts are few, and that of the last ten seconds while a node drains. A count that is less than the one before
//! began anew, with the name server: what came in between is not known.
//!
//! A drain is over when no more than a tenth of the queries are left, or one a second: of fewer nobody can say whether they
//! cease, and a node that had no more has nothing to wait for.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The shortest time that a rate is of. In fewer seconds a few queries more or less would be a tenth of them.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// What is left may be one in so many.
const LEFT: u64 = 10;

/// What was heard of a name server's count in one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// It did not say.
    Unknown,
    /// So many queries since it started.
    Known {
        /// When it said so.
        at: Duration,
        /// How many.
        queries: u64,
    },
}

/// Queries a second, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate(u64);

impl Rate {
    /// Of a node that is hardly asked, whatever it was asked before.
    const SILENCE: Self = Self(1_000);

    fn of(queries: u64, time: Duration) -> Self {
        let rate = u128::from(queries) * 1_000_000 / time.as_millis().max(1);
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// In whole queries a second.
    pub(super) fn per_second(self) -> u32 {
        u32::try_from(self.0.saturating_add(500) / 1_000).unwrap_or(u32::MAX)
    }

    /// Whether the queries have ceased, where they came at this rate `before`, if that is known.
    pub(super) fn has_ceased(self, before: Option<Self>) -> bool {
        self <= Self::SILENCE || before.is_some_and(|before| self.0 <= before.0 / LEFT)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.per_second())
    }
}

/// The counts that a rate is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Meter {
    /// When there was which one, the oldest first: none that is not needed any more.
    counts: VecDeque<(Duration, u64)>,
    /// Whether the last time that it was asked it said something.
    is_known: bool,
}

impl Meter {
    /// After one more cycle.
    pub(super) fn fold(&self, count: Count) -> Self {
        let mut next = self.clone();
        match count {
            Count::NotAsked => {}
            Count::Unknown => next.is_known = false,
            Count::Known { at, queries } => {
                if next.counts.back().is_some_and(|(_, before)| *before > queries) {
                    next.counts.clear();
                }
                next.counts.push_back((at, queries));
                next.is_known = true;
                while next.counts.get(1).is_some_and(|(since, _)| at.saturating_sub(*since) >= WINDOW) {
                    next.counts.pop_front();
                }
            }
        }
        next
    }

    /// The rate of late; `None` while it is not known.
    pub(super) fn rate(&self) -> Option<Rate> {
        let (first, last) = (self.counts.front()?, self.counts.back()?);
        let time = last.0.saturating_sub(first.0);
        (self.is_known && time >= WINDOW).then(|| Rate::of(last.1.saturating_sub(first.1), time))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(counts: &[(u64, u64)]) -> Meter {
        counts.iter().fold(Meter::default(), |meter, (second, queries)| {
            meter.fold(Count::Known { at: Duration::from_secs(*second), queries: *queries })
        })
    }

    fn rate(counts: &[(u64, u64)]) -> Option<u32> {
        fold(counts).rate().map(Rate::per_second)
    }

    #[test]
    fn a_rate_takes_ten_seconds() {
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[(0, 500)]), None);
        assert_eq!(rate(&[(0, 500), (9, 1_500)]), None);
        assert_eq!(rate(&[(0, 500), (10, 1_500)]), Some(100));
        assert_eq!(rate(&[(0, 500), (60, 6_500)]), Some(100));
        // Counts come more often, and are fewer: after ten seconds nothing of before is left.
        let counts = [(0, 0), (60, 6_000), (62, 6_000), (64, 6_000), (66, 6_000), (68, 6_000), (70, 6_000)];
        assert_eq!(rate(&counts[..3]), Some(97), "since the first one: the second is too young");
        assert_eq!(rate(&counts[..6]), Some(88));
        assert_eq!(rate(&counts), Some(0));
        assert_eq!(fold(&counts).counts.len(), 6);
        // A fraction of one a second is none, in whole ones.
        assert_eq!(rate(&[(0, 0), (60, 29)]), Some(0));
        assert_eq!(rate(&[(0, 0), (60, 30)]), Some(1));
    }

    #[test]
    fn one_that_started_again_and_one_that_says_nothing_are_not_silent() {
        assert_eq!(rate(&[(0, 500), (60, 600), (120, 599)]), None);
        assert_eq!(rate(&[(0, 500), (60, 600), (120, 100), (180, 700)]), Some(10));
        let known = fold(&[(0, 0), (60, 600)]);
        assert_eq!(known.fold(Count::NotAsked).rate(), known.rate());
        let unknown = known.fold(Count::Unknown).fold(Count::NotAsked);
        assert_eq!(unknown.rate(), None);
        // What it counted meanwhile counts.
        let again = unknown.fold(Count::Known { at: Duration::from_secs(120), queries: 1_800 });
        assert_eq!(again.rate().map(Rate::per_second), Some(20));
    }

    #[test]
    fn what_has_ceased_is_a_tenth_or_one_a_second() {
        for (before, now, ceased) in [
            (Some(100_000), 10_000, true),
            (Some(100_000), 10_001, false),
            (Some(5_000), 1_000, true),
            (Some(5_000), 1_001, false),
            (Some(1_000), 1_000, true),
            (Some(0), 1_000, true),
            (Some(0), 1_001, false),
            (None, 1_000, true),
            (None, 1_001, false),
        ] {
            assert_eq!(Rate(now).has_ceased(before.map(Rate)), ceased, "{before:?} {now}");
        }
    }

    proptest! {
        /// Whenever it is asked, the rate is between the least and the most that came in any second.
        #[test]
        fn a_rate_is_one_of_what_came(
            seconds in proptest::collection::vec(0..1_000u64, 1..200),
            asked in proptest::collection::vec(1..40usize, 1..40),
        ) {
            let mut meter = Meter::default();
            let (mut at, mut queries) = (0, 0);
            for pause in asked {
                let next = (at + pause).min(seconds.len());
                if next == at {
                    break;
                }
                queries += seconds[at..next].iter().sum::<u64>();
                at = next;
                meter = meter.fold(Count::Known { at: Duration::from_secs(at as u64), queries });
                prop_assert!(meter.counts.len() <= 13);
                if let Some(rate) = meter.rate() {
                    let seen = &seconds[..at];
                    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
                    prop_assert!((least * 1_000..=most * 1_000).contains(&rate.0), "{rate:?}");
                }
            }
        }

        /// Fewer queries are never a reason to wait longer, nor is it one that there were more before.
        #[test]
        fn what_has_ceased_stays_so_with_fewer(before in 0..1u64 << 40, now in 0..1u64 << 40, less in 0..1u64 << 40) {
            if Rate(now).has_ceased(Some(Rate(before))) {
                prop_assert!(Rate(now.saturating_sub(less)).has_ceased(Some(Rate(before))));
                prop_assert!(Rate(now).has_ceased(Some(Rate(before.saturating_add(less)))));
                prop_assert!(now <= 1_000 || now * LEFT <= before);
            }
        }
    }
}
