//! Pulse: the moments at which what is done again and again is done, so that the machine wakes up once for much of it.
//!
//! Waking up is most of what an idle agent costs. Pulses are a second apart, from the first time that anybody asks for one.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

const PULSE: Duration = Duration::from_secs(1);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The next pulse.
pub(crate) fn next() -> Instant {
    last_before(Instant::now() + PULSE)
}

/// When to do again what is to be done again after this time at the latest: at the last pulse within it. What is done more
/// often than every other pulse takes the time that it says.
pub(crate) fn within(time: Duration) -> Instant {
    let late = Instant::now() + time;
    if time < 2 * PULSE { late } else { last_before(late) }
}

fn last_before(late: Instant) -> Instant {
    *FIRST + Duration::from_secs(late.saturating_duration_since(*FIRST).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_never_late_and_never_much_too_soon() {
        for millis in [500, 1_999, 2_000, 2_500, 10_000] {
            let (before, time) = (Instant::now(), Duration::from_millis(millis));
            let at = within(time);
            assert!(at > before + time / 2 && at <= Instant::now() + time, "{millis}");
            let is_pulse = (at - *FIRST).subsec_nanos() == 0;
            assert_eq!(is_pulse, millis >= 2_000, "{millis}");
        }
        assert!(next() > *FIRST && next() <= Instant::now() + PULSE);
    }
}
