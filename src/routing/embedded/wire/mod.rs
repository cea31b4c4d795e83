//! BGP messages as octets (RFC 4271 section 4). A *frame* is one whole message whose header was found sound; what is
//! wrong with a message is said as the NOTIFICATION that it is answered with.
//!
//! ```text
//!  octets ─→ take (header) ─→ Frame ─→ open, refresh, notification here; UPDATE in `update`
//!  Open, Notification, … ─→ put ─→ octets
//! ```
//! A stub needs little of BGP: unicast IPv4 and IPv6, and no more. What is not known here is skipped as the RFCs ask.

use bytes::{BufMut, BytesMut};

pub(super) mod capability;
pub(super) mod notification;
pub(super) mod open;
pub(super) mod refresh;

use notification::Notification;

/// The marker, the length and the type.
pub(super) const HEADER: usize = 19;

/// The largest message, in octets, unless both sides know extended messages.
pub(super) const MAX_MESSAGE: usize = 4096;

/// The largest extended message (RFC 8654).
pub(super) const MAX_EXTENDED_MESSAGE: usize = 65535;

const MARKER: [u8; 16] = [0xff; 16];

/// The types of messages, with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    /// RFC 2918.
    RouteRefresh = 5,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [Self::Open, Self::Update, Self::Notification, Self::Keepalive, Self::RouteRefresh]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }

    /// RFC 4271 section 6.1: the lengths that a message of this type may have, header included, where `limit` is what
    /// the connection allows.
    fn lengths(self, limit: usize) -> std::ops::RangeInclusive<usize> {
        match self {
            // RFC 8654 section 3: extended messages are neither of these.
            Self::Open => 29..=MAX_MESSAGE,
            Self::Keepalive => HEADER..=HEADER,
            Self::Update => 23..=limit,
            Self::Notification => 21..=limit,
            // RFC 7313 section 5: of one that is too short, its subtype says how wrong that is.
            Self::RouteRefresh => HEADER..=limit,
        }
    }
}

/// One message with a sound header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    octets: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Everything after the header.
    pub(super) fn body(&self) -> &'a [u8] {
        &self.octets[HEADER..]
    }

    /// The whole message.
    pub(super) fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// What its header says.
    pub(super) fn length(&self) -> u16 {
        u16::try_from(self.octets.len()).expect("it was read off two octets")
    }
}

/// Takes the next message off the input; `None` until it is whole. A header that is wrong is so as soon as it is there:
/// what it announces is not waited for.
///
/// # Errors
/// The NOTIFICATION to close with.
pub(super) fn take<'a>(input: &mut &'a [u8], limit: usize) -> Result<Option<Frame<'a>>, Notification> {
    let marker = input.len().min(MARKER.len());
    if input[..marker] != MARKER[..marker] {
        return Err(Notification::not_synchronized());
    }
    let Some(&[high, low, number]) = input.get(MARKER.len()..HEADER) else { return Ok(None) };
    let announced = u16::from_be_bytes([high, low]);
    let length = usize::from(announced);
    if !(HEADER..=limit).contains(&length) {
        return Err(Notification::bad_length(announced));
    }
    let kind = Kind::of(number).ok_or_else(|| Notification::bad_type(number))?;
    if !kind.lengths(limit).contains(&length) {
        return Err(Notification::bad_length(announced));
    }
    let Some((octets, rest)) = input.split_at_checked(length) else { return Ok(None) };
    *input = rest;
    Ok(Some(Frame { kind, octets }))
}

/// Appends a message.
pub(super) fn put(output: &mut BytesMut, kind: Kind, body: &[u8]) {
    let length = HEADER + body.len();
    output.reserve(length);
    output.put_slice(&MARKER);
    output.put_u16(u16::try_from(length).expect("what we write is bounded well below 64 KB"));
    output.put_u8(kind as u8);
    output.put_slice(body);
}

/// Reads fields off octets, so that what is not there is never read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn octet(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u16, kind: u8) -> BytesMut {
        let mut octets = BytesMut::from(&MARKER[..]);
        octets.put_u16(length);
        octets.put_u8(kind);
        octets
    }

    #[test]
    fn headers_are_judged_before_their_bodies_arrive() {
        let cases = [
            (18, 4, (1, 2)),
            (4097, 2, (1, 2)),
            (20, 4, (1, 2)),
            (28, 1, (1, 2)),
            (22, 2, (1, 2)),
            (20, 3, (1, 2)),
            (19, 0, (1, 3)),
            (19, 6, (1, 3)),
        ];
        for (length, kind, (code, subcode)) in cases {
            let fault = take(&mut &header(length, kind)[..], MAX_MESSAGE).unwrap_err();
            assert_eq!((fault.code, fault.subcode), (code, subcode), "length {length}, type {kind}");
        }
        let mut unsynchronized = header(19, 4);
        unsynchronized[15] = 0xfe;
        assert_eq!(take(&mut &unsynchronized[..], MAX_MESSAGE).unwrap_err().subcode, 1);
    }

    #[test]
    fn extended_messages_are_for_updates() {
        assert_eq!(take(&mut &header(5000, 2)[..], MAX_EXTENDED_MESSAGE), Ok(None));
        assert!(take(&mut &header(5000, 1)[..], MAX_EXTENDED_MESSAGE).is_err());
    }

    #[test]
    fn messages_come_off_one_by_one() {
        let mut written = BytesMut::new();
        put(&mut written, Kind::Keepalive, &[]);
        put(&mut written, Kind::RouteRefresh, &[0, 1, 0, 1]);
        for end in 0..written.len() {
            let mut input = &written[..end];
            let whole = std::iter::from_fn(|| take(&mut input, MAX_MESSAGE).unwrap()).count();
            assert_eq!((whole, input.len()), if end < HEADER { (0, end) } else { (1, end - HEADER) });
        }
        let mut input = &written[..];
        let mut next = || take(&mut input, MAX_MESSAGE).unwrap().map(|frame| (frame.kind, frame.body()));
        assert_eq!(next(), Some((Kind::Keepalive, &[][..])));
        assert_eq!(next(), Some((Kind::RouteRefresh, &[0, 1, 0, 1][..])));
        assert_eq!(next(), None);
    }
}
