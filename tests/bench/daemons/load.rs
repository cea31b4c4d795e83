//! The client: a fixed number of queries outstanding, a bounded number of them, and a look at every answer.
//!
//! Few system calls, so that it is not the client that is measured: datagrams are sent and received many at a time, and
//! over TCP many queries are written at once.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};

use super::zones::Query;

/// How queries travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Datagrams.
    Udp,
    /// Connections with many queries outstanding each (RFC 7766 section 6.2.1.1).
    Pipelined,
    /// A connection for every query, one after another.
    Connections,
}

/// Sockets or connections of one client thread.
const SOCKETS: usize = 8;
/// Queries outstanding on each.
const WINDOW: usize = 16;
/// After this long what is outstanding on a socket counts as lost.
const LOST: Duration = Duration::from_millis(300);
/// The longest that a run may take.
const LONGEST: Duration = Duration::from_secs(10);

/// What came of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub sent: usize,
    pub answered: usize,
    pub elapsed: Duration,
}

/// Asks so many queries with so many threads.
pub fn run(way: Way, address: SocketAddr, queries: &[Query], count: usize, threads: usize) -> Tally {
    let begun = Instant::now();
    let client = |thread: usize| {
        let asking = Asking {
            queries,
            next: thread * queries.len() / threads,
            left: count / threads,
            tally: Tally::default(),
        };
        match way {
            Way::Udp => udp(address, asking),
            Way::Pipelined => pipelined(address, asking),
            Way::Connections => connections(address, asking),
        }
    };
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || client(thread))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum();
    Tally { sent: sum(|tally| tally.sent), answered: sum(|tally| tally.answered), elapsed: begun.elapsed() }
}

/// The queries that one thread has left to ask.
struct Asking<'a> {
    queries: &'a [Query],
    next: usize,
    left: usize,
    tally: Tally,
}

impl Asking<'_> {
    /// Where in the list the next queries stand, at most so many: they are sent.
    fn take(&mut self, most: usize) -> std::ops::Range<usize> {
        let start = self.next % self.queries.len();
        let count = most.min(self.left).min(self.queries.len() - start);
        self.next = start + count;
        self.left -= count;
        self.tally.sent += count;
        start..start + count
    }

    fn check(&mut self, response: &[u8]) {
        let id = response.first_chunk().map(|id| u16::from_be_bytes(*id));
        let query = id.and_then(|id| self.queries.get(usize::from(id)));
        self.tally.answered += usize::from(query.is_some_and(|query| query.is_answered_by(response)));
    }
}

fn udp(address: SocketAddr, mut asking: Asking<'_>) -> Tally {
    let sockets: Vec<UdpSocket> = (0..SOCKETS)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address).unwrap();
            socket.set_read_timeout(Some(LOST)).unwrap();
            socket
        })
        .collect();
    let slices: Vec<[IoSlice<'_>; 1]> =
        asking.queries.iter().map(|query| [IoSlice::new(&query.octets)]).collect();
    let mut room = vec![[0; 2048]; WINDOW];
    let mut outstanding = [0; SOCKETS];
    let begun = Instant::now();
    while (asking.left > 0 || outstanding.iter().any(|count| *count > 0)) && begun.elapsed() < LONGEST {
        for (socket, outstanding) in sockets.iter().zip(&mut outstanding) {
            if *outstanding > 0 {
                match receive(socket, &mut room, &mut asking) {
                    Ok(received) => *outstanding = usize::saturating_sub(*outstanding, received),
                    Err(_) => *outstanding = 0,
                }
            }
            let queries = asking.take(WINDOW - *outstanding);
            if !queries.is_empty() {
                let mut headers = MultiHeaders::<()>::preallocate(queries.len(), None);
                let here: &[[IoSlice<'_>; 1]] = &slices[queries];
                let nobody = vec![None; here.len()];
                let sent =
                    sendmmsg(socket.as_raw_fd(), &mut headers, here.iter(), nobody, [], MsgFlags::empty());
                *outstanding += sent.map_or(0, Iterator::count);
            }
        }
    }
    asking.tally
}

/// Waits for an answer and takes what else is there.
fn receive(socket: &UdpSocket, room: &mut [[u8; 2048]], asking: &mut Asking<'_>) -> nix::Result<usize> {
    let mut lengths = [0; WINDOW];
    let received = {
        let mut headers = MultiHeaders::<()>::preallocate(WINDOW, None);
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            room.iter_mut().map(|room| [IoSliceMut::new(room)]).collect();
        let received =
            recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None)?;
        received.zip(&mut lengths).map(|(message, length)| *length = message.bytes).count()
    };
    for (room, length) in room.iter().zip(lengths).take(received) {
        asking.check(&room[..length]);
    }
    Ok(received)
}

/// One connection, and what it has read of an answer.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    outstanding: usize,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOST))?;
        Ok(Self { stream, read: Vec::with_capacity(1 << 16), outstanding: 0 })
    }

    /// Waits for an answer and takes what else is there.
    fn receive(&mut self, asking: &mut Asking<'_>) -> io::Result<()> {
        let mut room = [0; 1 << 15];
        let length = self.stream.read(&mut room)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend(&room[..length]);
        let mut at = 0;
        while let Some(prefix) = self.read[at..].first_chunk() {
            let end = at + 2 + usize::from(u16::from_be_bytes(*prefix));
            let Some(message) = self.read.get(at + 2..end) else { break };
            asking.check(message);
            self.outstanding = self.outstanding.saturating_sub(1);
            at = end;
        }
        self.read.drain(..at);
        Ok(())
    }
}

fn pipelined(address: SocketAddr, mut asking: Asking<'_>) -> Tally {
    let mut stream = Vec::new();
    let mut starts = Vec::new();
    for query in asking.queries {
        starts.push(stream.len());
        stream.extend(u16::try_from(query.octets.len()).unwrap().to_be_bytes());
        stream.extend(&query.octets);
    }
    starts.push(stream.len());
    let mut connections: Vec<Connection> = (0..SOCKETS).map(|_| Connection::open(address).unwrap()).collect();
    let begun = Instant::now();
    while (asking.left > 0 || connections.iter().any(|one| one.outstanding > 0)) && begun.elapsed() < LONGEST
    {
        for connection in &mut connections {
            let mut done = Ok(());
            if connection.outstanding > 0 {
                done = connection.receive(&mut asking);
            }
            let queries = asking.take(WINDOW.saturating_sub(connection.outstanding));
            connection.outstanding += queries.len();
            done = done.and_then(|()| {
                connection.stream.write_all(&stream[starts[queries.start]..starts[queries.end]])
            });
            if done.is_err() {
                // What was outstanding is lost.
                *connection = Connection::open(address).unwrap();
            }
        }
    }
    asking.tally
}

fn connections(address: SocketAddr, mut asking: Asking<'_>) -> Tally {
    let begun = Instant::now();
    while asking.left > 0 && begun.elapsed() < LONGEST {
        let query = asking.take(1).start;
        let octets = &asking.queries[query].octets;
        let message = [&u16::try_from(octets.len()).unwrap().to_be_bytes()[..], octets].concat();
        let exchange = |asking: &mut Asking<'_>| {
            let mut connection = Connection::open(address)?;
            connection.stream.write_all(&message)?;
            connection.outstanding = 1;
            while connection.outstanding > 0 {
                connection.receive(asking)?;
            }
            connection.stream.shutdown(Shutdown::Both)
        };
        // An answer that did not come is missing in the tally.
        let _ = exchange(&mut asking);
    }
    asking.tally
}
