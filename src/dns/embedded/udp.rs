//! UDP: a datagram in, at most one out.
//!
//! The loop does not receive while it has an answer to send. A burst waits in the socket's buffer, where the kernel
//! counts what it drops.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tracing::warn;

use super::handler::{Handler, Reply, Transport};

/// The largest request that is read whole.
const REQUEST: usize = 4096;
/// How many errors in a row end the task.
const ERRORS: u32 = 100;

/// Answers until the socket is beyond use.
pub(crate) async fn serve(socket: UdpSocket, handler: Arc<Handler>) {
    let (mut request, mut response) = (vec![0; REQUEST], Vec::new());
    let mut errors = 0;
    while errors < ERRORS {
        match socket.recv_from(&mut request).await {
            Ok((length, peer)) => {
                errors = 0;
                if let Reply::Message =
                    handler.respond(&request[..length], peer, Transport::Udp, &mut response)
                {
                    // What cannot be sent is asked again.
                    let _ = socket.send_to(&response, peer).await;
                }
            }
            // A peer's ICMP message may be reported here; it is no fault of the socket.
            Err(_) => {
                errors += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    warn!(address = ?socket.local_addr(), "giving up a UDP socket after {ERRORS} errors in a row");
}
