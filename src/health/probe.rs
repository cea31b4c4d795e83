//! Probe: asks as a resolver would.
//!
//! *Identity* and *canary* are one question: the SOA of the canary zone, of every service address, by UDP and by TCP. A
//! good answer comes from this node (NSID, RFC 5001), has AA set and holds the SOA. CHAOS is not asked: some servers
//! limit how often they answer it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::sample::{Answer, Transport};
use crate::desired::model::HealthPolicy;
use crate::dns::embedded::exchange::{question, read_message, socket};
use crate::names::Serial;

/// The port of DNS.
const PORT: u16 = 53;

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

async fn over_udp(server: SocketAddr, identity: &str, policy: &HealthPolicy) -> Result<Answer, String> {
    let query = query(policy)?;
    let socket = socket(server, None).await.map_err(|error| error.to_string())?;
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
}
