//! Pace: how soon a daemon that keeps ending is started again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Starts before this are forgotten.
const MEMORY: Duration = Duration::from_secs(300);
/// The longest wait between two starts.
const LONGEST: Duration = Duration::from_secs(60);

/// The starts of late.
#[derive(Debug, Default)]
pub(super) struct Pace {
    starts: VecDeque<Instant>,
}

impl Pace {
    /// Whether it may be started now; if not, how long it has to wait: the first two times in five minutes not at all, then
    /// until 1, 2, 4 … 60 s after the last.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(now);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.starts.push_back(now);
        Ok(())
    }

    fn wait(&mut self, now: Instant) -> Duration {
        self.starts.retain(|start| now.duration_since(*start) < MEMORY);
        let Some(last) = self.starts.back().filter(|_| self.starts.len() > 1) else { return Duration::ZERO };
        let doublings = u32::try_from(self.starts.len() - 2).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(2u64.saturating_pow(doublings)).min(LONGEST);
        (*last + pause).saturating_duration_since(now)
    }

    /// It was ended on purpose: that says nothing against it.
    pub(super) fn forget(&mut self) {
        self.starts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_ending_waits_longer_and_longer() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = pace.wait(now);
            waits.push(wait.as_secs());
            assert_eq!(pace.admit(now).err().unwrap_or_default(), wait);
            now += wait;
            if wait > Duration::ZERO {
                pace.admit(now).unwrap();
            }
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pace.wait(now + MEMORY), Duration::ZERO);
        pace.forget();
        assert_eq!(pace.wait(now), Duration::ZERO);
    }
}
