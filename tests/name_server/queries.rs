//! Queries: sizes, EDNS, identity, and what is refused.

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, RecordType};
use shoestring::dns::NameServer;
use tokio::net::TcpStream;

use super::network::{Server, primary, query, receive, send, tcp, try_udp, udp};
use crate::external::contract::until_counted;

/// Ten records of 200 octets: more than one datagram holds.
fn large() -> String {
    (0..10).map(|number| format!("large TXT \"{number:0>200}\"\n")).collect()
}

async fn server(state: &tempfile::TempDir, ip: &str) -> Server {
    let server = Server::start(state.path(), ip).await;
    let records = format!("www A 192.0.2.1\nwww AAAA 2001:db8::1\n{}", large());
    server.set([primary("example.org", 7, &records)]).await;
    server
}

fn edns(message: &mut Message, size: u16) -> &mut Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    message.edns.insert(edns)
}

#[tokio::test]
async fn both_transports_and_families_answer() {
    for ip in ["127.0.0.1", "::1"] {
        let state = tempfile::tempdir().unwrap();
        let server = server(&state, ip).await;
        let asked = query("WwW.eXample.org.", RecordType::A, DNSClass::IN);
        for octets in [udp(server.address, &asked).await, tcp(server.address, &asked).await] {
            let answer = Message::from_vec(&octets).unwrap();
            assert_eq!(answer.metadata.id, asked.metadata.id);
            assert!(answer.metadata.authoritative && !answer.metadata.recursion_available);
            assert_eq!(answer.queries, asked.queries, "the question comes back in its own case");
            assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
            assert!(answer.edns.is_none(), "EDNS is for those who speak it");
        }
    }
}

#[tokio::test]
async fn a_response_fits_its_client_or_is_truncated() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    for (size, most) in
        [(None, 512), (Some(300), 512), (Some(800), 800), (Some(1232), 1232), (Some(4096), 1232)]
    {
        let mut asked = query("large.example.org.", RecordType::TXT, DNSClass::IN);
        size.map(|size| edns(&mut asked, size));
        let octets = udp(server.address, &asked).await;
        let answer = Message::from_vec(&octets).unwrap();
        assert!(octets.len() <= most, "{} octets for {size:?}", octets.len());
        assert!(answer.metadata.truncation);
        assert_eq!(answer.edns.is_some(), size.is_some(), "a truncated answer keeps its OPT");
        let whole = Message::from_vec(&tcp(server.address, &asked).await).unwrap();
        assert!(!whole.metadata.truncation);
        assert_eq!(whole.answers.len(), 10);
    }
}

#[tokio::test]
async fn edns_is_answered_with_edns() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    let mut asked = query("www.example.org.", RecordType::A, DNSClass::IN);
    let options = edns(&mut asked, 4096);
    options.set_dnssec_ok(true);
    options.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([]).unwrap()));
    options.options_mut().insert(EdnsOption::Unknown(65_001, vec![1, 2, 3]));
    let answer = Message::from_vec(&udp(server.address, &asked).await).unwrap();
    let got = answer.edns.unwrap();
    assert_eq!((got.version(), got.max_payload(), got.flags().dnssec_ok), (0, 1232, true));
    let nsid = EdnsOption::NSID(NSIDPayload::new(*b"node-a").unwrap());
    assert_eq!(got.options().as_ref(), [(EdnsCode::NSID, nsid)]);

    // Version 1 does not exist (RFC 6891 section 6.1.3).
    edns(&mut asked, 4096).set_version(1);
    let answer = Message::from_vec(&udp(server.address, &asked).await).unwrap();
    // The codec has two names for 16, and reads it as the other.
    assert_eq!(u16::from(answer.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert_eq!(answer.edns.unwrap().version(), 0);
    assert!(answer.answers.is_empty());
}

#[tokio::test]
async fn the_server_says_who_it_is() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    for (name, text) in
        [("id.server.", "node-a"), ("hostname.bind.", "node-a"), ("version.bind.", "shoestring")]
    {
        let asked = query(name, RecordType::TXT, DNSClass::CH);
        let answer = Message::from_vec(&udp(server.address, &asked).await).unwrap();
        assert_eq!(answer.answers.len(), 1, "{name}");
        let octets = udp(server.address, &asked).await;
        assert!(octets.windows(text.len()).any(|window| window == text.as_bytes()), "{name} says {text}");
    }
}

#[tokio::test]
async fn what_is_no_query_for_us_is_told_so() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    let rcode = async |asked: &Message| {
        Message::from_vec(&udp(server.address, asked).await).unwrap().metadata.response_code
    };
    let soa = || query("example.org.", RecordType::SOA, DNSClass::IN);

    let mut update = soa();
    update.metadata.op_code = OpCode::Update;
    assert_eq!(rcode(&update).await, ResponseCode::NotImp);
    update.queries[0].set_query_type(RecordType::A);
    assert_eq!(rcode(&update).await, ResponseCode::FormErr);
    let mut notify = soa();
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(rcode(&notify).await, ResponseCode::Refused, "a primary zone has no sources");
    notify.queries[0].set_name("example.net.".parse().unwrap());
    assert_eq!(rcode(&notify).await, ResponseCode::NotAuth);
    let mut two = soa();
    two.queries.push(two.queries[0].clone());
    assert_eq!(rcode(&two).await, ResponseCode::FormErr);
    let mut none = soa();
    none.queries.clear();
    assert_eq!(rcode(&none).await, ResponseCode::FormErr);
    assert_eq!(rcode(&query("example.net.", RecordType::SOA, DNSClass::IN)).await, ResponseCode::Refused);
    assert_eq!(rcode(&query("example.org.", RecordType::AXFR, DNSClass::IN)).await, ResponseCode::NotImp);

    let answer = tcp(server.address, &query("example.org.", RecordType::AXFR, DNSClass::IN)).await;
    assert_eq!(Message::from_vec(&answer).unwrap().metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn garbage_gets_formerr_or_silence_and_does_no_harm() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    let whole = query("www.example.org.", RecordType::A, DNSClass::IN).to_vec().unwrap();
    for cut in 12..whole.len() {
        let octets = try_udp(server.address, &whole[..cut]).await.expect("a header is there to answer");
        assert_eq!(octets[..2], whole[..2]);
        assert_eq!(octets[3] & 15, 1, "FORMERR when cut at {cut}");
    }
    // Too short for a header, a response, and nothing at all: no answer. The query after them is answered.
    let mut response = whole.clone();
    response[2] |= 0x80;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for octets in [&whole[..11], &response[..], &[]] {
        socket.send_to(octets, server.address).await.unwrap();
    }
    socket.send_to(&whole, server.address).await.unwrap();
    let mut answer = [0; 512];
    let (length, _) = socket.recv_from(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer[..length]).unwrap().answers.len(), 1);
}

#[tokio::test]
async fn many_queries_share_a_connection() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let asked: Vec<Message> =
        (0..50).map(|_| query("large.example.org.", RecordType::TXT, DNSClass::IN)).collect();
    for message in &asked {
        send(&mut stream, &message.to_vec().unwrap()).await;
    }
    for message in &asked {
        let answer = Message::from_vec(&receive(&mut stream).await).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (message.metadata.id, 10));
    }
}

#[tokio::test]
async fn a_burst_is_answered_to_the_last_query() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    // As one burst, since nothing runs between the sends: this test has one thread for client and server.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let asked = query("www.example.org.", RecordType::A, DNSClass::IN).to_vec().unwrap();
    for number in 0..200_u16 {
        let mut asked = asked.clone();
        asked[..2].copy_from_slice(&number.to_be_bytes());
        socket.send_to(&asked, server.address).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    let mut answer = [0; 512];
    while ids.len() < 200 {
        let received = tokio::time::timeout(super::network::PATIENCE, socket.recv_from(&mut answer)).await;
        received.unwrap_or_else(|_| panic!("{} of 200 answered", ids.len())).unwrap();
        ids.insert([answer[0], answer[1]]);
    }
}

#[tokio::test]
async fn queries_are_counted_but_for_those_of_name_servers() {
    let state = tempfile::tempdir().unwrap();
    let server = server(&state, "127.0.0.1").await;
    until_counted(&server.server, &[server.address], "example.org").await;
    let before = server.server.queries().await.unwrap();
    server.until_serial("example.org", 7).await;
    for rtype in [RecordType::SOA, RecordType::AXFR, RecordType::IXFR] {
        tcp(server.address, &query("example.org.", rtype, DNSClass::IN)).await;
    }
    // Nor what is no query.
    let mut notify = query("example.org.", RecordType::A, DNSClass::IN);
    notify.metadata.op_code = OpCode::Notify;
    udp(server.address, &notify).await;
    try_udp(server.address, &[0; 12]).await;
    assert_eq!(server.server.queries().await.unwrap(), before);
}
