//! NSD's control socket, spoken to directly.
//!
//! `nsd-control` writes all of its input before it reads an answer, and NSD answers each line before it reads the next: from
//! some five hundred zones on each waits for the other, for ever. Here both directions go on at once.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The end of a command's input.
const END: &str = "\u{4}\n";

/// What NSD says to a command within a time, which is that of all its input.
pub(super) async fn command(
    socket: &Path,
    command: &str,
    input: Option<&str>,
    patience: Duration,
) -> io::Result<String> {
    let mut text = format!("NSDCT1 {command}\n");
    if let Some(input) = input {
        text.push_str(input);
        text.push_str(END);
    }
    let exchange = async {
        let (mut from, mut to) = UnixStream::connect(socket).await?.into_split();
        let mut said = Vec::new();
        // `to` has to stay open: NSD does not answer whom it takes for gone.
        tokio::try_join!(to.write_all(text.as_bytes()), from.read_to_end(&mut said))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    };
    match timeout(patience, exchange).await {
        Ok(said) => said,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{} gave no answer within {} s", socket.display(), patience.as_secs()),
        )),
    }
}
