//! Response rate limiting, as those see it whose addresses are limited.

use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RecordType};
use shoestring::dns::{NameServer, NameServerConfig, RateLimit};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::network::{Server, primary, query, tcp, udp};

/// What came of a flood: whole answers, truncated ones, and how long it took.
struct Seen {
    whole: usize,
    truncated: Vec<Vec<u8>>,
    elapsed: Duration,
}

/// Sends the query so often, and waits until nothing comes any more.
async fn flood(server: &Server, asked: &Message, count: usize) -> Seen {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address).await.unwrap();
    let (octets, begun) = (asked.to_vec().unwrap(), Instant::now());
    let mut seen = Seen { whole: 0, truncated: Vec::new(), elapsed: Duration::ZERO };
    let mut answer = [0; 1500];
    let mut sent = 0;
    loop {
        if sent < count {
            socket.send(&octets).await.unwrap();
            sent += 1;
        }
        let patience = Duration::from_millis(if sent < count { 1 } else { 1000 });
        match timeout(patience, socket.recv(&mut answer)).await {
            Ok(length) if answer[2] & 2 == 0 => {
                assert!(length.unwrap() > octets.len());
                seen.whole += 1;
            }
            Ok(length) => seen.truncated.push(answer[..length.unwrap()].to_vec()),
            Err(_) if sent < count => {}
            Err(_) => break,
        }
    }
    seen.elapsed = begun.elapsed();
    seen
}

async fn limited(state: &tempfile::TempDir, limit: RateLimit) -> Server {
    let server = Server::start(state.path(), "127.0.0.1").await;
    server.set([primary("example.org", 7, "www A 192.0.2.1\n*.wild A 192.0.2.2")]).await;
    let here = server.server.observe().await.unwrap().config.unwrap();
    server.server.configure(&NameServerConfig { rate_limit: Some(limit), ..here }).await.unwrap();
    server
}

fn limit() -> RateLimit {
    RateLimit { responses_per_second: 10, errors_per_second: 5, window: 1, slip: 2, ..RateLimit::default() }
}

fn asked(name: &str) -> Message {
    query(name, RecordType::A, DNSClass::IN)
}

#[tokio::test]
async fn a_flood_gets_its_rate_and_every_second_of_the_rest_is_truncated() {
    let state = tempfile::tempdir().unwrap();
    let server = limited(&state, limit()).await;
    let mut with_opt = asked("www.example.org.");
    with_opt.edns = Some(Edns::new());
    for (query, rate) in [(&with_opt, 10), (&asked("no.example.org."), 5)] {
        let seen = flood(&server, query, 400).await;
        let most = rate * (seen.elapsed.as_secs() as usize + 3);
        assert!((rate..=most).contains(&seen.whole), "{} of 400 in {:?}", seen.whole, seen.elapsed);
        let rest = 400 - seen.whole;
        assert!(seen.truncated.len().abs_diff(rest / 2) <= 1, "{} of {rest}", seen.truncated.len());
        for octets in &seen.truncated {
            let answer = Message::from_vec(octets).unwrap();
            assert_eq!((&answer.queries, answer.edns.is_some()), (&query.queries, query.edns.is_some()));
            assert!(answer.answers.is_empty() && answer.authorities.is_empty());
        }
    }
    // Any number of names under a wildcard are one account.
    let mut whole = 0;
    for number in 0..200 {
        whole += flood_once(&server, &format!("n{number}.wild.example.org.")).await;
    }
    assert!(whole < 100, "{whole} of 200 names under a wildcard");
    let answer = tcp(server.address, &asked("www.example.org.")).await;
    assert!(!Message::from_vec(&answer).unwrap().answers.is_empty(), "TCP is not limited");
}

/// Whether one query gets a whole answer.
async fn flood_once(server: &Server, name: &str) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&asked(name).to_vec().unwrap(), server.address).await.unwrap();
    let mut answer = [0; 512];
    let received = timeout(Duration::from_millis(20), socket.recv(&mut answer)).await;
    usize::from(received.is_ok() && answer[2] & 2 == 0)
}

#[tokio::test]
async fn a_valid_cookie_and_an_exempt_address_are_not_limited() {
    let state = tempfile::tempdir().unwrap();
    let server = limited(&state, limit()).await;
    let mut query = asked("www.example.org.");
    let cookie = |octets: &[u8]| {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(EdnsCode::Cookie.into(), octets.to_vec()));
        Some(edns)
    };
    query.edns = cookie(b"12345678");
    let answer = Message::from_vec(&udp(server.address, &query).await).unwrap();
    let Some(EdnsOption::Unknown(_, given)) = answer.edns.as_ref().unwrap().option(EdnsCode::Cookie).cloned()
    else {
        panic!("no cookie in {answer}")
    };
    assert!(flood(&server, &query, 100).await.whole < 60, "half a cookie proves nothing");
    query.edns = cookie(&given);
    assert_eq!(flood(&server, &query, 100).await.whole, 100);
    let exempt = ["127.0.0.0/8".parse().unwrap()].into();
    let here = server.server.observe().await.unwrap().config.unwrap();
    let config = NameServerConfig { rate_limit: Some(RateLimit { exempt, ..limit() }), ..here };
    server.server.configure(&config).await.unwrap();
    assert_eq!(flood(&server, &asked("www.example.org."), 100).await.whole, 100);
    server.server.configure(&NameServerConfig { rate_limit: None, ..config }).await.unwrap();
    assert_eq!(flood(&server, &asked("www.example.org."), 100).await.whole, 100, "off");
}
