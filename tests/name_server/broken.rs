//! Primaries that do not keep to the protocol: whatever they send, the old data stays, the problem says what it met, others
//! are not held up, and the next good transfer is taken.

mod faults;
pub mod primary;
mod signed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, RData, RecordType};
use shoestring::dns::{ObservedZone, TransferLimits, ZoneState};
use shoestring::names::Serial;

use self::faults::{ANNOUNCEMENTS, DIFFERENCES, DIFFERENCES_AND_ZONES, ODDITIES, RECORDS, STREAMS};
use self::primary::{Announce, Fault, Primary, Script, Step, announce, record};
use super::network::{
    LIMITS, PATIENCE, Server, free_address, name, primary, query, secondary, serial, shared, udp,
};

const ZONE: &str = "example.org";
/// The limits that a fault reaches.
const SMALL: TransferLimits = TransferLimits { records: 4000, octets: 1 << 20, concurrent: 1024, ..LIMITS };

/// The last octet of the address of `www`, which tells the version of the zone.
async fn version(server: &Server, zone: &str) -> Option<u8> {
    let asked = query(&format!("www.{zone}."), RecordType::A, DNSClass::IN);
    let answer = Message::from_vec(&udp(server.address, &asked).await).unwrap();
    answer.answers.iter().find_map(|record| {
        let RData::A(address) = &record.data else { return None };
        Some(address.octets()[3])
    })
}

/// An edge with a zone for each fault, all of them at serial 1.
async fn edge(state: &std::path::Path, faults: &'static [Fault]) -> (Server, Primary, Vec<String>) {
    let primary = Primary::start(faults).await;
    let edge = Server::start_with(state, free_address("127.0.0.2"), SMALL, Arc::default()).await;
    let zones: Vec<String> = (0..faults.len()).map(|number| format!("f{number}.test")).collect();
    edge.set(zones.iter().map(|zone| secondary(zone, &edge, &[primary.address]))).await;
    for zone in &zones {
        edge.until_serial(zone, 1).await;
    }
    (edge, primary, zones)
}

/// Waits until every zone is at this serial and has no problem.
async fn until_all(edge: &Server, zones: &[String], serial: u32) {
    for zone in zones {
        edge.until(zone, |seen| seen.serial == Some(Serial(serial)) && seen.problem.is_none()).await;
        assert_eq!(version(edge, zone).await, Some(serial as u8), "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_leaves_the_old_data_and_says_what_it_met() {
    left(STREAMS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_records_leave_the_old_data_and_are_named() {
    left(RECORDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_answer_to_the_soa_query_leaves_the_old_data_and_says_what_it_met() {
    left(ANNOUNCEMENTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_difference_without_a_whole_zone_leaves_the_old_data_and_says_what_it_met() {
    left(DIFFERENCES_AND_ZONES).await;
}

/// Each of these leaves serial 1, says why, and does not keep serial 3 away.
async fn left(faults: &'static [Fault]) {
    let state = tempfile::tempdir().unwrap();
    let (edge, primary, zones) = edge(state.path(), faults).await;
    primary.phase.store(2, Ordering::SeqCst);
    let start = Instant::now();
    let mut left: Vec<usize> = (0..faults.len()).collect();
    while !left.is_empty() {
        let seen = edge.zones().await;
        left.retain(|number| {
            let problem = seen[&name(&zones[*number])].problem.as_deref().unwrap_or_default();
            !problem.contains(faults[*number].words) || problem.is_empty()
        });
        let what = |number: &usize| (faults[*number].name, &seen[&name(&zones[*number])].problem);
        let late = start.elapsed() > 2 * PATIENCE;
        assert!(!late, "not met: {:#?}", left.iter().map(what).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = edge.zones().await;
    for (fault, zone) in faults.iter().zip(&zones) {
        let seen = &seen[&name(zone)];
        assert_eq!((seen.serial, &seen.state), (Some(Serial(1)), &ZoneState::Served), "{}", fault.name);
        assert_eq!(serial(edge.address, zone).await, Some(1), "{}", fault.name);
        assert_eq!(version(&edge, zone).await, Some(1), "{}", fault.name);
    }
    // What is too much is refused while it comes: more than the sockets between hold is not taken.
    let most = primary.taken.most.load(Ordering::SeqCst);
    assert!(most < 12 << 20, "{most} octets were taken of one transfer");

    primary.phase.store(3, Ordering::SeqCst);
    until_all(&edge, &zones, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_looks_odd_is_taken_where_others_take_it() {
    taken(ODDITIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_difference_makes_it_ask_for_the_whole_zone() {
    taken(DIFFERENCES).await;
}

/// Each of these leads to serial 2 at the first try.
async fn taken(faults: &'static [Fault]) {
    let state = tempfile::tempdir().unwrap();
    let (edge, primary, zones) = edge(state.path(), faults).await;
    primary.phase.store(2, Ordering::SeqCst);
    for (fault, zone) in faults.iter().zip(&zones) {
        let seen = edge.until(zone, |seen| seen.serial == Some(Serial(2)) || seen.problem.is_some()).await;
        assert_eq!((seen.serial, seen.problem), (Some(Serial(2)), None), "{}", fault.name);
        assert_eq!(version(&edge, zone).await, Some(2), "{}", fault.name);
    }
}

/// Announces the newest serial of all, and hands over nothing.
const LOUD: &[Fault] = &[announcing(9, |_| Vec::new())];

const fn announcing(serial: u8, script: Script) -> Fault {
    let announce: Announce = match serial {
        2 => |ask| announce(ask, 2),
        _ => |ask| announce(ask, 9),
    };
    Fault { name: "", words: "", announce, by_tcp: None, script }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_source_is_taken_where_the_newest_is_broken() {
    let state = tempfile::tempdir().unwrap();
    let (loud, good) = (Primary::start(LOUD).await, Primary::start(LOUD).await);
    loud.phase.store(2, Ordering::SeqCst);
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), SMALL, Arc::default()).await;
    edge.set([secondary("f0.test", &edge, &[loud.address, good.address])]).await;
    edge.until_serial("f0.test", 1).await;
    // The next look finds the good one's current, and says what keeps it from the other's.
    let says =
        |seen: &ObservedZone| seen.problem.as_ref().is_some_and(|why| why.contains("closed the connection"));
    let seen = edge.until("f0.test", says).await;
    assert_eq!((seen.serial, seen.state), (Some(Serial(1)), ZoneState::Served));
    good.phase.store(3, Ordering::SeqCst);
    edge.until_serial("f0.test", 3).await;
}

/// Announces what is newest of all, and drips it.
const DRIPS: &[Fault] = &[announcing(9, |ask| {
    let more = Step::Repeat(ask.reply(&[ask.a(b"www", 2)]), Duration::from_millis(300));
    vec![Step::Send(ask.reply(&[ask.soa(9), ask.ns()])), more]
})];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_source_is_taken_where_the_newest_takes_too_long() {
    let state = tempfile::tempdir().unwrap();
    let (slow, good) = (Primary::start(DRIPS).await, Primary::start(DRIPS).await);
    slow.phase.store(2, Ordering::SeqCst);
    let patient = TransferLimits { message: 2 * PATIENCE, total: 2 * PATIENCE, ..LIMITS };
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), patient, Arc::default()).await;
    edge.set([secondary("f0.test", &edge, &[slow.address, good.address])]).await;
    edge.until_serial("f0.test", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_takes_no_connection_leaves_the_old_data() {
    let state = tempfile::tempdir().unwrap();
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), SMALL, Arc::default()).await;
    let good = Primary::start(LOUD).await;
    let says = |words: &'static str| {
        move |seen: &ObservedZone| seen.problem.as_ref().is_some_and(|why| why.contains(words))
    };
    // Two say by UDP that they have something newer: one has nothing that listens by TCP, the other's queue of
    // connections is full. The third is a host that is there and runs nothing.
    let (closed, full, nothing) =
        (free_address("127.0.0.1"), free_address("127.0.0.1"), free_address("127.0.0.1"));
    let _announcers = [announcer(closed).await, announcer(full).await];
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&full.into()).unwrap();
    listener.listen(0).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&full, Duration::from_millis(200)) {
        queued.push(stream);
    }
    let bad =
        [(closed, "connecting: Connection refused"), (full, "no connection by TCP"), (nothing, "refused")];
    let zones = ["f0.test", "f1.test", "f2.test"];
    edge.set(zones.map(|zone| secondary(zone, &edge, &[good.address]))).await;
    for zone in zones {
        edge.until_serial(zone, 1).await;
    }
    edge.set(std::iter::zip(zones, bad).map(|(zone, (address, _))| secondary(zone, &edge, &[address]))).await;
    for (zone, (_, words)) in std::iter::zip(zones, bad) {
        let seen = edge.until(zone, says(words)).await;
        assert_eq!((seen.serial, seen.state), (Some(Serial(1)), ZoneState::Served), "{words}");
    }
    good.phase.store(3, Ordering::SeqCst);
    edge.set(zones.map(|zone| secondary(zone, &edge, &[good.address]))).await;
    for zone in zones {
        edge.until_serial(zone, 3).await;
    }
}

/// Announces serial 9 by UDP, and has nothing else.
async fn announcer(address: SocketAddr) -> tokio::task::JoinHandle<()> {
    let udp = tokio::net::UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 1500];
        while let Ok((length, peer)) = udp.recv_from(&mut query).await {
            let ask = self::primary::Ask::read(&query[..length]);
            udp.send_to(&announce(&ask, 9)[0], peer).await.unwrap();
        }
    })
}

/// All but the last are silent.
const MOSTLY_SILENT: &[Fault] = &{
    let mut faults = [announcing(2, |_| vec![Step::Silence]); 40];
    faults[39] = announcing(2, |ask| vec![Step::Send(ask.whole(2))]);
    faults
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_that_a_primary_is_slow_with_hardly_hold_up_its_others() {
    let state = tempfile::tempdir().unwrap();
    let patient = TransferLimits { message: 2 * PATIENCE, total: 2 * PATIENCE, ..LIMITS };
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), patient, Arc::default()).await;
    let primary = Primary::start(MOSTLY_SILENT).await;
    primary.phase.store(2, Ordering::SeqCst);
    let names: Vec<String> = (0..40).map(|number| format!("f{number}.test")).collect();
    edge.set(names[..10].iter().map(|zone| secondary(zone, &edge, &[primary.address]))).await;
    // They have all the places of one source.
    while primary.taken.connections.load(Ordering::SeqCst) < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    edge.set([secondary("f39.test", &edge, &[primary.address])]).await;
    edge.until_serial("f39.test", 2).await;
}

const SILENT: &[Fault] = &[announcing(2, |_| vec![Step::Silence]); 100];

#[tokio::test]
async fn slow_primaries_do_not_hold_up_other_zones() {
    let (hub_state, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start(hub_state.path(), "127.0.0.1").await;
    // A look at the silent primary outlasts our patience, and there are more zones of it than places for looks.
    let patient = TransferLimits { message: 2 * PATIENCE, total: 2 * PATIENCE, ..LIMITS };
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), patient, Arc::default()).await;
    let silent = Primary::start(SILENT).await;
    silent.phase.store(2, Ordering::SeqCst);
    let names: Vec<String> = (0..100).map(|number| format!("f{number}.test")).collect();
    edge.set(names.iter().map(|zone| secondary(zone, &edge, &[silent.address]))).await;
    hub.set([shared(primary(ZONE, 1, ""), &[edge.address])]).await;
    edge.set([secondary(ZONE, &edge, &[hub.address])]).await;
    edge.until_serial(ZONE, 1).await;
}

/// Sends half a megabyte at once, and then a record now and then.
const STALLS: &[Fault] = &[announcing(2, |ask| {
    let text = [&[200][..], &[b'x'; 200]].concat();
    let record = |n: usize| record(&ask.below(format!("h{n}").as_bytes()), 16, &text);
    let some = |from: usize| Step::Send(ask.reply(&(from..from + 200).map(record).collect::<Vec<_>>()));
    let first = Step::Send(ask.reply(&[ask.soa(2), ask.ns()]));
    let rest = Step::Repeat(ask.reply(&[ask.a(b"www", 2)]), Duration::from_millis(500));
    std::iter::once(first).chain((0..10).map(|n| some(200 * n))).chain([rest]).collect()
})];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_transfer_of_a_large_zone_does_not_hold_up_another_large_zone() {
    let (hub_state, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start(hub_state.path(), "127.0.0.1").await;
    let patient = TransferLimits { message: 2 * PATIENCE, total: 2 * PATIENCE, ..LIMITS };
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), patient, Arc::default()).await;
    let slow = Primary::start(STALLS).await;
    slow.phase.store(2, Ordering::SeqCst);
    edge.set([secondary("f0.test", &edge, &[slow.address])]).await;
    // It has sent more than a small zone.
    while slow.taken.octets.load(Ordering::SeqCst) < 500_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let records: String = (0..60_000).map(|n| format!("h{n} A 10.0.{}.{}\n", n >> 8, n & 255)).collect();
    hub.set([shared(primary(ZONE, 1, &records), &[edge.address])]).await;
    edge.set([secondary(ZONE, &edge, &[hub.address])]).await;
    edge.until_serial(ZONE, 1).await;
}
