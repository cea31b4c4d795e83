//! BIND's control channel, as `rndc` speaks it: TCP, one message for a command and one for what became of it.
//!
//! ```text
//! message: length (4), version 1 (4), table      entry of a table: length of the name (1), name, kind (1), length (4), value
//! table:   _auth { hsha: algorithm (1), HMAC-SHA-256 of all entries after this one, in base64, filled up to 88 with zeros }
//!          _ctrl { _ser, _tim, _exp, _nonce }    the nonce is told with the answer to a first command, `null`
//!          _data { type: the command }           in an answer: result, and err or text
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use ring::hmac;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::control::Control;

/// For one command. `reconfig` of very many zones takes long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a command is good for, in seconds.
const GOOD: u64 = 60;
/// An answer is not longer.
const MOST: usize = 1 << 20;
/// Kinds of values.
const OCTETS: u8 = 1;
const TABLE: u8 = 2;
/// The number of HMAC-SHA-256.
const ALGORITHM: u8 = 163;
/// The signature in base64, filled up.
const SIGNATURE: usize = 88;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChannelError {
    /// BIND does not want to.
    #[error("BIND refuses: {0}")]
    Refused(String),
    /// Nobody knows.
    #[error("BIND's control channel: {0}")]
    Broken(String),
}

impl From<std::io::Error> for ChannelError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// An open channel.
pub(super) struct Channel {
    stream: TcpStream,
    key: hmac::Key,
    nonce: Vec<u8>,
    /// Of the last command. BIND refuses one that it has seen of late.
    serial: u32,
}

impl Channel {
    pub(super) async fn open(control: &Control) -> Result<Self, ChannelError> {
        let connect = timeout(PATIENCE, TcpStream::connect(control.address)).await;
        let stream = connect
            .map_err(|_| silent())?
            .map_err(|error| ChannelError::Broken(format!("{}: {error}", control.address)))?;
        stream.set_nodelay(true)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, control.secret.expose());
        let serial = now().subsec_nanos();
        let mut channel = Self { stream, key, nonce: Vec::new(), serial };
        let answer = channel.exchange("null").await?;
        channel.nonce =
            find(&answer, &["_ctrl", "_nonce"]).ok_or_else(|| broken("it told no nonce"))?.to_vec();
        Ok(channel)
    }

    /// Carries out one command. Returns what BIND says to it.
    pub(super) async fn command(&mut self, command: &str) -> Result<String, ChannelError> {
        let answer = self.exchange(command).await?;
        let text =
            |name| find(&answer, &["_data", name]).map(|text| String::from_utf8_lossy(text).into_owned());
        match text("result").as_deref() {
            Some("0") => Ok(text("text").unwrap_or_default()),
            Some(_) => {
                let said = [text("err"), text("text")].into_iter().flatten().collect::<Vec<_>>().join(": ");
                let line = said.lines().map(str::trim).collect::<Vec<_>>().join("; ");
                Err(ChannelError::Refused(line.chars().take(300).collect()))
            }
            None => Err(broken("its answer has no result")),
        }
    }

    async fn exchange(&mut self, command: &str) -> Result<Vec<u8>, ChannelError> {
        self.serial = self.serial.wrapping_add(1);
        let message = message(&self.key, &self.nonce, self.serial, now().as_secs(), command);
        let talk = async {
            self.stream.write_all(&message).await?;
            let length = usize::try_from(self.stream.read_u32().await?).unwrap_or(usize::MAX);
            if length > MOST {
                return Err(broken(&format!("its answer of {length} octets is longer than any should be")));
            }
            let mut answer = vec![0; length];
            self.stream.read_exact(&mut answer).await?;
            Ok(answer)
        };
        let answer = timeout(PATIENCE, talk).await.map_err(|_| silent())??;
        let entries =
            verified(&self.key, &answer).ok_or_else(|| broken("its answer is not signed with our key"))?;
        let serial = find(entries, &["_ctrl", "_ser"]).and_then(|serial| std::str::from_utf8(serial).ok());
        if serial != Some(self.serial.to_string().as_str()) {
            return Err(broken("it answers another command"));
        }
        Ok(entries.to_vec())
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn broken(why: &str) -> ChannelError {
    ChannelError::Broken(why.to_owned())
}

fn silent() -> ChannelError {
    broken(&format!("it gave no answer within {} s", PATIENCE.as_secs()))
}

fn entry(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    // Names are short, and values are far from 4 GB.
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    let name_length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[name_length], name.as_bytes(), &[kind], &length, value].concat()
}

/// The first entry of every message, but for the signature.
fn authentication(signature: &[u8]) -> Vec<u8> {
    let mut value = vec![ALGORITHM];
    value.extend(signature);
    value.resize(1 + SIGNATURE, 0);
    entry("_auth", TABLE, &entry("hsha", OCTETS, &value))
}

fn signature(key: &hmac::Key, entries: &[u8]) -> String {
    Base64::encode_string(hmac::sign(key, entries).as_ref())
}

fn message(key: &hmac::Key, nonce: &[u8], serial: u32, now: u64, command: &str) -> Vec<u8> {
    let number = |name: &str, number: u64| entry(name, OCTETS, number.to_string().as_bytes());
    let mut control =
        [number("_ser", serial.into()), number("_tim", now), number("_exp", now + GOOD)].concat();
    if !nonce.is_empty() {
        control.extend(entry("_nonce", OCTETS, nonce));
    }
    let data = entry("type", OCTETS, command.as_bytes());
    let entries = [entry("_ctrl", TABLE, &control), entry("_data", TABLE, &data)].concat();
    let authentication = authentication(signature(key, &entries).as_bytes());
    let length = u32::try_from(4 + authentication.len() + entries.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &1u32.to_be_bytes(), &authentication, &entries].concat()
}

/// What is signed of a message without its length, where the signature is right.
fn verified<'a>(key: &hmac::Key, message: &'a [u8]) -> Option<&'a [u8]> {
    let rest = message.strip_prefix(&1u32.to_be_bytes())?;
    let (first, entries) = rest.split_at_checked(authentication(b"").len())?;
    (first == authentication(signature(key, entries).as_bytes())).then_some(entries)
}

/// The value that these names lead to.
fn find<'a>(mut entries: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    let (wanted, rest) = names.split_first()?;
    while let Some((name_length, after)) = entries.split_first() {
        let (name, after) = after.split_at_checked(usize::from(*name_length))?;
        let (kind, after) = after.split_first()?;
        let (length, after) = after.split_first_chunk()?;
        let (value, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if name == wanted.as_bytes() {
            return match (*kind, rest.is_empty()) {
                (OCTETS, true) => Some(value),
                (TABLE, false) => find(value, rest),
                _ => None,
            };
        }
        entries = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_back_only_with_the_key() {
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        let message = message(&key(b"ours"), b"77", 5, 1_000, "status");
        assert_eq!(message[..4], u32::try_from(message.len() - 4).unwrap().to_be_bytes());
        let entries = verified(&key(b"ours"), &message[4..]).unwrap();
        let value =
            |names: &[&str]| find(entries, names).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(value(&["_data", "type"]).as_deref(), Some("status"));
        assert_eq!(value(&["_ctrl", "_ser"]).as_deref(), Some("5"));
        assert_eq!(value(&["_ctrl", "_exp"]).as_deref(), Some("1060"));
        assert_eq!(value(&["_ctrl", "_nonce"]).as_deref(), Some("77"));
        assert_eq!(value(&["_ctrl"]), None);
        assert_eq!(value(&["_data", "result"]), None);
        assert_eq!(verified(&key(b"other"), &message[4..]), None);
        for length in 8..message.len() {
            assert_eq!(verified(&key(b"ours"), &message[4..length]), None);
            let _ = find(&message[8..length], &["_ctrl", "_nonce"]);
        }
    }
}
