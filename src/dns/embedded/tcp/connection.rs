//! A connection: requests are read many at a time, answered in order, and the answers written many at a time.
//!
//! ```text
//! read ─→ requests ─→ answers ─┬─→ written ─→ read …
//!                └─ a transfer ┘      └─ not all taken: wait until the rest is, and read nothing meanwhile
//! ```
//!
//! Between requests it holds no buffer: those are the thread's.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::Socket;

use crate::dns::embedded::handler::{Handler, Reply, Transport};
use crate::dns::embedded::outgoing::Outgoing;
use crate::dns::embedded::places::Place;

/// The largest request that is read.
const REQUEST: usize = 4096;
/// How much is read at once.
const READ: usize = 16 << 10;
/// How much is made before it is written, give or take a message.
const WRITE: usize = 16 << 10;
/// How often a connection may go round before it is the turn of others.
const TURNS: usize = 4;
/// How long a client may take for what was made for it at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a thread has for the connection that is at work.
pub(super) struct Desk<'a> {
    pub(super) handler: &'a Handler,
    /// The moment, about.
    pub(super) now: Instant,
    /// Never made shorter, since what is made longer has to be cleared.
    input: Vec<u8>,
    /// How much of it is there.
    filled: usize,
    message: Vec<u8>,
    output: Vec<u8>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(handler: &'a Handler) -> Self {
        let [input, message, output] = [const { Vec::new() }; 3];
        Self { handler, now: Instant::now(), input, filled: 0, message, output }
    }

    fn input(&self) -> &[u8] {
        &self.input[..self.filled]
    }

    fn put(&mut self) {
        let length = u16::try_from(self.message.len()).expect("no message is longer");
        self.output.extend(length.to_be_bytes());
        self.output.extend(&self.message);
    }
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// More of a request.
    Readable,
    /// That the kernel takes more; also when it is ready for more at once, and others have their turn first.
    Writable,
}

/// A connection of a client.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) peer: SocketAddr,
    /// What it was last said to wait for.
    pub(super) wait: Wait,
    _place: Place,
    /// What was read and not answered yet: part of a request, or requests behind a transfer.
    unread: Vec<u8>,
    /// What was made and not taken yet.
    unsent: Vec<u8>,
    /// A transfer that is being made.
    transfer: Option<Box<Outgoing>>,
    /// When a request was last read whole, or the client last took all that was made for it. A client that sends or
    /// takes octet by octet does not move it.
    since: Instant,
}

impl Connection {
    pub(super) fn new(socket: Socket, peer: SocketAddr, place: Place, now: Instant) -> Self {
        Self {
            socket,
            peer,
            wait: Wait::Readable,
            _place: place,
            unread: Vec::new(),
            unsent: Vec::new(),
            transfer: None,
            since: now,
        }
    }

    /// How long nothing has come of it.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Whether it has been idle for too long, where a client may take `most` to ask.
    pub(super) fn is_overdue(&self, now: Instant, most: Duration) -> bool {
        self.idle(now) > if self.is_owed() { PATIENCE } else { most }
    }

    /// Whether its client waits for something.
    pub(super) fn is_owed(&self) -> bool {
        self.transfer.is_some() || !self.unsent.is_empty()
    }

    /// Does what can be done without waiting. An error ends it, and so does `None`, when the client has closed.
    pub(super) fn proceed(&mut self, desk: &mut Desk<'_>) -> io::Result<Option<Wait>> {
        for _ in 0..TURNS {
            if !self.flush(desk.now)? {
                return Ok(Some(Wait::Writable));
            }
            desk.output.clear();
            let mut more = true;
            if let Some(transfer) = &mut self.transfer {
                self.since = desk.now;
                while more && desk.output.len() < WRITE {
                    more = transfer.next_message(&mut desk.message);
                    if more {
                        desk.put();
                    }
                }
                if !more {
                    self.transfer = None;
                    more = !self.unread.is_empty();
                }
            } else {
                match self.read(desk)? {
                    Read::End => return Ok(None),
                    Read::Nothing => return Ok(Some(Wait::Readable)),
                    Read::Some { full } => more = self.answer(desk)? || full,
                }
            }
            self.send(&desk.output)?;
            if !more && self.unsent.is_empty() {
                return Ok(Some(Wait::Readable));
            }
        }
        Ok(Some(Wait::Writable))
    }

    /// Fills the desk's input with what was left over, and what has come unless a whole request was left over.
    fn read(&mut self, desk: &mut Desk<'_>) -> io::Result<Read> {
        let held = self.unread.len();
        if desk.input.len() < held + READ {
            desk.input.resize(held + READ, 0);
        }
        desk.input[..held].copy_from_slice(&self.unread);
        desk.filled = held;
        if whole(desk.input())?.is_some() {
            self.unread = Vec::new();
            return Ok(Read::Some { full: true });
        }
        let room = &mut desk.input[held..held + READ];
        match recv(self.socket.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Ok(Read::End),
            Ok(length) => {
                self.unread = Vec::new();
                desk.filled += length;
                Ok(Read::Some { full: length == READ })
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Read::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Answers the requests in the desk's input, until there is enough to be written, or a transfer begins. Says
    /// whether a whole request is left over.
    fn answer(&mut self, desk: &mut Desk<'_>) -> io::Result<bool> {
        let mut at = 0;
        let mut whole_left = false;
        while let Some(end) = whole(&desk.input()[at..])? {
            if desk.output.len() >= WRITE || self.transfer.is_some() {
                whole_left = true;
                break;
            }
            let request = &desk.input[at + 2..at + end];
            at += end;
            self.since = desk.now;
            match desk.handler.respond(request, self.peer, Transport::Tcp, &mut desk.message) {
                Reply::Silence => {}
                Reply::Message => desk.put(),
                Reply::Transfer(transfer) => self.transfer = Some(Box::new(transfer)),
            }
        }
        if at < desk.filled {
            self.unread.extend_from_slice(&desk.input()[at..]);
        }
        Ok(whole_left || self.transfer.is_some())
    }

    /// Writes what the kernel takes, and keeps the rest.
    fn send(&mut self, output: &[u8]) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let taken = self.write(output)?;
        self.unsent.extend_from_slice(&output[taken..]);
        Ok(())
    }

    /// Writes what was kept; whether all of it was taken.
    fn flush(&mut self, now: Instant) -> io::Result<bool> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let taken = self.write(&self.unsent)?;
        self.unsent.drain(..taken);
        if !self.unsent.is_empty() {
            return Ok(false);
        }
        self.unsent = Vec::new();
        self.since = now;
        Ok(true)
    }

    fn write(&self, octets: &[u8]) -> io::Result<usize> {
        match send(self.socket.as_raw_fd(), octets, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(taken) => Ok(taken),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// What came of reading.
enum Read {
    /// The client has closed.
    End,
    /// Nothing is there.
    Nothing,
    /// Something; more may be there when it was as much as is read at once.
    Some { full: bool },
}

/// Where the first request ends, its length counted in (RFC 1035 section 4.2.2), if it is there as a whole.
fn whole(octets: &[u8]) -> io::Result<Option<usize>> {
    let Some(length) = octets.first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > REQUEST {
        return Err(io::Error::other("it sent a request longer than any is"));
    }
    Ok((octets.len() >= 2 + length).then_some(2 + length))
}
