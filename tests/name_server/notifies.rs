//! NOTIFYs from whoever may send them and whoever may not, by a primary that counts what it is asked: what they start,
//! what they do not, and how much of it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use super::broken::primary::{Fault, Primary, Step, announce, full, soa_data};
use super::network::{PATIENCE, Server, free_address, secondary, with_timers};

const APEX: &[u8] = b"\x02f0\x04test\0";
const ZONE: &str = "f0.test";

/// What it says when its time to be broken has come.
const ONE: &[Fault] = &[Fault {
    name: "",
    words: "",
    announce: |ask| announce(ask, 2),
    by_tcp: None,
    script: |ask| vec![Step::Send(ask.whole(2))],
}];

/// A NOTIFY for this name, class and type, with these records in the answer section.
fn notify(name: &[u8], rtype: u16, class: u16, answers: &[Vec<u8>]) -> Vec<u8> {
    let count = (answers.len() as u16).to_be_bytes();
    let head = [&[0x12, 0x34, 0x24, 0, 0, 1][..], &count, &[0; 4], name];
    [&head.concat()[..], &rtype.to_be_bytes(), &class.to_be_bytes(), &answers.concat()].concat()
}

fn soa(serial: u32) -> Vec<u8> {
    let data = soa_data(serial);
    full(b"\xc0\x0c", 6, 1, 60, data.len(), &data)
}

/// The response code, or `None` where there is no response.
async fn say(from: &UdpSocket, to: SocketAddr, message: &[u8]) -> Option<u8> {
    from.send_to(message, to).await.unwrap();
    let mut response = [0; 512];
    let wait = Duration::from_millis(300);
    let (length, _) = tokio::time::timeout(wait, from.recv_from(&mut response)).await.ok()?.unwrap();
    assert!(length >= 12 && response[..2] == message[..2] && response[2] & 0xf8 == 0xa0);
    Some(response[3] & 0xf)
}

/// An edge that has serial 1 of a primary, and does not ask for more by itself within an hour.
async fn edge(state: &std::path::Path) -> (Server, Primary, UdpSocket) {
    let primary = Primary::start(ONE).await;
    let edge = Server::start_at_leisure(state, "127.0.0.2").await;
    edge.set([secondary(ZONE, &edge, &[primary.address])]).await;
    edge.until_serial(ZONE, 1).await;
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    (edge, primary, socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_notify_of_a_source_starts_nothing() {
    let state = tempfile::tempdir().unwrap();
    let (edge, primary, own) = edge(state.path()).await;
    // A primary zone is nobody's to tell of.
    edge.set([with_timers("example.org", 1, "3600 600 86400", "")]).await;
    let stranger = UdpSocket::bind(("127.0.0.9", 0)).await.unwrap();
    let asked = primary.taken.queries.load(Ordering::SeqCst);
    let good = notify(APEX, 6, 1, &[soa(2)]);
    let mut response = good.clone();
    response[2] |= 0x80;
    let mut two = notify(APEX, 6, 1, &[]);
    two[5] = 2;
    two.extend_from_within(12..);
    let mut cut = good.clone();
    cut.truncate(good.len() - 1);
    for (socket, message, rcode) in [
        (&stranger, good.clone(), Some(5)),
        (&own, notify(b"\x02f1\x04test\0", 6, 1, &[]), Some(9)),
        (&own, notify(b"\x04test\0", 6, 1, &[]), Some(9)),
        (&own, notify(b"\x07example\x03org\0", 6, 1, &[]), Some(5)),
        (&own, notify(APEX, 6, 3, &[]), Some(4)),
        (&own, notify(APEX, 6, 255, &[]), Some(1)),
        (&own, notify(APEX, 1, 1, &[]), Some(1)),
        (&own, response, None),
        (&own, two, Some(1)),
        (&own, cut, Some(1)),
        (&own, b"\x12\x34\x24\0\0\0\0\0\0\0\0\0".to_vec(), Some(1)),
        // It has this serial already.
        (&own, notify(APEX, 6, 1, &[soa(1)]), Some(0)),
    ] {
        assert_eq!(say(socket, edge.address, &message).await, rcode, "{message:?}");
    }
    assert_eq!(primary.taken.queries.load(Ordering::SeqCst), asked);
    let seen = edge.zone(ZONE).await;
    assert_eq!((seen.serial.map(|serial| serial.0), seen.problem), (Some(1), None));

    primary.phase.store(2, Ordering::SeqCst);
    assert_eq!(say(&own, edge.address, &good).await, Some(0));
    edge.until_serial(ZONE, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notify_of_an_older_serial_changes_nothing_and_a_flood_of_them_little() {
    let state = tempfile::tempdir().unwrap();
    let (edge, primary, own) = edge(state.path()).await;
    for (answers, what, rcode) in [
        (vec![soa(0)], "older", 0),
        (vec![soa(0x8000_0001)], "half the circle away", 0),
        (vec![soa(9)], "newer than the primary's", 0),
        (vec![], "none", 0),
        (vec![full(b"\xc0\x0c", 6, 1, 60, 3, &[1, 2, 3])], "malformed", 1),
    ] {
        assert_eq!(say(&own, edge.address, &notify(APEX, 6, 1, &answers)).await, Some(rcode), "{what}");
    }
    let asked = primary.taken.queries.load(Ordering::SeqCst);
    let (start, message) = (Instant::now(), notify(APEX, 6, 1, &[soa(9)]));
    let (mut sent, flood) = (0, UdpSocket::bind(("127.0.0.1", 0)).await.unwrap());
    while start.elapsed() < Duration::from_secs(2) {
        flood.send_to(&message, edge.address).await.unwrap();
        sent += 1;
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    // Four a second, and some that were begun before.
    let looks = primary.taken.queries.load(Ordering::SeqCst) - asked;
    let most = 3 + 4 * usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!((1..=most).contains(&looks), "{sent} NOTIFYs made it ask {looks} times");
    let seen = edge.zone(ZONE).await;
    assert_eq!((seen.serial.map(|serial| serial.0), seen.problem), (Some(1), None));

    // And what is new comes through.
    primary.phase.store(2, Ordering::SeqCst);
    let start = Instant::now();
    while edge.zone(ZONE).await.serial.is_none_or(|serial| serial.0 != 2) {
        assert!(start.elapsed() < PATIENCE);
        own.send_to(&notify(APEX, 6, 1, &[soa(2)]), edge.address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_notify_of_one_zone_does_not_hold_up_another() {
    // The primary of the first is silent however it is asked.
    let state = tempfile::tempdir().unwrap();
    let (edge, primary, own) = edge(state.path()).await;
    let silent = free_address("127.0.0.1");
    let _udp = UdpSocket::bind(silent).await.unwrap();
    let _tcp = tokio::net::TcpListener::bind(silent).await.unwrap();
    edge.set([secondary("silent.test", &edge, &[silent])]).await;
    let other = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    for _ in 0..100 {
        other.send_to(&notify(b"\x06silent\x04test\0", 6, 1, &[]), edge.address).await.unwrap();
    }
    primary.phase.store(2, Ordering::SeqCst);
    assert_eq!(say(&own, edge.address, &notify(APEX, 6, 1, &[soa(2)])).await, Some(0));
    edge.until_serial(ZONE, 2).await;
}
