//! A peer that sends what no peer should: the speaker neither panics nor stops, and is back after each reset.

use bytes::{Bytes, BytesMut};
use rustbgpd_wire::{
    Afi, Capability, Message, NotificationCode, NotificationMessage, OpenMessage, RouteRefreshMessage, Safi,
    UpdateMessage, decode_message, encode_message, peek_message_length,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const MESSAGES: usize = 3000;

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

/// The peer's end of a connection.
struct Peer {
    stream: TcpStream,
    input: BytesMut,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("it comes back").unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: BytesMut::new() }
    }

    /// The next message, or nothing if the speaker closed the connection. Whatever it sends must be well formed.
    async fn hear(&mut self) -> Option<Message> {
        loop {
            if let Some(length) = peek_message_length(&self.input, 4096).expect("a sound header")
                && self.input.len() >= usize::from(length)
            {
                let mut message: Bytes = self.input.split_to(usize::from(length)).freeze();
                return Some(decode_message(&mut message, 4096).expect("a sound message"));
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn say(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).await.is_ok()
    }

    /// From OPEN to the first route.
    async fn establish(listener: &TcpListener) -> Self {
        loop {
            let mut peer = Self::accept(listener).await;
            assert!(matches!(peer.hear().await, Some(Message::Open(_))), "it opens");
            peer.say(&encode(&open())).await;
            peer.say(&encode(&Message::Keepalive)).await;
            if peer.answers().await {
                return peer;
            }
        }
    }

    /// Waits for an UPDATE; false if the connection ends first, or nothing comes.
    async fn answers(&mut self) -> bool {
        let heard = async {
            loop {
                match self.hear().await {
                    Some(Message::Update(_)) => return true,
                    Some(_) => {}
                    None => return false,
                }
            }
        };
        timeout(ANSWER, heard).await.unwrap_or(false)
    }
}

fn encode(message: &Message) -> Vec<u8> {
    encode_message(message).unwrap().to_vec()
}

fn open() -> Message {
    Message::Open(OpenMessage {
        version: 4,
        my_as: 23456,
        hold_time: 30,
        bgp_identifier: Ipv4Addr::new(192, 0, 2, 9),
        capabilities: vec![
            Capability::MultiProtocol { afi: Afi::Ipv4, safi: Safi::Unicast },
            Capability::RouteRefresh,
            Capability::FourOctetAs { asn: PROVIDER_ASN },
        ],
    })
}

fn refresh() -> Vec<u8> {
    encode(&Message::RouteRefresh(RouteRefreshMessage::new(Afi::Ipv4, Safi::Unicast)))
}

fn update(attributes: &[&[u8]], nlri: &'static [u8], withdrawn: &'static [u8]) -> Vec<u8> {
    encode(&Message::Update(UpdateMessage {
        withdrawn_routes: Bytes::from_static(withdrawn),
        path_attributes: attributes.concat().into(),
        nlri: Bytes::from_static(nlri),
    }))
}

/// One of each kind, all valid.
fn valid_messages() -> Vec<Vec<u8>> {
    let origin: &[u8] = &[0x40, 1, 1, 0];
    let as_path: &[u8] = &[0x40, 2, 6, 2, 1, 0, 1, 0, 0];
    let next_hop: &[u8] = &[0x40, 3, 4, 192, 0, 2, 9];
    let aggregator: &[u8] = &[0xc0, 7, 8, 0, 1, 0, 0, 192, 0, 2, 9];
    let communities: &[u8] = &[0xc0, 8, 8, 0xfb, 0xf4, 0, 7, 0xff, 0xff, 0, 0];
    let extended: &[u8] = &[0xc0, 16, 8, 0, 2, 0xfb, 0xf4, 0, 0, 0, 1];
    let large: &[u8] = &[0xc0, 32, 12, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let reach: &[u8] = &[
        0x80, 14, 28, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 48, 0x20, 1,
        0xd, 0xb8, 1, 0,
    ];
    let unreach: &[u8] = &[0x80, 15, 10, 0, 2, 1, 48, 0x20, 1, 0xd, 0xb8, 1, 0];
    let cease = NotificationMessage::new(NotificationCode::Cease, 2, Bytes::from_static(b"\x04away"));
    let attributes = [origin, as_path, next_hop, aggregator, communities, extended, large];
    vec![
        encode(&Message::Keepalive),
        encode(&open()),
        encode(&Message::Notification(cease)),
        refresh(),
        update(&attributes, &[24, 203, 0, 113], &[]),
        update(&[], &[], &[24, 203, 0, 113]),
        update(&[origin, as_path, reach], &[], &[]),
        update(&[unreach], &[], &[]),
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

    let (mut numbers, valid) = (Numbers(0x5eed), valid_messages());
    let mut peer = Peer::establish(&listener).await;
    let (mut survived, mut reset) = (0, 0);
    for count in 0..MESSAGES {
        // One in ten is sent before the session is established.
        if count % 10 == 0 {
            drop(peer);
            let mut early = Peer::accept(&listener).await;
            early.say(&mutate(&valid[count / 10 % 2], &mut numbers)).await;
            drop(early);
            peer = Peer::establish(&listener).await;
            continue;
        }
        let message = mutate(&valid[numbers.below(valid.len())], &mut numbers);
        // It answers a request to refresh: then the message before was taken.
        let said = peer.say(&message).await && peer.say(&refresh()).await;
        if said && peer.answers().await {
            survived += 1;
        } else {
            reset += 1;
            drop(peer);
            peer = Peer::establish(&listener).await;
        }
    }
    println!("{survived} messages survived, {reset} resets");
    assert!(survived > MESSAGES / 10 && reset > MESSAGES / 10, "neither all ignored nor all refused");
    // What was said last may close the session only now; it is back after that, too.
    drop(peer);
    let _peer = Peer::establish(&listener).await;
    until_established(&speaker, &name("hostile")).await;
    // The session is up a moment before its route is out.
    let prefix = "203.0.113.0/24".parse().unwrap();
    let sent = async {
        while !speaker.observe().await.unwrap().sessions[&name("hostile")].prefixes_sent.contains(&prefix) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, sent).await.expect("its route is out again");
}
