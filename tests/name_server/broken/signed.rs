//! Primaries that sign, and break it: each way to do so, and what the problem says of it.

mod seldom;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use domain::base::iana::{Class, Rcode, Rtype, TsigRcode};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::name::{Name, ToName};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{Algorithm, Key, ServerSequence};
use shoestring::dns::{ZoneRecords, ZoneState};
use shoestring::keyring::{Keyring, Secret, SecretValue, TsigAlgorithm, TsigKey};
use shoestring::names::Serial;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::primary::{SOA, soa_data};
use crate::name_server::network::{LIMITS, Server, free_address, name, secondary, send, serial};

const ZONE: &str = "example.org";
const APEX: &[u8] = b"\x07example\x03org\0";
const SECRET: &[u8] = b"what both sides know";
/// Further from our clock than any fudge.
const AN_HOUR: i64 = 3600;
/// How long ago something is signed that is signed at another time than it should be, and the fudge.
const TIMES: [(Sign, i64, u16); 3] =
    [(Sign::Late, AN_HOUR, 300), (Sign::Early, -AN_HOUR, 300), (Sign::Narrow, 10, 5)];

/// How one message is signed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    Well,
    Not,
    /// As of an hour ago.
    Late,
    /// As of an hour ahead.
    Early,
    /// As of ten seconds ago, with a fudge of five.
    Narrow,
    /// And changed after that.
    Changed,
    /// With a MAC of half its length.
    Short,
    /// With a MAC of no octets.
    Empty,
    /// With a MAC of an octet more.
    Long,
    /// With class IN in place of ANY.
    Class,
    /// With a TTL.
    Ttl,
    /// In the answer section.
    Answer,
    /// With an octet after the signature.
    Followed,
    /// With a record after the signature.
    Inside,
    /// With two signatures.
    Twice,
}

/// What a primary does with an AXFR.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A whole zone in messages signed like this, the first with its SOA record, the last with it again.
    Stream(&'static [Sign]),
    /// All unsigned but the first and, maybe, the last.
    Unsigned(usize, Sign),
    /// A good stream whose messages come in this order.
    Order([usize; 3]),
    /// Another key's signature, by name and secret.
    Other(&'static str, &'static [u8]),
    /// This rcode, signed like this.
    Rcode(Rcode, Sign),
    /// NOTAUTH, with this error in a TSIG record that is not signed.
    Refuses(TsigRcode),
    /// A signed answer, while our request was not.
    Unasked,
    /// An answer to the SOA query that is signed like this.
    Announces(Sign),
    /// No fault: so many messages between the first and the last are not signed, and in the digest of the last.
    Seldom(usize),
}

const FAULTS: &[(Fault, &str)] = &[
    (Fault::Stream(&[Sign::Not]), "is not signed, and our request was"),
    (Fault::Stream(&[Sign::Not, Sign::Well]), "is not signed, and our request was"),
    (Fault::Stream(&[Sign::Well, Sign::Not]), "the last message of its answer is not signed"),
    (Fault::Unsigned(98, Sign::Not), "the last message of its answer is not signed"),
    (Fault::Unsigned(100, Sign::Well), "more than 99 messages"),
    (Fault::Seldom(100), "more than 99 messages"),
    // A message that somebody slipped in is not in the digest of those after it.
    (Fault::Stream(&[Sign::Well, Sign::Not, Sign::Well]), "BADSIG"),
    (Fault::Stream(&[Sign::Changed]), "BADSIG"),
    (Fault::Stream(&[Sign::Well, Sign::Changed]), "BADSIG"),
    (Fault::Order([0, 2, 1]), "BADSIG"),
    (Fault::Order([0, 0, 2]), "BADSIG"),
    (Fault::Stream(&[Sign::Late]), "BADTIME"),
    (Fault::Stream(&[Sign::Well, Sign::Late]), "BADTIME"),
    (Fault::Stream(&[Sign::Short]), "BADTRUNC"),
    (Fault::Stream(&[Sign::Early]), "BADTIME"),
    (Fault::Stream(&[Sign::Narrow]), "BADTIME"),
    (Fault::Stream(&[Sign::Well, Sign::Short]), "BADTRUNC"),
    (Fault::Stream(&[Sign::Empty]), "BADTRUNC"),
    (Fault::Stream(&[Sign::Long]), "BADSIG"),
    (Fault::Stream(&[Sign::Class]), "malformed or in the wrong place"),
    (Fault::Stream(&[Sign::Ttl]), "malformed or in the wrong place"),
    (Fault::Stream(&[Sign::Answer]), "is not signed, and our request was"),
    (Fault::Stream(&[Sign::Well, Sign::Answer]), "with class 255; only IN"),
    (Fault::Stream(&[Sign::Followed]), "octets after its last record"),
    (Fault::Stream(&[Sign::Well, Sign::Inside]), "malformed or in the wrong place"),
    (Fault::Stream(&[Sign::Well, Sign::Twice]), "malformed or in the wrong place"),
    (Fault::Stream(&[Sign::Inside]), "malformed or in the wrong place"),
    (Fault::Stream(&[Sign::Twice]), "malformed or in the wrong place"),
    (Fault::Other("key.example", b"what nobody else knows"), "BADSIG"),
    (Fault::Other("other.example", SECRET), "BADKEY"),
    (Fault::Rcode(Rcode::REFUSED, Sign::Not), "REFUSED without a signature"),
    (Fault::Rcode(Rcode::REFUSED, Sign::Well), "it answered REFUSED"),
    (Fault::Refuses(TsigRcode::BADKEY), "refused our signature with BADKEY"),
    (Fault::Refuses(TsigRcode::BADSIG), "refused our signature with BADSIG"),
    (Fault::Refuses(TsigRcode::BADTIME), "refused our signature with BADTIME"),
    (Fault::Refuses(TsigRcode::BADTRUNC), "refused our signature with BADTRUNC"),
    (Fault::Unasked, "give the zone its key"),
    (Fault::Announces(Sign::Not), "SOA query: its answer is not signed"),
    (Fault::Announces(Sign::Late), "SOA query: BADTIME"),
    (Fault::Announces(Sign::Changed), "SOA query: BADSIG"),
    (Fault::Announces(Sign::Short), "SOA query: BADTRUNC"),
    (Fault::Announces(Sign::Twice), "SOA query: the signature of its answer is malformed"),
];

fn key(name: &str, secret: &[u8]) -> Arc<Key> {
    let name = Name::<Vec<u8>>::from_chars(name.chars()).unwrap().try_to_name().unwrap();
    Arc::new(Key::new(Algorithm::Sha256, secret, name, None, None).unwrap())
}

fn time(ago: i64) -> Time48 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Time48::from_u64(now.wrapping_sub_signed(ago))
}

/// A response to the query with these records of the apex.
fn response(query: &[u8], rcode: Rcode, records: &[(u16, Vec<u8>)]) -> AdditionalBuilder<Vec<u8>> {
    let query = Message::from_octets(query.to_vec()).unwrap();
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(query.header().id());
    message.header_mut().set_qr(true);
    message.header_mut().set_aa(true);
    message.header_mut().set_rcode(rcode);
    let mut message = message.question();
    message.push(query.sole_question().unwrap()).unwrap();
    let mut message = message.answer();
    for (rtype, data) in records {
        let data = UnknownRecordData::from_octets(Rtype::from_int(*rtype), data).unwrap();
        message.push((Name::from_slice(APEX).unwrap(), Class::IN, 60, data)).unwrap();
    }
    message.additional()
}

fn soa(serial: u32) -> (u16, Vec<u8>) {
    (SOA, soa_data(serial))
}

fn ns() -> (u16, Vec<u8>) {
    (2, b"\x02ns\x07example\0".to_vec())
}

/// A sequence that takes the query as this key's, whatever the query is signed with.
fn sequence(query: &[u8]) -> ServerSequence<Arc<Key>> {
    let mut message = Message::from_octets(query.to_vec()).unwrap();
    ServerSequence::request(&key("key.example", SECRET), &mut message, time(0)).unwrap().unwrap()
}

fn sign(
    sequence: &mut ServerSequence<Arc<Key>>,
    mut message: AdditionalBuilder<Vec<u8>>,
    how: Sign,
) -> Vec<u8> {
    if how == Sign::Not {
        return message.finish();
    }
    let (_, ago, fudge) = TIMES.into_iter().find(|(sign, ..)| *sign == how).unwrap_or((how, 0, 300));
    sequence.answer_with_fudge(&mut message, time(ago), fudge).unwrap();
    let unsigned = message.as_slice().len() - record_length();
    let mut octets = message.finish();
    let mac = octets.len() - 6 - 32;
    let data_length = unsigned + 13 + 9;
    let keep = |octets: &mut Vec<u8>, length: usize| {
        octets.drain(mac + length..mac + 32);
        octets[mac - 1] = length as u8;
        octets[data_length] -= 32 - length as u8;
    };
    match how {
        Sign::Well | Sign::Late | Sign::Early | Sign::Narrow | Sign::Not => (),
        Sign::Changed => octets[unsigned - 1] ^= 1,
        Sign::Short => keep(&mut octets, 16),
        Sign::Empty => keep(&mut octets, 0),
        Sign::Long => {
            octets.insert(mac + 32, 0);
            octets[mac - 1] += 1;
            octets[data_length] += 1;
        }
        Sign::Class => octets[unsigned + 13 + 3] = 1,
        Sign::Ttl => octets[unsigned + 13 + 7] = 1,
        Sign::Answer => {
            octets[7] += 1;
            octets[11] -= 1;
        }
        Sign::Followed => octets.push(0),
        Sign::Inside => {
            octets[11] += 1;
            octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        }
        Sign::Twice => {
            octets[11] += 1;
            octets.extend(octets[unsigned..].to_vec());
        }
    }
    octets
}

/// Of the TSIG record of `key.example`: name, fixed fields, algorithm, time, fudge, MAC, id, error, other.
fn record_length() -> usize {
    13 + 10 + 13 + 6 + 2 + 2 + 32 + 2 + 2 + 2
}

/// The messages of an answer to AXFR.
fn answers(query: &[u8], fault: Fault) -> Vec<Vec<u8>> {
    let whole = [soa(2), ns(), soa(2)];
    let stream = |signs: &[Sign]| {
        let mut sequence = sequence(query);
        let count = signs.len();
        let part = |at: usize| match (at, count) {
            (0, 1) => whole.to_vec(),
            (0, _) => vec![soa(2), ns()],
            (at, count) if at + 1 == count => vec![soa(2)],
            _ => vec![ns()],
        };
        let message = |at| response(query, Rcode::NOERROR, &part(at));
        signs.iter().enumerate().map(|(at, how)| sign(&mut sequence, message(at), *how)).collect::<Vec<_>>()
    };
    match fault {
        Fault::Stream(signs) => stream(signs),
        Fault::Unsigned(count, last) => {
            stream(&[&[Sign::Well][..], &vec![Sign::Not; count], &[last]].concat())
        }
        Fault::Order(order) => {
            let messages = stream(&[Sign::Well; 3]);
            order.into_iter().map(|at| messages[at].clone()).collect()
        }
        Fault::Other(name, secret) => {
            // Signed as the answer to a query of its own.
            let key = key(name, secret);
            let mut own = MessageBuilder::new_vec().additional();
            domain::tsig::ClientSequence::request(Arc::clone(&key), &mut own, time(0)).unwrap();
            let mut own = Message::from_octets(own.finish()).unwrap();
            let mut sequence = ServerSequence::request(&key, &mut own, time(0)).unwrap().unwrap();
            let mut message = response(query, Rcode::NOERROR, &whole);
            sequence.answer(&mut message, time(0)).unwrap();
            vec![message.finish()]
        }
        Fault::Rcode(rcode, how) => vec![sign(&mut sequence(query), response(query, rcode, &[]), how)],
        Fault::Refuses(error) => {
            let mut message = response(query, Rcode::NOTAUTH, &[]);
            let other = time(0).into_octets();
            let other = if error == TsigRcode::BADTIME { &other[..] } else { &[] };
            let id = message.header().id();
            let tsig =
                Tsig::new(Algorithm::Sha256.to_name(), time(0), 300, &[][..], id, error, other).unwrap();
            message.push((key("key.example", SECRET).name().clone(), Class::ANY, 0, tsig)).unwrap();
            vec![message.finish()]
        }
        Fault::Unasked | Fault::Announces(_) => Vec::new(),
        Fault::Seldom(unsigned) => seldom::answers(query, unsigned),
    }
}

/// Announces serial 2 and signs that well; gives version 1 whole when it is asked without a key.
struct Primary {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A query that is not signed ends with its question.
fn is_signed(query: &[u8]) -> bool {
    query[11] != 0
}

impl Primary {
    async fn start(fault: Option<Fault>) -> Self {
        let address = free_address("127.0.0.1");
        let (udp, tcp) = (UdpSocket::bind(address).await.unwrap(), TcpListener::bind(address).await.unwrap());
        let version = if fault.is_some() { 2 } else { 1 };
        let announce = async move {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = udp.recv_from(&mut query).await {
                let query = &query[..length];
                let answer = response(query, Rcode::NOERROR, &[soa(version)]);
                let answer = match (is_signed(query), fault) {
                    (true, Some(Fault::Announces(how))) => sign(&mut sequence(query), answer, how),
                    (true, _) => sign(&mut sequence(query), answer, Sign::Well),
                    (false, Some(Fault::Unasked)) => {
                        let asked = signed_query();
                        sign(&mut sequence(&asked), answer, Sign::Well)
                    }
                    (false, _) => answer.finish(),
                };
                udp.send_to(&answer, peer).await.unwrap();
            }
        };
        let transfer = async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let Ok(length) = stream.read_u16().await else { continue };
                let mut query = vec![0; length.into()];
                stream.read_exact(&mut query).await.unwrap();
                let messages = match fault {
                    Some(fault) => answers(&query, fault),
                    None => vec![response(&query, Rcode::NOERROR, &[soa(1), ns(), soa(1)]).finish()],
                };
                for message in messages {
                    send(&mut stream, &message).await;
                }
            }
        };
        Self { address, tasks: [tokio::spawn(announce), tokio::spawn(transfer)] }
    }
}

fn signed_query() -> Vec<u8> {
    let mut query = MessageBuilder::new_vec().additional();
    domain::tsig::ClientSequence::request(key("key.example", SECRET), &mut query, time(0)).unwrap();
    query.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_is_broken_leaves_the_old_data_and_is_named() {
    let state = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::default());
    let tsig = TsigKey {
        name: name("key.example"),
        algorithm: TsigAlgorithm::HmacSha256,
        secret: Secret::new(SECRET.to_vec()),
    };
    keyring.replace([("transfer".parse().unwrap(), Arc::new(SecretValue::Tsig(tsig)))].into());
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), LIMITS, keyring).await;
    let good = Primary::start(None).await;
    edge.set([secondary(ZONE, &edge, &[good.address])]).await;
    edge.until_serial(ZONE, 1).await;
    for (fault, words) in FAULTS {
        let broken = Primary::start(Some(*fault)).await;
        let mut zone = secondary(ZONE, &edge, &[broken.address]);
        if let (ZoneRecords::Transfer(sources), false) = (&mut zone.source, matches!(fault, Fault::Unasked)) {
            sources[0].tsig_key = Some("transfer".parse().unwrap());
        }
        edge.set([zone]).await;
        let from = broken.address.to_string();
        let seen = edge.until(ZONE, |seen| {
            seen.serial != Some(Serial(1)) || seen.problem.as_ref().is_some_and(|why| why.contains(&from))
        });
        let seen = seen.await;
        assert_eq!((seen.serial, seen.state), (Some(Serial(1)), ZoneState::Served), "{fault:?}");
        let problem = seen.problem.unwrap_or_default();
        assert!(problem.contains(words), "{fault:?}: {problem}");
    }
    assert_eq!(serial(edge.address, ZONE).await, Some(1));

    for unsigned in [1, 99] {
        edge.remove(ZONE).await;
        let well = Primary::start(Some(Fault::Seldom(unsigned))).await;
        let mut zone = secondary(ZONE, &edge, &[well.address]);
        if let ZoneRecords::Transfer(sources) = &mut zone.source {
            sources[0].tsig_key = Some("transfer".parse().unwrap());
        }
        edge.set([zone]).await;
        edge.until_serial(ZONE, 2).await;
        assert_eq!(edge.zone(ZONE).await.problem, None);
    }
}
