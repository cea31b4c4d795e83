//! Which links have fallen silent. Pure.
//!
//! Every node sends a beat to every other each two seconds, and WireGuard answers data within ten seconds even where nothing
//! above it does (WireGuard paper, section 6.5: Keepalive-Timeout). So where packets have long been sent and none came, the
//! other machine is gone, or the way to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::mesh::PublicKey;

/// A link on which nothing came for so long is silent: twice what WireGuard waits before it answers.
const SILENCE: Duration = Duration::from_secs(20);
/// The time between two looks counts up to this. An agent that slept longer has heard nothing because of itself.
const LOOK: Duration = Duration::from_secs(5);

/// What was heard at the looks until now.
#[derive(Debug, Default)]
pub(super) struct Silence {
    looked: Option<Duration>,
    links: BTreeMap<PublicKey, Heard>,
}

#[derive(Debug)]
struct Heard {
    received: u64,
    silent_for: Duration,
}

impl Silence {
    /// The links that are silent, where these are all links with the octets received on each, and `now` the time since any
    /// fixed moment.
    pub(super) fn look(
        &mut self,
        received: impl IntoIterator<Item = (PublicKey, u64)>,
        now: Duration,
    ) -> BTreeSet<PublicKey> {
        let elapsed = self.looked.map_or(Duration::ZERO, |looked| now.saturating_sub(looked)).min(LOOK);
        self.looked = Some(now);
        let mut before = std::mem::take(&mut self.links);
        for (key, received) in received {
            let silent_for = match before.remove(&key) {
                Some(heard) if heard.received == received => heard.silent_for + elapsed,
                // Fewer are those of a link made anew.
                Some(_) | None => Duration::ZERO,
            };
            self.links.insert(key, Heard { received, silent_for });
        }
        let silent = self.links.iter().filter(|(_, heard)| heard.silent_for >= SILENCE);
        silent.map(|(key, _)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublicKey = PublicKey([1; 32]);
    const OTHER: PublicKey = PublicKey([2; 32]);

    /// What is silent after these looks: seconds, and octets received on the two links.
    fn after(looks: impl IntoIterator<Item = (u64, u64, u64)>) -> BTreeSet<PublicKey> {
        let mut silence = Silence::default();
        let looks = looks
            .into_iter()
            .map(|(now, one, other)| silence.look([(KEY, one), (OTHER, other)], Duration::from_secs(now)));
        looks.last().unwrap()
    }

    #[test]
    fn a_link_is_silent_when_nothing_has_come_for_long() {
        assert_eq!(after((0..10).map(|look| (look * 2, 7, look))), [].into());
        assert_eq!(after((0..11).map(|look| (look * 2, 7, look))), [KEY].into());
    }

    #[test]
    fn one_packet_ends_the_silence() {
        let looks = (0..11).map(|look| (look * 2, 7, look));
        assert_eq!(after(looks.clone().chain([(22, 8, 11)])), [].into());
        assert_eq!(after(looks.chain([(22, 0, 11)])), [].into(), "made anew");
    }

    #[test]
    fn an_agent_that_slept_blames_nobody() {
        assert_eq!(after([(0, 7, 7), (60, 7, 7), (62, 7, 7)]), [].into());
        assert_eq!(after((0..5).map(|look| (look * 60, 7, 7))), [KEY, OTHER].into());
    }

    #[test]
    fn a_link_that_goes_and_comes_begins_again() {
        let mut silence = Silence::default();
        for look in 0..11 {
            silence.look([(KEY, 7)], Duration::from_secs(look * 2));
        }
        assert_eq!(silence.look([], Duration::from_secs(22)), [].into());
        assert_eq!(silence.look([(KEY, 7)], Duration::from_secs(24)), [].into());
    }
}
