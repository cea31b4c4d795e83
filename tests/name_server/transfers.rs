//! Transfers between two of our own servers: a hub that has the zone and an edge that takes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use shoestring::dns::{NameServer, ZoneChanges, ZoneConfig, ZoneRecords, ZoneState};
use shoestring::names::Serial;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::network::{
    PATIENCE, Server, free_address, primary, query, receive, secondary, send, serial, shared, tcp, udp,
    with_timers,
};

const ZONE: &str = "example.org";

/// A hub and an edge, on addresses of their own.
struct Pair {
    hub: Server,
    edge: Server,
    edge_state: TempDir,
    _hub_state: TempDir,
}

async fn pair() -> Pair {
    let (hub_state, edge_state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start(hub_state.path(), "127.0.0.1").await;
    let edge = Server::start(edge_state.path(), "127.0.0.2").await;
    Pair { hub, edge, edge_state, _hub_state: hub_state }
}

impl Pair {
    /// The zone for the hub, with the edge as its only neighbour.
    fn at_hub(&self, serial: u32, records: &str) -> ZoneConfig {
        shared(primary(ZONE, serial, records), &[self.edge.address])
    }

    fn at_edge(&self) -> ZoneConfig {
        secondary(ZONE, &self.edge, &[self.hub.address])
    }
}

#[tokio::test]
async fn a_change_at_the_hub_reaches_the_edge_by_notify() {
    let p = pair().await;
    p.hub.set([p.at_hub(1, "www A 192.0.2.1")]).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 1).await;
    // Its refresh time is an hour, so nothing but NOTIFY brings the next ones.
    for number in 2..10 {
        p.hub.set([p.at_hub(number, "www A 192.0.2.1")]).await;
        p.edge.until_serial(ZONE, number).await;
    }
    assert_eq!(serial(p.edge.address, ZONE).await, Some(9));
}

#[tokio::test]
async fn a_notify_that_came_too_early_comes_again() {
    let p = pair().await;
    p.hub.set([p.at_hub(1, "")]).await;
    // The edge has refused a NOTIFY for a zone that it does not know. It learns of it, and then of the change.
    tokio::time::sleep(Duration::from_millis(100)).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 1).await;
    let seen = p.edge.zone(ZONE).await;
    assert_eq!((seen.state, seen.problem), (ZoneState::Served, None));
}

#[tokio::test]
async fn a_zone_of_60_000_records_arrives_whole() {
    let p = pair().await;
    let records: String =
        (0..60_000).map(|n| format!("h{n} A 10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255)).collect();
    p.hub.set([p.at_hub(1, &records)]).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 1).await;
    for number in [0, 255, 256, 59_999] {
        let asked = query(&format!("h{number}.{ZONE}."), RecordType::A, DNSClass::IN);
        let answers = |octets: &[u8]| Message::from_vec(octets).unwrap().answers;
        let ours = answers(&udp(p.edge.address, &asked).await);
        assert_eq!(ours.len(), 1);
        assert_eq!(ours, answers(&udp(p.hub.address, &asked).await));
    }
}

#[tokio::test]
async fn an_edge_serves_after_a_restart_with_nobody_upstream() {
    let p = pair().await;
    p.hub.set([p.at_hub(5, "www A 192.0.2.1")]).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 5).await;
    let (config, address) = (p.at_edge(), p.edge.address);
    // It is written just behind the serving.
    let kept = p.edge_state.path().join("zones/00000001.log");
    while std::fs::metadata(&kept).map_or(0, |file| file.len()) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((p.hub, p.edge));

    let edge = Server::start_at(p.edge_state.path(), address).await;
    edge.set([config.clone()]).await;
    assert_eq!(edge.zone(ZONE).await.state, ZoneState::Served, "as soon as it is applied");
    assert_eq!(serial(edge.address, ZONE).await, Some(5));
    drop(edge);

    // What is torn is of no use, and no harm.
    let whole = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &whole[..whole.len() / 2]).unwrap();
    let edge = Server::start_at(p.edge_state.path(), address).await;
    edge.set([config.clone()]).await;
    assert!(matches!(edge.zone(ZONE).await.state, ZoneState::Empty(_)));
    drop(edge);

    // A zone that is removed, or was while the agent was down, is not kept.
    std::fs::write(&kept, &whole).unwrap();
    let edge = Server::start_at(p.edge_state.path(), address).await;
    edge.set([config.clone()]).await;
    assert_eq!(edge.zone(ZONE).await.state, ZoneState::Served);
    edge.remove(ZONE).await;
    drop(edge);
    let edge = Server::start_at(p.edge_state.path(), address).await;
    edge.set([config.clone()]).await;
    assert!(matches!(edge.zone(ZONE).await.state, ZoneState::Empty(_)));
    drop(edge);

    std::fs::write(&kept, &whole).unwrap();
    let edge = Server::start_at(p.edge_state.path(), address).await;
    edge.set([primary("example.net", 1, "")]).await;
    let start = std::time::Instant::now();
    while std::fs::metadata(&kept).unwrap().len() == whole.len() as u64 {
        assert!(start.elapsed() < PATIENCE, "nothing was forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is known in memory follows the file.
    tokio::time::sleep(Duration::from_millis(500)).await;
    edge.set([config]).await;
    assert!(matches!(edge.zone(ZONE).await.state, ZoneState::Empty(_)));
}

#[tokio::test]
async fn a_zone_expires_and_comes_back() {
    let p = pair().await;
    // Refresh and retry after a second, expire after three.
    let zone = |serial| shared(with_timers(ZONE, serial, "1 1 3", ""), &[p.edge.address]);
    p.hub.set([zone(1)]).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 1).await;

    p.hub.remove(ZONE).await;
    let seen = p.edge.until(ZONE, |seen| seen.state != ZoneState::Served).await;
    assert!(matches!(&seen.state, ZoneState::Expired(why) if why.contains("127.0.0.1")), "{seen:?}");
    let asked = query("example.org.", RecordType::SOA, DNSClass::IN);
    let answer = Message::from_vec(&udp(p.edge.address, &asked).await).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);

    // The same serial is enough: what had expired is confirmed.
    p.hub.set([zone(1)]).await;
    p.edge.until(ZONE, |seen| seen.state == ZoneState::Served).await;
    assert_eq!(serial(p.edge.address, ZONE).await, Some(1));
}

#[tokio::test]
async fn the_other_primary_is_used_when_one_is_gone() {
    let p = pair().await;
    let gone = free_address("127.0.0.3");
    p.hub.set([p.at_hub(1, "")]).await;
    p.edge.set([secondary(ZONE, &p.edge, &[gone, p.hub.address])]).await;
    p.edge.until_serial(ZONE, 1).await;
}

#[tokio::test]
async fn the_freshest_primary_is_used() {
    let p = pair().await;
    let state = tempfile::tempdir().unwrap();
    let stale = Server::start(state.path(), "127.0.0.3").await;
    stale.set([shared(primary(ZONE, 1, ""), &[p.edge.address])]).await;
    p.hub.set([p.at_hub(2, "")]).await;
    p.edge.set([secondary(ZONE, &p.edge, &[stale.address, p.hub.address])]).await;
    p.edge.until(ZONE, |seen| seen.serial.is_some()).await;
    assert_eq!(p.edge.zone(ZONE).await.serial, Some(Serial(2)));
}

#[tokio::test]
async fn an_older_serial_is_not_taken_and_is_reported() {
    let p = pair().await;
    p.hub.set([p.at_hub(7, "")]).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 7).await;
    p.hub.set([p.at_hub(6, "")]).await;
    let seen = p.edge.until(ZONE, |seen| seen.problem.is_some()).await;
    assert_eq!((seen.serial, seen.state), (Some(Serial(7)), ZoneState::Served));
    assert!(seen.problem.unwrap().contains("not newer than ours"));
}

#[tokio::test]
async fn a_source_with_a_key_is_not_asked_without_it() {
    let p = pair().await;
    p.hub.set([p.at_hub(1, "")]).await;
    let mut config = p.at_edge();
    let ZoneRecords::Transfer(sources) = &mut config.source else { unreachable!() };
    sources[0].tsig_key = Some("customer".parse().unwrap());
    p.edge.set([config]).await;
    let seen = p.edge.until(ZONE, |seen| seen.problem.is_some()).await;
    assert!(matches!(&seen.state, ZoneState::Empty(why) if why.contains("TSIG")), "{seen:?}");
}

#[tokio::test]
async fn only_sources_may_notify() {
    let p = pair().await;
    p.hub.set([p.at_hub(1, "")]).await;
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 1).await;
    let mut notify = query("example.org.", RecordType::SOA, DNSClass::IN);
    notify.metadata.op_code = hickory_proto::op::OpCode::Notify;
    for (from, wanted) in [("127.0.0.1", ResponseCode::NoError), ("127.0.0.9", ResponseCode::Refused)] {
        let socket = tokio::net::UdpSocket::bind((from, 0)).await.unwrap();
        socket.send_to(&notify.to_vec().unwrap(), p.edge.address).await.unwrap();
        let mut answer = [0; 512];
        let (length, _) = socket.recv_from(&mut answer).await.unwrap();
        let answer = Message::from_vec(&answer[..length]).unwrap();
        assert_eq!(answer.metadata.response_code, wanted, "from {from}");
        assert_eq!(answer.metadata.op_code, hickory_proto::op::OpCode::Notify);
    }
}

#[tokio::test]
async fn only_the_listed_may_transfer() {
    let p = pair().await;
    p.hub.set([p.at_hub(1, "")]).await;
    let asked = query("example.org.", RecordType::AXFR, DNSClass::IN);
    let from = async |ip: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        let mut stream = socket.connect(p.hub.address).await.unwrap();
        send(&mut stream, &asked.to_vec().unwrap()).await;
        Message::from_vec(&receive(&mut stream).await).unwrap()
    };
    assert_eq!(from("127.0.0.1").await.metadata.response_code, ResponseCode::Refused);
    let zone = from("127.0.0.2").await;
    assert_eq!(zone.metadata.response_code, ResponseCode::NoError);
    assert_eq!((zone.answers.len(), zone.answers.first()), (3, zone.answers.last()), "SOA, NS, SOA");
}

#[tokio::test]
async fn ixfr_is_answered_with_the_zone_or_its_soa() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1").await;
    server.set([shared(primary(ZONE, 5, "www A 192.0.2.1"), &[server.address])]).await;
    let asked = |held: u32| {
        let apex = Name::from_ascii("example.org.").unwrap();
        let soa = SOA::new(apex.clone(), apex.clone(), held, 1, 1, 1, 1);
        let mut asked = query("example.org.", RecordType::IXFR, DNSClass::IN);
        asked.add_authority(Record::from_rdata(apex, 0, RData::SOA(soa)));
        asked
    };
    let count = |octets: &[u8]| Message::from_vec(octets).unwrap().answers.len();
    assert_eq!(count(&tcp(server.address, &asked(4)).await), 4, "SOA, NS, A, SOA");
    assert_eq!(count(&tcp(server.address, &asked(5)).await), 1, "current");
    assert_eq!(count(&udp(server.address, &asked(5)).await), 1, "current");
    assert_eq!(count(&udp(server.address, &asked(4)).await), 1, "to be asked for by TCP");
    let bare = query("example.org.", RecordType::IXFR, DNSClass::IN);
    let answer = Message::from_vec(&tcp(server.address, &bare).await).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn a_receiver_that_stops_reading_holds_up_nobody() {
    let p = pair().await;
    let records: String = (0..30_000).map(|n| format!("h{n} TXT \"{n:0>100}\"\n")).collect();
    p.hub.set([p.at_hub(1, &records)]).await;
    let asked = query("example.org.", RecordType::AXFR, DNSClass::IN).to_vec().unwrap();
    let mut stopped = Vec::new();
    for _ in 0..10 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream: TcpStream = socket.connect(p.hub.address).await.unwrap();
        send(&mut stream, &asked).await;
        stopped.push(stream);
    }
    p.edge.set([p.at_edge()]).await;
    p.edge.until_serial(ZONE, 1).await;
    assert_eq!(serial(p.hub.address, ZONE).await, Some(1));
}

#[tokio::test]
async fn a_zone_that_changes_its_kind_keeps_being_served() {
    let p = pair().await;
    p.hub.set([p.at_hub(3, "")]).await;
    // A primary zone with a higher serial becomes a secondary one: served throughout, then with the hub's data.
    p.edge.set([primary(ZONE, 9, "")]).await;
    p.edge.set([p.at_edge()]).await;
    assert!(serial(p.edge.address, ZONE).await.is_some());
    p.edge.until_serial(ZONE, 3).await;
    p.edge.set([primary(ZONE, 4, "")]).await;
    assert_eq!(serial(p.edge.address, ZONE).await, Some(4));
    // And no answer of a look at the hub replaces it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(serial(p.edge.address, ZONE).await, Some(4));
}

#[tokio::test]
async fn a_bad_zone_file_leaves_what_was_served() {
    let p = pair().await;
    p.hub.set([primary(ZONE, 1, "www A 192.0.2.1")]).await;
    let bad = primary(ZONE, 2, "www A 192.0.2.999");
    let changes = ZoneChanges { set: vec![Arc::new(bad.clone())], remove: Vec::new() };
    let refused = p.hub.server.apply(&changes).await.unwrap_err().to_string();
    assert!(refused.contains("example.org"), "{refused}");
    let seen = p.hub.zone(ZONE).await;
    assert_eq!((seen.serial, &seen.state), (Some(Serial(1)), &ZoneState::Served));
    assert_eq!(seen.fingerprint, bad.fingerprint(), "so that the plan does not repeat it for ever");
    assert!(seen.problem.is_some());
}

#[tokio::test]
async fn a_dead_or_refused_address_is_reported_and_retried() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1").await;
    server.set([primary(ZONE, 1, "")]).await;
    // Another program holds the second address.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = server.server.observe().await.unwrap().config.unwrap();
    config.listen.insert(taken.local_addr().unwrap());
    let refused = server.server.configure(&config).await.unwrap_err().to_string();
    assert!(refused.contains(&taken.local_addr().unwrap().to_string()), "{refused}");
    assert_eq!(serial(server.address, ZONE).await, Some(1), "the other address answers");
    assert_ne!(server.server.observe().await.unwrap().config.unwrap(), config, "so that it is tried again");

    let freed = taken.local_addr().unwrap();
    drop(taken);
    // A process that another test is just starting may hold the socket for a moment more.
    let start = Instant::now();
    while let Err(error) = server.server.configure(&config).await {
        assert!(start.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.server.observe().await.unwrap().config.unwrap(), config);
    assert_eq!(serial(freed, ZONE).await, Some(1));

    // An address that this machine does not have yet.
    config.listen = [SocketAddr::new("192.0.2.1".parse().unwrap(), freed.port())].into();
    server.server.configure(&config).await.unwrap();
    assert_eq!(server.server.observe().await.unwrap().config.unwrap(), config);
    assert!(std::net::UdpSocket::bind(freed).is_ok(), "what is not wanted is closed");
}
