//! Jitter of timers, so that peers do not keep colliding, and sessions not fall into step (RFC 4271 section 10).

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Between 75 % and 100 % of `wait`, another each time.
pub(super) fn jittered(wait: Duration) -> Duration {
    // A fresh RandomState hashes nothing to a different number each time.
    let part = RandomState::new().hash_one(()) % 256;
    wait.mul_f64(1.0 - (part as f64) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_up_to_a_quarter_and_never_the_same() {
        let whole = Duration::from_secs(1000);
        let waits: Vec<Duration> = (0..1000).map(|_| jittered(whole)).collect();
        assert!(waits.iter().all(|wait| (whole * 3 / 4..=whole).contains(wait)));
        assert!(waits.iter().min() < Some(&(whole * 4 / 5)) && waits.iter().max() > Some(&(whole * 19 / 20)));
    }
}
