//! BIND's statistics channel: HTTP, and what the server as a whole counts in JSON.
//!
//! That costs BIND a quarter of a millisecond, whatever the number of its zones. `rndc stats` would need no channel, but
//! writes a line for each zone into a file that only grows, 6 ms of work with 10,000.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dns::queries;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// It is not longer.
const MOST: u64 = 1 << 20;
/// What is asked for, in the version of HTTP that ends the connection with the answer.
const REQUEST: &[u8] = b"GET /json/v1/server HTTP/1.0\r\n\r\n";

/// What is read of it.
#[derive(Deserialize)]
struct Server {
    /// Queries by type; those that nobody has asked are missing.
    qtypes: BTreeMap<String, u64>,
}

/// How many queries it has been asked, but for those that `dns::queries` leaves out.
pub(super) async fn queries(at: SocketAddr) -> Result<u64, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(PATIENCE, exchange).await;
    let answer = answer.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    read(&answer.map_err(|error| error.to_string())?)
}

fn read(answer: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("its answer is no HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("it says {status:?}; a BIND that was built without JSON cannot count for us"));
    }
    let server: Server = serde_json::from_str(body).map_err(|error| format!("its answer: {error}"))?;
    Ok(queries::total(server.qtypes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_with_counts_is_one() {
        let answer =
            |head: &str, body: &str| read(format!("HTTP/1.0 {head}\r\nServer: x\r\n\r\n{body}").as_bytes());
        assert_eq!(answer("200 OK", r#"{"a":1,"qtypes":{"A":3,"SOA":9,"TXT":1}}"#), Ok(4));
        assert_eq!(answer("200 OK", r#"{"qtypes":{}}"#), Ok(0));
        assert!(answer("404 No such URL", "").unwrap_err().contains("without JSON"));
        for body in ["", "{}", r#"{"qtypes":{"A":-1}}"#, r#"{"qtypes":{"A":3}"#] {
            assert!(answer("200 OK", body).is_err(), "{body}");
        }
        assert!(read(b"").is_err());
    }
}
