//! Two connections of one session at a time: which one goes (RFC 4271 section 6.8).

use std::net::Ipv4Addr;

use crate::routing::SessionState;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// We connected.
    Us,
    /// The peer did.
    Them,
}

impl Opener {
    /// The opposite.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Us => Self::Them,
            Self::Them => Self::Us,
        }
    }
}

/// A speaker's identifier and AS number.
pub(super) type Identity = (Ipv4Addr, u32);

/// Which connection to close, now that an OPEN has arrived on `opened`'s while the other one is in state `other`.
/// Both speakers come to the same decision: the connection stays which the one with the higher identity opened.
pub(super) fn loser(
    opened: Opener,
    other: SessionState,
    local: Identity,
    remote: Identity,
) -> Option<Opener> {
    match other {
        // Only a connection on which the peer was heard counts: the other one may lead nowhere.
        SessionState::Idle | SessionState::Connect | SessionState::Active | SessionState::OpenSent => None,
        // RFC 6286 section 2.3: of equal identifiers, the AS numbers decide.
        SessionState::OpenConfirm => Some(if local < remote { Opener::Us } else { Opener::Them }),
        SessionState::Established => Some(opened),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Identity = (Ipv4Addr::new(192, 0, 2, 1), 64511);
    const HIGH: Identity = (Ipv4Addr::new(192, 0, 2, 2), 64496);

    #[test]
    fn both_ends_close_the_same_connection() {
        let low_closes = loser(Opener::Us, SessionState::OpenConfirm, LOW, HIGH);
        let high_closes = loser(Opener::Them, SessionState::OpenConfirm, HIGH, LOW);
        assert_eq!(low_closes, Some(Opener::Us), "what the lower one opened");
        assert_eq!(high_closes, Some(Opener::Them), "the same one, seen from the other end");
    }

    #[test]
    fn equal_identifiers_are_told_apart_by_as_number() {
        let twin = (LOW.0, 64512);
        assert_eq!(loser(Opener::Us, SessionState::OpenConfirm, LOW, twin), Some(Opener::Us));
        assert_eq!(loser(Opener::Us, SessionState::OpenConfirm, twin, LOW), Some(Opener::Them));
    }

    #[test]
    fn an_established_connection_stays_and_a_silent_one_does_not_count() {
        assert_eq!(loser(Opener::Them, SessionState::Established, LOW, HIGH), Some(Opener::Them));
        assert_eq!(loser(Opener::Us, SessionState::Established, LOW, HIGH), Some(Opener::Us));
        assert_eq!(loser(Opener::Us, SessionState::OpenSent, LOW, HIGH), None);
    }
}
