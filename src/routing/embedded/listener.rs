//! Accepting connections: one listener for each local address, which hands each connection to its session.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::closure;
use super::link::turn_away;
use super::passwords::Password;
use super::socket::{self, Distance};

/// How long until a local address is tried again which could not be listened at, for it may appear later, and a
/// password is looked for again which was not there.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The pause after a failed accept: when descriptors run out, the next one fails at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Whom a listener accepts.
#[derive(Clone)]
pub(super) struct Expected {
    /// Where its connections go.
    pub(super) session: mpsc::Sender<TcpStream>,
    /// How far away it is.
    pub(super) distance: Distance,
    /// What its connections are signed with.
    pub(super) password: Option<Password>,
}

/// Sessions by the addresses of both ends, ours first.
pub(super) type Sessions = BTreeMap<(IpAddr, IpAddr), Expected>;

/// All listeners of a speaker.
pub(super) struct Listeners {
    port: u16,
    at: BTreeMap<IpAddr, Listener>,
}

struct Listener {
    peers: Arc<Mutex<Peers>>,
    task: JoinHandle<()>,
}

/// Whom to expect at one local address. Under one lock with the socket, so that no peer is expected whose connections
/// could come in unsigned.
#[derive(Default)]
struct Peers {
    expected: BTreeMap<IpAddr, Expected>,
    /// Those whose password the socket has.
    signing: BTreeMap<IpAddr, Password>,
    socket: Option<Arc<TcpListener>>,
}

impl Listeners {
    pub(super) fn new(port: u16) -> Self {
        Self { port, at: BTreeMap::new() }
    }

    /// Makes exactly these sessions be found, and their local addresses be listened at. An address which cannot be
    /// listened at is tried again and again: the session can still be opened from our end.
    pub(super) fn serve(&mut self, sessions: Sessions, runtime: &Handle) {
        let mut at = by_local(sessions);
        self.at.retain(|local, listener| match at.remove(local) {
            Some(expected) => {
                lock(&listener.peers).expect(expected);
                true
            }
            None => false,
        });
        for (local, expected) in at {
            let peers = Arc::new(Mutex::new(Peers { expected, ..Peers::default() }));
            let listening = listen_for_ever(SocketAddr::new(local, self.port), Arc::clone(&peers));
            self.at.insert(local, Listener { peers, task: runtime.spawn(listening) });
        }
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.at.clear();
    }

    /// Like `serve`, once, and fails unless all addresses can be listened at. The sockets belong to the network
    /// namespace of the calling thread.
    pub(super) fn serve_all(
        &mut self,
        sessions: Sessions,
        runtime: &Handle,
    ) -> Result<(), (SocketAddr, io::Error)> {
        for (local, expected) in by_local(sessions) {
            let address = SocketAddr::new(local, self.port);
            let socket = socket::listen(address).map_err(|error| (address, error))?;
            let mut peers = Peers { expected, ..Peers::default() };
            let socket = peers.listen(socket);
            let peers = Arc::new(Mutex::new(peers));
            let accepting = accept_for_ever(socket, local, Arc::clone(&peers));
            self.at.insert(local, Listener { peers, task: runtime.spawn(accepting) });
        }
        Ok(())
    }
}

fn by_local(sessions: Sessions) -> BTreeMap<IpAddr, BTreeMap<IpAddr, Expected>> {
    let mut at: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for ((local, neighbor), expected) in sessions {
        at.entry(local).or_default().insert(neighbor, expected);
    }
    at
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        lock(&self.peers).socket = None;
    }
}

impl Peers {
    fn expect(&mut self, expected: BTreeMap<IpAddr, Expected>) {
        self.expected = expected;
        self.guard();
    }

    fn listen(&mut self, socket: TcpListener) -> Arc<TcpListener> {
        let socket = Arc::new(socket);
        self.socket = Some(Arc::clone(&socket));
        self.guard();
        socket
    }

    fn guard(&mut self) {
        let on_link = self.expected.values().all(|peer| peer.distance == Distance::Link);
        let guarded = self.socket.as_ref().map(|socket| socket::expect_from_link(socket, on_link));
        if let Some(Err(error)) = guarded {
            // Each connection is guarded by itself once it was accepted.
            debug!(%error, "cannot guard a listener by hop count");
        }
        self.sign();
    }

    /// Gives the socket the passwords of those expected, and takes those of others from it.
    fn sign(&mut self) {
        let Some(socket) = &self.socket else { return };
        let wanted = |neighbor: &IpAddr| self.expected.get(neighbor).and_then(|peer| peer.password.as_ref());
        self.signing.retain(|neighbor, password| {
            let stays = wanted(neighbor) == Some(password);
            if !stays && let Err(error) = socket::sign(&**socket, *neighbor, None) {
                debug!(%neighbor, %error, "cannot take a password from the listener");
            }
            stays
        });
        for (neighbor, peer) in &self.expected {
            let Some(password) = peer.password.as_ref().filter(|_| !self.signing.contains_key(neighbor))
            else {
                continue;
            };
            // The session says what is wrong with it; here it is only looked for again.
            let signed = password.value().and_then(|value| socket::sign(&**socket, *neighbor, Some(&value)));
            if signed.is_ok() {
                self.signing.insert(*neighbor, password.clone());
            }
        }
    }

    /// The session of a neighbour, unless its connections would not be signed.
    fn session(&self, neighbor: IpAddr) -> Option<mpsc::Sender<TcpStream>> {
        let peer = self.expected.get(&neighbor)?;
        let guarded = peer.password.is_none() || self.signing.contains_key(&neighbor);
        guarded.then(|| peer.session.clone())
    }
}

fn lock(peers: &Mutex<Peers>) -> MutexGuard<'_, Peers> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen_for_ever(address: SocketAddr, peers: Arc<Mutex<Peers>>) {
    let mut said = None;
    loop {
        match socket::listen(address) {
            Ok(socket) => {
                info!(%address, "listening for BGP");
                let socket = lock(&peers).listen(socket);
                return accept_for_ever(socket, address.ip(), peers).await;
            }
            Err(error) => {
                let why = error.to_string();
                if said.as_ref() != Some(&why) {
                    warn!(%address, %error, "cannot listen for BGP; sessions are opened from our end only");
                    said = Some(why);
                }
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn accept_for_ever(socket: Arc<TcpListener>, local: IpAddr, peers: Arc<Mutex<Peers>>) {
    let mut look_again = Instant::now() + LOOK_AGAIN;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = sleep_until(look_again) => {
                look_again = Instant::now() + LOOK_AGAIN;
                lock(&peers).sign();
                continue;
            }
        };
        match accepted {
            Ok((stream, remote)) => {
                let session = lock(&peers).session(remote.ip());
                match session {
                    // A peer that connects faster than its session looks has only itself to blame.
                    Some(session) => drop(session.try_send(stream)),
                    None => {
                        debug!(%local, %remote, "refused a BGP connection that is not expected");
                        turn_away(stream, &closure::connection_rejected());
                    }
                }
            }
            Err(error) => {
                debug!(%local, %error, "cannot accept a BGP connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}
