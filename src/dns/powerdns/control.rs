//! Its control socket: a line in, an answer out, and the connection ends.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::dns::external::Place;
use crate::dns::queries;

/// For one command.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const MOST: u64 = 64 << 10;

/// Gives commands, one after the other, until one is not taken.
pub(super) async fn commands(place: &Place, commands: impl Iterator<Item = String>) -> io::Result<()> {
    for line in commands {
        ask(place, &line).await?;
    }
    Ok(())
}

/// Gives one command, and says what came.
pub(super) async fn ask(place: &Place, line: &str) -> io::Result<String> {
    let answer = timeout(PATIENCE, command(place, line));
    let answer = answer.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The queries that `QTYPES` tells of, a type and a count in each line, but for those that `dns::queries` leaves out.
pub(super) fn queries(text: &str) -> Result<u64, String> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let types = lines.map(|line| {
        let read = line.split_once('\t').and_then(|(name, count)| Some((name, count.parse().ok()?)));
        read.ok_or_else(|| format!("it says {line:?} to QTYPES"))
    });
    Ok(queries::total(types.collect::<Result<Vec<(&str, u64)>, _>>()?))
}

async fn command(place: &Place, line: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(place.run().join("pdns.controlsocket")).await?;
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_count_is_not_zero() {
        assert_eq!(queries("A\t6\nSOA\t2\nMX\t1\nAXFR\t3\n\n"), Ok(7));
        assert_eq!(queries(""), Ok(0), "nobody has asked anything");
        for said in ["Unknown command: 'QTYPES'", "A\tmany", "A\t6\nA"] {
            assert!(queries(said).unwrap_err().contains("QTYPES"), "{said}");
        }
    }
}
