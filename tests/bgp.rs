//! The embedded BGP speaker against a provider of ours, over loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoestring::desired::model::{Import, Relation};
use shoestring::names::{Asn, Community};
use shoestring::routing::embedded::provider::{
    Change, Customer, ProviderConfig, ProviderEvent, ProviderSpeaker, ReceivedRoute,
};
use shoestring::routing::embedded::{EmbeddedSpeaker, RetryPolicy, SpeakerOptions};
use shoestring::routing::{
    Announcement, Family, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind, SessionConfig,
    SessionName, SessionState,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

mod beside;
mod bird;
mod collisions;
mod daemons;
mod hostile;
pub(crate) mod lab;
mod mutations;
mod peer;

use peer::Peer;

/// Longer than anything here may take on a loaded machine; nothing waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

const OUR_ASN: u32 = 64500;
const PROVIDER_ASN: u32 = 65536;

fn asn(number: u32) -> Asn {
    number.try_into().unwrap()
}

fn options(port: u16) -> SpeakerOptions {
    let retry = RetryPolicy {
        first: Duration::from_millis(50),
        most: Duration::from_millis(200),
        hold_off: PATIENCE,
    };
    SpeakerOptions { port, retry }
}

/// A port that nobody uses at 127.0.0.0/8: taken from the system and given back.
fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

fn name(peer: &str) -> SessionName {
    SessionName { peer: peer.parse().unwrap(), family: Family::V4 }
}

fn session(local: [u8; 4], neighbor: [u8; 4]) -> SessionConfig {
    SessionConfig {
        local: local.into(),
        neighbor: neighbor.into(),
        asn: asn(PROVIDER_ASN),
        relation: Relation::Provider,
        strict_role: true,
        communities: BTreeSet::new(),
        prepend: 0,
        import: Import::Nothing,
        multihop: None,
        bfd: None,
        password: None,
    }
}

fn config(sessions: impl IntoIterator<Item = (SessionName, SessionConfig)>) -> RoutingConfig {
    RoutingConfig {
        daemon: RoutingDaemonKind::Embedded,
        asn: asn(OUR_ASN),
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        prefixes: ["198.51.100.0/24", "203.0.113.0/24"].map(|prefix| prefix.parse().unwrap()).into(),
        sessions: sessions.into_iter().collect(),
        drain_prepend: 2,
        archive: None,
        trial: RoutingConfig::TRIAL,
    }
}

fn originate(prefixes: &[(&str, Announcement)]) -> Origination {
    prefixes.iter().map(|(prefix, how)| (prefix.parse().unwrap(), *how)).collect()
}

fn provider(
    port: u16,
    local: [u8; 4],
    neighbor: [u8; 4],
) -> (ProviderSpeaker, mpsc::Receiver<ProviderEvent>) {
    let customer = Customer {
        local: local.into(),
        neighbor: neighbor.into(),
        asn: asn(OUR_ASN),
        relation: Relation::Provider,
        multihop: None,
    };
    let config = ProviderConfig {
        asn: asn(PROVIDER_ASN),
        router_id: Ipv4Addr::from(local),
        port,
        customers: vec![customer],
        passwords: [].into(),
    };
    let (events, heard) = mpsc::channel(64);
    (ProviderSpeaker::start(&config, &Arc::default(), &events).unwrap(), heard)
}

async fn next(heard: &mut mpsc::Receiver<ProviderEvent>) -> Change {
    timeout(PATIENCE, heard.recv()).await.expect("an event in time").expect("the provider runs").change
}

fn announced(prefix: &str, as_path: &[u32], communities: &[&str], next_hop: [u8; 4]) -> Change {
    Change::Announced {
        prefix: prefix.parse().unwrap(),
        route: ReceivedRoute {
            as_path: as_path.to_vec(),
            communities: communities.iter().map(|text| text.parse::<Community>().unwrap()).collect(),
            next_hop: IpAddr::from(next_hop),
        },
    }
}

fn withdrawn(prefix: &str) -> Change {
    Change::Withdrawn { prefix: prefix.parse().unwrap() }
}

async fn until_established(speaker: &EmbeddedSpeaker, name: &SessionName) {
    let established = async {
        while speaker.observe().await.unwrap().sessions[name].state != SessionState::Established {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, established).await.expect("established in time");
}

#[tokio::test]
async fn announces_drains_withdraws_and_says_goodbye() {
    let (port, us, them) = (free_port(), [127, 0, 1, 1], [127, 0, 1, 2]);
    let (_provider, mut heard) = provider(port, them, us);
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let mut session = session(us, them);
    session.communities = ["64500:7", "65536:1:2"].map(|text| text.parse().unwrap()).into();
    session.prepend = 1;

    speaker.configure(&config([(name("transit"), session)])).await.unwrap();
    assert_eq!(next(&mut heard).await, Change::Up);
    until_established(&speaker, &name("transit")).await;
    let prefix = "198.51.100.0/24";
    speaker.originate(&originate(&[(prefix, Announcement::Normal)])).await.unwrap();
    assert_eq!(
        next(&mut heard).await,
        announced(prefix, &[OUR_ASN; 2], &["64500:7", "65536:1:2"], us),
        "nothing was announced before it was originated"
    );
    let observed = speaker.observe().await.unwrap();
    assert_eq!(
        observed.sessions[&name("transit")].prefixes_sent,
        BTreeSet::from([prefix.parse().unwrap()]),
        "originate returns when the peer has been told"
    );

    speaker.originate(&originate(&[(prefix, Announcement::Draining { prepend: 2 })])).await.unwrap();
    assert_eq!(
        next(&mut heard).await,
        announced(prefix, &[OUR_ASN; 4], &["64500:7", "65535:0", "65536:1:2"], us)
    );
    speaker.originate(&Origination::new()).await.unwrap();
    assert_eq!(next(&mut heard).await, withdrawn(prefix));
    assert!(speaker.observe().await.unwrap().sessions[&name("transit")].prefixes_sent.is_empty());

    speaker.shutdown("moving to another rack").await;
    let Change::Down { why } = next(&mut heard).await else { panic!("not down") };
    assert_eq!(why, "received NOTIFICATION 6/2 (Administrative Shutdown): \"moving to another rack\"");
}

#[tokio::test]
async fn a_change_touches_no_other_session() {
    let (port, us) = (free_port(), [127, 0, 2, 1]);
    let (_first, mut first) = provider(port, [127, 0, 2, 2], us);
    let (_second, mut second) = provider(port, [127, 0, 2, 3], us);
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let (one, other) = (session(us, [127, 0, 2, 2]), session(us, [127, 0, 2, 3]));
    let both = |one: &SessionConfig, other: &SessionConfig| {
        config([(name("one"), one.clone()), (name("other"), other.clone())])
    };
    let prefix = "198.51.100.0/24";
    speaker.configure(&both(&one, &other)).await.unwrap();
    speaker.originate(&originate(&[(prefix, Announcement::Normal)])).await.unwrap();
    for heard in [&mut first, &mut second] {
        assert_eq!(next(heard).await, Change::Up);
        assert_eq!(next(heard).await, announced(prefix, &[OUR_ASN], &[], us));
    }

    // Communities and prepends: announced again, without a reset.
    let mut changed = one.clone();
    changed.communities = BTreeSet::from([Community::Standard(64500, 9)]);
    changed.prepend = 1;
    speaker.configure(&both(&changed, &other)).await.unwrap();
    assert_eq!(next(&mut first).await, announced(prefix, &[OUR_ASN; 2], &["64500:9"], us));

    // The role: a reset, of this session alone.
    changed.strict_role = false;
    speaker.configure(&both(&changed, &other)).await.unwrap();
    assert_eq!(next(&mut first).await, withdrawn(prefix));
    let Change::Down { why } = next(&mut first).await else { panic!("not down") };
    assert_eq!(why, "received NOTIFICATION 6/6 (Other Configuration Change)");
    assert_eq!(next(&mut first).await, Change::Up);
    assert_eq!(next(&mut first).await, announced(prefix, &[OUR_ASN; 2], &["64500:9"], us));

    // Removed.
    speaker.configure(&config([(name("other"), other)])).await.unwrap();
    assert_eq!(next(&mut first).await, withdrawn(prefix));
    let Change::Down { why } = next(&mut first).await else { panic!("not down") };
    assert_eq!(why, "received NOTIFICATION 6/3 (Peer De-configured)");
    assert!(second.try_recv().is_err(), "the other session heard nothing of all this");
}

#[tokio::test]
async fn everything_is_withdrawn_when_the_speaker_dies() {
    let (port, us, them) = (free_port(), [127, 0, 3, 1], [127, 0, 3, 2]);
    let (_provider, mut heard) = provider(port, them, us);
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    speaker.configure(&config([(name("transit"), session(us, them))])).await.unwrap();
    let prefix = "203.0.113.0/24";
    speaker.originate(&originate(&[(prefix, Announcement::Normal)])).await.unwrap();
    assert_eq!(next(&mut heard).await, Change::Up);
    assert_eq!(next(&mut heard).await, announced(prefix, &[OUR_ASN], &[], us));

    let died = std::time::Instant::now();
    drop(speaker);
    assert_eq!(next(&mut heard).await, withdrawn(prefix));
    println!("withdrawn {} µs after the speaker died", died.elapsed().as_micros());
    assert!(matches!(next(&mut heard).await, Change::Down { .. }));
}

#[tokio::test]
async fn refuses_what_is_not_ours() {
    let speaker = EmbeddedSpeaker::with_options(options(free_port()), Arc::default());
    let foreign = originate(&[("192.0.2.0/24", Announcement::Normal)]);
    assert!(speaker.originate(&foreign).await.is_err(), "nothing is ours before it is configured");
    speaker.configure(&config([])).await.unwrap();
    let refusal = speaker.originate(&foreign).await.unwrap_err();
    assert!(refusal.to_string().contains("192.0.2.0/24"), "{refusal}");
    let more_specific = originate(&[("198.51.100.0/25", Announcement::Normal)]);
    assert!(speaker.originate(&more_specific).await.is_err());
    assert_eq!(speaker.observe().await.unwrap().originated, BTreeMap::new());
}

#[tokio::test]
async fn two_that_connect_at_once_settle_on_one_session() {
    let (port, us, them) = (free_port(), [127, 0, 4, 1], [127, 0, 4, 2]);
    let one = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let other = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let peers = |session: SessionConfig| SessionConfig { relation: Relation::Peer, ..session };
    let mut reversed = config([(name("peer"), peers(session(them, us)))]);
    reversed.asn = asn(PROVIDER_ASN);
    reversed.router_id = Ipv4Addr::new(192, 0, 2, 2);
    reversed.sessions.get_mut(&name("peer")).unwrap().asn = asn(OUR_ASN);
    let forward = config([(name("peer"), peers(session(us, them)))]);

    let (first, second) = tokio::join!(one.configure(&forward), other.configure(&reversed));
    first.unwrap();
    second.unwrap();
    until_established(&one, &name("peer")).await;
    until_established(&other, &name("peer")).await;
    one.originate(&originate(&[("203.0.113.0/24", Announcement::Normal)])).await.unwrap();
    let heard = async {
        while other.observe().await.unwrap().sessions[&name("peer")].routes_discarded != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, heard).await.expect("the route arrives, and is counted and discarded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_provider_has_a_hundred_customers() {
    let (port, them) = (free_port(), [127, 0, 5, 254]);
    let nodes: Vec<[u8; 4]> = (1..=100).map(|last| [127, 0, 5, last]).collect();
    let customers = nodes.iter().map(|node| Customer {
        local: them.into(),
        neighbor: (*node).into(),
        asn: asn(OUR_ASN),
        relation: Relation::Provider,
        multihop: None,
    });
    let internet = ProviderConfig {
        asn: asn(PROVIDER_ASN),
        router_id: Ipv4Addr::from(them),
        port,
        customers: customers.collect(),
        passwords: [].into(),
    };
    let (events, mut heard) = mpsc::channel(16);
    let begun = std::time::Instant::now();
    let _provider = ProviderSpeaker::start(&internet, &Arc::default(), &events).unwrap();
    let mut speakers = Vec::new();
    for node in nodes {
        let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
        speaker.configure(&config([(name("transit"), session(node, them))])).await.unwrap();
        speaker.originate(&originate(&[("198.51.100.0/24", Announcement::Normal)])).await.unwrap();
        speakers.push(speaker);
    }
    let announced = |change: &Change| matches!(change, Change::Announced { .. });
    let withdrawn = |change: &Change| matches!(change, Change::Withdrawn { .. });
    for _ in 0..100 {
        while !announced(&next(&mut heard).await) {}
    }
    println!("100 sessions up and heard of after {} ms", begun.elapsed().as_millis());
    speakers.clear();
    for _ in 0..100 {
        while !withdrawn(&next(&mut heard).await) {}
    }
}

/// A peer with a runtime of its own, which wants to hear something every three seconds, for twice as long.
fn impatient_peer(address: SocketAddr) -> std::thread::JoinHandle<usize> {
    let listener = std::net::TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listen = async move {
        let mut peer = Peer::accept(&tokio::net::TcpListener::from_std(listener).unwrap()).await;
        peer.say(&peer::good_open(PROVIDER_ASN, 3)).await;
        let (begun, mut keepalives) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(6) {
            peer.say(&peer::keepalive()).await;
            let heard = peer.hear_of(peer::KEEPALIVE, Duration::from_secs(3)).await;
            assert!(heard.is_some(), "nothing for a hold time, after {keepalives} keepalives");
            keepalives += 1;
        }
        keepalives
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(listen))
}

/// A peer that never pauses, and wants to hear something every three seconds, for twice as long.
fn flooding_peer(address: SocketAddr) -> std::thread::JoinHandle<usize> {
    let listener = std::net::TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let talk = async move {
        let mut peer = Peer::accept(&tokio::net::TcpListener::from_std(listener).unwrap()).await;
        peer.say(&peer::good_open(PROVIDER_ASN, 3)).await;
        let flood = peer::update(&[], &[], &[]).repeat(10_000);
        let (begun, mut heard, mut keepalives) = (Instant::now(), Instant::now(), 0);
        peer.say(&peer::keepalive()).await;
        while begun.elapsed() < Duration::from_secs(6) {
            let (said, new) = peer.say_and_hear(&flood).await;
            assert!(said, "it ended after {keepalives} keepalives");
            keepalives += new.iter().filter(|kind| **kind == peer::KEEPALIVE).count();
            if !new.is_empty() {
                heard = Instant::now();
            }
            assert!(heard.elapsed() < Duration::from_secs(3), "nothing for a hold time");
        }
        keepalives
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(talk))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_pauses_hears_keepalives() {
    let (port, us, them) = (free_port(), [127, 0, 9, 1], [127, 0, 9, 2]);
    let peer = flooding_peer(SocketAddr::from((them, port)));
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let session = SessionConfig { strict_role: false, multihop: Some(64), ..session(us, them) };
    speaker.configure(&config([(name("flood"), session)])).await.unwrap();
    let keepalives = tokio::task::spawn_blocking(|| peer.join().unwrap()).await.unwrap();
    let updates = speaker.observe().await.unwrap().sessions[&name("flood")].messages_received.updates;
    println!("{keepalives} keepalives while {updates} updates came");
    assert!(keepalives >= 4, "one a second, and the one that opened the session");
}

#[tokio::test]
async fn a_stalled_runtime_drops_no_session() {
    let (port, us, them) = (free_port(), [127, 0, 8, 1], [127, 0, 8, 2]);
    let peer = impatient_peer(SocketAddr::from((them, port)));
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let session = SessionConfig { strict_role: false, multihop: Some(64), ..session(us, them) };
    speaker.configure(&config([(name("impatient"), session)])).await.unwrap();
    until_established(&speaker, &name("impatient")).await;
    // Nothing else runs on this runtime while it waits.
    let keepalives = peer.join().unwrap();
    println!("{keepalives} keepalives while the runtime was stalled");
    assert!(keepalives >= 3, "one a second, and the peer says if one was missing");
}
