//! Hostile messages, one by one, each with the reaction that the RFCs demand.
//!
//! Each case has a session of its own, opened in one of several *dialects*: what the peer's OPEN says. The same cases are
//! sent to other daemons in `beside`.

use std::net::SocketAddr;

use futures_util::stream::{self, StreamExt};

use super::lab::{self, in_a_namespace};
use super::peer::{
    self, IPV4_UNICAST, IPV6_UNICAST, KEEPALIVE, NOTIFICATION, OPEN, Peer, ROUTE_REFRESH, UPDATE,
    capabilities, four_octet_as, keepalive, message, refresh, update,
};
use super::*;

mod headers;
mod opens;
mod reach;
mod states;
mod updates;

/// In which state of RFC 4271 section 8.2.2 a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    OpenSent,
    OpenConfirm,
    Established,
}

use When::{Established, OpenConfirm, OpenSent};

/// What the peer's OPEN says before the message comes, and how the session is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// IPv4, AS numbers of four octets, route refresh.
    Plain,
    /// The same for IPv6.
    Ipv6,
    /// With enhanced route refresh (RFC 7313).
    Enhanced,
    /// With extended messages (RFC 8654).
    Extended,
    /// No capability at all.
    TwoOctets,
    /// The session is refused to a peer without a role (RFC 9234).
    Strict,
}

use Dialect::{Enhanced, Extended, Ipv6, Plain, Strict, TwoOctets};

impl Dialect {
    pub(super) fn family(self) -> Family {
        if self == Ipv6 { Family::V6 } else { Family::V4 }
    }

    /// The peer's.
    pub(super) fn asn(self) -> u32 {
        if self == TwoOctets { NARROW_ASN } else { PROVIDER_ASN }
    }

    /// A capability that the other side must have for it.
    pub(super) fn needs(self) -> Option<u8> {
        match self {
            Plain | Ipv6 | TwoOctets => None,
            Enhanced => Some(70),
            Extended => Some(6),
            Strict => Some(9),
        }
    }

    fn open(self) -> Vec<u8> {
        let family = if self == Ipv6 { IPV6_UNICAST } else { IPV4_UNICAST };
        let more: &[u8] = match self {
            Plain | Ipv6 => &[],
            TwoOctets => return peer::open(64999, 30, IDENTIFIER, &[]),
            Enhanced => &[70, 0],
            Extended => &[6, 0],
            Strict => &[9, 1, 0],
        };
        let all = capabilities(&[family, &[2, 0], &four_octet_as(PROVIDER_ASN), more]);
        peer::open(23456, 30, IDENTIFIER, &all)
    }

    /// What it answers with a route, while the session lives.
    fn refresh(self) -> Vec<u8> {
        if self == Ipv6 { message(ROUTE_REFRESH, &[0, 2, 0, 1]) } else { refresh() }
    }
}

const NARROW_ASN: u32 = 64999;
const IDENTIFIER: [u8; 4] = [192, 0, 2, 9];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// A NOTIFICATION, and these data unless any will do.
    Closes(u8, u8, Option<Vec<u8>>),
    /// The connection ends without a word.
    Ends,
    /// The session goes on.
    Stays,
    /// It goes on, and something was malformed (RFC 7606).
    Mends,
    /// Neither an answer nor an end.
    Hangs,
}

use Reaction::{Ends, Mends, Stays};

fn closes(code: u8, subcode: u8) -> Reaction {
    Reaction::Closes(code, subcode, None)
}

fn closes_with(code: u8, subcode: u8, data: &[u8]) -> Reaction {
    Reaction::Closes(code, subcode, Some(data.to_vec()))
}

pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) dialect: Dialect,
    pub(super) when: When,
    octets: Vec<u8>,
    pub(super) demanded: Reaction,
}

/// A message and what is demanded.
type Demand = (&'static str, Vec<u8>, Reaction);

const ROUTE: &[u8] = &[24, 203, 0, 113];
const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 1, 0, 0];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 9];

/// An attribute with an extended length.
fn attribute(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[flags | 0x10, kind], &length[..], value].concat()
}

/// One route with these attributes.
fn offer(attributes: &[&[u8]]) -> Vec<u8> {
    update(&[], attributes, ROUTE)
}

/// One route with this attribute after the good ones.
fn offer_and(attribute: &[u8]) -> Vec<u8> {
    offer(&[ORIGIN, AS_PATH, NEXT_HOP, attribute])
}

/// All cases, those over IPv6 apart.
pub(super) fn cases(family: Family) -> Vec<Case> {
    let all = |dialect: Dialect, when: When, demands: Vec<Demand>| {
        demands.into_iter().map(move |(what, octets, demanded)| Case {
            what,
            dialect,
            when,
            octets,
            demanded,
        })
    };
    let everywhere = [OpenSent, OpenConfirm, Established]
        .into_iter()
        .flat_map(|when| all(Plain, when, headers::everywhere()));
    let cases = everywhere
        .chain(all(Extended, Established, headers::extended()))
        .chain(all(Plain, OpenSent, opens::plain()))
        .chain(all(TwoOctets, OpenSent, opens::two_octets()))
        .chain(all(Strict, OpenSent, opens::strict()))
        .chain(all(Ipv6, OpenSent, opens::ipv6()))
        .chain(all(Plain, Established, updates::plain()))
        .chain(all(Plain, Established, updates::without_routes()))
        .chain(all(TwoOctets, Established, updates::two_octets()))
        .chain(all(Plain, Established, reach::ipv4()))
        .chain(all(Ipv6, Established, reach::ipv6()))
        .chain(all(Plain, Established, states::refreshes()))
        .chain(all(Enhanced, Established, states::enhanced_refreshes()))
        .chain(all(Plain, OpenSent, states::open_sent()))
        .chain(all(Plain, OpenConfirm, states::open_confirm()))
        .chain(all(Plain, Established, states::established()));
    cases.filter(|case| case.dialect.family() == family).collect()
}

/// What the other side does within `patience`, as the peer sees it; `None` if it does not speak the dialect.
pub(super) async fn reaction(
    from: IpAddr,
    to: SocketAddr,
    case: &Case,
    patience: Duration,
) -> Option<Reaction> {
    match timeout(patience, converse(from, to, case)).await {
        Ok(seen) => seen,
        Err(_) => Some(Reaction::Hangs),
    }
}

async fn converse(from: IpAddr, to: SocketAddr, case: &Case) -> Option<Reaction> {
    let (mut peer, theirs) = opened(from, to).await;
    if case.dialect.needs().is_some_and(|code| !offers(&theirs, code)) {
        return None;
    }
    if case.when != OpenSent {
        peer.say(&case.dialect.open()).await;
        peer.until(KEEPALIVE, |_| true).await;
    }
    if case.when == Established {
        peer.say(&keepalive()).await;
        peer.until(UPDATE, announces).await;
    }
    // In two pieces, as TCP may bring it.
    let (start, end) = case.octets.split_at(case.octets.len() / 2);
    peer.say(start).await;
    peer.say(end).await;
    // Then what leads to its route, if the session goes on.
    peer.say(&if case.when == Established { case.dialect.refresh() } else { keepalive() }).await;
    loop {
        match peer.hear().await {
            Some((NOTIFICATION, body)) => return Some(closes_with(body[0], body[1], &body[2..])),
            Some((UPDATE, body)) if announces(&body) => return Some(Stays),
            Some(_) => {}
            None => return Some(Ends),
        }
    }
}

/// A connection on which the other side has opened; some want to be asked more than once.
async fn opened(from: IpAddr, to: SocketAddr) -> (Peer, Vec<u8>) {
    loop {
        if let Ok(mut peer) = Peer::connect(from, to).await
            && let Some(open) = peer.hear_of(OPEN, Duration::from_secs(5)).await
        {
            return (peer, open);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether an OPEN has this capability.
fn offers(open: &[u8], code: u8) -> bool {
    let mut parameters = &open[10..];
    while let [_, length, rest @ ..] = parameters {
        let (mut value, rest) = rest.split_at(usize::from(*length));
        while let [kind, length, more @ ..] = value {
            if *kind == code {
                return true;
            }
            value = &more[usize::from(*length)..];
        }
        parameters = rest;
    }
    false
}

/// Longer than End-of-RIB: it has a route.
fn announces(update: &[u8]) -> bool {
    update.len() > 20
}

/// What is demanded, whatever the data where none are prescribed.
fn agrees(seen: &Reaction, demanded: &Reaction) -> bool {
    match (seen, demanded) {
        (Reaction::Closes(code, subcode, _), Reaction::Closes(wanted, of, None)) => {
            (code, subcode) == (wanted, of)
        }
        (Stays, Mends) => true,
        (seen, demanded) => seen == demanded,
    }
}

/// The session of a case, with the speaker at `local`.
fn session_of(case: &Case, local: IpAddr, neighbor: IpAddr) -> SessionConfig {
    SessionConfig {
        local,
        neighbor,
        asn: asn(case.dialect.asn()),
        strict_role: case.dialect == Strict,
        multihop: Some(64),
        ..session([0; 4], [0; 4])
    }
}

async fn judge(cases: &[Case], local: IpAddr, peer_of: impl Fn(usize) -> IpAddr) {
    let port = free_port();
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let family = Family::of(local);
    let name = |number: usize| SessionName { peer: format!("peer-{number}").parse().unwrap(), family };
    let sessions = cases
        .iter()
        .enumerate()
        .map(|(number, case)| (name(number), session_of(case, local, peer_of(number))));
    let mut config = config(sessions);
    config.prefixes.insert("2001:db8:100::/48".parse().unwrap());
    speaker.configure(&config).await.unwrap();
    let normal = Announcement::Normal;
    speaker
        .originate(&originate(&[("198.51.100.0/24", normal), ("2001:db8:100::/48", normal)]))
        .await
        .unwrap();

    let target = SocketAddr::new(local, port);
    let reactions =
        cases.iter().enumerate().map(|(number, case)| reaction(peer_of(number), target, case, PATIENCE));
    let mut wrong = Vec::new();
    // No more at once than a listener keeps waiting.
    let reactions: Vec<Option<Reaction>> = stream::iter(reactions).buffered(32).collect().await;
    let observed = speaker.observe().await.unwrap().sessions;
    for (number, (case, seen)) in cases.iter().zip(&reactions).enumerate() {
        let seen = seen.as_ref().expect("we speak all of them");
        let malformed = observed[&name(number)].updates_malformed;
        let counted = malformed == u64::from(case.demanded == Mends);
        if !agrees(seen, &case.demanded) || !counted {
            wrong.push(format!(
                "{} in {:?}, {:?}: {seen:?}, {malformed} malformed; demanded {:?}",
                case.what, case.when, case.dialect, case.demanded
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn every_hostile_message_has_the_reaction_that_its_rfc_demands() {
    let cases = cases(Family::V4);
    assert!(cases.len() >= 200, "{}", cases.len());
    let peer_of =
        |number: usize| [127, 7, number / 250, number % 250 + 1].map(|part| u8::try_from(part).unwrap());
    judge(&cases, [127, 0, 7, 255].into(), |number| peer_of(number).into()).await;
}

#[test]
fn over_ipv6_too() {
    in_a_namespace(&[], || async {
        let cases = cases(Family::V6);
        assert!(cases.len() >= 20, "{}", cases.len());
        let peer_of = |number: usize| lab::ipv6(number + 1);
        let peers = (0..cases.len()).map(peer_of);
        lab::on_loopback(peers.chain([lab::ipv6(0xffff)]));
        judge(&cases, lab::ipv6(0xffff), peer_of).await;
    });
}
