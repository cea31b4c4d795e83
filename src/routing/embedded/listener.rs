//! Accepting connections: one listener for each local address, which hands each connection to its session.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::socket;

/// How long until a local address is tried again which could not be listened at, for it may appear later.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// The pause after a failed accept: when descriptors run out, the next one fails at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Sessions by the addresses of both ends, ours first.
type Sessions = BTreeMap<(IpAddr, IpAddr), mpsc::Sender<TcpStream>>;

/// All listeners of a speaker.
pub(super) struct Listeners {
    port: u16,
    sessions: Arc<Mutex<Sessions>>,
    tasks: BTreeMap<IpAddr, JoinHandle<()>>,
}

impl Listeners {
    pub(super) fn new(port: u16) -> Self {
        Self { port, sessions: Arc::default(), tasks: BTreeMap::new() }
    }

    /// Makes exactly these sessions be found, and their local addresses be listened at. An address which cannot be
    /// listened at is tried again and again: the session can still be opened from our end.
    pub(super) fn serve(&mut self, sessions: Sessions) {
        let locals: BTreeSet<IpAddr> = sessions.keys().map(|(local, _)| *local).collect();
        self.replace(sessions);
        self.tasks.retain(|local, task| {
            let wanted = locals.contains(local);
            if !wanted {
                task.abort();
            }
            wanted
        });
        for local in locals {
            let address = SocketAddr::new(local, self.port);
            let sessions = Arc::clone(&self.sessions);
            self.tasks.entry(local).or_insert_with(|| tokio::spawn(listen_for_ever(address, sessions)));
        }
    }

    /// Like `serve`, once, and fails unless all addresses can be listened at. The sockets belong to the network
    /// namespace of the calling thread.
    pub(super) fn serve_all(&mut self, sessions: Sessions) -> Result<(), (SocketAddr, io::Error)> {
        let locals: BTreeSet<IpAddr> = sessions.keys().map(|(local, _)| *local).collect();
        self.replace(sessions);
        for local in locals {
            let address = SocketAddr::new(local, self.port);
            let listener = socket::listen(address).map_err(|error| (address, error))?;
            let accepting = accept(listener, local, Arc::clone(&self.sessions));
            self.tasks.insert(local, tokio::spawn(accepting));
        }
        Ok(())
    }

    fn replace(&self, sessions: Sessions) {
        *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) = sessions;
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

async fn listen_for_ever(address: SocketAddr, sessions: Arc<Mutex<Sessions>>) {
    let mut said = None;
    loop {
        match socket::listen(address) {
            Ok(listener) => {
                info!(%address, "listening for BGP");
                return accept(listener, address.ip(), sessions).await;
            }
            Err(error) => {
                let why = error.to_string();
                if said.as_ref() != Some(&why) {
                    warn!(%address, %error, "cannot listen for BGP; sessions are opened from our end only");
                    said = Some(why);
                }
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn accept(listener: TcpListener, local: IpAddr, sessions: Arc<Mutex<Sessions>>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let session = {
                    let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                    sessions.get(&(local, remote.ip())).cloned()
                };
                match session {
                    // A peer that connects faster than its session looks has only itself to blame.
                    Some(session) => drop(session.try_send(stream)),
                    None => debug!(%local, %remote, "refused a BGP connection from an unknown address"),
                }
            }
            Err(error) => {
                debug!(%local, %error, "cannot accept a BGP connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}
