//! Knot's control socket, as `knotc` speaks it, for what is asked too often to start a program each time.
//!
//! ```text
//! unit:    data 1, extra 2, block 3, end 0            a field: 16 + its number (1), length (2), octets
//! command: data, fields [command 0, section 3, item 4], block
//! answer:  data or extra, fields [section 3, item 4, id 5, data 10, or error 2], … , block        then end
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// For one command.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is not longer.
const MOST: usize = 1 << 20;

const END: u8 = 0;
const DATA: u8 = 1;
const EXTRA: u8 = 2;
const BLOCK: u8 = 3;
const FIELD: u8 = 16;
const COMMAND: u8 = 0;
const ERROR: u8 = 2;
const SECTION: u8 = 3;
const ITEM: u8 = 4;
const ID: u8 = 5;
const VALUE: u8 = 10;

/// The counters of one item of a module.
pub(super) async fn counters(
    socket: &Path,
    section: &str,
    item: &str,
) -> Result<BTreeMap<String, u64>, String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(&command("stats", section, item)).await?;
        let mut answer = Vec::new();
        loop {
            if let Some(counters) = read(&answer).transpose() {
                // It waits for this before it serves the next one.
                stream.write_all(&[END]).await?;
                return Ok(counters);
            }
            if answer.len() > MOST || stream.read_buf(&mut answer).await? == 0 {
                return Ok(Err(format!("its answer of {} octets does not end", answer.len())));
            }
        }
    };
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(counters)) => counters,
        Ok(Err(error)) => Err(std::io::Error::to_string(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn command(command: &str, section: &str, item: &str) -> Vec<u8> {
    let mut octets = vec![DATA];
    for (number, value) in [(COMMAND, command), (SECTION, section), (ITEM, item)] {
        // The words are ours, and short.
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
        octets.extend([FIELD + number, length[0], length[1]]);
        octets.extend(value.as_bytes());
    }
    octets.push(BLOCK);
    octets
}

/// The counters of an answer; `None` while it goes on.
fn read(mut octets: &[u8]) -> Result<Option<BTreeMap<String, u64>>, String> {
    let mut counters = BTreeMap::new();
    let mut id = String::new();
    while let Some((&kind, rest)) = octets.split_first() {
        octets = match kind {
            BLOCK | END => return Ok(Some(counters)),
            DATA | EXTRA => rest,
            _ => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
                else {
                    return Ok(None);
                };
                let value = String::from_utf8_lossy(value);
                match kind.checked_sub(FIELD) {
                    Some(ERROR) => return Err(value.into_owned()),
                    Some(ID) => id = value.into_owned(),
                    Some(VALUE) => {
                        let count = value.parse().map_err(|_| format!("{id} is {value:?}, and no number"))?;
                        counters.insert(std::mem::take(&mut id), count);
                    }
                    Some(_) => {}
                    None => return Err(format!("its answer has a unit of the unknown kind {kind}")),
                }
                rest
            }
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_worded_as_knotc_does() {
        let expected = b"\x01\x10\0\x05stats\x13\0\x09mod-stats\x14\0\x0aquery-type\x03";
        assert_eq!(command("stats", "mod-stats", "query-type"), expected);
    }

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let answer = b"\x01\x13\0\x09mod-stats\x14\0\x0aquery-type\x15\0\x05other\x1a\0\x011\
            \x02\x13\0\x09mod-stats\x14\0\x0aquery-type\x15\0\x01A\x1a\0\x0212\x03";
        let counters = read(answer).unwrap().unwrap();
        assert_eq!(counters, [("other".to_owned(), 1), ("A".to_owned(), 12)].into());
        for length in 0..answer.len() {
            assert_eq!(read(&answer[..length]), Ok(None), "{length}");
        }
        assert_eq!(read(b"\x03"), Ok(Some([].into())), "nothing was asked yet");
        assert_eq!(read(b"\x01\x12\0\x07no such\x03"), Err("no such".to_owned()));
        assert!(read(b"\x01\x1a\0\x02-1\x03").is_err());
        assert!(read(b"\x09").is_ok() && read(b"\x09\0\0\0").is_err());
    }
}
