//! Differences by UDP (RFC 1995 section 2): a hub behind a forwarder that counts connections, and an edge that signs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shoestring::dns::{TransferClient, ZoneConfig, ZoneRecords};
use shoestring::keyring::{Keyring, Secret, SecretValue, TsigAlgorithm, TsigKey};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::network::{LIMITS, Server, free_address, name, secondary, with_timers};

const ZONE: &str = "example.org";

/// Forwards what comes by UDP, and what comes by TCP.
struct Forwarder {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Forwarder {
    async fn start(to: SocketAddr) -> Self {
        let address = free_address("127.0.0.1");
        let (udp, tcp) = (UdpSocket::bind(address).await.unwrap(), TcpListener::bind(address).await.unwrap());
        let behind = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        behind.connect(to).await.unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let datagrams = async move {
            // Who asked with which id.
            let mut asked = HashMap::new();
            let (mut query, mut answer) = ([0; 2000], [0; 2000]);
            loop {
                tokio::select! {
                    Ok((length, peer)) = udp.recv_from(&mut query) => {
                        asked.insert([query[0], query[1]], peer);
                        behind.send(&query[..length]).await.unwrap();
                    }
                    Ok(length) = behind.recv(&mut answer) => {
                        let peer = asked[&[answer[0], answer[1]]];
                        udp.send_to(&answer[..length], peer).await.unwrap();
                    }
                }
            }
        };
        let streams = async move {
            while let Ok((mut client, _)) = tcp.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut server = TcpStream::connect(to).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
            }
        };
        Self { address, connections, tasks: [tokio::spawn(datagrams), tokio::spawn(streams)] }
    }
}

fn keyring() -> Arc<Keyring> {
    let (algorithm, secret) = (TsigAlgorithm::HmacSha256, Secret::new(vec![7; 32]));
    let key = TsigKey { name: name("key.example"), algorithm, secret };
    let keyring = Keyring::default();
    keyring.replace([("transfer".parse().unwrap(), Arc::new(SecretValue::Tsig(key)))].into());
    Arc::new(keyring)
}

/// The hub's zone, for whoever has the key.
fn at_hub(serial: u32, key: Option<&str>, records: &str) -> ZoneConfig {
    let tsig_key = key.map(|key| key.parse().unwrap());
    let network = tsig_key.is_none().then(|| "127.0.0.0/8".parse().unwrap());
    let client = TransferClient { network, tsig_key };
    ZoneConfig { transfer_to: Arc::new([client].into()), ..with_timers(ZONE, serial, "1 1 86400", records) }
}

/// How many connections it took to follow a small change, and then how many more for a large one.
async fn connections(key: Option<&str>) -> [usize; 2] {
    let (hub_state, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Server::start_with(hub_state.path(), free_address("127.0.0.1"), LIMITS, keyring()).await;
    let edge = Server::start_with(state.path(), free_address("127.0.0.2"), LIMITS, keyring()).await;
    let many: String = (0..300).map(|n| format!("h{n} TXT \"{n:0>60}\"\n")).collect();
    hub.set([at_hub(1, key, &many)]).await;
    let forwarder = Forwarder::start(hub.address).await;
    let mut zone = secondary(ZONE, &edge, &[forwarder.address]);
    if let ZoneRecords::Transfer(sources) = &mut zone.source {
        sources[0].tsig_key = key.map(|key| key.parse().unwrap());
    }
    edge.set([zone]).await;
    edge.until_serial(ZONE, 1).await;
    let mut before = forwarder.connections.load(Ordering::SeqCst);
    let mut taken = [0; 2];
    for (count, serial, text) in [(0, 2, "www A 192.0.2.2\n".to_owned()), (1, 3, many.replace("h1", "x1"))] {
        hub.set([at_hub(serial, key, &(text + &many))]).await;
        let seen = edge.until_serial(ZONE, serial).await;
        assert_eq!(seen.problem, None);
        let now = forwarder.connections.load(Ordering::SeqCst);
        (taken[count], before) = (now - before, now);
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_difference_that_fits_comes_by_udp_and_a_larger_one_by_tcp() {
    assert_eq!(connections(Some("transfer")).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_that_anybody_may_forge_comes_by_tcp() {
    assert_eq!(connections(None).await, [1, 1]);
}
