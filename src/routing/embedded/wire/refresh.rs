//! ROUTE-REFRESH (RFC 2918, RFC 7313).

use super::Frame;
use super::notification::Notification;

/// What a ROUTE-REFRESH says, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Refresh {
    /// Everything is asked for again.
    Request = 0,
    /// What follows is everything (BoRR).
    Begin = 1,
    /// That was everything (EoRR).
    End = 2,
}

impl Refresh {
    /// Reads one: the family, and what is said of it; `None` for what RFC 7313 section 5 ignores. From a peer that is not
    /// `enhanced`, the subtype is a reserved octet, which says nothing (RFC 2918 section 3).
    ///
    /// # Errors
    /// The NOTIFICATION to close with.
    pub(crate) fn read(frame: &Frame<'_>, enhanced: bool) -> Result<Option<(u16, u8, Self)>, Notification> {
        let body = frame.body();
        let subtype = if enhanced { body.get(2).copied().unwrap_or_default() } else { 0 };
        if matches!(subtype, 1 | 2) && body.len() != 4 {
            return Err(Notification::refresh_length(frame.octets()));
        }
        // What may follow is a filter (RFC 5291), which we never offered to apply.
        let &[high, low, _, safi, ..] = body else { return Err(Notification::bad_length(frame.length())) };
        let said = match subtype {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            _ => return Ok(None),
        };
        Ok(Some((u16::from_be_bytes([high, low]), safi, said)))
    }

    pub(crate) fn body(self, afi: u16, safi: u8) -> [u8; 4] {
        let [high, low] = afi.to_be_bytes();
        [high, low, self as u8, safi]
    }
}
