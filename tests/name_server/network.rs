//! What the tests of the name server share: servers on ports of their own, and a client that reads what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use shoestring::dns::embedded::{EmbeddedNameServer, Timing};
use shoestring::dns::{
    NameServer, NameServerConfig, NameServerKind, NotifyTarget, ObservedZone, TransferClient, TransferLimits,
    TransferSource, ZoneChanges, ZoneConfig, ZoneRecords, ZoneTable,
};
use shoestring::keyring::Keyring;
use shoestring::names::{DomainName, Serial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Timers short enough to wait for.
pub const QUICK: Timing = Timing {
    refresh: (Duration::from_secs(1), Duration::from_secs(3600)),
    retry: (Duration::from_secs(1), Duration::from_secs(3600)),
    first: (Duration::from_millis(100), Duration::from_secs(1)),
    forget: Duration::from_secs(2),
};

/// Limits short enough to wait for, and small enough to reach.
pub const LIMITS: TransferLimits = TransferLimits {
    records: 200_000,
    octets: 16 << 20,
    message: Duration::from_secs(2),
    total: Duration::from_secs(5),
    ..TransferLimits::DEFAULT
};

pub fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

/// An address on loopback whose port is free for UDP and TCP.
pub fn free_address(ip: &str) -> SocketAddr {
    let ip: IpAddr = ip.parse().unwrap();
    loop {
        let address = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// A name server that listens on one address.
pub struct Server {
    pub server: EmbeddedNameServer,
    pub address: SocketAddr,
}

impl Server {
    pub async fn start(state: &Path, ip: &str) -> Self {
        Self::start_at(state, free_address(ip)).await
    }

    pub async fn start_at(state: &Path, address: SocketAddr) -> Self {
        Self::start_with(state, address, LIMITS, Arc::default()).await
    }

    pub async fn start_with(
        state: &Path,
        address: SocketAddr,
        transfers: TransferLimits,
        keyring: Arc<Keyring>,
    ) -> Self {
        Self::open(state, address, transfers, keyring, QUICK).await
    }

    /// One that asks for nothing by itself within an hour, once it has it.
    pub async fn start_at_leisure(state: &Path, ip: &str) -> Self {
        let hour = (Duration::from_secs(3600), Duration::from_secs(3600));
        let timing = Timing { refresh: hour, retry: hour, ..QUICK };
        Self::open(state, free_address(ip), LIMITS, Arc::default(), timing).await
    }

    async fn open(
        state: &Path,
        address: SocketAddr,
        transfers: TransferLimits,
        keyring: Arc<Keyring>,
        timing: Timing,
    ) -> Self {
        let server = EmbeddedNameServer::open_with(state, timing, keyring).unwrap();
        let config = NameServerConfig {
            daemon: NameServerKind::Embedded,
            identity: "node-a".to_owned(),
            listen: BTreeSet::from([address]),
            mesh_sources: BTreeSet::from([address.ip()]),
            keys: BTreeMap::new(),
            transfers,
            rate_limit: None,
            cookie_secret: None,
        };
        // The sockets of a server before it close a moment after it is dropped.
        let start = Instant::now();
        while let Err(error) = server.configure(&config).await {
            assert!(start.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { server, address }
    }

    pub async fn set(&self, zones: impl IntoIterator<Item = ZoneConfig>) {
        let set = zones.into_iter().map(|zone| Arc::new(self.telling(zone))).collect();
        self.server.apply(&ZoneChanges { set, remove: Vec::new() }).await.unwrap();
    }

    /// The same zone, with its NOTIFYs from the server's own address.
    fn telling(&self, zone: ZoneConfig) -> ZoneConfig {
        let from = Some(self.address.ip());
        let notify = zone.notify.iter().map(|target| NotifyTarget { from, ..target.clone() }).collect();
        ZoneConfig { notify: Arc::new(notify), ..zone }
    }

    pub async fn remove(&self, zone: &str) {
        self.server.apply(&ZoneChanges { set: Vec::new(), remove: vec![name(zone)] }).await.unwrap();
    }

    pub async fn zones(&self) -> ZoneTable<ObservedZone> {
        self.server.observe().await.unwrap().zones
    }

    pub async fn zone(&self, zone: &str) -> ObservedZone {
        self.zones().await[&name(zone)].clone()
    }

    /// Waits until the zone is as wanted.
    pub async fn until(&self, zone: &str, wanted: impl Fn(&ObservedZone) -> bool) -> ObservedZone {
        let start = Instant::now();
        loop {
            let seen = self.zone(zone).await;
            if wanted(&seen) {
                return seen;
            }
            assert!(start.elapsed() < PATIENCE, "{zone} stays {seen:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn until_serial(&self, zone: &str, serial: u32) -> ObservedZone {
        self.until(zone, |seen| seen.serial == Some(Serial(serial))).await
    }
}

/// A primary zone with this text after its SOA and NS.
pub fn primary(zone: &str, serial: u32, records: &str) -> ZoneConfig {
    with_timers(zone, serial, "3600 600 86400", records)
}

/// The same with its own refresh, retry and expire.
pub fn with_timers(zone: &str, serial: u32, timers: &str, records: &str) -> ZoneConfig {
    let text =
        format!("$TTL 300\n@ SOA ns.example. mail.example. 1 {timers} 60\n@ NS ns.example.\n{records}\n");
    let source = ZoneRecords::File {
        path: format!("zones/x/{zone}.zone").into(),
        text: text.into(),
        serial: Serial(serial),
    };
    ZoneConfig {
        name: name(zone),
        source,
        notify: Arc::default(),
        transfer_to: Arc::default(),
        is_private: false,
    }
}

/// A secondary zone of these primaries, asked from this server's own address.
pub fn secondary(zone: &str, server: &Server, primaries: &[SocketAddr]) -> ZoneConfig {
    let from = Some(server.address.ip());
    let source = |address: &SocketAddr| TransferSource { address: *address, from, tsig_key: None };
    ZoneConfig {
        name: name(zone),
        source: ZoneRecords::Transfer(primaries.iter().map(source).collect()),
        notify: Arc::default(),
        transfer_to: Arc::default(),
        is_private: false,
    }
}

/// The same zone, for these to transfer and to be notified.
pub fn shared(zone: ZoneConfig, with: &[SocketAddr]) -> ZoneConfig {
    let target = |address: &SocketAddr| NotifyTarget { address: *address, from: None, tsig_key: None };
    let client = |address: &SocketAddr| TransferClient::at(address.ip());
    let (notify, transfer_to) = (with.iter().map(target).collect(), with.iter().map(client).collect());
    ZoneConfig { notify: Arc::new(notify), transfer_to: Arc::new(transfer_to), ..zone }
}

/// A query without EDNS.
pub fn query(name: &str, rtype: RecordType, class: DNSClass) -> Message {
    let mut query = Query::query(Name::from_ascii(name).unwrap(), rtype);
    query.set_query_class(class);
    let mut message = Message::query();
    message.add_query(query);
    message
}

/// The serial that a server answers with, over UDP; `None` when it does not answer with a SOA.
pub async fn serial(to: SocketAddr, zone: &str) -> Option<u32> {
    let asked = query(&format!("{zone}."), RecordType::SOA, DNSClass::IN);
    let answer = Message::from_vec(&udp(to, &asked).await).unwrap();
    answer.answers.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(soa.serial)
    })
}

/// What a client at this address is answered about a name's SOA record.
pub async fn code_for(client: &str, server: SocketAddr, zone: &str) -> Option<ResponseCode> {
    let question = query(zone, RecordType::SOA, DNSClass::IN);
    let socket = tokio::net::UdpSocket::bind((client, 0)).await.unwrap();
    socket.send_to(&question.to_vec().unwrap(), server).await.unwrap();
    let mut answer = [0; 4_096];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut answer)).await.ok()?.unwrap();
    Some(Message::from_vec(&answer[..length]).unwrap().metadata.response_code)
}

/// Asks over UDP; the answer's octets.
pub async fn udp(to: SocketAddr, query: &Message) -> Vec<u8> {
    try_udp(to, &query.to_vec().unwrap()).await.expect("no answer")
}

pub async fn try_udp(to: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    try_udp_within(to, query, Duration::from_secs(5)).await
}

pub async fn try_udp_within(to: SocketAddr, query: &[u8], limit: Duration) -> Option<Vec<u8>> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = tokio::net::UdpSocket::bind(any).await.unwrap();
    socket.send_to(query, to).await.unwrap();
    let mut answer = vec![0; 65_535];
    let (length, from) = timeout(limit, socket.recv_from(&mut answer)).await.ok()?.unwrap();
    assert_eq!(from, to, "the answer comes from where the query went");
    answer.truncate(length);
    Some(answer)
}

/// Asks over TCP; one answer's octets.
pub async fn tcp(to: SocketAddr, query: &Message) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    send(&mut stream, &query.to_vec().unwrap()).await;
    receive(&mut stream).await
}

pub async fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await.unwrap();
}

pub async fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let read = async {
        let length = stream.read_u16().await.unwrap();
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).await.unwrap();
        message
    };
    timeout(PATIENCE, read).await.unwrap()
}
