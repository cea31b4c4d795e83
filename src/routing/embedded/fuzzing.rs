//! What holds for any octets from a BGP peer. `crate::fuzzing` says who calls this.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, Event};
use super::export::{Route, Wanted};
use super::negotiation::Parties;
use super::wire::capability::BgpRole;
use super::wire::{self, MAX_EXTENDED_MESSAGE};
use crate::routing::SessionState;

/// Prefixes that the peer may offer.
const LIMIT: usize = 10;
/// A peer that says nothing is given up after one hold time, in some keepalives.
const TICKS: usize = 100;

/// A connection: one octet for how it is set up, then what the peer sends.
///
/// Whatever comes, what we send are whole messages; the connection ends once, with a reason, and after the end nothing
/// happens; and one whose peer has fallen silent ends by itself, unless it is established without a hold time.
pub fn bgp(octets: &[u8]) {
    let Some((how, stream)) = octets.split_first() else { return };
    let mut now = Instant::now();
    let (ours, theirs) = parties(how & 1 != 0, how & 2 != 0);
    let wanted = wanted(how & 1 != 0);
    let mut connection = Connection::open(Arc::new(ours), (how & 4 != 0).then_some(LIMIT), now);
    let mut events = Vec::new();
    if how & 8 != 0 {
        open(&mut connection, theirs, now);
    }
    let piece = 1 + usize::from(how >> 4) * 40;
    for piece in stream.chunks(piece) {
        if !connection.is_closed() {
            connection.received(piece, now);
        }
        connection.advertise(&wanted, now);
        events.extend(connection.take_events());
        spoken(&mut connection, now);
    }
    for _ in 0..TICKS {
        let Some(deadline) = connection.deadline() else { break };
        now = now.max(deadline);
        connection.tick(now);
        connection.advertise(&wanted, now);
        events.extend(connection.take_events());
        spoken(&mut connection, now);
    }
    let endless = connection.state() == SessionState::Established
        && connection.agreement().is_some_and(|agreed| agreed.hold_time.is_zero());
    assert!(connection.is_closed() || endless, "a silent peer is never missed");
    assert_eq!(connection.deadline(), None, "something is due after the end");
    connection.lost("the test ends");
    events.extend(connection.take_events());
    let ends = events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
    assert_eq!(ends, 1, "{events:?}");
    assert!(matches!(events.last(), Some(Event::Closed(_))), "{events:?}");
    assert!(connection.written().is_empty(), "a peer that is gone has our prefixes");
}

fn parties(v6: bool, strict_role: bool) -> (Parties, Parties) {
    let [local, neighbor] = match v6 {
        false => [[192, 0, 2, 1], [192, 0, 2, 2]].map(Into::into),
        true => [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2]].map(Into::into),
    };
    let ours = Parties {
        local,
        neighbor,
        local_asn: 64500,
        remote_asn: 65536,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        role: BgpRole::Customer,
        strict_role,
    };
    let theirs = Parties {
        local: neighbor,
        neighbor: local,
        local_asn: ours.remote_asn,
        remote_asn: ours.local_asn,
        router_id: Ipv4Addr::new(192, 0, 2, 2),
        role: BgpRole::Provider,
        strict_role: false,
    };
    (ours, theirs)
}

fn wanted(v6: bool) -> Wanted {
    let prefix = if v6 { "2001:db8:53::/48" } else { "198.51.100.0/24" };
    let route = Route { as_path: vec![64500], communities: [].into(), only_to_customer: None };
    Wanted::from([(prefix.parse().expect("a prefix"), route)])
}

/// Brings it up against a peer that does as it should.
fn open(ours: &mut Connection, theirs: Parties, now: Instant) {
    let mut theirs = Connection::open(Arc::new(theirs), None, now);
    while !ours.output().is_empty() || !theirs.output().is_empty() {
        carry(ours, &mut theirs, now);
        carry(&mut theirs, ours, now);
    }
}

fn carry(from: &mut Connection, to: &mut Connection, now: Instant) {
    let octets = from.output().to_vec();
    from.wrote(octets.len(), now);
    to.received(&octets, now);
}

/// Takes what we say, which the other side can read.
fn spoken(connection: &mut Connection, now: Instant) {
    let said = connection.output().to_vec();
    connection.wrote(said.len(), now);
    let mut said = &said[..];
    while !said.is_empty() {
        let message = wire::take(&mut said, MAX_EXTENDED_MESSAGE);
        assert!(matches!(message, Ok(Some(_))), "we say what nobody can read: {message:?}");
    }
}
