//! TCP (RFC 7766): connections are answered in order, one message at a time, and bounded in number and idle time.
//!
//! Each message of a transfer is made and written before the next, so a slow receiver costs one message of memory, not
//! one zone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::exchange::{within, write_message};
use super::handler::{Handler, Reply, Transport};

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
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut errors = 0;
    while errors < ERRORS {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                errors = 0;
                let (handler, places) = (Arc::clone(&handler), Arc::clone(&places));
                connections.spawn(async move {
                    if let Err(error) = converse(stream, peer, &handler, &places).await {
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

async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    handler: &Handler,
    places: &Semaphore,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut response = Vec::new();
    loop {
        let idle = if places.available_permits() < CONNECTIONS / 4 { IDLE_BUSY } else { IDLE };
        let Some(request) = within(idle, "it was idle", read_request(&mut stream)).await? else {
            return Ok(());
        };
        match handler.respond(&request, peer, Transport::Tcp, &mut response) {
            Reply::Silence => (),
            Reply::Message => write(&mut stream, &response).await?,
            Reply::Transfer(mut transfer) => {
                while transfer.next_message(&mut response) {
                    write(&mut stream, &response).await?;
                }
            }
        }
    }
}

/// Writes a message, and returns when the kernel has taken it.
async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    within(WRITE, "it does not read its answer", write_message(stream, message)).await
}

/// The next request; `None` when the other side has closed.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
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
