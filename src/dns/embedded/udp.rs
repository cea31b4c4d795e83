//! UDP: one socket, one task; a datagram in, at most one out.
//!
//! The answer is computed in place, without a task or a queue of its own: a burst waits in the socket's buffer,
//! where the kernel counts what it drops, and memory stays flat.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tracing::{debug, warn};

use super::handler::{Handler, Reply, Transport};

/// The largest request that is read; nothing that is asked of an authoritative server comes near.
const REQUEST: usize = 4096;
/// How many receive errors in a row end the task. `observe` then reports the address as not listening.
const ERRORS: u32 = 100;

/// Answers until the socket is beyond use.
pub(crate) async fn serve(socket: UdpSocket, handler: Arc<Handler>) {
    let mut request = vec![0; REQUEST];
    let mut errors = 0;
    while errors < ERRORS {
        match socket.recv_from(&mut request).await {
            Ok((length, peer)) => {
                errors = 0;
                if let Err(error) = answer(&socket, &handler, &request[..length], peer).await {
                    debug!(%peer, %error, "an answer could not be sent");
                }
            }
            Err(error) => {
                errors += 1;
                debug!(%error, "a datagram could not be received");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    warn!(address = ?socket.local_addr(), "giving up a UDP socket after {ERRORS} errors in a row");
}

async fn answer(socket: &UdpSocket, handler: &Handler, request: &[u8], peer: SocketAddr) -> io::Result<()> {
    // A reply to port 0 goes nowhere.
    if peer.port() == 0 {
        return Ok(());
    }
    // A fault in the codec must cost one answer, not the socket.
    let reply = catch_unwind(AssertUnwindSafe(|| handler.respond(request, peer, Transport::Udp)));
    match reply.unwrap_or(Reply::Silence) {
        Reply::Message(message) => socket.send_to(&message, peer).await.map(drop),
        // A transfer is never offered over UDP (RFC 5936 section 4.2).
        Reply::Silence | Reply::Transfer(_) => Ok(()),
    }
}
