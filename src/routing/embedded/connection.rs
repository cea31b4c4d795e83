//! One BGP connection, without the I/O: bytes and the time go in, bytes and events come out.
//!
//! ```text
//!             OPEN sent            OPEN received            KEEPALIVE received
//!  (TCP is up) ────────→ OpenSent ──────────────→ OpenConfirm ────────────────→ Established
//!                            └────────────────────────┴──────────┬──────────────────┘
//!                                                             Closed
//! ```
//! The states before TCP is up (Idle, Connect, Active) belong to the session, which may have two connections for a
//! moment (RFC 4271 section 6.8). Each runs the machine of section 8.2.2 from there on; what may not come in a state
//! is answered as RFC 6608 says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;

use super::closure::{self, Closure};
use super::export::Wanted;
use super::jitter::jittered;
use super::negotiation::{Agreement, Parties};
use super::outbound::Outbound;
use super::update::{self, Format, Offer};
use super::wire::notification::Notification;
use super::wire::open::Open;
use super::wire::refresh::Refresh;
use super::wire::{self, Frame, Kind, MAX_EXTENDED_MESSAGE, MAX_MESSAGE};
use crate::routing::{MessageCounts, SessionState};

/// How long a peer may take to open; the RFC suggests four minutes, in which a lost node would stay lost.
const OPEN_WAIT: Duration = Duration::from_secs(60);

/// RFC 9687: how long the peer may leave what we send unread.
const SEND_HOLD_TIME: Duration = Duration::from_secs(480);

/// Between two KEEPALIVEs at least (RFC 4271 section 4.4).
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The peer's OPEN was accepted.
    Opened(Agreement),
    /// Routes flow.
    Established,
    /// The peer offers something else than before.
    Offered(Offer),
    /// It is over; nothing follows.
    Closed(Closure),
}

/// Messages of one connection, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) received: MessageCounts,
    pub(super) sent: MessageCounts,
}

impl Counts {
    /// Together with those of an earlier connection.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { received: self.received + other.received, sent: self.sent + other.sent }
    }
}

impl MessageCounts {
    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Open => &mut self.opens,
            Kind::Update => &mut self.updates,
            Kind::Notification => &mut self.notifications,
            Kind::Keepalive => &mut self.keepalives,
            Kind::RouteRefresh => &mut self.route_refreshes,
        }
    }
}

/// One connection.
pub(super) struct Connection {
    parties: Arc<Parties>,
    /// OpenSent, OpenConfirm or Established, also when it is closed: where it came to.
    state: SessionState,
    closed: bool,
    format: Format,
    agreement: Option<Agreement>,
    /// The beginning of a message.
    input: Vec<u8>,
    output: BytesMut,
    hold: Option<Instant>,
    keepalive: Option<Instant>,
    send_hold: Option<Instant>,
    outbound: Outbound,
    refresh_asked: bool,
    /// What the peer has from us, because it was written.
    written: BTreeSet<IpNet>,
    receive_limit: Option<usize>,
    /// What the peer offers now; kept only where it is limited.
    offered: BTreeSet<IpNet>,
    events: Vec<Event>,
    counts: Counts,
}

impl Connection {
    /// TCP is up: sends OPEN.
    pub(super) fn open(parties: Arc<Parties>, receive_limit: Option<usize>, now: Instant) -> Self {
        let format = Format { family: parties.family(), four_octet_as: false, message_limit: MAX_MESSAGE };
        let mut connection = Self {
            state: SessionState::OpenSent,
            closed: false,
            format,
            agreement: None,
            input: Vec::new(),
            output: BytesMut::new(),
            hold: Some(now + OPEN_WAIT),
            keepalive: None,
            send_hold: None,
            outbound: Outbound::default(),
            refresh_asked: false,
            written: BTreeSet::new(),
            receive_limit,
            offered: BTreeSet::new(),
            events: Vec::new(),
            counts: Counts::default(),
            parties,
        };
        let open = connection.parties.open().body();
        connection.send(Kind::Open, &open, now);
        connection
    }

    /// The state of this connection.
    pub(super) fn state(&self) -> SessionState {
        self.state
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What both sides agreed upon, once the peer has opened.
    pub(super) fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// How many messages there were.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// What is to be written. Whoever wrote it calls `wrote`.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `count` octets of the output were written.
    pub(super) fn wrote(&mut self, count: usize, now: Instant) {
        let _ = self.output.split_to(count.min(self.output.len()));
        self.send_hold = (!self.output.is_empty()).then(|| now + SEND_HOLD_TIME);
        if self.output.is_empty() && !self.closed {
            self.written = self.outbound.prefixes();
        }
    }

    /// Prefixes that were written and not withdrawn.
    pub(super) fn written(&self) -> &BTreeSet<IpNet> {
        &self.written
    }

    /// When `tick` is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.hold, self.keepalive, self.send_hold].into_iter().flatten().min()
    }

    /// What happened since it was last asked.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The peer sent these octets: reads all whole messages, and keeps what begins another one.
    pub(super) fn received(&mut self, octets: &[u8], now: Instant) {
        if self.input.is_empty() {
            self.input = self.messages(octets, now).to_vec();
            return;
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(octets);
        let left = self.messages(&input, now).len();
        if left > 0 {
            input.drain(..input.len() - left);
            self.input = input;
        }
    }

    /// Returns what is left of the octets.
    fn messages<'a>(&mut self, mut octets: &'a [u8], now: Instant) -> &'a [u8] {
        while !self.closed {
            match wire::take(&mut octets, self.format.message_limit) {
                Ok(Some(frame)) => {
                    *self.counts.received.of(frame.kind) += 1;
                    self.message(&frame, now);
                }
                Ok(None) => return octets,
                Err(notification) => self.stop(notification, now),
            }
        }
        &[]
    }

    /// TCP ended.
    pub(super) fn lost(&mut self, why: impl Into<String>) {
        self.close(Closure::lost(why));
    }

    /// Closes with a NOTIFICATION, which is left in the output.
    pub(super) fn stop(&mut self, notification: Notification, now: Instant) {
        if !self.closed {
            self.send(Kind::Notification, &notification.body(self.format.message_limit), now);
            self.close(Closure::sent(&notification));
        }
    }

    /// Timers.
    pub(super) fn tick(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.send_hold) {
            // RFC 9687 section 4.3: the NOTIFICATION could not be written either.
            self.lost("send hold timer expired: the peer reads nothing");
        } else if due(self.hold) {
            self.stop(Notification::hold_timer_expired(), now);
        } else {
            self.keep_alive(now);
        }
    }

    /// Makes the peer have `wanted`, as soon as what was sent before is written: so that a peer that reads slowly
    /// costs no memory. Call it whenever `wanted` changed or something was written.
    pub(super) fn advertise(&mut self, wanted: &Wanted, now: Instant) {
        if self.closed || !self.output.is_empty() || self.state != SessionState::Established {
            return;
        }
        let refresh = std::mem::take(&mut self.refresh_asked);
        // RFC 7313 section 4.2.
        let demarcate = refresh && self.agreement.as_ref().is_some_and(|agreed| agreed.enhanced_refresh);
        if demarcate {
            self.send_refresh(Refresh::Begin, now);
        }
        for update in self.outbound.update(wanted, refresh, self.parties.local, self.format) {
            self.send(Kind::Update, &update, now);
        }
        if demarcate {
            self.send_refresh(Refresh::End, now);
        }
    }

    /// Whether the peer has all that it should have.
    pub(super) fn has_told_all(&self) -> bool {
        self.closed || self.output.is_empty()
    }

    /// Changes how many prefixes the peer may offer.
    pub(super) fn limit_offer(&mut self, limit: Option<usize>) {
        self.receive_limit = limit;
        if limit.is_none() {
            self.offered.clear();
        }
    }

    fn message(&mut self, frame: &Frame<'_>, now: Instant) {
        match (self.state, frame.kind) {
            (_, Kind::Notification) => self.close(Closure::received(&Notification::read(frame.body()))),
            (SessionState::OpenSent, Kind::Open) => self.opened(frame.body(), now),
            (SessionState::OpenConfirm, Kind::Keepalive) => {
                self.state = SessionState::Established;
                self.restart_hold(now);
                self.events.push(Event::Established);
            }
            (SessionState::Established, Kind::Keepalive) => self.restart_hold(now),
            (SessionState::Established, Kind::Update) => {
                self.restart_hold(now);
                match update::read(frame.body(), self.format, self.parties.neighbor) {
                    Ok(offer) => self.offer(offer, now),
                    Err(notification) => self.stop(notification, now),
                }
            }
            (SessionState::Established, Kind::RouteRefresh) => self.refresh(frame, now),
            // RFC 4271 section 8.2.2: an error of the state machine, in each of the states.
            (state, kind) => self.stop(Notification::unexpected(kind, state), now),
        }
    }

    fn opened(&mut self, body: &[u8], now: Instant) {
        match Open::read(body).and_then(|open| self.parties.agree(&open)) {
            Ok(agreement) => {
                self.state = SessionState::OpenConfirm;
                self.format.four_octet_as = agreement.four_octet_as;
                // RFC 8654 section 4: both sides said so; we always do.
                if agreement.extended_messages {
                    self.format.message_limit = MAX_EXTENDED_MESSAGE;
                }
                self.agreement = Some(agreement.clone());
                self.send_keepalive(now);
                self.restart_hold(now);
                // Without a hold time, a peer that never confirms would be waited for for ever.
                self.hold.get_or_insert(now + OPEN_WAIT);
                self.events.push(Event::Opened(agreement));
            }
            Err(notification) => self.stop(notification, now),
        }
    }

    fn offer(&mut self, offer: Offer, now: Instant) {
        if let Some(limit) = self.receive_limit {
            for prefix in &offer.withdrawn {
                self.offered.remove(prefix);
            }
            for prefix in &offer.announced {
                self.offered.insert(*prefix);
                if self.offered.len() > limit {
                    return self.stop(closure::too_many_prefixes(self.format.family, limit), now);
                }
            }
        }
        self.events.push(Event::Offered(offer));
    }

    fn refresh(&mut self, frame: &Frame<'_>, now: Instant) {
        let enhanced = self.agreement.as_ref().is_some_and(|agreed| agreed.enhanced_refresh);
        match Refresh::read(frame, enhanced) {
            // RFC 2918 section 4: what was not negotiated is ignored. We keep nothing that BoRR and EoRR could clear.
            Ok(Some((afi, update::UNICAST, Refresh::Request))) if afi == update::afi(self.format.family) => {
                self.refresh_asked = true;
            }
            Ok(_) => {}
            Err(notification) => self.stop(notification, now),
        }
    }

    /// RFC 4271 section 4.2: a hold time of zero is none. Of KEEPALIVE and UPDATE only (section 8.2.2).
    fn restart_hold(&mut self, now: Instant) {
        let hold_time = self.agreement.as_ref().map(|agreed| agreed.hold_time);
        self.hold = hold_time.filter(|time| !time.is_zero()).map(|time| now + time);
    }

    /// Apart from the timers, and before anything more is read: a peer that never pauses must hear from us, too.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.keepalive.is_some_and(|due| due <= now) {
            self.send_keepalive(now);
        }
    }

    fn send_keepalive(&mut self, now: Instant) {
        self.send(Kind::Keepalive, &[], now);
    }

    /// RFC 4271 section 8.2.2: after each KEEPALIVE and UPDATE of ours. Section 10 wants jitter, and section 4.4 no more
    /// than one a second.
    fn restart_keepalive(&mut self, now: Instant) {
        let time = self.agreement.as_ref().and_then(Agreement::keepalive);
        self.keepalive = time.map(|time| now + jittered(time).max(SHORTEST_KEEPALIVE));
    }

    fn send_refresh(&mut self, what: Refresh, now: Instant) {
        let body = what.body(update::afi(self.format.family), update::UNICAST);
        self.send(Kind::RouteRefresh, &body, now);
    }

    fn send(&mut self, kind: Kind, body: &[u8], now: Instant) {
        wire::put(&mut self.output, kind, body);
        *self.counts.sent.of(kind) += 1;
        if matches!(kind, Kind::Keepalive | Kind::Update) {
            self.restart_keepalive(now);
        }
        self.send_hold.get_or_insert(now + SEND_HOLD_TIME);
    }

    fn close(&mut self, closure: Closure) {
        if !self.closed {
            self.closed = true;
            self.events.push(Event::Closed(closure));
            (self.hold, self.keepalive, self.send_hold) = (None, None, None);
            self.written.clear();
        }
    }

    /// What is left to be written after the end, if anything: whole messages, the NOTIFICATION last.
    pub(super) fn into_last_words(self) -> Bytes {
        self.output.freeze()
    }
}

#[cfg(test)]
mod tests;
