//! Why a connection ended, in words, and the NOTIFICATIONs that we send of our own accord.

use super::update;
use super::wire::notification::{CEASE, MAX_PREFIXES, Notification};
use crate::routing::Family;

/// The end of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closure {
    /// For people.
    pub(super) why: String,
    /// Who said so, if anybody did.
    pub(super) said: Option<Said>,
    /// The peer broke an agreement which only its operator can mend: wait long before trying again.
    pub(super) hold_off: bool,
}

/// Who sent the NOTIFICATION that ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// We did.
    ByUs,
    /// The peer did.
    ByThem,
}

impl Closure {
    /// Without a NOTIFICATION: TCP failed.
    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self { why: why.into(), said: None, hold_off: false }
    }

    /// With our NOTIFICATION.
    pub(super) fn sent(notification: &Notification) -> Self {
        let hold_off = (notification.code, notification.subcode) == (CEASE, MAX_PREFIXES);
        Self { why: format!("sent {}", describe(notification)), said: Some(Said::ByUs), hold_off }
    }

    /// With the peer's NOTIFICATION.
    pub(super) fn received(notification: &Notification) -> Self {
        let why = format!("received {}", describe(notification));
        Self { why, said: Some(Said::ByThem), hold_off: false }
    }
}

/// Octets of data that are shown.
const SHOWN: usize = 64;

/// `NOTIFICATION 6/2 (Administrative Shutdown): "message"`, or with the data as hexadecimal digits.
pub(super) fn describe(notification: &Notification) -> String {
    let text =
        format!("NOTIFICATION {}/{} ({})", notification.code, notification.subcode, notification.name());
    match notification.communication() {
        // RFC 9003 section 2: it comes from outside; quoted, so that no control character reaches a terminal.
        Some(message) => format!("{text}: {message:?}"),
        None if notification.data.is_empty() => text,
        None => format!("{text}, data {}", hexadecimal(&notification.data, SHOWN)),
    }
}

/// The first `most` octets.
pub(super) fn hexadecimal(octets: &[u8], most: usize) -> String {
    let digits: String = octets.iter().take(most).map(|octet| format!("{octet:02x}")).collect();
    if octets.len() > most { format!("{digits}… ({} octets)", octets.len()) } else { digits }
}

// Subcodes of RFC 4486.
const PEER_DECONFIGURED: u8 = 3;
const CONNECTION_REJECTED: u8 = 5;
const CONFIGURATION_CHANGE: u8 = 6;
const COLLISION: u8 = 7;

/// The peer is no longer configured.
pub(super) fn peer_deconfigured() -> Notification {
    Notification::cease(PEER_DECONFIGURED, &[])
}

/// There is no session for this connection, or not now.
pub(super) fn connection_rejected() -> Notification {
    Notification::cease(CONNECTION_REJECTED, &[])
}

/// The session comes back with another configuration.
pub(super) fn configuration_change() -> Notification {
    Notification::cease(CONFIGURATION_CHANGE, &[])
}

/// Another connection with the same peer is the one to use (RFC 4271 section 6.8).
pub(super) fn collision() -> Notification {
    Notification::cease(COLLISION, &[])
}

/// RFC 4486 section 4: more prefixes than agreed, with the family and the bound.
pub(super) fn too_many_prefixes(family: Family, limit: usize) -> Notification {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).to_be_bytes();
    let family = update::afi(family).to_be_bytes();
    Notification::cease(MAX_PREFIXES, &[&family[..], &[update::UNICAST], &limit].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_message_is_quoted() {
        let closure = Closure::received(&Notification::administrative_shutdown("back at \u{1b}[31mnine"));
        assert_eq!(
            closure.why,
            "received NOTIFICATION 6/2 (Administrative Shutdown): \"back at \\u{1b}[31mnine\""
        );
    }

    #[test]
    fn data_are_shown_and_not_all_of_many() {
        let broken = Closure::received(&Notification::cease(2, &[9, 0xff]));
        assert_eq!(broken.why, "received NOTIFICATION 6/2 (Administrative Shutdown), data 09ff");
        let long = describe(&Notification::update(9, &[0xab; 1000]));
        assert!(long.ends_with("abab… (1000 octets)") && long.len() < 250, "{long}");
    }

    #[test]
    fn only_too_many_prefixes_holds_off() {
        assert!(Closure::sent(&too_many_prefixes(Family::V6, 10)).hold_off);
        assert!(!Closure::sent(&collision()).hold_off);
        assert_eq!(too_many_prefixes(Family::V6, 10).data.as_ref(), [0, 2, 1, 0, 0, 0, 10]);
    }
}
