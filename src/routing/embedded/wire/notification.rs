//! NOTIFICATION: what was wrong, or why a session ends (RFC 4271 sections 4.5 and 6, and those that add to them).

use bytes::Bytes;

use super::{HEADER, Kind};
use crate::routing::SessionState;

/// A shutdown message at most, in octets: RFC 9003 allows 255, older software reads 128 (RFC 8203).
const MAX_COMMUNICATION: usize = 128;

/// A NOTIFICATION.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) code: u8,
    pub(crate) subcode: u8,
    pub(crate) data: Bytes,
}

pub(crate) const CEASE: u8 = 6;
pub(crate) const MAX_PREFIXES: u8 = 1;
const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
const ADMINISTRATIVE_RESET: u8 = 4;

impl Notification {
    pub(crate) fn new(code: u8, subcode: u8, data: &[u8]) -> Self {
        Self { code, subcode, data: Bytes::copy_from_slice(data) }
    }

    /// From a message's body, which has two octets at least.
    pub(crate) fn read(body: &[u8]) -> Self {
        match body {
            [code, subcode, data @ ..] => Self::new(*code, *subcode, data),
            _ => Self::new(0, 0, &[]),
        }
    }

    /// With as much of the data as a message of `limit` octets holds (RFC 8654 section 5).
    pub(crate) fn body(&self, limit: usize) -> Vec<u8> {
        let room = limit.saturating_sub(HEADER + 2);
        [&[self.code, self.subcode], &self.data[..self.data.len().min(room)]].concat()
    }

    // RFC 4271 section 6.1: message header errors.

    pub(super) fn not_synchronized() -> Self {
        Self::new(1, 1, &[])
    }

    pub(super) fn bad_length(length: u16) -> Self {
        Self::new(1, 2, &length.to_be_bytes())
    }

    pub(super) fn bad_type(kind: u8) -> Self {
        Self::new(1, 3, &[kind])
    }

    /// RFC 4271 section 6.2: an error in an OPEN.
    pub(crate) fn open(subcode: u8, data: &[u8]) -> Self {
        Self::new(2, subcode, data)
    }

    /// RFC 4271 section 6.3: an error in an UPDATE.
    pub(crate) fn update(subcode: u8, data: &[u8]) -> Self {
        Self::new(3, subcode, data)
    }

    /// RFC 4271 section 6.5.
    pub(crate) fn hold_timer_expired() -> Self {
        Self::new(4, 0, &[])
    }

    /// RFC 6608: a message that may not come in this state.
    pub(crate) fn unexpected(kind: Kind, state: SessionState) -> Self {
        let subcode = match state {
            SessionState::OpenSent => 1,
            SessionState::OpenConfirm => 2,
            SessionState::Established => 3,
            SessionState::Idle | SessionState::Connect | SessionState::Active => 0,
        };
        Self::new(5, subcode, &[kind as u8])
    }

    /// RFC 4486: ended on purpose.
    pub(crate) fn cease(subcode: u8, data: &[u8]) -> Self {
        Self::new(CEASE, subcode, data)
    }

    /// RFC 9003: administratively shut down, with a message to the peer's operator.
    pub(crate) fn administrative_shutdown(message: &str) -> Self {
        let end = message.floor_char_boundary(MAX_COMMUNICATION);
        let length = u8::try_from(end).expect("it is 128 at most");
        Self::cease(ADMINISTRATIVE_SHUTDOWN, &[&[length], &message.as_bytes()[..end]].concat())
    }

    /// RFC 7313 section 5, with the message that was wrong.
    pub(super) fn refresh_length(message: &[u8]) -> Self {
        Self::new(7, 1, message)
    }

    /// The message to the operator (RFC 9003 section 2), if there is one and it is sound.
    pub(crate) fn communication(&self) -> Option<&str> {
        if self.code != CEASE || ![ADMINISTRATIVE_SHUTDOWN, ADMINISTRATIVE_RESET].contains(&self.subcode) {
            return None;
        }
        let (length, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*length)).filter(|text| !text.is_empty())?;
        std::str::from_utf8(text).ok()
    }

    /// What the numbers mean (IANA's registry of BGP error codes).
    pub(crate) fn name(&self) -> &'static str {
        match (self.code, self.subcode) {
            (1, 1) => "Connection Not Synchronized",
            (1, 2) => "Bad Message Length",
            (1, 3) => "Bad Message Type",
            (1, _) => "Message Header Error",
            (2, 1) => "Unsupported Version Number",
            (2, 2) => "Bad Peer AS",
            (2, 3) => "Bad BGP Identifier",
            (2, 4) => "Unsupported Optional Parameter",
            (2, 5) => "Authentication Failure",
            (2, 6) => "Unacceptable Hold Time",
            (2, 7) => "Unsupported Capability",
            (2, 11) => "Role Mismatch",
            (2, _) => "OPEN Message Error",
            (3, 1) => "Malformed Attribute List",
            (3, 2) => "Unrecognized Well-known Attribute",
            (3, 3) => "Missing Well-known Attribute",
            (3, 4) => "Attribute Flags Error",
            (3, 5) => "Attribute Length Error",
            (3, 6) => "Invalid ORIGIN Attribute",
            (3, 8) => "Invalid NEXT_HOP Attribute",
            (3, 9) => "Optional Attribute Error",
            (3, 10) => "Invalid Network Field",
            (3, 11) => "Malformed AS_PATH",
            (3, _) => "UPDATE Message Error",
            (4, _) => "Hold Timer Expired",
            (5, 1) => "Unexpected Message in OpenSent State",
            (5, 2) => "Unexpected Message in OpenConfirm State",
            (5, 3) => "Unexpected Message in Established State",
            (5, _) => "Finite State Machine Error",
            (6, 1) => "Maximum Number of Prefixes Reached",
            (6, 2) => "Administrative Shutdown",
            (6, 3) => "Peer De-configured",
            (6, 4) => "Administrative Reset",
            (6, 5) => "Connection Rejected",
            (6, 6) => "Other Configuration Change",
            (6, 7) => "Connection Collision Resolution",
            (6, 8) => "Out of Resources",
            (6, 9) => "Hard Reset",
            (6, 10) => "BFD Down",
            (6, _) => "Cease",
            (7, 1) => "Invalid ROUTE-REFRESH Length",
            (7, _) => "ROUTE-REFRESH Message Error",
            (8, _) => "Send Hold Timer Expired",
            _ => "Unknown Error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_message_is_cut_between_characters() {
        let message = format!("{}é and more", "x".repeat(MAX_COMMUNICATION - 1));
        let notification = Notification::administrative_shutdown(&message);
        assert_eq!(notification.communication(), Some(&message[..MAX_COMMUNICATION - 1]));
        assert_eq!(notification.data[0], 127);
    }

    #[test]
    fn a_broken_shutdown_message_is_none() {
        for data in [&[][..], &[0], &[5, b'x'], &[2, 0xff, 0xfe]] {
            assert_eq!(Notification::cease(2, data).communication(), None, "{data:?}");
        }
        assert_eq!(Notification::cease(4, &[1, b'x', b'y']).communication(), Some("x"));
    }

    #[test]
    fn data_never_make_it_longer_than_the_peer_reads() {
        let notification = Notification::update(5, &[0; 60000]);
        for (limit, length) in [(4096, 4096), (65535, HEADER + 2 + 60000)] {
            assert_eq!(notification.body(limit).len() + HEADER, length);
        }
    }
}
