//! How large transfers are: what we send of a zone, whole and by difference, beside what BIND, Knot and NSD send of it.

use std::net::SocketAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::net::TcpStream;

use super::bind::is_here;
use super::network::{Server, query, receive, send, shared, with_timers};
use super::primaries::{Daemon, Kind, zone};

const ZONE: &str = "example.org";
/// The most that we may take, in percent of the least that another takes.
const MOST: usize = 101;

/// Records of usual kinds, whose names have much in common.
fn records(serial: u32) -> String {
    let of = |n: u32| {
        let text = if n.is_multiple_of(50) { serial } else { 1 };
        format!(
            "host{n} A 192.0.2.{}\nhost{n} AAAA 2001:db8::{n:x}\nhost{n} MX 10 mail{}.customers\n\
             alias{n} CNAME host{n}\ntext{n}.deep.er TXT \"version {text} of {n}\"\n_sip._tcp.host{n} SRV 1 2 5060 host{n}\n\
             sub{n} NS ns1.sub{n}\nns1.sub{n} A 192.0.2.{}\n",
            n % 256,
            n % 10,
            n % 256
        )
    };
    (0..2000).map(of).collect()
}

/// How many messages and octets a transfer takes, asked for from 127.0.0.1.
async fn size(server: SocketAddr, since: Option<u32>) -> (usize, usize) {
    let mut asked = query(
        "example.org.",
        if since.is_some() { RecordType::IXFR } else { RecordType::AXFR },
        DNSClass::IN,
    );
    if let Some(since) = since {
        let apex = Name::from_ascii("example.org.").unwrap();
        let soa = SOA::new(apex.clone(), apex.clone(), since, 1, 1, 1, 1);
        asked.add_authority(Record::from_rdata(apex, 0, RData::SOA(soa)));
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut stream: TcpStream = socket.connect(server).await.unwrap();
    send(&mut stream, &asked.to_vec().unwrap()).await;
    // The one at the start, those of one difference, and the one at the end.
    let mut left = if since.is_some() { 4 } else { 2 };
    let (mut messages, mut octets) = (0, 0);
    while left > 0 {
        let message = receive(&mut stream).await;
        let read = Message::from_vec(&message).unwrap();
        left -= read.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        (messages, octets) = (messages + 1, octets + message.len());
    }
    (messages, octets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_are_no_larger_than_those_of_others() {
    if !["named", "knotd", "nsd"].into_iter().all(is_here) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let ours = Server::start(state.path(), "127.0.0.2").await;
    let near = "127.0.0.1:1".parse().unwrap();
    let set = async |serial| {
        ours.set([shared(with_timers(ZONE, serial, "1 1 86400", &records(serial)), &[near])]).await
    };
    set(1).await;
    let mut others = Vec::new();
    for kind in [Kind::Bind, Kind::Knot, Kind::Nsd] {
        others.push((kind, Daemon::start(kind, "hmac-sha256", &zone(1, &records(1))).await));
    }
    let mut sizes = vec![("ours", "whole", size(ours.address, None).await)];
    let name = |kind: &Kind| match kind {
        Kind::Bind => "BIND",
        Kind::Knot => "Knot",
        Kind::Nsd => "NSD",
    };
    for (kind, daemon) in &others {
        sizes.push((name(kind), "whole", size(daemon.address, None).await));
    }
    set(2).await;
    sizes.push(("ours", "difference", size(ours.address, Some(1)).await));
    // This NSD keeps no differences of zone files.
    for (kind, daemon) in others.iter().filter(|(kind, _)| *kind != Kind::Nsd) {
        daemon.reload(2, &records(2)).await;
        sizes.push((name(kind), "difference", size(daemon.address, Some(1)).await));
    }
    for (who, what, (messages, octets)) in &sizes {
        eprintln!("{what} of {who}: {octets} octets in {messages} messages");
    }
    for form in ["whole", "difference"] {
        let of = |ours: bool| {
            sizes
                .iter()
                .filter(move |(who, what, _)| *what == form && (*who == "ours") == ours)
                .map(|(.., size)| size.1)
        };
        let (own, least) = (of(true).next().unwrap(), of(false).min().unwrap());
        assert!(own * 100 <= least * MOST, "{form}: {own} octets, and {least} of another");
    }
}
