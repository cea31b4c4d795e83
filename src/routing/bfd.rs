//! BFD (RFC 5880, RFC 5882): a session ends when its peer has not been heard for some packets of its own, long before the
//! hold time. Only where both sides ask for it: a session that its peer does not answer by BFD is up without it.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::RoutingDaemonKind;

/// How soon a session notices that nothing comes through any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bfd {
    /// Between two packets, in both directions.
    pub interval: Duration,
    /// After how many missing ones the peer is gone.
    pub multiplier: u8,
}

impl Bfd {
    /// As a peer's file has it that says no more.
    pub const DEFAULT: Self = Self { interval: Duration::from_millis(100), multiplier: 3 };
    /// Also at its longest it is sooner than the hold time.
    pub(crate) const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(2);
    /// One missing packet is no failure.
    pub(crate) const MULTIPLIERS: RangeInclusive<u8> = 2..=10;

    /// Why a daemon runs sessions without, if it does.
    pub(crate) fn lacked_by(daemon: RoutingDaemonKind) -> Option<&'static str> {
        match daemon {
            RoutingDaemonKind::Bird | RoutingDaemonKind::Frr => None,
            RoutingDaemonKind::Embedded => Some("the embedded speaker has no BFD"),
            RoutingDaemonKind::Gobgp => Some("GoBGP has no BFD"),
            RoutingDaemonKind::Openbgpd => Some("OpenBGPD has no BFD"),
        }
    }
}

/// How BFD stands for a session that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BfdState {
    /// The peer is heard.
    Up,
    /// It is not: it does not ask for it at its end, or not any more; a session that is established goes on without.
    Down,
    /// Nobody here listens: the daemon has no BFD, or what speaks it does not run, or not yet.
    Absent,
}

impl BfdState {
    /// Of a session, by what was found of it among those that are listened for.
    pub(crate) fn of(heard: Option<&bool>) -> Self {
        match heard {
            Some(true) => Self::Up,
            Some(false) => Self::Down,
            None => Self::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::HOLD_TIME;

    #[test]
    fn the_longest_is_sooner_than_the_hold_time() {
        assert!(*Bfd::INTERVALS.end() * u32::from(*Bfd::MULTIPLIERS.end()) < HOLD_TIME);
        assert!(Bfd::INTERVALS.contains(&Bfd::DEFAULT.interval));
        assert!(Bfd::MULTIPLIERS.contains(&Bfd::DEFAULT.multiplier));
    }
}
