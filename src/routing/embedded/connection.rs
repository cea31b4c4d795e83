//! One BGP connection, without the I/O: bytes and the time go in, bytes and events come out.
//!
//! ```text
//!             OPEN sent            OPEN received            KEEPALIVE received
//!  (TCP is up) ────────→ OpenSent ──────────────→ OpenConfirm ────────────────→ Established
//!                            └────────────────────────┴──────────┬──────────────────┘
//!                                                             Closed
//! ```
//! The states before TCP is up (Idle, Connect, Active) belong to the session, which may have two connections for a
//! moment (RFC 4271 section 6.8). The machine itself is `rustbgpd_fsm`'s, one for each connection as the RFC says.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use rustbgpd_fsm::{Action, Event as FsmEvent, PeerConfig, Session as Fsm, SessionState, TimerType};
use rustbgpd_wire::{
    BgpRole, EncodeError, MAX_MESSAGE_LEN, Message, NotificationMessage, RouteRefreshMessage,
    RouteRefreshSubtype, Safi, decode_message, encode_message_with_limit, peek_message_length,
};

use super::closure::{self, Closure};
use super::export::Wanted;
use super::outbound::Outbound;
use super::update::{self, Format, Offer};
use crate::routing::{Family, HOLD_TIME};

/// How long a peer may take to open; the RFC suggests four minutes, in which a lost node would stay lost.
const OPEN_WAIT: Duration = Duration::from_secs(60);

/// RFC 9687: how long the peer may leave what we send unread.
const SEND_HOLD_TIME: Duration = Duration::from_secs(480);

/// Both parties of a session, as configured.
#[derive(Debug, Clone)]
pub(super) struct Parties {
    /// Our address.
    pub(super) local: IpAddr,
    /// The peer's.
    pub(super) neighbor: IpAddr,
    /// Our AS number.
    pub(super) local_asn: u32,
    /// The peer's.
    pub(super) remote_asn: u32,
    /// Our BGP identifier.
    pub(super) router_id: Ipv4Addr,
    /// Our role (RFC 9234).
    pub(super) role: BgpRole,
    /// Refuse a peer that sends no role.
    pub(super) strict_role: bool,
}

impl Parties {
    /// The one family of the session: that of its addresses.
    pub(super) fn family(&self) -> Family {
        Family::of(self.local)
    }

    fn fsm(&self) -> Fsm {
        let family = (update::afi(self.family()), Safi::Unicast);
        let mut config = PeerConfig::new(self.local_asn, self.remote_asn, self.router_id);
        config.hold_time = u16::try_from(HOLD_TIME.as_secs()).expect("30 fits");
        // A peer that wants no keepalives would never be missed.
        config.min_hold_time = Some(3);
        config.families = vec![family];
        config.required_families = vec![family];
        config.disable_ipv4_unicast = self.family() == Family::V6;
        config.local_role = Some(self.role);
        config.strict_role = self.strict_role;
        Fsm::new(config)
    }
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The peer's OPEN was accepted; this is its identifier.
    Opened(Ipv4Addr),
    /// Routes flow.
    Established,
    /// The peer offers something else than before.
    Offered(Offer),
    /// It is over; nothing follows.
    Closed(Closure),
}

/// One connection.
pub(super) struct Connection {
    parties: Arc<Parties>,
    fsm: Fsm,
    format: Format,
    /// The peer understands demarcated refreshes (RFC 7313).
    enhanced_refresh: bool,
    input: BytesMut,
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
    closed: bool,
}

impl Connection {
    /// TCP is up: sends OPEN.
    pub(super) fn open(parties: Arc<Parties>, receive_limit: Option<usize>, now: Instant) -> Self {
        let format =
            Format { family: parties.family(), four_octet_as: false, message_limit: MAX_MESSAGE_LEN };
        let mut connection = Self {
            fsm: parties.fsm(),
            parties,
            format,
            enhanced_refresh: false,
            input: BytesMut::new(),
            output: BytesMut::new(),
            hold: None,
            keepalive: None,
            send_hold: None,
            outbound: Outbound::default(),
            refresh_asked: false,
            written: BTreeSet::new(),
            receive_limit,
            offered: BTreeSet::new(),
            events: Vec::new(),
            closed: false,
        };
        connection.feed(FsmEvent::ManualStart, now);
        connection.feed(FsmEvent::TcpConnectionConfirmed, now);
        connection
    }

    /// The state of this connection.
    pub(super) fn state(&self) -> SessionState {
        self.fsm.state()
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
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

    /// Where received octets go. Never holds more than one message and one read.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        self.input.reserve(usize::from(MAX_MESSAGE_LEN));
        &mut self.input
    }

    /// Octets were added to the input: reads all whole messages.
    pub(super) fn received(&mut self, now: Instant) {
        while !self.closed {
            let limit = self.format.message_limit;
            match peek_message_length(&self.input, limit) {
                Ok(Some(length)) if self.input.len() >= usize::from(length) => {
                    let mut message = self.input.split_to(usize::from(length)).freeze();
                    match decode_message(&mut message, limit) {
                        Ok(message) => self.message(message, now),
                        Err(error) => self.feed(FsmEvent::DecodeError(error), now),
                    }
                }
                Ok(_) => return,
                Err(error) => self.feed(FsmEvent::DecodeError(error), now),
            }
        }
    }

    /// TCP ended.
    pub(super) fn lost(&mut self, why: impl Into<String>, now: Instant) {
        self.close(Closure::lost(why));
        self.feed(FsmEvent::TcpConnectionFails, now);
    }

    /// Closes with a NOTIFICATION, which is left in the output.
    pub(super) fn stop(&mut self, notification: NotificationMessage) {
        if !self.closed {
            self.close(Closure::sent(&notification));
            self.send(&Message::Notification(notification));
        }
    }

    /// Timers.
    pub(super) fn tick(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.send_hold) {
            // RFC 9687 section 4.3: the NOTIFICATION could not be written either.
            self.lost("send hold timer expired: the peer reads nothing", now);
        } else if due(self.hold) {
            self.hold = None;
            self.feed(FsmEvent::HoldTimerExpires, now);
        } else if due(self.keepalive) {
            self.keepalive = None;
            self.feed(FsmEvent::KeepaliveTimerExpires, now);
        }
    }

    /// Makes the peer have `wanted`, as soon as what was sent before is written: so that a peer that reads slowly
    /// costs no memory. Call it whenever `wanted` changed or something was written.
    pub(super) fn advertise(&mut self, wanted: &Wanted, now: Instant) {
        if self.closed || !self.output.is_empty() || self.state() != SessionState::Established {
            return;
        }
        let refresh = std::mem::take(&mut self.refresh_asked);
        let demarcate = refresh && self.enhanced_refresh;
        if demarcate {
            self.send_refresh(RouteRefreshSubtype::BoRR);
        }
        match self.outbound.update(wanted, refresh, self.parties.local, self.format) {
            Ok(updates) => updates.into_iter().for_each(|update| self.send(&Message::Update(update))),
            Err(error) => self.unsendable(&error),
        }
        if demarcate {
            self.send_refresh(RouteRefreshSubtype::EoRR);
        }
        if !self.output.is_empty() {
            self.send_hold = Some(now + SEND_HOLD_TIME);
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

    fn send_refresh(&mut self, subtype: RouteRefreshSubtype) {
        let afi = update::afi(self.format.family);
        self.send(&Message::RouteRefresh(RouteRefreshMessage::new_with_subtype(afi, Safi::Unicast, subtype)));
    }

    fn message(&mut self, message: Message, now: Instant) {
        if self.state() != SessionState::Established {
            let event = match message {
                Message::Open(open) => FsmEvent::OpenReceived(open),
                Message::Keepalive => FsmEvent::KeepaliveReceived,
                Message::Notification(notification) => return self.notified(notification, now),
                // RFC 4271 section 8.2.2: an error of the state machine, in each of the states.
                Message::Update(_) | Message::RouteRefresh(_) | _ => FsmEvent::UpdateReceived,
            };
            return self.feed(event, now);
        }
        match message {
            Message::Update(message) => {
                self.feed(FsmEvent::UpdateReceived, now);
                match update::read(&message, self.format, self.parties.neighbor) {
                    Ok(offer) => self.offer(offer),
                    Err(notification) => self.feed(FsmEvent::UpdateValidationError(notification), now),
                }
            }
            Message::RouteRefresh(refresh) => self.refresh(&refresh, now),
            Message::Notification(notification) => self.notified(notification, now),
            Message::Keepalive => self.feed(FsmEvent::KeepaliveReceived, now),
            Message::Open(open) => self.feed(FsmEvent::OpenReceived(open), now),
            _ => {}
        }
    }

    fn notified(&mut self, notification: NotificationMessage, now: Instant) {
        self.close(Closure::received(&notification));
        self.feed(FsmEvent::NotificationReceived(notification), now);
    }

    fn offer(&mut self, offer: Offer) {
        if let Some(limit) = self.receive_limit {
            for prefix in &offer.withdrawn {
                self.offered.remove(prefix);
            }
            for prefix in &offer.announced {
                self.offered.insert(*prefix);
                if self.offered.len() > limit {
                    return self.stop(closure::too_many_prefixes(self.format.family, limit));
                }
            }
        }
        self.events.push(Event::Offered(offer));
    }

    fn refresh(&mut self, refresh: &RouteRefreshMessage, now: Instant) {
        let (Some(afi), Some(safi)) = (refresh.afi(), refresh.safi()) else {
            return;
        };
        self.feed(FsmEvent::RouteRefreshReceived { afi, safi }, now);
        // RFC 2918 section 4: what was not negotiated is ignored. RFC 7313 section 4.1: only subtype 0 asks.
        if afi == update::afi(self.format.family)
            && safi == Safi::Unicast
            && refresh.subtype() == RouteRefreshSubtype::Normal
        {
            self.refresh_asked = true;
        }
    }

    /// Gives the state machine an event, and does what it says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "actions are a foreign, open enum")]
    fn feed(&mut self, event: FsmEvent, now: Instant) {
        let opened = matches!(event, FsmEvent::OpenReceived(_));
        for action in self.fsm.handle_event(event) {
            match action {
                Action::SendOpen(open) => self.send(&Message::Open(open)),
                Action::SendKeepalive => self.send(&Message::Keepalive),
                Action::SendNotification(notification) => self.stop(notification),
                Action::StartTimer(TimerType::Hold, seconds) => {
                    self.hold = Some(now + Duration::from_secs(seconds.into()).min(OPEN_WAIT));
                }
                Action::StartTimer(TimerType::Keepalive, seconds) => {
                    self.keepalive = Some(now + Duration::from_secs(seconds.into()));
                }
                Action::StopTimer(TimerType::Hold) => self.hold = None,
                Action::StopTimer(TimerType::Keepalive) => self.keepalive = None,
                Action::CloseTcpConnection => self.close(Closure::lost("closed by the state machine")),
                Action::SessionEstablished(_) => self.events.push(Event::Established),
                _ => {}
            }
        }
        if opened && self.state() == SessionState::OpenConfirm {
            self.negotiated();
        }
        if !self.output.is_empty() && self.send_hold.is_none() {
            self.send_hold = Some(now + SEND_HOLD_TIME);
        }
    }

    fn negotiated(&mut self) {
        let Some(negotiated) = self.fsm.negotiated() else { return };
        self.format.four_octet_as = negotiated.four_octet_as;
        self.enhanced_refresh = negotiated.peer_enhanced_route_refresh;
        if negotiated.peer_extended_message {
            self.format.message_limit = rustbgpd_wire::EXTENDED_MAX_MESSAGE_LEN;
        }
        self.events.push(Event::Opened(negotiated.peer_router_id));
    }

    fn send(&mut self, message: &Message) {
        // RFC 8654 section 3: the limit is the peer's to lift, and it did so in its OPEN.
        match encode_message_with_limit(message, self.format.message_limit) {
            Ok(octets) => self.output.extend_from_slice(&octets),
            Err(error) => self.unsendable(&error),
        }
    }

    fn unsendable(&mut self, error: &EncodeError) {
        self.close(Closure::lost(format!("a message of ours cannot be encoded: {error}")));
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
