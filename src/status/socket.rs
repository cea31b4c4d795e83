//! The status socket: each client is sent the snapshot of the moment, as one JSON document.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use super::Snapshot;

/// How long a client may take to read, and an agent to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the agent behind this socket. Blocks for two seconds at most.
pub fn read(socket: &Path) -> Result<Snapshot, String> {
    exchange(socket, PATIENCE, None)
}

/// Sends a document, if there is one, and reads what comes back; how long may pass without an octet.
pub(super) fn exchange<T: DeserializeOwned>(
    socket: &Path,
    patience: Duration,
    document: Option<&[u8]>,
) -> Result<T, String> {
    let exchange = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(patience))?;
        if let Some(document) = document {
            stream.write_all(document)?;
            stream.shutdown(Shutdown::Write)?;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(serde_json::from_slice(&answer)?)
    };
    exchange().map_err(|error| {
        format!(
            "the agent does not answer at {}: {error}; is it running, and may this user reach it?",
            socket.display()
        )
    })
}

/// Binds the socket, replacing one that a killed agent left. Its folder's mode guards it.
pub(crate) fn bind(socket: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(socket)
}

/// Serves the snapshot of the moment to every client, for ever.
pub(crate) async fn serve(
    listener: UnixListener,
    snapshot: impl Fn() -> Snapshot + Send + Sync + Clone + 'static,
) {
    loop {
        match listener.accept().await {
            Ok((mut client, _)) => {
                let snapshot = snapshot.clone();
                tokio::spawn(async move {
                    // It may take a while where there are many zones.
                    let document = tokio::task::spawn_blocking(move || serde_json::to_vec(&snapshot())).await;
                    match document.unwrap_or_else(|error| Err(serde_json::Error::io(error.into()))) {
                        Ok(document) => {
                            // A client that went away is not our trouble.
                            let _ = tokio::time::timeout(PATIENCE, client.write_all(&document)).await;
                        }
                        Err(error) => tracing::error!(%error, "the snapshot does not serialise"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a status client failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
