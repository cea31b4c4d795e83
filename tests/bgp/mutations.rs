//! A peer that sends what no peer should, at random: the speaker neither panics nor stops, and is back after each reset.

use tokio::net::TcpListener;

use super::peer::{self, Peer, capabilities, four_octet_as, good_open, keepalive, message, refresh, update};
use super::*;

const MESSAGES: usize = 2000;

/// Enough for an answer; what gets none within it was an unfinished message.
const ANSWER: Duration = Duration::from_millis(100);

/// Always the same numbers (xorshift), so that a failure comes back.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// From OPEN to the first route.
async fn establish(listener: &TcpListener, open: &[u8]) -> Peer {
    loop {
        let mut peer = Peer::accept(listener).await;
        assert!(matches!(peer.hear().await, Some((peer::OPEN, _))), "it opens");
        peer.say(open).await;
        peer.say(&keepalive()).await;
        if peer.hear_of(peer::UPDATE, ANSWER).await.is_some() {
            return peer;
        }
    }
}

/// One of each kind, all valid; the first two are what opens a session.
fn valid_messages() -> Vec<Vec<u8>> {
    let origin: &[u8] = &[0x40, 1, 1, 0];
    let as_path: &[u8] = &[0x40, 2, 6, 2, 1, 0, 1, 0, 0];
    let next_hop: &[u8] = &[0x40, 3, 4, 192, 0, 2, 9];
    let aggregator: &[u8] = &[0xc0, 7, 8, 0, 1, 0, 0, 192, 0, 2, 9];
    let communities: &[u8] = &[0xc0, 8, 8, 0xfb, 0xf4, 0, 7, 0xff, 0xff, 0, 0];
    let extended: &[u8] = &[0xc0, 16, 8, 0, 2, 0xfb, 0xf4, 0, 0, 0, 9];
    let large: &[u8] = &[0xc0, 32, 12, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let otc: &[u8] = &[0xc0, 35, 4, 0, 1, 0, 0];
    let reach: &[u8] = &[0x80, 14, 13, 0, 1, 1, 4, 192, 0, 2, 9, 0, 24, 203, 0, 113];
    let unreach: &[u8] = &[0x80, 15, 7, 0, 1, 1, 24, 203, 0, 113];
    let unknown: &[u8] = &[0xd0, 200, 0, 3, 1, 2, 3];
    let med: &[u8] = &[0x80, 4, 4, 0, 0, 0, 9];
    vec![
        good_open(PROVIDER_ASN, 30),
        peer::open(
            23456,
            90,
            [192, 0, 2, 9],
            &capabilities(&[
                &[1, 4, 0, 1, 0, 1],
                &[2, 0],
                &[9, 1, 0],
                &[6, 0],
                &[70, 0],
                &[69, 4, 0, 1, 1, 3],
                &four_octet_as(PROVIDER_ASN),
            ]),
        ),
        keepalive(),
        refresh(),
        message(peer::ROUTE_REFRESH, &[0, 1, 1, 1]),
        update(
            &[],
            &[origin, as_path, next_hop, med, aggregator, communities, extended, large, otc],
            &[24, 203, 0, 113],
        ),
        update(&[], &[reach, origin, as_path, communities, unknown], &[]),
        update(&[24, 203, 0, 113], &[unreach], &[]),
        update(&[], &[], &[]),
        message(peer::NOTIFICATION, &[6, 2, 5, b'h', b'e', b'l', b'l', b'o']),
    ]
}

/// Octets changed, added, removed, or all at random; mostly with the length made right again.
fn mutate(message: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut mutated = message.to_vec();
    if numbers.below(20) == 0 {
        return (0..numbers.below(100)).map(|_| numbers.octet()).collect();
    }
    for _ in 0..=numbers.below(4) {
        // The marker seldom: with it broken, nothing else is looked at.
        let from = if numbers.below(20) == 0 { 0 } else { 16 };
        let at = from + numbers.below(mutated.len() - from);
        match numbers.below(4) {
            0 | 1 => mutated[at] = numbers.octet(),
            2 => mutated.insert(at.max(19), numbers.octet()),
            _ if mutated.len() > 19 => drop(mutated.remove(at.max(19).min(mutated.len() - 1))),
            _ => mutated[18] = numbers.octet() % 7,
        }
    }
    if numbers.below(20) != 0 {
        let length = u16::try_from(mutated.len()).unwrap().to_be_bytes();
        mutated[16..18].copy_from_slice(&length);
    }
    mutated
}

/// Resident memory of this process, in KiB; other tests run in it too.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_neither_stop_nor_crash_the_speaker() {
    let (port, us, them) = (free_port(), [127, 0, 6, 1], [127, 0, 6, 2]);
    let listener = TcpListener::bind((Ipv4Addr::from(them), port)).await.unwrap();
    let moment = Duration::from_millis(2);
    let retry = RetryPolicy { first: moment, most: moment, hold_off: moment };
    let speaker = EmbeddedSpeaker::with_options(SpeakerOptions { port, retry }, Arc::default());
    // A plain socket does not send with the 255 hops that a neighbour on the link would have to.
    let session = SessionConfig { strict_role: false, multihop: Some(64), ..session(us, them) };
    speaker.configure(&config([(name("hostile"), session)])).await.unwrap();
    speaker.originate(&originate(&[("203.0.113.0/24", Announcement::Normal)])).await.unwrap();

    let before = resident();
    let (mut numbers, valid) = (Numbers(0x5eed), valid_messages());
    let mut peer = establish(&listener, &valid[0]).await;
    let (mut survived, mut reset) = (0, 0);
    for count in 0..MESSAGES {
        // One in ten is sent before the session is established, by turns in one dialect and in another.
        let open = &valid[count / 10 % 2];
        if count % 10 == 0 {
            drop(peer);
            let mut early = Peer::accept(&listener).await;
            early.say(&mutate(open, &mut numbers)).await;
            drop(early);
            peer = establish(&listener, open).await;
            continue;
        }
        let message = mutate(&valid[numbers.below(valid.len())], &mut numbers);
        // It answers a request to refresh: then the message before was taken.
        let said = peer.say(&message).await && peer.say(&refresh()).await;
        if said && peer.hear_of(peer::UPDATE, ANSWER).await.is_some() {
            survived += 1;
        } else {
            reset += 1;
            drop(peer);
            peer = establish(&listener, open).await;
        }
    }
    let grown = resident().saturating_sub(before);
    println!("{survived} messages survived, {reset} resets, {grown} KiB grown");
    assert!(
        grown < 100 << 10,
        "all that other tests may have grown in the meantime, and far less than a leak"
    );
    assert!(survived > MESSAGES / 10 && reset > MESSAGES / 10, "neither all ignored nor all refused");
    // What was said last may close the session only now; it is back after that, too.
    drop(peer);
    let _peer = establish(&listener, &valid[0]).await;
    until_established(&speaker, &name("hostile")).await;
    // The session is up a moment before its route is out.
    let prefix = "203.0.113.0/24".parse().unwrap();
    let sent = async {
        while !speaker.observe().await.unwrap().sessions[&name("hostile")].prefixes_sent.contains(&prefix) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, sent).await.expect("its route is out again");
    let observed = speaker.observe().await.unwrap().sessions[&name("hostile")].clone();
    assert!(observed.losses > 0 && observed.updates_malformed > 0, "{observed:?}");
}
