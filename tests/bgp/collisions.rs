//! Two connections at a time, octet by octet (RFC 4271 section 6.8): which one is closed, and that the other goes on.

use tokio::net::TcpListener;

use super::peer::{
    self, IPV4_UNICAST, KEEPALIVE, NOTIFICATION, OPEN, Peer, UPDATE, capabilities, four_octet_as,
};
use super::*;

/// Cease, Connection Collision Resolution.
const COLLISION: [u8; 2] = [6, 7];

/// The peer's OPEN, with this identifier; ours is 192.0.2.1.
fn open(identifier: [u8; 4]) -> Vec<u8> {
    peer::open(23456, 30, identifier, &capabilities(&[IPV4_UNICAST, &four_octet_as(PROVIDER_ASN)]))
}

/// The speaker, and both connections: the one that it opened and the one that the peer opened.
async fn both(last: u8) -> (EmbeddedSpeaker, Peer, Peer) {
    let (port, us, them) = (free_port(), [127, 0, 10, last], [127, 0, 11, last]);
    let listener = TcpListener::bind((Ipv4Addr::from(them), port)).await.unwrap();
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let session = SessionConfig { strict_role: false, multihop: Some(64), ..session(us, them) };
    speaker.configure(&config([(name("peer"), session)])).await.unwrap();
    speaker.originate(&originate(&[("203.0.113.0/24", Announcement::Normal)])).await.unwrap();
    let mut ours = Peer::accept(&listener).await;
    let mut theirs = Peer::connect(them.into(), SocketAddr::from((us, port))).await.unwrap();
    for connection in [&mut ours, &mut theirs] {
        connection.hear_of(OPEN, PATIENCE).await.expect("it opens on both");
    }
    (speaker, ours, theirs)
}

async fn is_closed(connection: &mut Peer) {
    assert_eq!(connection.hear_of(NOTIFICATION, PATIENCE).await.expect("a NOTIFICATION"), COLLISION);
    assert_eq!(connection.hear().await, None, "and nothing after it");
}

async fn goes_on(connection: &mut Peer) {
    connection.say(&peer::keepalive()).await;
    connection.hear_of(UPDATE, PATIENCE).await.expect("its route");
}

/// The peer opens on `first`, then on `second`.
async fn collide(first: &mut Peer, second: &mut Peer, identifier: [u8; 4]) {
    first.say(&open(identifier)).await;
    first.hear_of(KEEPALIVE, PATIENCE).await.expect("OpenConfirm");
    second.say(&open(identifier)).await;
}

#[tokio::test]
async fn the_connection_stays_that_the_higher_identifier_opened() {
    let (higher, lower, equal) = ([192, 0, 2, 2], [192, 0, 2, 0], [192, 0, 2, 1]);
    // Whichever of the two came to OpenConfirm first. Of equal ones the AS numbers decide (RFC 6286 section 2.3).
    for (last, identifier, ours_first) in
        [(1, higher, true), (2, higher, false), (3, lower, true), (4, lower, false), (5, equal, true)]
    {
        let (_speaker, mut ours, mut theirs) = both(last).await;
        if ours_first {
            collide(&mut ours, &mut theirs, identifier).await;
        } else {
            collide(&mut theirs, &mut ours, identifier).await;
        }
        let (stays, goes) =
            if identifier == lower { (&mut ours, &mut theirs) } else { (&mut theirs, &mut ours) };
        is_closed(goes).await;
        goes_on(stays).await;
    }
}

#[tokio::test]
async fn an_established_session_stays_whoever_connects() {
    let (speaker, mut ours, mut theirs) = both(6).await;
    ours.say(&open([192, 0, 2, 2])).await;
    goes_on(&mut ours).await;
    // The other one had not opened yet: now it is closed, and so is each that comes later.
    is_closed(&mut theirs).await;
    let observed = speaker.observe().await.unwrap().sessions[&name("peer")].clone();
    assert_eq!(observed.state, SessionState::Established);
    let to = SocketAddr::new(observed.local, theirs.remote().port());
    is_closed(&mut Peer::connect(observed.neighbor, to).await.unwrap()).await;
    assert_eq!(speaker.observe().await.unwrap().sessions[&name("peer")].losses, 0);
}

#[tokio::test]
async fn a_connection_that_nobody_expects_is_rejected() {
    let (speaker, ours, _theirs) = both(7).await;
    let to =
        SocketAddr::new(speaker.observe().await.unwrap().sessions[&name("peer")].local, ours.local().port());
    let mut stranger = Peer::connect([127, 0, 12, 7].into(), to).await.unwrap();
    // Cease, Connection Rejected (RFC 4486 section 4).
    assert_eq!(stranger.hear_of(NOTIFICATION, PATIENCE).await.expect("a NOTIFICATION"), [6, 5]);
}

#[tokio::test]
async fn a_silent_connection_of_theirs_keeps_us_from_nothing() {
    let (port, us, them) = (free_port(), [127, 0, 10, 8], [127, 0, 11, 8]);
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let session = SessionConfig { strict_role: false, multihop: Some(64), ..session(us, them) };
    speaker.configure(&config([(name("peer"), session)])).await.unwrap();
    speaker.originate(&originate(&[("203.0.113.0/24", Announcement::Normal)])).await.unwrap();
    let to = SocketAddr::from((us, port));
    let mut silent = Peer::connect(them.into(), to).await.unwrap();
    silent.hear_of(OPEN, PATIENCE).await.expect("it opens");
    // Now it could be reached, if it tried.
    let listener = TcpListener::bind((Ipv4Addr::from(them), port)).await.unwrap();
    let mut ours = Peer::accept(&listener).await;
    ours.hear_of(OPEN, PATIENCE).await.expect("it opens");
    ours.say(&open([192, 0, 2, 2])).await;
    goes_on(&mut ours).await;
    is_closed(&mut silent).await;
}
