//! Asking: each case's octets to one server, what comes back in the order of the cases.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::questions::{Case, Transport};
use super::wire::Seen;

/// How many queries are on their way at once.
const WINDOW: usize = 64;
/// How many queries share a connection.
const SHARED: usize = 25;

/// What a server says to each of the cases.
pub fn ask(server: SocketAddr, cases: &[Case]) -> Vec<Seen> {
    let mut seen = vec![Seen::silence(); cases.len()];
    let of = |wanted: fn(&Case) -> bool| -> Vec<usize> {
        (0..cases.len()).filter(|at| wanted(&cases[*at])).collect()
    };
    for some in of(|case| case.transport == Transport::Udp).chunks(60_000) {
        udp(server, cases, some, &mut seen);
    }
    for some in of(|case| case.transport == Transport::Tcp).chunks(SHARED) {
        tcp(server, cases, some, &mut seen);
    }
    seen
}

/// Queries that are not answered are asked again, as long as that helps: a packet may have been lost (and NSD says no
/// more than so many errors a second), but silence may also be the answer.
fn udp(server: SocketAddr, cases: &[Case], wanted: &[usize], seen: &mut [Seen]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let mut buffer = vec![0; 65_535];
    let mut missing: Vec<u16> = (0..wanted.len()).map(|id| u16::try_from(id).unwrap()).collect();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut in_vain = 0;
    while in_vain < 3 {
        let before = missing.len();
        let mut queue = std::mem::take(&mut missing).into_iter();
        let mut waiting = BTreeSet::new();
        loop {
            for id in queue.by_ref().take(WINDOW - waiting.len()) {
                let mut octets = cases[wanted[usize::from(id)]].octets.clone();
                octets.iter_mut().zip(id.to_be_bytes()).for_each(|(octet, wanted)| *octet = wanted);
                socket.send(&octets).unwrap();
                waiting.insert(id);
            }
            if waiting.is_empty() {
                break;
            }
            let Ok(length) = socket.recv(&mut buffer) else {
                missing.extend(std::mem::take(&mut waiting));
                continue;
            };
            if length < 2 {
                continue;
            }
            let id = u16::from_be_bytes([buffer[0], buffer[1]]);
            let Some(at) = wanted.get(usize::from(id)) else { continue };
            waiting.remove(&id);
            seen[*at] = Seen::read(buffer[..length].to_vec());
        }
        missing.sort_unstable();
        in_vain = if missing.len() < before { 0 } else { in_vain + 1 };
    }
}

/// Queries one after another over one connection, or over a new one where the server closes it.
fn tcp(server: SocketAddr, cases: &[Case], wanted: &[usize], seen: &mut [Seen]) {
    let mut connection = None;
    for at in wanted {
        for _ in 0..2 {
            let fresh = connection.is_none();
            let stream: &mut TcpStream = connection.get_or_insert_with(|| {
                let stream = TcpStream::connect(server).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
                stream
            });
            match exchange(stream, &cases[*at].octets) {
                Some(octets) => {
                    seen[*at] = Seen::read(octets);
                    break;
                }
                None => connection = None,
            }
            // A connection may have been closed for the query before.
            if fresh {
                break;
            }
        }
    }
}

fn exchange(stream: &mut TcpStream, octets: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(octets.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes(), octets].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}
