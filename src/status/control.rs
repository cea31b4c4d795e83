//! Control: what an operator on this machine orders, over the Unix socket `control.sock` in the state folder.
//!
//! A client sends one order as a JSON document, ends its half of the stream, and reads one JSON document: what became
//! of it. The folder's mode guards the socket, as it guards the keys.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::socket::exchange;

/// How long a client may take, and an agent.
const PATIENCE: Duration = Duration::from_secs(5);
/// No order is near this long.
const LONGEST: u64 = 4096;

/// What an operator may order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Drain, and stay silent until the opposite is ordered.
    Drain,
    /// Announce again.
    Undrain,
    /// Take the fence down: somebody has looked at why it went up.
    Unfence,
}

/// What became of an order: what was done, or why nothing was.
pub type Done = Result<String, String>;

/// Gives an order to the agent behind this socket. Blocks for some seconds at most.
pub fn order(socket: &Path, order: Order) -> Result<String, String> {
    let document = serde_json::to_vec(&order).map_err(|error| error.to_string())?;
    exchange::<Done>(socket, PATIENCE, Some(&document))?
}

/// Takes orders, one after the other, for ever.
pub(crate) async fn serve(listener: UnixListener, mut act: impl FnMut(Order) -> Done + Send + 'static) {
    loop {
        let (mut client, _) = match listener.accept().await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "accepting a client of the control socket failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut document = Vec::new();
        let read = async { (&mut client).take(LONGEST).read_to_end(&mut document).await };
        let done = match tokio::time::timeout(PATIENCE, read).await {
            Err(_) => Err("no order came in time".to_owned()),
            Ok(Err(error)) => Err(format!("the order could not be read: {error}")),
            Ok(Ok(_)) => match serde_json::from_slice(&document) {
                Ok(order) => act(order),
                Err(error) => Err(format!("this agent does not know the order: {error}")),
            },
        };
        if let Ok(said) = serde_json::to_vec(&done) {
            // A client that went away is not our trouble.
            let _ = tokio::time::timeout(PATIENCE, client.write_all(&said)).await;
        }
    }
}
