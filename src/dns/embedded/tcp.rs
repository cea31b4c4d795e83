//! TCP (RFC 7766): connections are answered in order, one message at a time, and bounded in number and idle time.
//!
//! The loop is ours, and speaks through hickory-server's traits. Its own loop (`register_listener`) accepts without
//! bound, and queues what a handler sends until the handler has returned: a zone transfer would fail when the queue is
//! full, or stand in memory as a whole. Here each message of a transfer is made and written before the next, so a slow
//! receiver costs one message of memory, not one zone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::rr::Record;
use hickory_server::net::NetError;
use hickory_server::net::runtime::TokioTime;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponse;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::exchange::{within, write_message};
use super::front::{Front, octets};
use super::handler::{Handler, Transport};

/// Connections to one address at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// The same when three quarters of the connections are taken (RFC 7766 section 6.2.3 lets a busy server do so).
const IDLE_BUSY: Duration = Duration::from_secs(1);
/// How long a receiver may take for one message.
const WRITE: Duration = Duration::from_secs(20);
/// The largest request that is read.
const REQUEST: u16 = 4096;
/// How many errors in a row end the task.
const ERRORS: u32 = 100;

/// Answers until the socket is beyond use. Dropping the future closes the connections.
pub(crate) async fn serve(listener: TcpListener, handler: Arc<Handler>) {
    let front = Front(handler);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut errors = 0;
    while errors < ERRORS {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                errors = 0;
                let (front, places) = (front.clone(), Arc::clone(&places));
                connections.spawn(async move {
                    if let Err(error) = converse(stream, peer, &front, &places).await {
                        debug!(%peer, %error, "a connection ended");
                    }
                    drop(place);
                });
            }
            // Out of file descriptors, for one: it passes, or not.
            Err(error) => {
                errors += 1;
                debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    warn!(address = ?listener.local_addr(), "giving up a TCP socket after {ERRORS} errors in a row");
}

async fn converse(stream: TcpStream, peer: SocketAddr, front: &Front, places: &Semaphore) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, writer) = stream.into_split();
    let outbound = Outbound(Arc::new(Mutex::new(Ok(writer))));
    loop {
        let idle = if places.available_permits() < CONNECTIONS / 4 { IDLE_BUSY } else { IDLE };
        let Some(octets) = within(idle, "it was idle", read_request(&mut reader)).await? else {
            return Ok(());
        };
        match Request::from_bytes(octets.clone(), peer, Protocol::Tcp) {
            Ok(request) => {
                front.handle_request::<_, TokioTime>(&request, outbound.clone()).await;
            }
            // The handler knows what to say to it.
            Err(_) => {
                front.answer(&octets, peer, Transport::Tcp, outbound.clone()).await;
            }
        }
        outbound.check().await?;
    }
}

/// The side of a connection that responses are written to, until a write fails.
#[derive(Clone)]
struct Outbound(Arc<Mutex<io::Result<OwnedWriteHalf>>>);

impl Outbound {
    /// Writes a message, and returns when the kernel has taken it.
    async fn write(&self, message: &[u8]) -> Result<(), NetError> {
        let mut stream = self.0.lock().await;
        let Ok(writer) = &mut *stream else {
            return Err(NetError::Message("the connection is broken"));
        };
        let written = within(WRITE, "it does not read its answer", write_message(writer, message)).await;
        written.map_err(|error| {
            let text = error.to_string();
            *stream = Err(error);
            text.into()
        })
    }

    /// The error of the write that failed, if one did.
    async fn check(&self) -> io::Result<()> {
        match &*self.0.lock().await {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

#[async_trait]
impl ResponseHandler for Outbound {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let (info, octets) = octets(response)?;
        self.write(&octets).await?;
        Ok(info)
    }
}

/// The next request; `None` when the other side has closed.
async fn read_request(stream: &mut OwnedReadHalf) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > REQUEST {
        return Err(io::Error::other("it sent a request longer than any is"));
    }
    let mut request = vec![0; usize::from(length)];
    stream.read_exact(&mut request).await?;
    Ok(Some(request))
}
