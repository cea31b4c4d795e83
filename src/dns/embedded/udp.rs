//! UDP: hickory-server's loop, one server for each socket, so that each can be closed by itself.
//!
//! A datagram in, at most one out. The loop does not receive while it has answers to send, and each request is a task
//! of its own, so a fault in the codec costs one answer. A burst waits in the socket's buffer, where the kernel counts
//! what it drops. In front of the handler, hickory is silent to what has no header and to responses, and says FORMERR
//! to what cannot be read; to a response that cannot be read as well, which no server answers in turn.

use std::sync::Arc;

use hickory_server::Server;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tracing::warn;

use super::front::Front;
use super::handler::Handler;

/// Answers until the socket is beyond use, or `stop` is sent or dropped. The socket is closed when it returns.
pub(crate) async fn serve(socket: UdpSocket, handler: Arc<Handler>, stop: oneshot::Receiver<()>) {
    let address = socket.local_addr();
    let mut server = Server::new(Front(handler));
    server.register_socket(socket);
    tokio::select! {
        ended = server.block_until_done() => {
            warn!(?address, ?ended, "giving up a UDP socket that is beyond use");
            return;
        }
        _ = stop => (),
    }
    if let Err(error) = server.shutdown_gracefully().await {
        warn!(?address, %error, "a UDP socket was not closed in good order");
    }
}
