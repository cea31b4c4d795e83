//! A peer by hand: what it says is octets that a test wrote down, so that nothing of the speaker is needed to test it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::PATIENCE;

pub(super) const OPEN: u8 = 1;
pub(super) const UPDATE: u8 = 2;
pub(super) const NOTIFICATION: u8 = 3;
pub(super) const KEEPALIVE: u8 = 4;
pub(super) const ROUTE_REFRESH: u8 = 5;

/// A message with a sound header.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xff; 16], &length[..], &[kind], body].concat()
}

/// An OPEN with these optional parameters; `my_as` as in its two octets.
pub(super) fn open(my_as: u16, hold_time: u16, identifier: [u8; 4], parameters: &[u8]) -> Vec<u8> {
    let length = u8::try_from(parameters.len()).unwrap();
    let head = [&[4], &my_as.to_be_bytes()[..], &hold_time.to_be_bytes(), &identifier, &[length]].concat();
    message(OPEN, &[&head, parameters].concat())
}

/// Capabilities in one optional parameter.
pub(super) fn capabilities(all: &[&[u8]]) -> Vec<u8> {
    let all = all.concat();
    [&[2, u8::try_from(all.len()).unwrap()], &all[..]].concat()
}

pub(super) const IPV4_UNICAST: &[u8] = &[1, 4, 0, 1, 0, 1];
pub(super) const IPV6_UNICAST: &[u8] = &[1, 4, 0, 2, 0, 1];

/// The capability of four octets, for this number.
pub(super) fn four_octet_as(asn: u32) -> Vec<u8> {
    [&[65, 4], &asn.to_be_bytes()[..]].concat()
}

pub(super) fn keepalive() -> Vec<u8> {
    message(KEEPALIVE, &[])
}

pub(super) fn refresh() -> Vec<u8> {
    message(ROUTE_REFRESH, &[0, 1, 0, 1])
}

/// An UPDATE of IPv4.
pub(super) fn update(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = |field: &[u8]| u16::try_from(field.len()).unwrap().to_be_bytes();
    message(UPDATE, &[&length(withdrawn), withdrawn, &length(&attributes), &attributes, nlri].concat())
}

/// The peer's end of a connection.
pub(super) struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    pub(super) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("it comes back").unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: Vec::new() }
    }

    pub(super) async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::new() })
    }

    /// The peer's end.
    pub(super) fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// The speaker's end.
    pub(super) fn remote(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    /// The next message, its type and its body; `None` if the connection ends. Whatever comes must be well formed.
    pub(super) async fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [header @ .., kind] = self.input.get(..19).unwrap_or_default() {
                assert_eq!(header[..16], [0xff; 16], "the marker");
                assert!((1..=5).contains(kind), "the type");
                let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
                assert!(length >= 19, "the length");
                if self.input.len() >= length {
                    let rest = self.input.split_off(length);
                    let message = std::mem::replace(&mut self.input, rest);
                    return Some((message[18], message[19..].to_vec()));
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message of this type; `None` if the connection ends first or it does not come in time.
    pub(super) async fn hear_of(&mut self, kind: u8, patience: Duration) -> Option<Vec<u8>> {
        let heard = async {
            loop {
                let (heard, body) = self.hear().await?;
                if heard == kind {
                    return Some(body);
                }
            }
        };
        timeout(patience, heard).await.ok().flatten()
    }

    /// Waits for a message of this type whose body is `wanted`, or for ever.
    pub(super) async fn until(&mut self, kind: u8, wanted: impl Fn(&[u8]) -> bool) {
        loop {
            match self.hear().await {
                Some((heard, body)) if heard == kind && wanted(&body) => return,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Says it, and hears what comes in the meantime: the types of the messages.
    pub(super) async fn say_and_hear(&mut self, octets: &[u8]) -> (bool, Vec<u8>) {
        let (mut reader, mut writer) = self.stream.split();
        let mut input = Vec::new();
        let said = {
            let hear = async { while reader.read_buf(&mut input).await.is_ok_and(|count| count > 0) {} };
            tokio::select! {
                said = writer.write_all(octets) => said.is_ok(),
                () = hear => false,
            }
        };
        self.input.append(&mut input);
        let mut kinds = Vec::new();
        while let Some([header @ .., kind]) = self.input.get(..19) {
            let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
            if self.input.len() < length {
                break;
            }
            kinds.push(*kind);
            self.input.drain(..length);
        }
        (said, kinds)
    }

    pub(super) async fn say(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).await.is_ok()
    }
}

/// The OPEN of a provider of four octets.
pub(super) fn good_open(asn: u32, hold_time: u16) -> Vec<u8> {
    let my_as = u16::try_from(asn).unwrap_or(23456);
    let parameters = capabilities(&[IPV4_UNICAST, &[2, 0], &four_octet_as(asn)]);
    open(my_as, hold_time, Ipv4Addr::new(192, 0, 2, 9).octets(), &parameters)
}
