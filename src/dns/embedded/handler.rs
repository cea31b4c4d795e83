//! Handler: octets of a request in, octets of the response out. No sockets, no waiting.
//!
//! ```text
//! request ─ a response? ─→ silence
//!         ─ malformed, not one question ─→ FORMERR     ─ EDNS above version 0 ─→ BADVERS
//!         ─ QUERY ─┬─ AXFR, IXFR ─→ a transfer, for those who may     ─ NOTIFY ─→ a check of the zone
//!                  └─ all else ───→ `answer`, cut to size             ─ all other opcodes ─→ NOTIMP
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use tracing::{info, warn};

use super::answer::{Answer, Question, answer};
use super::delta::Delta;
use super::encode::encode;
use super::expand::wire;
use super::incoming::soa_serial;
use super::outgoing::{Asked, Outgoing};
use super::rdata::rtype;
use super::zone::Zone;
use super::zones::{ZoneEntry, Zones};
use crate::dns::NameServerConfig;
use crate::names::{DomainName, Serial};

/// The largest response over UDP, and what we say that we take ourselves: it fits into one packet on every path
/// that carries IPv6.
const UDP_SIZE: u16 = 1232;
/// The same towards a client without EDNS (RFC 1035 section 4.2.1).
const PLAIN_SIZE: u16 = 512;
/// What a name may hold at most in an option of ours, so that OPT is small beside any question.
const IDENTITY: usize = 63;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What goes back.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing.
    Silence,
    /// One message, whose octets are in the buffer that `respond` was given.
    Message,
    /// A zone, in as many messages as it takes. Only over TCP.
    Transfer(Outgoing),
}

/// What is to go back, before it is octets.
enum Said {
    Silence,
    Message(Box<Message>),
    /// A message that is octets already.
    Octets(Vec<u8>),
    Transfer(Outgoing),
}

/// What the handler asks of those who know the zones' configurations.
pub(crate) trait ZonePolicy: Send + Sync {
    /// How the server is set up.
    fn config(&self) -> Arc<NameServerConfig>;

    /// Whether this address may transfer the zone.
    fn may_transfer(&self, apex: &DomainName, peer: IpAddr) -> bool;

    /// The steps that led to a zone from this version, the oldest first, if they are all known.
    fn steps(&self, zone: &Zone, from: Serial) -> Option<Vec<Arc<Delta>>>;

    /// A NOTIFY came for a zone; false if it is not from one of the zone's sources.
    fn notified(&self, apex: &DomainName, peer: IpAddr) -> bool;
}

/// Answers requests.
pub(crate) struct Handler {
    /// What is served.
    pub(crate) zones: Arc<Zones>,
    /// Who may do what.
    pub(crate) policy: Arc<dyn ZonePolicy>,
    /// Keeps refusals from flooding the log.
    pub(crate) refusals: Seldom,
}

/// Lets one event a second through to the log: a flood of requests must not become a flood of lines.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    fn now(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// A request that could be read.
struct Request<'a> {
    message: &'a Message,
    peer: IpAddr,
    transport: Transport,
    config: Arc<NameServerConfig>,
}

impl Handler {
    /// Answers one request. What `response` held before is gone; a thread keeps one and uses it again.
    pub(crate) fn respond(
        &self,
        octets: &[u8],
        peer: SocketAddr,
        transport: Transport,
        response: &mut Vec<u8>,
    ) -> Reply {
        response.clear();
        match self.decide(octets, peer, transport) {
            Said::Silence => Reply::Silence,
            Said::Transfer(outgoing) => Reply::Transfer(outgoing),
            Said::Octets(octets) => {
                *response = octets;
                Reply::Message
            }
            Said::Message(message) => match message.emit(&mut BinEncoder::new(response)) {
                Ok(()) => Reply::Message,
                Err(error) => {
                    warn!(%error, "an answer could not be encoded");
                    Reply::Silence
                }
            },
        }
    }

    fn decide(&self, octets: &[u8], peer: SocketAddr, transport: Transport) -> Said {
        let Ok(header) = Header::read(&mut BinDecoder::new(octets)) else { return Said::Silence };
        // Two servers that answered each other's responses would never stop.
        if header.message_type == MessageType::Response {
            return Said::Silence;
        }
        let message = match Message::from_vec(octets) {
            Ok(message) => message,
            Err(_) => {
                return reply_to(&header.metadata, ResponseCode::FormErr).into();
            }
        };
        // An address of the other family's form would miss every list of addresses.
        let peer = peer.ip().to_canonical();
        let request = Request { message: &message, peer, transport, config: self.policy.config() };
        if message.version() > 0 {
            // RFC 6891 section 6.1.3.
            return request.refuse(ResponseCode::BADVERS);
        }
        // RFC 9619: exactly one question.
        let [query] = &message.queries[..] else {
            return request.refuse(ResponseCode::FormErr);
        };
        match message.metadata.op_code {
            OpCode::Query => self.query(&request, query),
            OpCode::Notify => self.notify(&request, query),
            OpCode::Status | OpCode::Update | OpCode::Unknown(_) => request.refuse(ResponseCode::NotImp),
        }
    }

    fn query(&self, request: &Request<'_>, query: &Query) -> Said {
        let name = wire(query.name());
        let (qtype, qclass) = (u16::from(query.query_type()), u16::from(query.query_class()));
        if qclass == u16::from(DNSClass::IN) && matches!(qtype, rtype::AXFR | rtype::IXFR) {
            return self.transfer(request, query, qtype, &name);
        }
        let question = Question { name: &name, qtype, qclass };
        request.answer(query, &answer(&self.zones, &question, &request.config.identity))
    }

    /// AXFR (RFC 5936), and IXFR (RFC 1995), which is answered with the steps from what the client has, with the whole
    /// zone where they are not known, or with the SOA record alone: the client is current, or has to come back by TCP.
    fn transfer(&self, request: &Request<'_>, query: &Query, qtype: u16, name: &[u8]) -> Said {
        // RFC 5936 section 4.2: AXFR is not defined over UDP.
        if qtype == rtype::AXFR && request.transport == Transport::Udp {
            return request.refuse(ResponseCode::FormErr);
        }
        let entry =
            DomainName::from_wire(name).and_then(|apex| self.zones.get(&apex).map(|entry| (apex, entry)));
        let Some((apex, entry)) = entry else {
            return request.refuse(ResponseCode::NotAuth);
        };
        if !self.policy.may_transfer(&apex, request.peer) {
            if self.refusals.now() {
                info!(zone = %apex, peer = %request.peer, "refused a zone transfer: the address is not on the zone's list");
            }
            return request.refuse(ResponseCode::Refused);
        }
        let zone = match entry {
            ZoneEntry::Served(zone) => zone,
            ZoneEntry::Empty | ZoneEntry::Expired => return request.refuse(ResponseCode::ServFail),
        };
        if qtype == rtype::IXFR {
            // RFC 1995 section 3: the authority section holds the SOA record that the client has.
            let Some(held) = held_serial(request.message) else {
                return request.refuse(ResponseCode::FormErr);
            };
            let soa_alone = || request.answer(query, &Answer::soa_alone(&zone, name));
            if !zone.serial().is_newer_than(held) {
                return soa_alone();
            }
            let steps = self.policy.steps(&zone, held);
            match (steps, request.transport) {
                (Some(steps), Transport::Tcp) => {
                    return Said::Transfer(Outgoing::steps(zone, steps, request.asked(qtype, name)));
                }
                (Some(steps), Transport::Udp) => {
                    let mut message = Vec::new();
                    let mut outgoing = Outgoing::steps(Arc::clone(&zone), steps, request.asked(qtype, name));
                    // RFC 1995 section 2: what does not fit is asked for again by TCP.
                    return match outgoing.in_one_message(&mut message, usize::from(request.size())) {
                        true => Said::Octets(message),
                        false => soa_alone(),
                    };
                }
                (None, Transport::Udp) => return soa_alone(),
                (None, Transport::Tcp) => (),
            }
        }
        Said::Transfer(Outgoing::whole(zone, request.asked(qtype, name)))
    }

    /// RFC 1996 section 3.
    fn notify(&self, request: &Request<'_>, query: &Query) -> Said {
        let apex = DomainName::from_wire(&wire(query.name()));
        match apex {
            Some(apex) if query.query_type() == RecordType::SOA => {
                if self.policy.notified(&apex, request.peer) {
                    let mut response = request.response(ResponseCode::NoError);
                    response.metadata.authoritative = true;
                    return response.into();
                }
                if self.refusals.now() {
                    warn!(zone = %apex, peer = %request.peer, "refused a NOTIFY: the address is no source of the zone");
                }
                request.refuse(ResponseCode::Refused)
            }
            _ => request.refuse(ResponseCode::FormErr),
        }
    }
}

impl Request<'_> {
    /// An empty response to it.
    fn response(&self, rcode: ResponseCode) -> Message {
        let request = self.message;
        let mut response = reply_to(&request.metadata, rcode);
        response.queries.clone_from(&request.queries);
        response.edns = self.edns();
        response
    }

    fn refuse(&self, rcode: ResponseCode) -> Said {
        let mut response = self.response(rcode);
        response.queries.truncate(1);
        response.into()
    }

    /// As much of an answer as fits.
    fn answer(&self, query: &Query, answer: &Answer) -> Said {
        let mut response = self.response(answer.rcode);
        let room = self.size().saturating_sub(self.edns_length());
        let encoded = encode(answer, query.name(), usize::from(room));
        response.metadata.authoritative = answer.authoritative;
        response.metadata.truncation = encoded.truncated;
        response.answers = encoded.answers;
        response.authorities = encoded.authority;
        response.additionals = encoded.additional;
        response.into()
    }

    /// RFC 6891 section 7: OPT answers OPT, with our version and size, and the DO bit as it came (RFC 3225).
    fn edns(&self) -> Option<Edns> {
        let asked = self.message.edns.as_ref()?;
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE).set_dnssec_ok(asked.flags().dnssec_ok);
        if asked.option(EdnsCode::NSID).is_some() {
            let identity = self.config.identity.as_bytes();
            let identity = &identity[..identity.len().min(IDENTITY)];
            // Far below the limit that makes it fail.
            if let Ok(payload) = NSIDPayload::new(identity) {
                edns.options_mut().insert(EdnsOption::NSID(payload));
            }
        }
        Some(edns)
    }

    /// The question as a transfer repeats it.
    fn asked<'a>(&self, qtype: u16, name: &'a [u8]) -> Asked<'a> {
        let Metadata { id, recursion_desired, .. } = self.message.metadata;
        let mut opt = Vec::new();
        if let Some(edns) = self.edns() {
            // Into a buffer without a limit.
            let _ = edns.emit(&mut BinEncoder::new(&mut opt));
        }
        Asked { id, recursion_desired, qtype, name, opt }
    }

    /// How many octets OPT takes in the response.
    fn edns_length(&self) -> u16 {
        const OPT: u16 = 11;
        const OPTION: u16 = 4;
        self.edns().map_or(0, |edns| {
            let options = edns.options().as_ref().iter().map(|(_, option)| OPTION + option.len());
            OPT + options.sum::<u16>()
        })
    }

    /// How many octets the response may have.
    fn size(&self) -> u16 {
        match (self.transport, &self.message.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => PLAIN_SIZE,
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_SIZE, UDP_SIZE),
        }
    }
}

/// A response with nothing but a header.
pub(crate) fn reply_to(request: &Metadata, rcode: ResponseCode) -> Message {
    let mut response = Message::response(request.id, request.op_code);
    response.metadata.recursion_desired = request.recursion_desired;
    response.metadata.response_code = rcode;
    response
}

fn held_serial(request: &Message) -> Option<Serial> {
    let soa = request.authorities.iter().find(|record| record.record_type() == RecordType::SOA)?;
    let mut rdata = Vec::new();
    soa.data.emit(&mut BinEncoder::new(&mut rdata)).ok()?;
    soa_serial(&rdata)
}

impl From<Message> for Said {
    fn from(message: Message) -> Self {
        Self::Message(Box::new(message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::embedded::testing;

    /// Everybody may transfer and notify.
    struct Everybody;

    impl ZonePolicy for Everybody {
        fn config(&self) -> Arc<NameServerConfig> {
            Arc::new(NameServerConfig { identity: "node-a".to_owned(), ..NameServerConfig::default() })
        }

        fn may_transfer(&self, _: &DomainName, _: IpAddr) -> bool {
            true
        }

        fn steps(&self, _: &Zone, _: Serial) -> Option<Vec<Arc<Delta>>> {
            None
        }

        fn notified(&self, _: &DomainName, _: IpAddr) -> bool {
            true
        }
    }

    fn handler() -> Handler {
        let zones = Arc::new(Zones::new());
        zones.serve(Arc::new(testing::zone(&"example.org".parse().unwrap(), 1, 50)));
        Handler { zones, policy: Arc::new(Everybody), refusals: Seldom::default() }
    }

    /// What is said to these octets, each message of it.
    fn said(octets: &[u8], transport: Transport) -> Vec<Vec<u8>> {
        let mut response = Vec::new();
        match handler().respond(octets, ([192, 0, 2, 1], 1053).into(), transport, &mut response) {
            Reply::Silence => Vec::new(),
            Reply::Message => vec![response],
            Reply::Transfer(mut transfer) => testing::messages(&mut transfer),
        }
    }

    fn query(rtype: RecordType) -> Vec<u8> {
        let mut query = super::super::exchange::question(&"n1.example.org".parse().unwrap(), rtype);
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([]).unwrap()));
        query.edns = Some(edns);
        query.to_vec().unwrap()
    }

    proptest! {
        #[test]
        fn any_octets_get_a_response_that_can_be_read_or_none(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for transport in [Transport::Udp, Transport::Tcp] {
                for message in said(&octets, transport) {
                    prop_assert!(Message::from_vec(&message).is_ok());
                    prop_assert_eq!(&message[..2], &octets[..2]);
                }
            }
        }

        #[test]
        fn a_query_with_changed_octets_gets_a_response_that_can_be_read(
            rtype in 0_u16..260,
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut octets = query(RecordType::from(rtype));
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            for (transport, most) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
                for message in said(&octets, transport) {
                    prop_assert!(message.len() <= most);
                    prop_assert!(Message::from_vec(&message).is_ok());
                }
            }
        }
    }

    #[test]
    fn refusals_are_logged_seldom() {
        let seldom = Seldom::default();
        assert!(seldom.now());
        assert!(!seldom.now());
    }
}
