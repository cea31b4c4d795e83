//! When a session tries again.

use std::time::Duration;

use super::jitter::jittered;

/// The waits between attempts: doubling from `first` to `most`, each with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After the first failure.
    pub first: Duration,
    /// After many.
    pub most: Duration,
    /// While the peer offers more prefixes than agreed, which its operator has to mend: doubling from `most` to this.
    pub hold_off: Duration,
}

impl Default for RetryPolicy {
    /// 1 s to 10 s, so that a node that restarted is back quickly; and five minutes.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(10),
            hold_off: Duration::from_secs(300),
        }
    }
}

/// The waits of one session.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: RetryPolicy,
    next: Duration,
    next_hold_off: Duration,
}

impl Backoff {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, next: policy.first, next_hold_off: policy.most.min(policy.hold_off) }
    }

    /// The wait before the next attempt.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.policy.most);
        jittered(wait)
    }

    /// The wait after too many prefixes. A peer that slipped once is back soon; one that always offers them does not have
    /// our routes come and go all day, for which others would suppress them.
    pub(super) fn hold_off(&mut self) -> Duration {
        let wait = self.next_hold_off;
        self.next_hold_off = wait.saturating_mul(2).min(self.policy.hold_off);
        jittered(wait)
    }

    /// It worked: begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_again() {
        let mut backoff = Backoff::new(RetryPolicy::default());
        for seconds in [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
            let wait = backoff.wait().as_secs_f64();
            assert!(wait <= seconds && wait >= 0.75 * seconds, "{wait} for {seconds}");
        }
        for seconds in [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0] {
            let wait = backoff.hold_off().as_secs_f64();
            assert!(wait <= seconds && wait >= 0.75 * seconds, "{wait} for {seconds}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_secs(1) && backoff.hold_off() <= Duration::from_secs(10));
    }
}
