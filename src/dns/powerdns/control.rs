//! Its control socket: a line in, an answer out, and the connection ends.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::dns::external::Place;

/// For one command.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const MOST: u64 = 64 << 10;

/// Gives commands, one after the other, until one is not taken.
pub(super) async fn commands(place: &Place, commands: impl Iterator<Item = String>) -> io::Result<()> {
    for line in commands {
        let answer = timeout(PATIENCE, command(place, &line));
        answer.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
    Ok(())
}

async fn command(place: &Place, line: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(place.run().join("pdns.controlsocket")).await?;
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(answer)
}
