//! UDP: a datagram in, at most one out.
//!
//! Each thread has a socket of its own, among which the kernel spreads the clients (SO_REUSEPORT). It waits for one
//! datagram, takes with it what else has arrived, answers it all and sends the answers: two system calls for a batch,
//! which grows by itself under load. Meanwhile a burst waits in the socket's buffer, where the kernel counts what it
//! drops. Nothing is allocated for an answer.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use socket2::Socket;
use tracing::{error, warn};

use super::handler::{Handler, Reply, Transport};
use super::rate_limit::{RateLimiter, Verdict};
use super::threads::Stop;

/// Datagrams that are taken at once.
const BATCH: usize = 32;
/// The largest request that is read whole. What is longer is cut off, and malformed by that.
const REQUEST: usize = 4096;
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(10);
/// How many errors in a row end the thread.
const ERRORS: u32 = 1000;

/// Answers until it is told to stop, or the socket is beyond use.
pub(crate) fn serve(socket: &Socket, handler: &Handler, limiter: &ArcSwapOption<RateLimiter>, stop: &Stop) {
    let requests = vec![[0; REQUEST]; BATCH].try_into();
    let mut requests: Box<[_; BATCH]> = requests.expect("it has this length");
    let mut arrived = MultiHeaders::preallocate(BATCH, None);
    let mut answers = Answers::default();
    let mut errors = 0;
    while errors < ERRORS {
        let mut from = [(0, None); BATCH];
        let received = receive(socket, &mut requests, &mut arrived, &mut from);
        if stop.is_told() {
            return;
        }
        let count = match received {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            // A peer's ICMP message may be reported here, or want of memory; it is no fault of the socket.
            Err(_) => {
                errors += 1;
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        errors = 0;
        let limiter = limiter.load();
        for (request, (length, from)) in requests.iter().zip(from).take(count) {
            answers.add(handler, limiter.as_deref(), &request[..length], from);
        }
        answers.send(socket);
    }
    warn!(address = ?socket.local_addr().map(|address| address.as_socket()), "giving up a UDP socket after {ERRORS} errors in a row");
}

/// Waits for a datagram, and takes what else is there: how many, how long each is, and where it is from.
fn receive(
    socket: &Socket,
    requests: &mut [[u8; REQUEST]; BATCH],
    headers: &mut MultiHeaders<SockaddrStorage>,
    from: &mut [(usize, Option<SockaddrStorage>); BATCH],
) -> nix::Result<usize> {
    let mut room = requests.each_mut().map(|request| [IoSliceMut::new(request)]);
    let messages = recvmmsg(socket.as_raw_fd(), headers, &mut room, MsgFlags::MSG_WAITFORONE, None)?;
    Ok(messages.zip(from).map(|(message, from)| *from = (message.bytes, message.address)).count())
}

/// The answers to a batch, in buffers that are used again.
struct Answers {
    messages: [Vec<u8>; BATCH],
    to: [Option<SockaddrStorage>; BATCH],
    count: usize,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Default for Answers {
    fn default() -> Self {
        let (messages, headers) = ([const { Vec::new() }; BATCH], MultiHeaders::preallocate(BATCH, None));
        Self { messages, to: [None; BATCH], count: 0, headers }
    }
}

impl Answers {
    /// Answers a request, if there is anything to say to it.
    fn add(
        &mut self,
        handler: &Handler,
        limiter: Option<&RateLimiter>,
        request: &[u8],
        from: Option<SockaddrStorage>,
    ) {
        let (Some(message), Some(peer)) = (self.messages.get_mut(self.count), from.as_ref().and_then(peer))
        else {
            return;
        };
        // A fault in answering costs this answer. What it left in the buffer is overwritten.
        let respond = || match handler.respond(request, peer, Transport::Udp, message) {
            Reply::Message => {
                limiter.is_none_or(|limiter| limiter.judge(handler, request, peer, message) != Verdict::Drop)
            }
            Reply::Silence | Reply::Transfer(_) => false,
        };
        match catch_unwind(AssertUnwindSafe(respond)) {
            Ok(true) => {
                self.to[self.count] = from;
                self.count += 1;
            }
            Ok(false) => {}
            Err(_) => error!(%peer, "a request met a fault in the name server; it is not answered"),
        }
    }

    /// Sends them all. What cannot be sent is asked again.
    fn send(&mut self, socket: &Socket) {
        let mut sent = 0;
        while sent < self.count {
            let slices = self.messages.each_ref().map(|message| [IoSlice::new(message)]);
            let here = sent..self.count;
            let (slices, to) = (slices[here.clone()].iter(), &self.to[here]);
            let flags = MsgFlags::MSG_NOSIGNAL;
            match sendmmsg(socket.as_raw_fd(), &mut self.headers, slices, to, [], flags) {
                Ok(messages) => sent += messages.count(),
                Err(Errno::EINTR) => {}
                // The first of them is refused: by a firewall, for want of a route, or of memory.
                Err(_) => sent += 1,
            }
        }
        self.count = 0;
    }
}

/// Who a datagram is from. The scope of a link-local address stays with it.
fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()))
}
