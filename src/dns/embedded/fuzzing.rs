//! What holds for any octets that come to the name server. `crate::fuzzing` says who calls this.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};

use super::authenticate;
use super::delta::{Delta, apply, difference};
use super::disk::body;
use super::exchange::hickory_name;
use super::expand::Reader;
use super::handler::{Handler, Reply, Transport, ZonePolicy};
use super::incoming::Incoming;
use super::outgoing::{Asked, Outgoing};
use super::rdata::rtype;
use super::request::{HEADER, Request};
use super::transfer::{self, Transferred};
use super::zone::Zone;
use super::zonefile;
use super::zones::{ZoneEntry, Zones};
use crate::dns::{NameServerConfig, TransferLimits};
use crate::keyring::{Secret, TsigAlgorithm, TsigKey};
use crate::names::{DomainName, Serial};

mod signed;

pub use signed::signed;

/// A zone with every shape that answers branch on, and the same signed by NSEC and by NSEC3 with opt-out: the records
/// that prove are there, the signatures are not real.
const ZONES: [(&str, &str); 4] = [
    ("example", include_str!("../../../tests/fuzz/seeds/zone_file/example")),
    ("nsec.test", include_str!("../../../tests/fuzz/seeds/zone_file/nsec.test")),
    ("nsec3.test", include_str!("../../../tests/fuzz/seeds/zone_file/nsec3.test")),
    ("child.example", include_str!("../../../tests/fuzz/seeds/zone_file/child.example")),
];
/// The apex where only octets come.
const APEX: &str = "example";
const LIMITS: TransferLimits = TransferLimits { records: 2000, octets: 1 << 20, ..TransferLimits::DEFAULT };
/// The largest response over UDP to whoever says that they take it.
const DATAGRAM: usize = 1232;
/// The one address that may transfer zones.
const FRIEND: [u8; 4] = [192, 0, 2, 1];

struct Policy;

impl ZonePolicy for Policy {
    fn config(&self) -> Arc<NameServerConfig> {
        Arc::new(NameServerConfig { identity: "fuzzed".to_owned(), ..NameServerConfig::default() })
    }

    fn cookie_secret(&self) -> Option<crate::keyring::CookieSecret> {
        None
    }

    fn keys(&self, name: &DomainName) -> Vec<TsigKey> {
        vec![key(name)]
    }

    fn may_transfer(&self, _: &DomainName, peer: IpAddr, _: Option<&TsigKey>) -> bool {
        peer == IpAddr::from(FRIEND)
    }

    fn steps(&self, zone: &Zone, from: Serial) -> Option<Vec<Arc<Delta>>> {
        let known = zone.apex() == EARLIER.apex() && from == EARLIER.serial();
        known.then(|| vec![Arc::new(difference(&EARLIER, zone))])
    }

    fn notified(&self, _: &DomainName, peer: IpAddr, _: Option<&TsigKey>, _: Option<Serial>) -> bool {
        peer == IpAddr::from(FRIEND)
    }
}

static HANDLER: LazyLock<Handler> = LazyLock::new(|| {
    let zones = Zones::new();
    for (apex, text) in ZONES {
        let zone = zonefile::read(apex, text, &name(apex), None);
        zones.serve(Arc::new(zone.expect("a zone of ours")));
    }
    zones.set(&name("empty.test"), ZoneEntry::Empty);
    zones.set(&name("expired.test"), ZoneEntry::Expired);
    handler(zones)
});

/// An earlier version of the first zone.
static EARLIER: LazyLock<Zone> = LazyLock::new(|| {
    let text = ZONES[0].1.replace("ns1 AAAA", "x1 AAAA").replace("*.wild", "*.tame");
    zonefile::read(APEX, &text, &name(APEX), Some(Serial(0))).expect("a zone of ours")
});

fn handler(zones: Zones) -> Handler {
    Handler::new(Arc::new(zones), Arc::new(Policy))
}

/// The key of this name.
fn key(name: &DomainName) -> TsigKey {
    let (algorithm, secret) = (TsigAlgorithm::HmacSha256, Secret::new(b"fuzzed".to_vec()));
    TsigKey { name: name.clone(), algorithm, secret }
}

fn name(text: &str) -> DomainName {
    text.parse().expect("a name of ours")
}

/// A request: one octet for how it comes, and whether it is signed now, then its own.
///
/// What is said to it can be read, is a response to it, and fits; a zone goes only to whom it may go; and what is said
/// to a signed request is signed.
pub fn answer(octets: &[u8]) {
    let Some((how, request)) = octets.split_first() else { return };
    let mut signed = request.to_vec();
    // Whether the signature will be the one thing that is added to what can be read.
    let alone = Request::read(request).is_ok_and(|request| request.tsig.is_none());
    let signs = how & 4 != 0 && request.len() >= HEADER && alone;
    if signs {
        authenticate::sign_request(&mut signed, &key(&name("key")), authenticate::time());
        // Octets behind the last record, which are passed over elsewhere, keep the signature from being found, or become
        // part of its key's name.
        if !Request::read(&signed).is_ok_and(|read| read.tsig == Some(request.len())) {
            return;
        }
    }
    let request = &signed[..];
    let transport = if how & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let peer = SocketAddr::from((if how & 2 == 0 { FRIEND } else { [192, 0, 2, 2] }, 1053));
    let mut response = Vec::new();
    match HANDLER.respond(request, peer, transport, &mut response) {
        Reply::Silence => (),
        Reply::Message => {
            fits(request, &response, transport);
            // What is malformed is answered before its signature is looked at.
            let malformed = response[3] & 15 == 1;
            assert!(
                !signs || malformed || is_signed(&response),
                "what is said to a signed request is not signed"
            );
        }
        Reply::Transfer(transfer) => {
            assert!(transport == Transport::Tcp && peer.ip() == IpAddr::from(FRIEND));
            for message in messages(transfer) {
                fits(request, &message, transport);
                assert!(!signs || is_signed(&message), "a message of a signed transfer is not signed");
            }
        }
    }
}

fn fits(request: &[u8], response: &[u8], transport: Transport) {
    let asked = Message::from_vec(request).ok();
    let most = match (transport, asked.as_ref().map(|asked| asked.edns.as_ref())) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(None)) => 512,
        (Transport::Udp, Some(Some(edns))) => usize::from(edns.max_payload()).clamp(512, DATAGRAM),
        // Whoever reads more of it than the codec does may see more in it.
        (Transport::Udp, None) => DATAGRAM,
    };
    assert!(response.len() <= most, "{} octets are more than {most}", response.len());
    let said = Message::from_vec(response).expect("what we say can be read");
    assert_eq!(request[..2], response[..2], "the id is another");
    assert_eq!(said.metadata.message_type, MessageType::Response);
    assert!(!said.metadata.truncation || transport == Transport::Udp, "cut where there is no limit");
    assert!(!said.metadata.recursion_available, "we do not recurse");
    let Some(asked) = asked else { return };
    assert_eq!(said.metadata.op_code, asked.metadata.op_code);
    assert!(said.edns.is_none() || asked.edns.is_some(), "OPT for whoever did not send it");
    if said.metadata.response_code == ResponseCode::NoError && asked.metadata.op_code == OpCode::Query {
        assert_eq!(said.queries, asked.queries, "an answer to another question");
    }
}

/// Whether a response ends with a TSIG record that holds a MAC.
fn is_signed(response: &[u8]) -> bool {
    let mut reader = Reader::new(response);
    let [questions, records @ ..] = reader.head().expect("it has a header").counts;
    (0..questions).for_each(|_| drop(reader.question()));
    let records = (0..records.map(u32::from).iter().sum()).map_while(|_| reader.record().ok());
    records.last().is_some_and(|last| last.rtype == rtype::TSIG && last.rdata.len() > 32)
}

/// The messages in these octets, each with its length before it (RFC 1035 section 4.2.2).
fn framed(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = octets.split_first_chunk()?;
        let (message, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes(*length))));
        octets = after;
        Some(message)
    })
}

/// Answers to an AXFR query, each with its length before it (RFC 1035 section 4.2.2); and the same to an IXFR query.
///
/// They are a zone or an error. A zone is whole.
pub fn transfer(octets: &[u8]) {
    for have in [None, Some(&*EARLIER)] {
        if let Some(taken) = taken(octets, have) {
            whole(taken.zone);
        }
    }
}

fn taken(octets: &[u8], have: Option<&Zone>) -> Option<Transferred> {
    let id = octets.get(2..4).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
    let mut incoming = Incoming::new(id, &name(APEX), have.map(Zone::serial), LIMITS);
    let mut complete = Ok(false);
    for message in framed(octets) {
        complete = incoming.message(message);
        if complete != Ok(false) {
            break;
        }
    }
    let taken = transfer::finish(incoming, have, LIMITS);
    assert!(taken.is_err() || complete == Ok(true), "a zone of a transfer that did not end");
    taken.ok()
}

/// A zone file.
///
/// It is a zone or there are findings at places in it. A zone is whole, and has the serial that was asked for, unless it is
/// signed.
pub fn zone_file(octets: &[u8]) {
    const SERIAL: Serial = Serial(7);
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match zonefile::read("fuzzed", text, &name(APEX), Some(SERIAL)) {
        Ok(zone) => {
            // A zone that is signed or digested keeps its own: another would break what covers it.
            let sealed =
                [rtype::RRSIG, rtype::ZONEMD].into_iter().any(|rtype| zone.apex_set(rtype).is_some());
            assert!(sealed || zone.serial() == SERIAL, "another serial than was asked for");
            whole(zone);
        }
        Err(findings) => {
            assert!(!findings.is_empty(), "no zone, and no finding says why");
            let lines = text.split('\n').count();
            for position in findings.iter().filter_map(|finding| finding.position) {
                assert!((1..=lines).contains(&(position.line as usize)), "{position:?} is not in the text");
            }
        }
    }
}

/// What is kept of a whole zone, its check left out.
///
/// It is a whole zone, or it is refused.
pub fn kept(octets: &[u8]) {
    if let Ok(zone) = body::read(octets, &name(APEX)) {
        whole(zone);
    }
}

/// A journal's step from one version of a zone to the next.
///
/// It is read back as it was written. It leads to a whole zone, or nowhere.
pub fn delta(octets: &[u8]) {
    let Ok(delta) = Delta::from_octets(octets) else { return };
    assert_eq!(Delta::from_octets(delta.octets()).as_ref(), Ok(&delta));
    if let Ok(zone) = apply(&EARLIER, [&delta]) {
        whole(zone);
    }
}

/// A zone that was made of octets from outside is the same after a transfer, after a restart, and by the step from
/// another version; and every one of its sets can be asked for.
fn whole(zone: Zone) {
    let mut body = Vec::new();
    body::write(&zone, &mut body);
    assert_eq!(body::read(&body, zone.apex()).as_ref(), Ok(&zone), "another zone after a restart");

    if zone.serial().is_newer_than(EARLIER.serial()) {
        let step = difference(&EARLIER, &zone);
        assert_eq!(apply(&EARLIER, [&step]).as_ref(), Ok(&zone), "another zone by {step:?}");
    }

    let (apex, zone) = (zone.apex().clone(), Arc::new(zone));
    let mut incoming = Incoming::new(7, &apex, None, LIMITS);
    let asked =
        Asked { id: 7, recursion_desired: false, qtype: rtype::AXFR, name: apex.as_wire(), opt: Vec::new() };
    let messages = messages(Outgoing::whole(Arc::clone(&zone), asked));
    for (at, message) in messages.iter().enumerate() {
        let last = at + 1 == messages.len();
        assert_eq!(incoming.message(message), Ok(last), "message {at} of {}", messages.len());
    }
    let taken = transfer::finish(incoming, None, LIMITS).expect("it was complete");
    assert_eq!(taken.zone, *zone, "another zone after a transfer");

    let zones = Zones::new();
    zones.serve(Arc::clone(&zone));
    let handler = handler(zones);
    let mut response = Vec::new();
    for set in zone.rrsets().take(50) {
        let mut query = Query::query(hickory_name(&set.owner()), RecordType::from(set.rtype()));
        query.set_query_class(DNSClass::IN);
        let mut message = Message::query();
        message.add_query(query);
        let request = message.to_vec().expect("a question can be written");
        for transport in [Transport::Udp, Transport::Tcp] {
            match handler.respond(&request, ([192, 0, 2, 2], 1053).into(), transport, &mut response) {
                Reply::Message => whole_message(&response),
                // RFC 5936 section 4.2; and types above 255 other than these are records.
                Reply::Silence | Reply::Transfer(_) => unreachable!("{} type {}", set.owner(), set.rtype()),
            }
        }
    }
}

/// A response whose records can be told apart. The codec of `fits` would also look into data that is of nobody's making.
fn whole_message(response: &[u8]) {
    let mut reader = Reader::new(response);
    let [questions, records @ ..] = reader.head().expect("it has a header").counts;
    for _ in 0..questions {
        reader.question().expect("it repeats the question");
    }
    for _ in 0..records.map(u32::from).iter().sum() {
        reader.record().expect("as many records as it counts");
    }
    assert!(reader.is_at_end(), "there is more in it than it counts");
}

fn messages(mut transfer: Outgoing) -> Vec<Vec<u8>> {
    let mut message = Vec::new();
    std::iter::from_fn(|| transfer.next_message(&mut message).then(|| message.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::signed::believed;
    use super::*;

    fn seed(path: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
        std::fs::read(folder.join(path)).unwrap()
    }

    /// A fuzzer does not find its way through a digest, nor soon to a difference that fits.
    #[test]
    fn seeds_reach_what_is_behind_tsig_and_ixfr() {
        let have = Some(&*EARLIER);
        assert!(taken(&seed("transfer/axfr"), None).is_some_and(|taken| taken.steps.is_empty()));
        assert!(taken(&seed("transfer/ixfr-by-steps"), have).is_some_and(|taken| taken.steps.len() == 1));
        for (name, is_believed) in [
            ("axfr", true),
            ("ixfr", true),
            ("many", true),
            ("unsigned", false),
            ("unsigned-last", false),
            ("repeated", false),
            ("repeated-last", false),
            ("changed", false),
            ("changed-last", false),
            ("lost", false),
        ] {
            let (done, taken) = believed(&seed(&format!("signed/{name}")));
            assert_eq!((done, taken.is_some()), (is_believed, is_believed), "{name}");
        }
        // That the last message is missing shows by what it would have held.
        assert!(matches!(believed(&seed("signed/lost-last")), (true, None)));

        for (name, rcode, records) in [
            ("ixfr", 0, 10),
            ("ixfr-whole", 0, 30),
            ("tsig-ixfr", 0, 10),
            ("tsig-axfr", 0, 30),
            ("tsig-soa", 0, 1),
            ("tsig", 9, 0),
        ] {
            let octets = seed(&format!("answer/{name}"));
            let mut request = octets[1..].to_vec();
            if octets[0] & 4 != 0 {
                authenticate::sign_request(&mut request, &key(&super::name("key")), authenticate::time());
            }
            let mut response = Vec::new();
            if let Reply::Transfer(transfer) =
                HANDLER.respond(&request, (FRIEND, 1053).into(), Transport::Tcp, &mut response)
            {
                response = messages(transfer).remove(0);
            }
            let head = Reader::new(&response).head().unwrap();
            assert!(head.rcode() == rcode && head.counts[1] >= records, "{name}: {head:?}");
            assert_eq!(is_signed(&response), octets[0] & 4 != 0, "{name}");
        }
    }

    #[test]
    fn the_seed_of_a_delta_leads_to_a_zone() {
        let delta = Delta::from_octets(include_bytes!("../../../tests/fuzz/seeds/delta/step")).unwrap();
        assert_eq!(apply(&EARLIER, [&delta]).unwrap().serial(), Serial(1));
    }
}
