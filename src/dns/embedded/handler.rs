//! Handler: octets of a request in, octets of the response out. No sockets, no waiting.
//!
//! ```text
//! request ─ a response? ─→ silence
//!         ─ malformed, not one question ─→ FORMERR     ─ EDNS above version 0 ─→ BADVERS     ─ other opcodes ─→ NOTIMP
//!         ─ wrongly signed ─→ NOTAUTH: `authenticate`, which also signs what goes back
//!         ─ QUERY ─┬─ AXFR, IXFR ─→ a transfer, for those who may     ─ NOTIFY ─→ a check of the zone
//!                  └─ all else ───→ `answer`, cut to size             ─ UPDATE ─→ NOTIMP
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

use super::answer::{CLASS_ANY, CLASS_CH, CLASS_IN, answer, answer_chaos, soa_alone};
use super::authenticate::{self, Refusal, Seal};
use super::cookie;
use super::delta::Delta;
use super::name::NameBuf;
use super::outgoing::{Asked, Outgoing};
use super::rdata::rtype;
use super::request::{COOKIE, Edns, Header, NSID, Question, Request, Unreadable, opcode};
use super::response::{Opt, Response, UDP_SIZE, rcode};
use super::tally::Tally;
use super::zone::Zone;
use super::zones::{ZoneEntry, Zones};
use crate::dns::NameServerConfig;
use crate::keyring::{CookieSecret, TsigKey};
use crate::names::{DomainName, Serial};

mod limited;

/// The largest response over UDP to a client without EDNS (RFC 1035 section 4.2.1).
const PLAIN_SIZE: u16 = 512;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// What goes back.
#[derive(Debug)]
pub enum Reply {
    /// Nothing.
    Silence,
    /// One message, whose octets are in the buffer that `respond` was given.
    Message,
    /// A zone, in as many messages as it takes. Only over TCP.
    Transfer(Outgoing),
}

/// What the handler asks of those who know the zones' configurations.
pub trait ZonePolicy: Send + Sync {
    /// How the server is set up.
    fn config(&self) -> Arc<NameServerConfig>;

    /// The network's secret for DNS cookies, if it has one.
    fn cookie_secret(&self) -> Option<CookieSecret>;

    /// The TSIG keys that messages know by this name.
    fn keys(&self, name: &DomainName) -> Vec<TsigKey>;

    /// Whether whoever asks from this address may transfer the zone. `key` is what the request is signed with.
    fn may_transfer(&self, apex: &DomainName, peer: IpAddr, key: Option<&TsigKey>) -> bool;

    /// The steps that led to a zone from this version, the oldest first, if they are all known.
    fn steps(&self, zone: &Zone, from: Serial) -> Option<Vec<Arc<Delta>>>;

    /// A NOTIFY came for a zone, and told of this serial; false if it is not from one of the zone's sources, or not
    /// signed with the key that the source has.
    fn notified(&self, apex: &DomainName, peer: IpAddr, key: Option<&TsigKey>, told: Option<Serial>) -> bool;
}

/// Answers requests.
pub struct Handler {
    /// What is served.
    zones: Arc<Zones>,
    /// Who may do what.
    policy: Arc<dyn ZonePolicy>,
    /// Makes DNS cookies for a network that has no secret for them.
    own_secret: CookieSecret,
    /// Keeps refusals from flooding the log.
    refusals: Seldom,
    /// Queries of types that resolvers ask.
    queries: Tally,
}

/// Lets one event a second through to the log: a flood of requests must not become a flood of lines.
#[derive(Debug, Default)]
struct Seldom(Mutex<Option<Instant>>);

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

/// How a request is answered, whatever is said.
struct Terms<'a> {
    peer: IpAddr,
    /// What the request is signed with.
    key: Option<&'a TsigKey>,
    transport: Transport,
    /// OPT of the response.
    opt: Option<Opt>,
    /// How many octets the response may have, but for OPT and TSIG.
    room: usize,
}

impl Handler {
    /// A handler for these zones.
    pub fn new(zones: Arc<Zones>, policy: Arc<dyn ZonePolicy>) -> Self {
        let (refusals, queries) = (Seldom::default(), Tally::default());
        Self { zones, policy, own_secret: cookie::own_secret(), refusals, queries }
    }

    /// How many queries there were, but for those that `dns::queries` leaves out.
    pub fn queries(&self) -> u64 {
        self.queries.total()
    }

    /// Answers one request. What `response` held before is gone; a thread keeps one and uses it again.
    pub fn respond(
        &self,
        octets: &[u8],
        peer: SocketAddr,
        transport: Transport,
        response: &mut Vec<u8>,
    ) -> Reply {
        response.clear();
        let request = match Request::read(octets) {
            Ok(request) => request,
            Err(Unreadable::NoRequest) => return Reply::Silence,
            Err(Unreadable::Malformed(header, question)) => {
                return refuse(header, question.as_ref(), rcode::FORM_ERR, None, response);
            }
        };
        let sealed = match request.tsig {
            None => Ok(Seal::None),
            Some(at) => Seal::of(octets, at, |name| self.policy.keys(name), authenticate::time),
        };
        // An address of the other family's form would miss every list of addresses.
        let peer = peer.ip().to_canonical();
        let (verdict, mut seal) = match (sealed, settled(&request)) {
            (Ok(seal), settled) => (settled, seal),
            (Err(Refusal { rcode: rcode::FORM_ERR, .. }), _) => {
                return refuse(request.header, request.question.as_ref(), rcode::FORM_ERR, None, response);
            }
            (Err(_), Some(rcode)) => (Some(rcode), Seal::None),
            (Err(Refusal { rcode, seal }), None) => {
                if self.refusals.now() {
                    warn!(%peer, "refused a request: it is not signed as it should be");
                }
                (Some(rcode), seal)
            }
        };
        let terms = self.terms(&request, peer, transport, &seal);
        let reply = match verdict {
            None => self.decide(&request, terms, response),
            Some(rcode) => refuse(request.header, request.question.as_ref(), rcode, terms.opt, response),
        };
        match reply {
            Reply::Silence => Reply::Silence,
            Reply::Message => {
                seal.close(response, authenticate::time);
                Reply::Message
            }
            Reply::Transfer(outgoing) => Reply::Transfer(outgoing.sealed(seal)),
        }
    }

    fn decide(&self, request: &Request<'_>, terms: Terms<'_>, response: &mut Vec<u8>) -> Reply {
        match (request.header.opcode(), request.question) {
            (opcode::QUERY, Some(question)) => self.query(request, &question, terms, response),
            (opcode::NOTIFY, Some(question)) => self.notify(request, &question, terms, response),
            (_, question) => refuse(request.header, question.as_ref(), rcode::NOT_IMP, terms.opt, response),
        }
    }

    fn terms<'a>(
        &self,
        request: &Request<'_>,
        peer: IpAddr,
        transport: Transport,
        seal: &'a Seal,
    ) -> Terms<'a> {
        let opt = request.edns.as_ref().map(|edns| self.opt(edns, peer));
        let size = match (transport, request.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => PLAIN_SIZE,
            // RFC 6891 section 6.2.5: less counts as 512.
            (Transport::Udp, Some(edns)) => edns.size.clamp(PLAIN_SIZE, UDP_SIZE),
        };
        let room = usize::from(size).saturating_sub(opt.as_ref().map_or(0, Opt::len) + seal.length());
        Terms { peer, key: seal.key(), transport, opt, room }
    }

    /// RFC 6891 section 7: OPT answers OPT.
    fn opt(&self, edns: &Edns<'_>, peer: IpAddr) -> Opt {
        let mut opt = Opt::new(edns.dnssec_ok);
        if edns.version > 0 {
            return opt;
        }
        if edns.nsid {
            opt.option(NSID, self.policy.config().identity.as_bytes());
        }
        if let Some(sent) = edns.cookie {
            let (secret, now) = (self.policy.cookie_secret(), cookie_time());
            if let Some(judged) = cookie::judge(secret.as_ref().unwrap_or(&self.own_secret), sent, peer, now)
            {
                opt.option(COOKIE, &judged.answer);
            }
        }
        opt
    }

    fn query(
        &self,
        request: &Request<'_>,
        question: &Question<'_>,
        terms: Terms<'_>,
        octets: &mut Vec<u8>,
    ) -> Reply {
        let is_class = matches!(question.qclass, CLASS_IN | CLASS_ANY);
        if is_class && matches!(question.qtype, rtype::AXFR | rtype::IXFR) {
            return self.transfer(request, question, terms, octets);
        }
        if question.qtype != rtype::SOA {
            self.queries.add();
        }
        if is_class && self.is_private(question, &terms) {
            return refuse(request.header, Some(question), rcode::REFUSED, terms.opt, octets);
        }
        let mut response = Response::begin(octets, request.header.id, Some(question), terms.room);
        match question.qclass {
            CLASS_IN | CLASS_ANY => {
                let dnssec_ok = request.edns.is_some_and(|edns| edns.dnssec_ok);
                answer(&self.zones, question, dnssec_ok, &mut response);
                // RFC 1035 section 3.2.5 asks about any class; what we know of one is not the whole answer.
                response.authoritative &= question.qclass == CLASS_IN;
            }
            CLASS_CH => answer_chaos(question, &self.policy.config().identity, &mut response),
            _ => response.rcode = rcode::REFUSED,
        }
        response.finish(request.header, terms.opt);
        Reply::Message
    }

    /// Whether a question is about a zone that the client may not know of.
    fn is_private(&self, question: &Question<'_>, terms: &Terms<'_>) -> bool {
        if !self.zones.has_private() {
            return false;
        }
        let name = NameBuf::leading(question.name);
        let apex = name.and_then(|name| self.zones.private(name.lower().as_wire(), question.qtype));
        // This node asks itself from where it listens.
        let is_own = || self.policy.config().listen.iter().any(|own| own.ip() == terms.peer);
        apex.is_some_and(|apex| !self.policy.may_transfer(&apex, terms.peer, terms.key) && !is_own())
    }

    /// AXFR (RFC 5936), and IXFR (RFC 1995), which is answered with the steps from what the client has, with the whole
    /// zone where they are not known, or with the SOA record alone: the client is current, or has to come back by TCP.
    fn transfer(
        &self,
        request: &Request<'_>,
        question: &Question<'_>,
        terms: Terms<'_>,
        octets: &mut Vec<u8>,
    ) -> Reply {
        let mut refuse =
            |rcode, terms: Terms<'_>| refuse(request.header, Some(question), rcode, terms.opt, octets);
        // RFC 5936 section 4.2: AXFR is not defined over UDP.
        if question.qtype == rtype::AXFR && terms.transport == Transport::Udp {
            return refuse(rcode::NOT_IMP, terms);
        }
        let entry = DomainName::from_wire(question.name)
            .and_then(|apex| self.zones.get(&apex).map(|entry| (apex, entry)));
        let Some((apex, entry)) = entry else {
            return refuse(rcode::NOT_AUTH, terms);
        };
        // A zone is of one class.
        if question.qclass != CLASS_IN {
            return refuse(rcode::REFUSED, terms);
        }
        if !self.policy.may_transfer(&apex, terms.peer, terms.key) {
            if self.refusals.now() {
                info!(zone = %apex, peer = %terms.peer, "refused a zone transfer: neither the address nor the key is on the zone's list");
            }
            return refuse(rcode::REFUSED, terms);
        }
        let zone = match entry {
            ZoneEntry::Served(zone) => zone,
            ZoneEntry::Empty | ZoneEntry::Expired => return refuse(rcode::SERV_FAIL, terms),
        };
        let asked = |terms: &Terms<'_>| Asked {
            id: u16::from_be_bytes(request.header.id),
            recursion_desired: request.header.recursion_desired(),
            qtype: question.qtype,
            name: question.name,
            opt: terms.opt.as_ref().map(|opt| opt.record().to_vec()).unwrap_or_default(),
        };
        if question.qtype == rtype::IXFR {
            // RFC 1995 section 3: the authority section holds the SOA record that the client has.
            let Some(held) = request.held else {
                return refuse(rcode::FORM_ERR, terms);
            };
            let newer = zone.serial().is_newer_than(held);
            let steps = if newer { self.policy.steps(&zone, held) } else { None };
            if let Some(steps) = steps {
                let mut outgoing = Outgoing::steps(Arc::clone(&zone), steps, asked(&terms));
                // RFC 1995 section 2: what does not fit is asked for again by TCP.
                let limit = terms.room + terms.opt.as_ref().map_or(0, Opt::len);
                match terms.transport {
                    Transport::Tcp => return Reply::Transfer(outgoing),
                    Transport::Udp if outgoing.in_one_message(octets, limit) => return Reply::Message,
                    Transport::Udp => octets.clear(),
                }
            }
            if !newer || terms.transport == Transport::Udp {
                let mut response = Response::begin(octets, request.header.id, Some(question), terms.room);
                soa_alone(&zone, &mut response);
                response.finish(request.header, terms.opt);
                return Reply::Message;
            }
        }
        Reply::Transfer(Outgoing::whole(zone, asked(&terms)))
    }

    /// RFC 1996 section 3.
    fn notify(
        &self,
        request: &Request<'_>,
        question: &Question<'_>,
        terms: Terms<'_>,
        octets: &mut Vec<u8>,
    ) -> Reply {
        let header = request.header;
        let mut refuse = |rcode, terms: Terms<'_>| refuse(header, Some(question), rcode, terms.opt, octets);
        if let Some(rcode) = zone_fault(question) {
            return refuse(rcode, terms);
        }
        let Some(apex) = DomainName::from_wire(question.name) else {
            return refuse(rcode::FORM_ERR, terms);
        };
        if !self.policy.notified(&apex, terms.peer, terms.key, request.told) {
            if self.refusals.now() {
                warn!(zone = %apex, peer = %terms.peer, "refused a NOTIFY: it is not from a source of the zone, or lacks its key");
            }
            let rcode = if self.zones.get(&apex).is_some() { rcode::REFUSED } else { rcode::NOT_AUTH };
            return refuse(rcode, terms);
        }
        let mut response = Response::begin(octets, header.id, Some(question), terms.room);
        response.authoritative = true;
        response.finish(header, terms.opt);
        Reply::Message
    }
}

/// What a request gets whoever asks, if no zone has a say in it.
fn settled(request: &Request<'_>) -> Option<u16> {
    let edns = request.edns.unwrap_or_default();
    match (request.header.opcode(), request.question) {
        // RFC 6891 section 6.1.3.
        _ if edns.version > 0 => Some(rcode::BAD_VERS),
        // RFC 7873 section 5.4: a question about cookies alone.
        (opcode::QUERY, None) if edns.cookie.is_some() => Some(rcode::NO_ERROR),
        (opcode::QUERY | opcode::NOTIFY | opcode::UPDATE, None) => Some(rcode::FORM_ERR),
        (opcode::UPDATE, Some(question)) => zone_fault(&question),
        (opcode::QUERY | opcode::NOTIFY, Some(_)) => None,
        _ => Some(rcode::NOT_IMP),
    }
}

/// What is wrong with the question of a request that is about a zone: a NOTIFY (RFC 1996 section 3.7) or an UPDATE
/// (RFC 2136 section 2.3).
fn zone_fault(question: &Question<'_>) -> Option<u16> {
    match (question.qclass, question.qtype) {
        (CLASS_IN, rtype::SOA) => None,
        // Reserved, NONE and ANY are no classes of zones.
        (CLASS_IN | 0 | 254 | CLASS_ANY, _) => Some(rcode::FORM_ERR),
        _ => Some(rcode::NOT_IMP),
    }
}

/// The time as cookies count it: seconds since 1970, modulo 2^32.
fn cookie_time() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as u32)
}

/// A response without records.
fn refuse(
    header: Header,
    question: Option<&Question<'_>>,
    rcode: u16,
    opt: Option<Opt>,
    octets: &mut Vec<u8>,
) -> Reply {
    let mut response = Response::begin(octets, header.id, question, usize::from(PLAIN_SIZE));
    response.rcode = rcode;
    response.finish(header, opt);
    Reply::Message
}

#[cfg(test)]
mod tests;
