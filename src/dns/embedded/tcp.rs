//! TCP (RFC 7766): connections are many to a thread, bounded in number and time, and answered in order.
//!
//! A thread asks the kernel which of its connections have something to do (epoll), and lets each do what can be done
//! without waiting. So a client that is slow to send or to read costs what its connection holds, and no time: of a
//! transfer that is a few messages, not the zone.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::Socket;
use tracing::{debug, error, warn};

use super::handler::Handler;
use super::places::{AddressPlaces, Full};
use super::threads::Stop;
use connection::{Connection, Desk, Wait};

mod connection;

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// The same when connections are scarce (RFC 7766 section 6.2.3 lets a busy server do so).
const IDLE_BUSY: Duration = Duration::from_secs(1);
/// How often those that have been idle for too long are looked for.
const SWEEP: Duration = Duration::from_millis(250);
/// Connections that are accepted in one go.
const ACCEPT: usize = 16;
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(10);
/// How many errors in a row end the thread.
const ERRORS: u32 = 1000;
/// How the listener is told from connections, which are told by their places in a list.
const LISTENER: u64 = u64::MAX;

/// Answers until it is told to stop, or the socket is beyond use. Its connections are closed when it returns.
pub(crate) fn serve(listener: &Socket, handler: &Handler, places: &AddressPlaces, stop: &Stop) {
    let address = listener.local_addr().map(|address| address.as_socket());
    let made = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).and_then(|epoll| {
        // Of several threads, one is woken for a connection.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        epoll.add(listener.as_fd(), EpollEvent::new(flags, LISTENER)).map(|()| epoll)
    });
    match made {
        Ok(epoll) => {
            Worker { listener, places, epoll, connections: Vec::new(), free: Vec::new() }.run(handler, stop)
        }
        Err(error) => warn!(?address, %error, "a TCP socket cannot be waited for"),
    }
    if !stop.is_told() {
        warn!(?address, "giving up a TCP socket");
    }
}

struct Worker<'a> {
    listener: &'a Socket,
    places: &'a AddressPlaces,
    epoll: Epoll,
    /// By the number by which the kernel knows them.
    connections: Vec<Option<Connection>>,
    /// Numbers that are free.
    free: Vec<usize>,
}

impl Worker<'_> {
    fn run(&mut self, handler: &Handler, stop: &Stop) {
        let mut desk = Desk::new(handler);
        let mut events = [EpollEvent::empty(); 64];
        let mut swept = Instant::now();
        let mut errors = 0;
        while errors < ERRORS {
            let idle = self.free.len() == self.connections.len();
            let timeout = if idle {
                EpollTimeout::NONE
            } else {
                EpollTimeout::try_from(SWEEP).unwrap_or(EpollTimeout::ZERO)
            };
            let ready = self.epoll.wait(&mut events, timeout);
            if stop.is_told() {
                return;
            }
            let Ok(ready) = ready.or_else(|error| if error == Errno::EINTR { Ok(0) } else { Err(error) })
            else {
                errors += 1;
                std::thread::sleep(PAUSE);
                continue;
            };
            desk.now = Instant::now();
            let mut knocked = false;
            for event in &events[..ready] {
                match usize::try_from(event.data()) {
                    Ok(at) if at < self.connections.len() => self.proceed(at, &mut desk),
                    _ => knocked = true,
                }
            }
            // Last, so that none of these events is taken for one of a new connection.
            if knocked {
                // With nothing else to do there is mostly one, and the next wait says so if there are more.
                let most = if ready == 1 { 1 } else { ACCEPT };
                errors = if self.accept(most, &mut desk) { 0 } else { errors + 1 };
            }
            if desk.now.saturating_duration_since(swept) >= SWEEP {
                swept = desk.now;
                self.sweep(desk.now);
            }
        }
    }

    /// Lets a connection do what it can, and waits for what it waits for.
    fn proceed(&mut self, at: usize, desk: &mut Desk<'_>) {
        let Some(connection) = &mut self.connections[at] else { return };
        let peer = connection.peer;
        // A fault in answering costs this connection.
        let wait = match catch_unwind(AssertUnwindSafe(|| connection.proceed(desk))) {
            Ok(Ok(Some(wait))) => wait,
            Ok(Ok(None)) => return self.close(at),
            Ok(Err(error)) => {
                debug!(%peer, %error, "a connection ended");
                return self.close(at);
            }
            Err(_) => {
                error!(%peer, "a request met a fault in the name server; its connection is closed");
                return self.close(at);
            }
        };
        if wait != connection.wait {
            connection.wait = wait;
            let changed = self.epoll.modify(connection.socket.as_fd(), &mut event(wait, at));
            if changed.is_err() {
                self.close(at);
            }
        }
    }

    /// Accepts what waits, at most so many; false when that cannot be done now.
    fn accept(&mut self, most: usize, desk: &mut Desk<'_>) -> bool {
        for _ in 0..most {
            let (socket, peer) = match self.listener.accept() {
                Ok((socket, peer)) => (socket, peer.as_socket()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(error)
                    if matches!(
                        Errno::from_raw(error.raw_os_error().unwrap_or(0)),
                        Errno::ECONNABORTED | Errno::EINTR
                    ) =>
                {
                    continue;
                }
                // Out of file descriptors, for one: somebody gives way, or it passes.
                Err(error) => {
                    debug!(%error, "a connection could not be accepted");
                    if !self.make_room(desk.now) {
                        std::thread::sleep(PAUSE);
                    }
                    return false;
                }
            };
            if let Some(peer) = peer {
                self.admit(socket, peer, desk);
            }
        }
        true
    }

    fn admit(&mut self, socket: Socket, peer: SocketAddr, desk: &mut Desk<'_>) {
        let mut place = self.places.take(peer);
        if matches!(place, Err(Full::All)) && self.make_room(desk.now) {
            place = self.places.take(peer);
        }
        let place = match place {
            Ok(place) => place,
            Err(full) => return debug!(%peer, ?full, "a connection was refused"),
        };
        let connection = Connection::new(socket, peer, place, desk.now);
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        if self.epoll.add(connection.socket.as_fd(), event(Wait::Readable, at)).is_err() {
            return self.free.push(at);
        }
        self.connections[at] = Some(connection);
        // Often its first request is there already.
        self.proceed(at, desk);
    }

    /// Closes the connection that has been idle longest, of those whose clients wait for nothing.
    fn make_room(&mut self, now: Instant) -> bool {
        let idle = self.connections.iter().enumerate().filter_map(|(at, connection)| {
            let connection = connection.as_ref().filter(|connection| !connection.is_owed())?;
            Some((connection.idle(now), at))
        });
        let idlest = idle.max().map(|(_, at)| at);
        idlest.map(|at| self.close(at)).is_some()
    }

    fn sweep(&mut self, now: Instant) {
        let idle = if self.places.are_scarce() { IDLE_BUSY } else { IDLE };
        for at in 0..self.connections.len() {
            if self.connections[at].as_ref().is_some_and(|connection| connection.is_overdue(now, idle)) {
                self.close(at);
            }
        }
    }

    fn close(&mut self, at: usize) {
        // The kernel forgets a descriptor that is closed.
        if self.connections[at].take().is_some() {
            self.free.push(at);
        }
    }
}

fn event(wait: Wait, at: usize) -> EpollEvent {
    let flags = match wait {
        Wait::Readable => EpollFlags::EPOLLIN,
        Wait::Writable => EpollFlags::EPOLLOUT,
    };
    EpollEvent::new(flags, at as u64)
}
