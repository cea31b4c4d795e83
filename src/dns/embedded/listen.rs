//! Listen: one UDP and one TCP socket for each address, made and closed as the configuration asks.
//!
//! IP_FREEBIND lets a socket stand before its address does, and survive the address's absence: a service address
//! may come and go without the name server hearing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tracing::info;

use super::handler::Handler;
use super::{tcp, udp};

/// What the kernel may hold of datagrams that are not read yet, for one address. It grants what it will.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 256;

/// The addresses that are listened on.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<BTreeMap<SocketAddr, Listener>>);

/// Both tasks of one address. Dropping it closes the sockets.
struct Listener {
    udp: JoinHandle<()>,
    tcp: JoinHandle<()>,
}

impl Listener {
    fn open(address: SocketAddr, handler: &Arc<Handler>) -> io::Result<Self> {
        let udp = UdpSocket::from_std(socket(address, Type::DGRAM, Protocol::UDP)?.into())?;
        let tcp = TcpListener::from_std(socket(address, Type::STREAM, Protocol::TCP)?.into())?;
        Ok(Self {
            udp: tokio::spawn(udp::serve(udp, Arc::clone(handler))),
            tcp: tokio::spawn(tcp::serve(tcp, Arc::clone(handler))),
        })
    }

    /// Closes the sockets, and returns once they are closed.
    async fn close(mut self) {
        self.udp.abort();
        self.tcp.abort();
        for task in [&mut self.udp, &mut self.tcp] {
            // Aborted, or ended before; either is what is wanted.
            let _ = task.await;
        }
    }

    fn is_alive(&self) -> bool {
        !self.udp.is_finished() && !self.tcp.is_finished()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.udp.abort();
        self.tcp.abort();
    }
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is not wanted and opens what is missing or dead; the others are not touched. Returns the
    /// addresses that could not be opened, and why. To be called once at a time.
    pub(crate) async fn reconcile(
        &self,
        wanted: &BTreeSet<SocketAddr>,
        handler: &Arc<Handler>,
    ) -> Vec<(SocketAddr, io::Error)> {
        let unwanted =
            |address: &SocketAddr, listener: &mut Listener| !wanted.contains(address) || !listener.is_alive();
        let closing: Vec<_> = self.lock().extract_if(.., unwanted).collect();
        for (address, listener) in closing {
            listener.close().await;
            info!(%address, "stopped listening");
        }
        let mut open = self.lock();
        let mut failed = Vec::new();
        for &address in wanted {
            if open.contains_key(&address) {
                continue;
            }
            match Listener::open(address, handler) {
                Ok(listener) => {
                    info!(%address, "listening");
                    open.insert(address, listener);
                }
                Err(error) => failed.push((address, error)),
            }
        }
        failed
    }

    /// The addresses whose sockets are both being served.
    pub(crate) fn alive(&self) -> BTreeSet<SocketAddr> {
        self.lock().iter().filter(|(_, listener)| listener.is_alive()).map(|(address, _)| *address).collect()
    }
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_freebind_v6(true)?;
        // 0.0.0.0 and [::] are two addresses, each with sockets of its own.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Connections of the agent before us may linger. Not for UDP: there, a second agent could bind unnoticed.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
    } else {
        // The kernel caps it at net.core.rmem_max without an error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&address.into())?;
    }
    Ok(socket)
}
