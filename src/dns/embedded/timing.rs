//! Timing: when a secondary looks at its primaries again.
//!
//! The SOA's own numbers (RFC 1035 section 3.3.13), kept within bounds, since a zone's owner chooses them and we pay
//! for them; and a backoff of ours for a zone that never had any.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::zone::SoaTimers;

/// Bounds for the timers of all secondary zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Shortest and longest time between two looks that succeed.
    pub refresh: (Duration, Duration),
    /// Shortest and longest time after a look that failed.
    pub retry: (Duration, Duration),
    /// First and longest pause of a zone that was never loaded; it doubles from one to the other.
    pub first: (Duration, Duration),
    /// From when the server is given its zones until it forgets what it kept of others: those that were taken away while
    /// the agent was down.
    pub forget: Duration,
}

impl Default for Timing {
    /// Fit for a network of some thousand zones. At boot the mesh or a hub may come up a moment later than we do, so
    /// the first tries follow each other quickly.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            refresh: (seconds(30), seconds(86_400)),
            retry: (seconds(10), seconds(3_600)),
            first: (Duration::from_millis(500), seconds(60)),
            forget: seconds(600),
        }
    }
}

impl Timing {
    /// From a look that found the zone current, or transferred it, to the next.
    pub(crate) fn refresh(&self, soa: SoaTimers) -> Duration {
        early(seconds(soa.refresh).clamp(self.refresh.0, self.refresh.1))
    }

    /// From a look that failed to the next, for a zone that has data.
    pub(crate) fn retry(&self, soa: SoaTimers) -> Duration {
        early(seconds(soa.retry).clamp(self.retry.0, self.retry.1))
    }

    /// The same for a zone that has none, after so many failures in a row.
    pub(crate) fn first(&self, failures: u32) -> Duration {
        let doubled = self.first.0.saturating_mul(1 << failures.saturating_sub(1).min(16));
        early(doubled.min(self.first.1))
    }

    /// From the last look that succeeded to the end of serving. Never before one refresh and one retry could have
    /// been tried, whatever the SOA says.
    pub(crate) fn expire(&self, soa: SoaTimers) -> Duration {
        let refresh = seconds(soa.refresh).clamp(self.refresh.0, self.refresh.1);
        let retry = seconds(soa.retry).clamp(self.retry.0, self.retry.1);
        seconds(soa.expire).max(refresh + retry)
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// Up to a tenth earlier, so that zones which were loaded together do not stay together.
fn early(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1024;
    pause - pause.mul_f64(random as f64 / 10_240.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soa(refresh: u32, retry: u32, expire: u32) -> SoaTimers {
        SoaTimers { refresh, retry, expire, minimum: 300 }
    }

    #[test]
    fn the_soa_decides_within_bounds() {
        let timing = Timing::default();
        let within = |pause: Duration, most: u64| {
            assert!(pause <= seconds(most as u32) && pause >= seconds(most as u32).mul_f64(0.9), "{pause:?}");
        };
        within(timing.refresh(soa(7200, 900, 1_209_600)), 7200);
        within(timing.refresh(soa(0, 0, 0)), 30);
        within(timing.refresh(soa(u32::MAX, 0, 0)), 86_400);
        within(timing.retry(soa(7200, 900, 1_209_600)), 900);
        within(timing.retry(soa(0, 0, 0)), 10);
        assert_eq!(timing.expire(soa(7200, 900, 1_209_600)), seconds(1_209_600));
        assert_eq!(timing.expire(soa(7200, 900, 0)), seconds(8100));
    }

    #[test]
    fn a_zone_that_was_never_loaded_is_tried_soon_and_then_seldom() {
        let timing = Timing::default();
        assert!(timing.first(1) <= Duration::from_millis(500));
        assert!(timing.first(2) > timing.first(1));
        assert!(timing.first(u32::MAX) <= seconds(60) && timing.first(u32::MAX) >= seconds(54));
    }
}
