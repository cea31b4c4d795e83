//! Two connections wired to each other, with a clock of their own.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::names::Community;
use crate::routing::embedded::export::Route;
use crate::routing::embedded::wire::capability::BgpRole;

fn parties(role: BgpRole) -> Parties {
    Parties {
        local: "192.0.2.1".parse().unwrap(),
        neighbor: "192.0.2.2".parse().unwrap(),
        local_asn: 64500,
        remote_asn: 65536,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        role,
        strict_role: true,
    }
}

fn turned_around(parties: &Parties, role: BgpRole) -> Parties {
    Parties {
        local: parties.neighbor,
        neighbor: parties.local,
        local_asn: parties.remote_asn,
        remote_asn: parties.local_asn,
        router_id: Ipv4Addr::new(192, 0, 2, 2),
        role,
        strict_role: false,
    }
}

struct Pair {
    ours: Connection,
    theirs: Connection,
    now: Instant,
}

impl Pair {
    fn open(ours: Parties, theirs: Parties) -> Self {
        let now = Instant::now();
        let open = |parties| Connection::open(Arc::new(parties), Some(10), now);
        Self { ours: open(ours), theirs: open(theirs), now }
    }

    fn customer_and_provider() -> Self {
        let customer = parties(BgpRole::Customer);
        let provider = turned_around(&customer, BgpRole::Provider);
        Self::open(customer, provider)
    }

    fn established() -> Self {
        let mut pair = Self::customer_and_provider();
        pair.exchange();
        assert!(pair.ours.take_events().contains(&Event::Established));
        assert!(pair.theirs.take_events().contains(&Event::Established));
        pair
    }

    /// Carries octets until both are silent.
    fn exchange(&mut self) {
        while !self.ours.output().is_empty() || !self.theirs.output().is_empty() {
            carry(&mut self.ours, &mut self.theirs, self.now);
            carry(&mut self.theirs, &mut self.ours, self.now);
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.ours.tick(self.now);
        self.theirs.tick(self.now);
    }
}

fn carry(from: &mut Connection, to: &mut Connection, now: Instant) {
    let octets = from.output().to_vec();
    from.wrote(octets.len(), now);
    hear(to, &octets, now);
}

fn hear(connection: &mut Connection, octets: &[u8], now: Instant) {
    connection.received(octets, now);
}

fn why(events: &[Event]) -> &str {
    match events.last() {
        Some(Event::Closed(closure)) => &closure.why,
        _ => panic!("not closed: {events:?}"),
    }
}

fn wanted(prefixes: &[&str], communities: u16) -> Wanted {
    let communities = (0..communities).map(|value| Community::Standard(64500, value)).collect();
    let route = Route { as_path: vec![64500], communities, only_to_customer: None };
    prefixes.iter().map(|prefix| (prefix.parse().unwrap(), route.clone())).collect()
}

fn offers(events: Vec<Event>) -> Vec<(Vec<String>, Vec<String>)> {
    let text = |prefixes: Vec<IpNet>| prefixes.iter().map(ToString::to_string).collect();
    let offers = events.into_iter().filter_map(|event| match event {
        Event::Offered(offer) => Some((text(offer.announced), text(offer.withdrawn))),
        Event::Opened(_) | Event::Established | Event::Closed(_) => None,
    });
    offers.collect()
}

#[test]
fn keepalives_flow_and_silence_ends_it() {
    let mut pair = Pair::established();
    for _ in 0..10 {
        pair.pass(10);
        assert!(!pair.ours.output().is_empty(), "a keepalive every ten seconds");
        pair.exchange();
    }
    assert_eq!(pair.ours.take_events(), []);
    for _ in 0..3 {
        pair.now += Duration::from_secs(10);
        // The hold timer may be due together with the keepalive timer.
        pair.ours.tick(pair.now);
    }
    assert!(why(&pair.ours.take_events()).starts_with("sent NOTIFICATION 4/0"));
}

#[test]
fn only_keepalives_and_updates_keep_it_alive() {
    let mut pair = Pair::established();
    for _ in 0..2 {
        pair.pass(10);
        carry(&mut pair.ours, &mut pair.theirs, pair.now);
        pair.theirs.wrote(pair.theirs.output().len(), pair.now);
        pair.theirs.send_refresh(Refresh::Request, pair.now);
        carry(&mut pair.theirs, &mut pair.ours, pair.now);
    }
    assert_eq!(pair.ours.take_events(), []);
    pair.pass(10);
    assert!(why(&pair.ours.take_events()).starts_with("sent NOTIFICATION 4/0"));
}

#[test]
fn keepalives_have_jitter_and_an_update_is_one() {
    let mut pair = Pair::established();
    let mut waits = BTreeSet::new();
    for count in 0..20 {
        pair.now += Duration::from_secs(1);
        pair.ours.advertise(&wanted(&["198.51.100.0/24"], count % 2), pair.now);
        pair.exchange();
        waits.insert(pair.ours.keepalive.unwrap() - pair.now);
    }
    assert!(waits.iter().all(|wait| (7_500..=10_000).contains(&wait.as_millis())), "{waits:?}");
    assert!(waits.len() > 5, "{waits:?}");
    assert_eq!(pair.ours.counts().sent.keepalives, 1, "the one that opened it");
}

#[test]
fn a_peer_without_hold_time_must_confirm_all_the_same() {
    let customer = parties(BgpRole::Customer);
    let mut ours = Connection::open(Arc::new(customer.clone()), None, Instant::now());
    let open = Open { hold_time: 0, ..turned_around(&customer, BgpRole::Provider).open() };
    let mut message = BytesMut::new();
    wire::put(&mut message, Kind::Open, &open.body());
    let now = Instant::now();
    hear(&mut ours, &message, now);
    assert_eq!(ours.state(), SessionState::OpenConfirm);
    ours.tick(now + OPEN_WAIT);
    assert!(why(&ours.take_events()).starts_with("sent NOTIFICATION 4/0"));

    let mut ours = Connection::open(Arc::new(customer), None, now);
    hear(&mut ours, &message, now);
    hear(&mut ours, &keepalive(), now);
    let octets = ours.output().len();
    ours.wrote(octets, now);
    assert_eq!(
        (ours.state(), ours.deadline()),
        (SessionState::Established, None),
        "and then nothing runs out"
    );
}

#[test]
fn what_changed_is_told_and_nothing_twice() {
    let mut pair = Pair::established();
    let both = wanted(&["198.51.100.0/24", "203.0.113.0/24"], 1);
    let one = wanted(&["198.51.100.0/24"], 1);
    let [first, second] = ["198.51.100.0/24", "203.0.113.0/24"].map(str::to_owned);
    let mut told = Vec::new();
    for wanted in [&both, &both, &one, &Wanted::new()] {
        pair.ours.advertise(wanted, pair.now);
        pair.exchange();
        assert_eq!(pair.ours.written(), &wanted.keys().copied().collect());
        told.push(offers(pair.theirs.take_events()));
    }
    let end_of_rib = (vec![], vec![]);
    assert_eq!(
        told,
        [
            vec![(vec![first.clone(), second.clone()], vec![]), end_of_rib],
            vec![],
            vec![(vec![], vec![second])],
            vec![(vec![], vec![first])],
        ]
    );
}

#[test]
fn a_refresh_is_answered_once_however_often_it_is_asked() {
    let mut pair = Pair::established();
    let wanted = wanted(&["198.51.100.0/24"], 1);
    pair.ours.advertise(&wanted, pair.now);
    pair.exchange();
    pair.theirs.take_events();
    for _ in 0..1000 {
        pair.theirs.send_refresh(Refresh::Request, pair.now);
    }
    carry(&mut pair.theirs, &mut pair.ours, pair.now);
    for _ in 0..3 {
        pair.ours.advertise(&wanted, pair.now);
        pair.exchange();
    }
    assert_eq!(offers(pair.theirs.take_events()), [(vec!["198.51.100.0/24".to_owned()], vec![])]);
}

#[test]
fn a_peer_that_does_not_read_costs_little_and_is_given_up() {
    let mut pair = Pair::established();
    for count in 0..1000 {
        pair.ours.advertise(&wanted(&["198.51.100.0/24"], count % 7), pair.now);
    }
    assert!(pair.ours.output().len() < 4096, "{}", pair.ours.output().len());
    assert!(pair.ours.written().is_empty(), "nothing was written yet");
    for _ in 0..48 {
        pair.now += Duration::from_secs(10);
        hear(&mut pair.ours, &keepalive(), pair.now);
        pair.ours.tick(pair.now);
        pair.ours.tick(pair.now);
    }
    assert!(why(&pair.ours.take_events()).starts_with("send hold timer expired"));
}

fn keepalive() -> BytesMut {
    let mut octets = BytesMut::new();
    wire::put(&mut octets, Kind::Keepalive, &[]);
    octets
}

#[test]
fn the_eleventh_prefix_is_one_too_many() {
    let mut pair = Pair::established();
    let prefixes: Vec<String> = (0..11).map(|third| format!("198.51.100.{}/28", third * 16)).collect();
    let names: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    pair.theirs.advertise(&wanted(&names[..10], 0), pair.now);
    pair.exchange();
    assert_eq!(offers(pair.ours.take_events()).len(), 2, "ten, and End-of-RIB");
    pair.theirs.advertise(&wanted(&names[1..], 0), pair.now);
    pair.exchange();
    assert_eq!(offers(pair.ours.take_events()).len(), 2, "one less and one more");
    pair.theirs.advertise(&wanted(&names, 0), pair.now);
    pair.exchange();
    let events = pair.ours.take_events();
    assert!(why(&events).starts_with("sent NOTIFICATION 6/1"), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Closed(Closure { hold_off: true, .. }))));
    assert!(why(&pair.theirs.take_events()).starts_with("received NOTIFICATION 6/1"));
}

#[test]
fn opens_that_do_not_fit_are_refused() {
    let customer = parties(BgpRole::Customer);
    let provider = turned_around(&customer, BgpRole::Provider);
    let cases = [
        (Parties { role: BgpRole::Peer, ..provider.clone() }, "sent NOTIFICATION 2/11"),
        (Parties { local_asn: 65537, ..provider.clone() }, "sent NOTIFICATION 2/2"),
        (Parties { router_id: Ipv4Addr::UNSPECIFIED, ..provider.clone() }, "sent NOTIFICATION 2/3"),
        (Parties { local: "2001:db8::2".parse().unwrap(), ..provider }, "sent NOTIFICATION 2/7"),
    ];
    for (theirs, refusal) in cases {
        let mut pair = Pair::open(customer.clone(), theirs);
        carry(&mut pair.theirs, &mut pair.ours, pair.now);
        let events = pair.ours.take_events();
        assert!(why(&events).starts_with(refusal), "{refusal}: {events:?}");
    }
}

#[test]
fn a_peer_that_never_opens_is_given_up() {
    let mut pair = Pair::customer_and_provider();
    pair.pass(59);
    assert_eq!(pair.ours.take_events(), []);
    pair.pass(1);
    assert!(why(&pair.ours.take_events()).starts_with("sent NOTIFICATION 4/0"));
}

proptest! {
    #[test]
    fn octets_of_any_kind_are_survived(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut pair = Pair::established();
        for chunk in chunks {
            hear(&mut pair.ours, &chunk, pair.now);
        }
        prop_assert!(pair.ours.input.len() <= usize::from(u16::MAX));
    }

    #[test]
    fn bodies_of_any_kind_are_survived(kind in 1u8..=6, body in prop::collection::vec(any::<u8>(), 0..300), before in 0u8..2) {
        let mut pair = if before == 0 { Pair::customer_and_provider() } else { Pair::established() };
        let mut message = vec![0xff; 16];
        message.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
        message.push(kind);
        message.extend(&body);
        hear(&mut pair.ours, &message, pair.now);
        // Either it was one message and is consumed, or the connection is closed.
        prop_assert!(pair.ours.input.is_empty() || pair.ours.closed);
    }
}
