//! Pulse: the moments at which what is done again and again is done, so that the machine wakes up once for all of it.
//!
//! Waking up is most of what an idle agent costs. Pulses are a second apart, from the first time that anybody asks for one.
//! What has begun at others comes to the even ones by itself.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

const PULSE: Duration = Duration::from_secs(1);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When to do again what is to be done again after this time at the latest: at the last even pulse within it, or the last
/// one where that would be much too soon. What is done more often than every other pulse takes the time that it says.
pub(crate) fn within(time: Duration) -> Instant {
    let first = *FIRST;
    first + after(first.elapsed(), time)
}

/// The same, in time since the first pulse.
fn after(now: Duration, time: Duration) -> Duration {
    if time < 2 * PULSE {
        return now + time;
    }
    let last = (now + time).as_secs();
    let even = Duration::from_secs(last & !1);
    if even > now + time * 2 / 5 { even } else { Duration::from_secs(last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_never_late_and_never_much_too_soon() {
        for time in [500, 1_999, 2_000, 2_500, 3_000, 10_000].map(Duration::from_millis) {
            for now in (0..4_000).step_by(130).map(Duration::from_millis) {
                let at = after(now, time);
                assert!(at > now + time * 2 / 5 && at <= now + time, "{time:?} after {now:?}");
                let is_pulse = at.subsec_nanos() == 0;
                assert!(is_pulse || time < 2 * PULSE && at == now + time, "{time:?} after {now:?}");
            }
        }
        assert!(within(PULSE) > *FIRST);
    }

    #[test]
    fn what_is_done_again_and_again_comes_to_even_pulses() {
        for begun in (0..2_000).step_by(130).map(Duration::from_millis) {
            for time in [2, 3, 10].map(Duration::from_secs) {
                let step = |at: &Duration| Some(after(*at + Duration::from_millis(4), time));
                let mut third = std::iter::successors(Some(begun), step).skip(3).take(9);
                assert!(third.all(|at| at.as_secs() % 2 == 0), "{time:?} after {begun:?}");
            }
        }
    }
}
