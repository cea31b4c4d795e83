//! Primaries that do not keep to the protocol: whatever they send, the old data stays, and others are not held up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shoestring::dns::{TransferLimits, ZoneState};
use shoestring::names::Serial;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::network::{
    LIMITS, PATIENCE, Server, free_address, primary, receive, secondary, send, serial, shared,
};

const ZONE: &str = "example.org";
const APEX: &[u8] = b"\x07example\x03org\0";
/// A pointer to the question's name. Every name that is asked for here has as many octets as `APEX`.
const QUESTION: &[u8] = b"\xc0\x0c";

/// What a fake primary does with a transfer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Whole,
    Truncated,
    CutInAMessage,
    OtherClosingSoa,
    NoOpeningSoa,
    OutOfZone,
    OtherClass,
    AfterTheEnd,
    OtherId,
    NotAResponse,
    OtherQuestion,
    Garbage,
    BadPointer,
    Refused,
    Silent,
    Dripping,
    Endless,
    OlderThanAnnounced,
}

/// Announces this serial over UDP, and does as told over TCP.
struct Fake {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Fake {
    async fn start(serial: u32, fault: Fault) -> Self {
        let address = free_address("127.0.0.1");
        let (udp, tcp) = (UdpSocket::bind(address).await.unwrap(), TcpListener::bind(address).await.unwrap());
        let announce = async move {
            let mut query = [0; 512];
            while let Ok((length, peer)) = udp.recv_from(&mut query).await {
                let answer = message(&query[..length], &[soa(serial)]);
                udp.send_to(&answer, peer).await.unwrap();
            }
        };
        let transfer = async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                tokio::spawn(async move {
                    let query = receive(&mut stream).await;
                    misbehave(&mut stream, &query, serial, fault).await;
                });
            }
        };
        Self { address, tasks: [tokio::spawn(announce), tokio::spawn(transfer)] }
    }
}

fn record(owner: &[u8], rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rdata.len()).unwrap();
    [owner, &rtype.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length.to_be_bytes(), rdata].concat()
}

fn soa(serial: u32) -> Vec<u8> {
    let numbers = [serial, 3600, 1, 86_400, 60].map(u32::to_be_bytes).concat();
    record(QUESTION, 6, &[b"\x02ns\x07example\0\x04mail\x07example\0", &numbers[..]].concat())
}

fn ns() -> Vec<u8> {
    record(APEX, 2, b"\x02ns\x07example\0")
}

fn a(label: &[u8]) -> Vec<u8> {
    record(&[&[label.len() as u8], label, APEX].concat(), 1, &[192, 0, 2, 1])
}

/// An authoritative response to the query, with these answers.
fn message(query: &[u8], answers: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(answers.len()).unwrap().to_be_bytes();
    let question = &query[12..12 + APEX.len() + 4];
    [&query[..2], &[0x84, 0, 0, 1], &count, &[0, 0, 0, 0], question, &answers.concat()].concat()
}

/// A response whose octets are changed before it is sent.
async fn changed(stream: &mut TcpStream, mut whole: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
    change(&mut whole);
    send(stream, &whole).await;
}

async fn misbehave(stream: &mut TcpStream, query: &[u8], serial: u32, fault: Fault) {
    let whole = || message(query, &[soa(serial), ns(), a(b"www"), soa(serial)]);
    let answer =
        async |stream: &mut TcpStream, answers: &[Vec<u8>]| send(stream, &message(query, answers)).await;
    match fault {
        Fault::Whole => send(stream, &whole()).await,
        Fault::Truncated => answer(stream, &[soa(serial), ns(), a(b"www")]).await,
        Fault::CutInAMessage => {
            let whole = whole();
            stream.write_u16(whole.len() as u16).await.unwrap();
            stream.write_all(&whole[..whole.len() / 2]).await.unwrap();
        }
        Fault::OtherClosingSoa => answer(stream, &[soa(serial), ns(), soa(serial + 1)]).await,
        Fault::NoOpeningSoa => answer(stream, &[ns(), soa(serial), soa(serial)]).await,
        Fault::OutOfZone => {
            let other = record(b"\x03www\x07example\x03net\0", 1, &[192, 0, 2, 1]);
            answer(stream, &[soa(serial), ns(), other, soa(serial)]).await;
        }
        Fault::OtherClass => {
            let mut chaos = a(b"www");
            let class = chaos.len() - 4 - 2 - 4 - 1;
            chaos[class] = 3;
            answer(stream, &[soa(serial), ns(), chaos, soa(serial)]).await;
        }
        Fault::AfterTheEnd => answer(stream, &[soa(serial), ns(), soa(serial), a(b"www")]).await,
        Fault::OtherId => changed(stream, whole(), |octets| octets[0] ^= 1).await,
        Fault::NotAResponse => changed(stream, whole(), |octets| octets[2] &= 0x7f).await,
        Fault::OtherQuestion => changed(stream, whole(), |octets| octets[13] = b'x').await,
        Fault::Garbage => send(stream, &[0xff; 700]).await,
        Fault::BadPointer => answer(stream, &[soa(serial), record(b"\xc0\xff", 1, &[1, 2, 3, 4])]).await,
        Fault::Refused => changed(stream, message(query, &[]), |octets| octets[3] |= 5).await,
        Fault::Silent => sleep(Duration::from_secs(60)).await,
        Fault::Dripping => {
            for octet in [&(whole().len() as u16).to_be_bytes()[..], &whole()].concat() {
                if stream.write_u8(octet).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(200)).await;
            }
        }
        Fault::Endless => {
            let mut next = message(query, &[soa(serial), ns()]);
            for number in 0_u32.. {
                let length = (next.len() as u16).to_be_bytes();
                if stream.write_all(&[&length[..], &next].concat()).await.is_err() {
                    return;
                }
                next = message(query, &[a(number.to_string().as_bytes())]);
                sleep(Duration::from_millis(1)).await;
            }
        }
        Fault::OlderThanAnnounced => answer(stream, &[soa(1), ns(), soa(1)]).await,
    }
}

/// An edge that has serial 1 from a good hub, and is then told to take the zone from a fake with serial 2.
async fn meets(fault: Fault) -> (Option<Serial>, ZoneState, String) {
    let (hub_state, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start(hub_state.path(), "127.0.0.1").await;
    let edge = Server::start(state.path(), "127.0.0.2").await;
    hub.set([shared(primary(ZONE, 1, ""), &[edge.address])]).await;
    edge.set([secondary(ZONE, &edge, &[hub.address])]).await;
    edge.until_serial(ZONE, 1).await;

    let fake = Fake::start(2, fault).await;
    edge.set([secondary(ZONE, &edge, &[fake.address])]).await;
    let seen = edge.until(ZONE, |seen| seen.problem.is_some() || seen.serial == Some(Serial(2))).await;
    assert_eq!(serial(edge.address, ZONE).await, seen.serial.map(|serial| serial.0), "{fault:?}");
    (seen.serial, seen.state, seen.problem.unwrap_or_default())
}

#[tokio::test]
async fn the_fake_is_good_when_it_is_told_to_be() {
    assert_eq!(meets(Fault::Whole).await, (Some(Serial(2)), ZoneState::Served, String::new()));
}

#[tokio::test]
async fn a_broken_transfer_leaves_the_old_data_and_says_what_it_met() {
    let faults = [
        (Fault::Truncated, "closed the connection"),
        (Fault::CutInAMessage, "closed the connection"),
        (Fault::OtherClosingSoa, "closing SOA"),
        (Fault::NoOpeningSoa, "did not begin"),
        (Fault::OutOfZone, "not in the zone"),
        (Fault::OtherClass, "class 3"),
        (Fault::AfterTheEnd, "after the closing SOA"),
        (Fault::OtherId, "the id differs"),
        (Fault::NotAResponse, "not a response"),
        (Fault::OtherQuestion, "the question differs"),
        (Fault::Garbage, "the id differs"),
        (Fault::BadPointer, "malformed"),
        (Fault::Refused, "REFUSED"),
        (Fault::OlderThanAnnounced, "newer serial than it sent"),
    ];
    for (fault, words) in faults {
        let (serial, state, problem) = meets(fault).await;
        assert_eq!((serial, state), (Some(Serial(1)), ZoneState::Served), "{fault:?}");
        assert!(problem.contains(words), "{fault:?}: {problem}");
    }
}

#[tokio::test]
async fn a_slow_transfer_ends_in_bounded_time() {
    let (silent, dripping, endless) =
        tokio::join!(meets(Fault::Silent), meets(Fault::Dripping), meets(Fault::Endless));
    for ((serial, state, problem), words) in
        [(silent, "silent"), (dripping, "too slow"), (endless, "longer than")]
    {
        assert_eq!((serial, state), (Some(Serial(1)), ZoneState::Served));
        assert!(problem.contains(words), "{problem}");
    }
}

#[tokio::test]
async fn slow_primaries_do_not_hold_up_other_zones() {
    let (hub_state, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start(hub_state.path(), "127.0.0.1").await;
    // A look at the silent primary outlasts our patience, and there are more zones of it than places for looks.
    let patient = TransferLimits { message: 2 * PATIENCE, total: 2 * PATIENCE, ..LIMITS };
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), patient, Arc::default()).await;
    let silent = Fake::start(2, Fault::Silent).await;
    let names: Vec<String> = (0..100).map(|number| format!("s{number:02}.example")).collect();
    edge.set(names.iter().map(|zone| secondary(zone, &edge, &[silent.address]))).await;
    hub.set([shared(primary(ZONE, 1, ""), &[edge.address])]).await;
    edge.set([secondary(ZONE, &edge, &[hub.address])]).await;
    edge.until_serial(ZONE, 1).await;
}
