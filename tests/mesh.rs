//! The mesh between network namespaces: packets really flow, and what is undone by hand is put right.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use rtnetlink::LinkUnspec;
use shoestring::mesh::{LinkConfig, Mesh, MeshConfig, ObservedMesh, PublicKey, WireGuardMesh};
use tempfile::TempDir;
use tokio::net::UdpSocket;

use lab::{Namespace, PATIENCE, bridged, index_of, netlink};

pub(crate) mod lab;

const PORT: u16 = 51820;
const ECHO_PORT: u16 = 7007;

/// One node: its namespace, its state folder and its end of the mesh.
struct Node {
    number: u8,
    namespace: Namespace,
    folder: TempDir,
    interface: String,
    mesh: Arc<WireGuardMesh>,
}

impl Node {
    fn new(namespace: Namespace, number: u8) -> Self {
        // The folder of the sockets is shared by all namespaces, so the names differ.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let interface = format!("sm{}x{made}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let mesh = Arc::new(WireGuardMesh::open(folder.path(), &interface).unwrap());
        Self { number, namespace, folder, interface, mesh }
    }

    fn loopbacks(&self) -> BTreeSet<IpAddr> {
        [self.v4(), self.v6()].into()
    }

    fn v4(&self) -> IpAddr {
        Ipv4Addr::new(198, 51, 100, self.number).into()
    }

    fn v6(&self) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number.into()).into()
    }

    fn link(&self) -> LinkConfig {
        LinkConfig {
            public_key: self.mesh.public_key(),
            endpoint: Some(SocketAddr::new(Ipv4Addr::new(192, 0, 2, self.number).into(), PORT)),
            loopbacks: self.loopbacks(),
        }
    }

    fn config(&self, others: &[&Node]) -> MeshConfig {
        let links =
            others.iter().map(|other| (format!("node-{}", other.number).parse().unwrap(), other.link()));
        MeshConfig { port: PORT, loopbacks: self.loopbacks(), links: links.collect() }
    }

    fn observe(&self) -> ObservedMesh {
        let mesh = self.mesh.clone();
        self.namespace.run(async move { mesh.observe().await }).unwrap()
    }

    /// Configures once; nothing is left to do then.
    fn configure(&self, config: &MeshConfig) {
        let (mesh, wanted) = (self.mesh.clone(), config.clone());
        self.namespace.run(async move { mesh.configure(&wanted).await }).unwrap();
        assert_eq!(config.differences(&self.observe()), Vec::<String>::new(), "node {}", self.number);
    }

    /// As when the agent is killed and started again.
    fn restart(&mut self) {
        let mesh = Arc::new(WireGuardMesh::open(self.folder.path(), &self.interface).unwrap());
        let old = std::mem::replace(&mut self.mesh, mesh);
        // Its tasks end within the runtime.
        self.namespace.run(async move { drop(old) });
    }

    /// Where its device is configured, when it runs in the process.
    fn socket(&self) -> PathBuf {
        Path::new("/var/run/wireguard").join(format!("{}.sock", self.interface))
    }

    /// Sends back what comes to its loopbacks.
    fn echo(&self) {
        for address in self.loopbacks() {
            self.namespace.spawn(async move {
                let socket = UdpSocket::bind((address, ECHO_PORT)).await.unwrap();
                let mut buffer = [0; 2048];
                while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    let _ = socket.send_to(&buffer[..length], from).await;
                }
            });
        }
    }

    /// Whether an address answers, asked again and again.
    fn reaches(&self, address: IpAddr) -> bool {
        self.namespace.run(async move { answers(address).await })
    }
}

async fn answers(address: IpAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.unwrap();
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let _ = socket.send_to(b"?", (address, ECHO_PORT)).await;
        let mut buffer = [0; 16];
        let answer = tokio::time::timeout(Duration::from_millis(200), socket.recv_from(&mut buffer));
        if matches!(answer.await, Ok(Ok((1, from))) if from.ip() == address) {
            return true;
        }
    }
    false
}

fn received_from(mesh: &ObservedMesh, other: &Node) -> u64 {
    mesh.links[&other.mesh.public_key()].received
}

/// Three nodes that reach each other.
fn three() -> Option<(Namespace, [Node; 3])> {
    if !lab::is_possible() {
        return None;
    }
    let (between, namespaces) = bridged(3);
    let mut nodes = namespaces.into_iter().zip(1..).map(|(namespace, number)| Node::new(namespace, number));
    let nodes: [Node; 3] = std::array::from_fn(|_| nodes.next().unwrap());
    let [a, b, c] = &nodes;
    for (node, others) in [(a, [b, c]), (b, [a, c]), (c, [a, b])] {
        assert_eq!(node.observe(), ObservedMesh::default());
        node.configure(&node.config(&others));
        node.echo();
    }
    Some((between, nodes))
}

#[test]
fn loopbacks_reach_each_other() {
    let Some((_between, [a, b, c])) = three() else { return };
    for (from, to) in [(&a, &b), (&b, &c), (&c, &a)] {
        assert!(from.reaches(to.v4()) && from.reaches(to.v6()), "{} to {}", from.number, to.number);
        let observed = from.observe();
        let link = &observed.links[&to.mesh.public_key()];
        assert!(link.handshake_age_s.is_some() && link.sent > 0 && link.received > 0, "{link:?}");
    }
}

#[test]
fn a_changed_link_costs_the_others_nothing() {
    let Some((_between, [a, b, mut c])) = three() else { return };
    assert!(a.reaches(b.v4()) && a.reaches(c.v4()));
    let before = received_from(&a.observe(), &b);

    // A numbered packet every 2 ms from A to B and back, until told to stop.
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (stopped, counter, target, address) = (stop.clone(), count.clone(), b.v4(), a.v4());
    let (sender, counted) = std::sync::mpsc::channel();
    a.namespace.spawn(async move {
        let socket = Arc::new(UdpSocket::bind((address, 0)).await.unwrap());
        let receiver = socket.clone();
        let receiving = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            let mut buffer = [0; 4];
            while let Ok(Ok(_)) =
                tokio::time::timeout(Duration::from_secs(2), receiver.recv_from(&mut buffer)).await
            {
                seen.insert(u32::from_be_bytes(buffer));
            }
            seen
        });
        while !stopped.load(Ordering::Relaxed) {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            socket.send_to(&number.to_be_bytes(), (target, ECHO_PORT)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let _ = sender.send(receiving.await.unwrap());
    });
    let some_more_packets = || {
        let enough = count.load(Ordering::Relaxed) + 20;
        while count.load(Ordering::Relaxed) < enough {
            std::thread::sleep(Duration::from_millis(2));
        }
    };

    // C gets another key, then another endpoint, then goes, then comes back.
    let old = c.mesh.clone();
    c.namespace.run(async move { old.close().await });
    c.folder = tempfile::tempdir().unwrap();
    c.mesh = Arc::new(WireGuardMesh::open(c.folder.path(), &c.interface).unwrap());
    for (node, other) in [(&a, &b), (&b, &a)] {
        let mut config = node.config(&[other, &c]);
        some_more_packets();
        node.configure(&config);
        some_more_packets();
        let link = config.links.values_mut().find(|link| link.loopbacks == c.loopbacks()).unwrap();
        link.endpoint = Some("192.0.2.99:7".parse().unwrap());
        node.configure(&config);
        some_more_packets();
        node.configure(&node.config(&[other]));
        some_more_packets();
        node.configure(&node.config(&[other, &c]));
        some_more_packets();
    }
    c.configure(&c.config(&[&a, &b]));
    assert!(c.reaches(a.v4()) && a.reaches(c.v6()));

    stop.store(true, Ordering::Relaxed);
    let seen = counted.recv_timeout(PATIENCE).unwrap();
    let sent = count.load(Ordering::Relaxed);
    assert_eq!(seen.len(), usize::try_from(sent).unwrap(), "packets lost between A and B");
    // The link's counters are those of before: it was not made anew.
    assert!(received_from(&a.observe(), &b) >= before + u64::from(sent));
}

#[test]
fn what_is_undone_by_hand_is_put_right() {
    let Some((_between, [a, b, c])) = three() else { return };
    let config = a.config(&[&b, &c]);
    let interface = a.interface.clone();
    let (own, remote) = (a.v6(), b.v4());
    a.namespace.run(async move {
        let handle = netlink();
        let index = index_of(&handle, &interface).await;
        for message in handle
            .address()
            .get()
            .set_link_index_filter(index)
            .execute()
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
        {
            if message.header.prefix_len == 128 && own.is_ipv6() {
                handle.address().del(message).execute().await.unwrap();
            }
        }
        handle.address().add(index, "203.0.113.9".parse().unwrap(), 32).execute().await.unwrap();
        let IpAddr::V4(remote) = remote else { panic!("an IPv4 address") };
        let route = rtnetlink::RouteMessageBuilder::<Ipv4Addr>::new().output_interface(index);
        handle
            .route()
            .del(
                route
                    .clone()
                    .destination_prefix(remote, 32)
                    .scope(rtnetlink::packet_route::route::RouteScope::Link)
                    .build(),
            )
            .execute()
            .await
            .unwrap();
        let stray = Ipv4Addr::new(203, 0, 113, 77);
        handle.route().add(route.destination_prefix(stray, 32).build()).execute().await.unwrap();
    });
    let found = config.differences(&a.observe());
    for expected in [
        format!("loopback {own} is missing"),
        "loopback 203.0.113.9 is not ours".to_owned(),
        format!("route to {remote} is missing"),
        "route to 203.0.113.77 is not ours".to_owned(),
    ] {
        assert!(found.contains(&expected), "{expected} in {found:?}");
    }
    a.configure(&config);
    assert!(a.reaches(b.v4()) && a.reaches(b.v6()));

    // A link dropped in the device, as with `wg set … peer … remove`.
    let (interface, key) = (a.interface.clone(), b.mesh.public_key());
    a.namespace.run(async move {
        let update =
            wireguard_control::DeviceUpdate::new().remove_peer_by_key(&wireguard_control::Key(key.0));
        tokio::task::spawn_blocking(move || {
            update.apply(&interface.parse().unwrap(), wireguard_control::Backend::Userspace).unwrap();
        })
        .await
        .unwrap();
    });
    assert_eq!(config.differences(&a.observe()), ["link to node-2 is missing"]);
    a.configure(&config);
    assert!(a.reaches(b.v4()));

    // The interface brought down, then removed.
    for remove in [false, true] {
        let interface = a.interface.clone();
        a.namespace.run(async move {
            let handle = netlink();
            let index = index_of(&handle, &interface).await;
            if remove {
                handle.link().del(index).execute().await.unwrap();
            } else {
                handle.link().set(LinkUnspec::new_with_index(index).down().build()).execute().await.unwrap();
            }
        });
        assert_ne!(config.differences(&a.observe()), Vec::<String>::new());
        a.configure(&config);
        assert!(a.reaches(b.v4()) && a.reaches(b.v6()) && a.reaches(c.v4()));
    }

    // The socket's file removed.
    std::fs::remove_file(a.socket()).unwrap();
    assert_eq!(config.differences(&a.observe()), Vec::<String>::new());
}

#[test]
fn a_restarted_agent_finds_its_links_again() {
    let Some((_between, [mut a, b, c])) = three() else { return };
    assert!(a.reaches(b.v4()));
    let (config, key) = (a.config(&[&b, &c]), a.mesh.public_key());
    for _ in 0..3 {
        a.restart();
        // What a killed process leaves behind.
        drop(std::os::unix::net::UnixListener::bind(a.socket()).unwrap());
        assert_eq!(a.mesh.public_key(), key);
        a.configure(&config);
        assert!(a.reaches(b.v4()) && a.reaches(c.v6()));
    }
}

#[test]
fn a_link_follows_the_other_side_when_that_calls() {
    let Some((_between, [a, b, _c])) = three() else { return };
    // A does not know where B is, or is wrong about it; B knows A.
    for told in [None, Some("192.0.2.77:7".parse().unwrap())] {
        let mut config = a.config(&[&b]);
        a.configure(&MeshConfig { links: BTreeMap::new(), ..config.clone() });
        for link in config.links.values_mut() {
            link.endpoint = told;
        }
        a.configure(&config);
        b.configure(&b.config(&[]));
        b.configure(&b.config(&[&a]));
        assert!(b.reaches(a.v4()) && a.reaches(b.v4()));
        let link = a.observe().links.remove(&b.mesh.public_key()).unwrap();
        assert_eq!((link.endpoint, link.roamed_from), (b.link().endpoint, told));
        assert_eq!(config.differences(&a.observe()), Vec::<String>::new());
    }
}

#[test]
fn two_agents_do_not_take_each_others_place() {
    let Some((_between, [a, b, c])) = three() else { return };
    let other_state = tempfile::tempdir().unwrap();
    let second = Arc::new(WireGuardMesh::open(other_state.path(), &a.interface).unwrap());
    let config = a.config(&[&b, &c]);
    let wanted = config.clone();
    // In the same namespace the interface is taken; in another one, the socket.
    for node in [&a, &b] {
        let (second, wanted) = (second.clone(), wanted.clone());
        let error = node.namespace.run(async move { second.configure(&wanted).await }).unwrap_err();
        assert!(error.to_string().contains("mesh_interface"), "{error}");
    }
    assert_eq!(config.differences(&a.observe()), Vec::<String>::new());
    assert_ne!(second.public_key(), PublicKey([0; 32]));
    assert!(a.reaches(b.v4()));
}

#[test]
fn what_is_sent_to_a_silent_node_fails_at_once_until_it_is_heard() {
    let Some((_between, [a, b, c])) = three() else { return };
    let config = a.config(&[&b, &c]);
    assert!(a.reaches(b.v4()) && a.reaches(c.v4()));
    assert_eq!(config.reroutes(&a.observe()), ([].into(), vec![]));
    let reroute = |unreachable: BTreeSet<IpAddr>| {
        let mesh = a.mesh.clone();
        a.namespace.run(async move { mesh.reroute(&unreachable).await }).unwrap();
        assert_eq!(config.differences(&a.observe()), Vec::<String>::new());
    };
    let send = |address: IpAddr| {
        a.namespace.run(async move {
            let any: IpAddr = if address.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
            UdpSocket::bind((any, 0)).await.unwrap().send_to(b"?", (address, ECHO_PORT)).await
        })
    };

    let gone = c.mesh.clone();
    c.namespace.run(async move { gone.close().await });
    let silent = found_in_the_end(|| {
        send(c.v4()).unwrap();
        assert!(a.reaches(b.v4()), "the other is asked as well, as beats do");
        let (unreachable, why) = config.reroutes(&a.observe());
        (!why.is_empty()).then_some((unreachable, why))
    });
    assert_eq!(silent, (c.loopbacks(), vec!["node-3 is silent".to_owned()]));
    reroute(silent.0);
    assert_eq!(config.reroutes(&a.observe()), (c.loopbacks(), vec![]));
    for address in c.loopbacks() {
        assert_eq!(send(address).unwrap_err().kind(), std::io::ErrorKind::HostUnreachable);
    }
    assert!(a.reaches(b.v4()) && a.reaches(b.v6()));
    // A configuration changes nothing of that.
    a.configure(&config);
    assert_eq!(config.reroutes(&a.observe()), (c.loopbacks(), vec![]));

    // It calls when it is back.
    c.configure(&c.config(&[&a, &b]));
    let heard = found_in_the_end(|| {
        let (unreachable, why) = config.reroutes(&a.observe());
        (!why.is_empty()).then_some((unreachable, why))
    });
    assert_eq!(heard, ([].into(), vec!["node-3 is heard".to_owned()]));
    reroute(heard.0);
    assert!(a.reaches(c.v4()) && a.reaches(c.v6()));

    // A node that is gone leaves no route behind.
    reroute(c.loopbacks());
    a.configure(&a.config(&[&b]));
    assert_eq!(a.observe().unreachable, [].into());
}

/// What is found in the end, looked for again and again for a minute.
fn found_in_the_end<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "nothing was found");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_machine_without_ipv6_has_it_inside_the_mesh() {
    let Some((_between, [a, b, c])) = three() else { return };
    let config = a.config(&[&b, &c]);
    let mesh = a.mesh.clone();
    a.namespace.run(async move {
        mesh.close().await;
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    });
    a.configure(&config);
    assert!(a.reaches(b.v6()) && a.reaches(b.v4()));
}
