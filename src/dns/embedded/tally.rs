//! Tally: a count to which many threads add, each at a place of its own, so that none waits for another.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More threads than this share places.
const PLACES: usize = 32;

/// On cache lines of its own, the one beside it included, which processors fetch with it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(AtomicU64);

/// A count that only grows.
#[derive(Debug, Default)]
pub(super) struct Tally([Place; PLACES]);

thread_local! {
    /// The thread's place in every tally.
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % PLACES
    };
}

impl Tally {
    /// One more.
    pub(super) fn add(&self) {
        PLACE.with(|place| self.0[*place].0.fetch_add(1, Ordering::Relaxed));
    }

    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().fold(0, |total, place| total.wrapping_add(place.0.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_add_is_counted_together() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| (0..100).for_each(|_| tally.add()));
            }
        });
        assert_eq!(tally.total(), 200 * PLACES as u64);
    }
}
