//! Probe: asks as a resolver would.
//!
//! *Identity* and *canary* are one question: the SOA of the canary zone, of every service address, by UDP and by TCP. A
//! good answer comes from this node (NSID, RFC 5001), has AA set and holds the SOA. CHAOS is not asked: some servers
//! limit how often they answer it. *Sample*: some of the zones, in turn; and of those that come from a hub, what the
//! hub has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::sample::{Answer, Transport};
use crate::desired::model::HealthPolicy;
use crate::dns::embedded::exchange::{question, read_message};
use crate::names::{DomainName, Serial};

/// The port of DNS.
const PORT: u16 = 53;
/// Questions that are sent at once to one server: their answers fit into a socket's buffer.
const BURST: usize = 64;

/// Asks all addresses at once; takes no longer than the policy's time-out.
pub(crate) async fn probe(
    addresses: &BTreeSet<IpAddr>,
    identity: &str,
    policy: &HealthPolicy,
) -> BTreeMap<(IpAddr, Transport), Answer> {
    let ask = async |address: &IpAddr, transport| {
        let server = SocketAddr::new(*address, PORT);
        let asked = async {
            match transport {
                Transport::Udp => over_udp(server, identity, policy).await,
                Transport::Tcp => over_tcp(server, identity, policy).await,
            }
        };
        let answer = match timeout(policy.timeout, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => Answer::Silent(why),
            Err(_) => Answer::Silent("no answer in time".to_owned()),
        };
        ((*address, transport), answer)
    };
    let questions = addresses.iter().flat_map(|address| Transport::ALL.map(|transport| (address, transport)));
    join_all(questions.map(|(address, transport)| ask(address, transport))).await.into_iter().collect()
}

/// Asks one server for the SOA of many zones, by UDP: the serial of each authoritative answer, or what came instead.
/// Nothing of those that a server was asked for which is silent altogether.
pub(crate) async fn serials(
    server: SocketAddr,
    from: Option<IpAddr>,
    zones: &[DomainName],
    patience: Duration,
) -> BTreeMap<DomainName, Result<Serial, String>> {
    let mut results = BTreeMap::new();
    for burst in zones.chunks(BURST) {
        let mut open: BTreeMap<u16, (Message, &DomainName)> = BTreeMap::new();
        for (id, zone) in (1..).zip(burst) {
            let mut query = question(zone, RecordType::SOA);
            query.metadata.id = id;
            open.insert(id, (query, zone));
        }
        let asked = open.len();
        if exchange(server, from, &mut open, &mut results, patience).await.is_err() {
            break;
        }
        // Where nothing answers, that says nothing of a zone.
        if open.len() == asked {
            break;
        }
        let late = || Err("no answer in time".to_owned());
        results.extend(open.into_values().map(|(_, zone)| (zone.clone(), late())));
    }
    results
}

/// Sends what is open, and takes away what is answered.
async fn exchange(
    server: SocketAddr,
    from: Option<IpAddr>,
    open: &mut BTreeMap<u16, (Message, &DomainName)>,
    results: &mut BTreeMap<DomainName, Result<Serial, String>>,
    patience: Duration,
) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let socket = socket(server, from).await?;
    for (query, _) in open.values() {
        socket.send(&query.to_vec().map_err(|error| say(&error))?).await.map_err(|error| say(&error))?;
    }
    let deadline = tokio::time::Instant::now() + patience;
    let mut answer = [0; 1232];
    while !open.is_empty() {
        let Ok(received) = tokio::time::timeout_at(deadline, socket.recv(&mut answer)).await else { break };
        let octets = &answer[..received.map_err(|error| say(&error))?];
        let id = octets.first_chunk().map(|id| u16::from_be_bytes(*id));
        if let Some((query, zone)) = id.and_then(|id| open.remove(&id)) {
            results.insert(zone.clone(), serial(&query, octets));
        }
    }
    Ok(())
}

async fn socket(server: SocketAddr, from: Option<IpAddr>) -> Result<UdpSocket, String> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind(SocketAddr::new(from.unwrap_or(any), 0)).await;
    let socket = socket.map_err(|error| error.to_string())?;
    socket.connect(server).await.map_err(|error| error.to_string())?;
    Ok(socket)
}

async fn over_udp(server: SocketAddr, identity: &str, policy: &HealthPolicy) -> Result<Answer, String> {
    let query = query(policy)?;
    let socket = socket(server, None).await?;
    socket
        .send(&query.to_vec().map_err(|error| error.to_string())?)
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = [0; 1232];
    let length = socket.recv(&mut answer).await.map_err(|error| error.to_string())?;
    judge(&query, &answer[..length], identity)
}

async fn over_tcp(server: SocketAddr, identity: &str, policy: &HealthPolicy) -> Result<Answer, String> {
    let query = query(policy)?;
    let octets = query.to_vec().map_err(|error| error.to_string())?;
    let length = u16::try_from(octets.len()).map_err(|error| error.to_string())?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(octets);
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&framed).await?;
        read_message(&mut stream).await
    };
    let answer = exchange.await.map_err(|error| error.to_string())?;
    judge(&query, &answer, identity)
}

fn query(policy: &HealthPolicy) -> Result<Message, String> {
    let mut query = question(&policy.canary, RecordType::SOA);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut()
        .insert(EdnsOption::NSID(NSIDPayload::new(Vec::new()).map_err(|error| error.to_string())?));
    query.set_edns(edns);
    Ok(query)
}

/// The serial of an authoritative SOA, or what the answer is instead.
fn serial(query: &Message, answer: &[u8]) -> Result<Serial, String> {
    let answer = Message::from_vec(answer).map_err(|error| format!("the answer does not parse: {error}"))?;
    if answer.metadata.response_code != ResponseCode::NoError {
        return Err(format!("the answer is {}", answer.metadata.response_code));
    }
    let asked = query.queries.first().map(Query::name);
    let soa = answer.answers.iter().filter(|record| Some(&record.name) == asked).find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(Serial(soa.serial))
    });
    match soa {
        Some(serial) if answer.metadata.authoritative => Ok(serial),
        Some(_) | None => Err("the answer has no authoritative SOA of the zone".to_owned()),
    }
}

/// What an answer proves. It is an error where it proves nothing: it may come from anywhere.
fn judge(query: &Message, octets: &[u8], identity: &str) -> Result<Answer, String> {
    let answer = Message::from_vec(octets).map_err(|error| format!("the answer does not parse: {error}"))?;
    if answer.metadata.id != query.metadata.id {
        return Err("the answer is to another question".to_owned());
    }
    let from = answer.edns.as_ref().and_then(|edns| match edns.option(EdnsCode::NSID) {
        Some(EdnsOption::NSID(payload)) => Some(String::from_utf8_lossy(payload.as_ref()).into_owned()),
        _ => None,
    });
    match from {
        Some(from) if from == identity => {
            Ok(serial(query, octets).map_or_else(Answer::Wrong, Answer::Canary))
        }
        Some(from) => Err(format!("the answer comes from {from:?}")),
        None => Err("the answer does not say who gave it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hickory_proto::rr::rdata::SOA;
    use hickory_proto::rr::{RData, Record};

    use super::*;
    use crate::health::testing::policy;

    /// A good answer to `query` from `london-a`.
    fn answer(query: &Message) -> Message {
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.authoritative = true;
        let name = query.queries[0].name().clone();
        let soa = RData::SOA(SOA::new(name.clone(), name.clone(), 1, 2, 3, 4, 5));
        answer.add_answer(Record::from_rdata(name, 300, soa));
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new("london-a").unwrap()));
        answer.set_edns(edns);
        answer
    }

    #[test]
    fn only_our_own_authoritative_soa_is_a_good_answer() {
        let query = query(&policy()).unwrap();
        let said = |spoil: fn(&mut Message)| {
            let mut answer = answer(&query);
            spoil(&mut answer);
            judge(&query, &answer.to_vec().unwrap(), "london-a")
        };
        assert_eq!(said(|_| ()), Ok(Answer::Canary(Serial(1))));
        for (spoil, why) in [
            ((|answer| answer.metadata.id ^= 1) as fn(&mut Message), "another question"),
            (|answer| answer.edns = None, "does not say who"),
        ] {
            let error = said(spoil).unwrap_err();
            assert!(error.contains(why), "{error:?} says {why:?}");
        }
        // It is ours, so the node is there; but its data is not right.
        for (spoil, why) in [
            (
                (|answer| answer.metadata.response_code = ResponseCode::ServFail) as fn(&mut Message),
                "Server Failure",
            ),
            (|answer| answer.metadata.authoritative = false, "no authoritative SOA"),
            (|answer| answer.answers.clear(), "no authoritative SOA"),
        ] {
            let Ok(Answer::Wrong(said)) = said(spoil) else { panic!("it is not wrong: {why}") };
            assert!(said.contains(why), "{said:?} says {why:?}");
        }
        let other = judge(&query, &answer(&query).to_vec().unwrap(), "london-b");
        assert!(other.unwrap_err().contains("comes from \"london-a\""));
        assert!(judge(&query, b"\x00", "london-a").is_err());
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_says_so_in_time() {
        // Nothing listens on this address of the loopback network's port 53 here.
        let address: IpAddr = [127, 53, 53, 53].into();
        let begun = std::time::Instant::now();
        let sample = probe(&[address].into(), "london-a", &policy()).await;
        assert_eq!(sample.len(), 2, "{sample:?}");
        assert!(sample.values().all(|answer| matches!(answer, Answer::Silent(_))), "{sample:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn many_zones_are_asked_for_in_bursts() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        // Each zone's serial is its number; the last one is not there, and one is not answered for.
        tokio::spawn(async move {
            let mut octets = [0; 1232];
            while let Ok((length, client)) = server.recv_from(&mut octets).await {
                let query = Message::from_vec(&octets[..length]).unwrap();
                let name = query.queries[0].name().to_string();
                let number: u32 = name[1..name.find('.').unwrap()].parse().unwrap();
                let mut answer = answer(&query);
                let RData::SOA(soa) = &mut answer.answers[0].data else { panic!("no SOA") };
                soa.serial = number;
                if number == 99 {
                    answer.metadata.response_code = ResponseCode::ServFail;
                }
                if number != 7 {
                    server.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
                }
            }
        });
        let zones: Vec<DomainName> =
            (0..100).map(|number| format!("z{number}.example").parse().unwrap()).collect();
        let results = serials(at, None, &zones, Duration::from_millis(500)).await;
        assert_eq!(results.len(), 100);
        assert_eq!(results[&zones[98]], Ok(Serial(98)));
        assert_eq!(results[&zones[7]], Err("no answer in time".to_owned()));
        assert!(results[&zones[99]].as_ref().unwrap_err().contains("Server Failure"));
    }
}
