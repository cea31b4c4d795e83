//! Why a connection ended, in words, and the NOTIFICATIONs that we send of our own accord.

use bytes::Bytes;
use rustbgpd_wire::notification::{
    cease_subcode, description, encode_shutdown_communication, extract_shutdown_communication,
};
use rustbgpd_wire::{NotificationCode, NotificationMessage};

use super::update;
use crate::routing::Family;

/// The end of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closure {
    /// For people.
    pub(super) why: String,
    /// The peer broke an agreement which only its operator can mend: wait long before trying again.
    pub(super) hold_off: bool,
}

impl Closure {
    /// Without a NOTIFICATION: TCP failed.
    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self { why: why.into(), hold_off: false }
    }

    /// With our NOTIFICATION.
    pub(super) fn sent(notification: &NotificationMessage) -> Self {
        let hold_off = notification.code == NotificationCode::Cease
            && notification.subcode == cease_subcode::MAX_PREFIXES;
        Self { why: format!("sent {}", describe(notification)), hold_off }
    }

    /// With the peer's NOTIFICATION.
    pub(super) fn received(notification: &NotificationMessage) -> Self {
        Self { why: format!("received {}", describe(notification)), hold_off: false }
    }
}

/// `NOTIFICATION 6/2 (Administrative Shutdown): "message"`.
fn describe(notification: &NotificationMessage) -> String {
    let text = format!(
        "NOTIFICATION {}/{} ({})",
        notification.code.as_u8(),
        notification.subcode,
        description(notification.code, notification.subcode),
    );
    match extract_shutdown_communication(notification) {
        // RFC 9003 section 2: it comes from outside; quoted, so that no control character reaches a terminal.
        Ok(Some(message)) if !message.is_empty() => format!("{text}: {message:?}"),
        _ => text,
    }
}

/// RFC 9003: administratively shut down, with a message to the peer's operator.
pub(super) fn administrative_shutdown(message: &str) -> NotificationMessage {
    cease(cease_subcode::ADMINISTRATIVE_SHUTDOWN, encode_shutdown_communication(message))
}

/// RFC 4486: the peer is no longer configured.
pub(super) fn peer_deconfigured() -> NotificationMessage {
    cease(cease_subcode::PEER_DECONFIGURED, Bytes::new())
}

/// RFC 4486: the session comes back with another configuration.
pub(super) fn configuration_change() -> NotificationMessage {
    cease(cease_subcode::OTHER_CONFIGURATION_CHANGE, Bytes::new())
}

/// RFC 4486: another connection with the same peer is the one to use (RFC 4271 section 6.8).
pub(super) fn collision() -> NotificationMessage {
    cease(cease_subcode::CONNECTION_COLLISION_RESOLUTION, Bytes::new())
}

/// RFC 4486 section 4: more prefixes than agreed, with the family and the bound.
pub(super) fn too_many_prefixes(family: Family, limit: usize) -> NotificationMessage {
    let mut data = Vec::with_capacity(7);
    data.extend((update::afi(family) as u16).to_be_bytes());
    data.push(rustbgpd_wire::Safi::Unicast as u8);
    data.extend(u32::try_from(limit).unwrap_or(u32::MAX).to_be_bytes());
    cease(cease_subcode::MAX_PREFIXES, Bytes::from(data))
}

fn cease(subcode: u8, data: Bytes) -> NotificationMessage {
    NotificationMessage::new(NotificationCode::Cease, subcode, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_message_is_quoted() {
        let closure = Closure::received(&administrative_shutdown("back at \u{1b}[31mnine"));
        assert_eq!(
            closure.why,
            "received NOTIFICATION 6/2 (Administrative Shutdown): \"back at \\u{1b}[31mnine\""
        );
    }

    #[test]
    fn a_broken_shutdown_message_is_left_out() {
        let mut notification = administrative_shutdown("maintenance");
        notification.data = notification.data.slice(..5);
        assert_eq!(Closure::sent(&notification).why, "sent NOTIFICATION 6/2 (Administrative Shutdown)");
    }

    #[test]
    fn only_too_many_prefixes_holds_off() {
        assert!(Closure::sent(&too_many_prefixes(Family::V6, 10)).hold_off);
        assert!(!Closure::sent(&collision()).hold_off);
        assert_eq!(too_many_prefixes(Family::V6, 10).data.as_ref(), [0, 2, 1, 0, 0, 0, 10]);
    }
}
