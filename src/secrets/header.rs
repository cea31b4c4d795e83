//! Header: what an encrypted secret says of itself to everybody.
//!
//! An age file begins with lines of text: one *stanza* for each key that can decrypt it, then a MAC over them. The
//! stanzas of X25519 keys do not tell whose they are, on purpose. A network must know: `check` would have to guess who
//! can read a secret, and nobody would see that a node which was thrown out still can. So the file says it, by two
//! stanzas of our own, which other age programs pass over, as the format demands of them:
//!
//! ```text
//! age-encryption.org/v1
//! -> shoestring/kind tsig
//!
//! -> shoestring/reader age1…              (the next stanza is for this key)
//!
//! -> X25519 …
//! …
//! --- <MAC>
//! ```
//!
//! What that is worth. The MAC is made with the file's own key, so only who can decrypt the file can change a name in
//! it, and everybody who decrypts it notices when somebody else did. Whoever encrypts a file could still name one key
//! and encrypt to another: for SSH keys the stanza's tag gives that away, here; for X25519 the node itself notices,
//! when it cannot decrypt what its file says it can, and says so in its status. A key more than there are names is seen
//! here. The names are no secret: every recipient stands in a file beside it.
//!
//! In place of a second file that lists the readers, since two files drift apart; in place of asking the nodes, since
//! `check` runs without them.

use crate::keyring::SecretKind;

use super::recipient::Recipient;

pub(super) const KIND: &str = "shoestring/kind";
pub(super) const READER: &str = "shoestring/reader";
/// More than a secret for every node of a large network needs, in octets.
pub(super) const MOST: usize = 256 * 1024;

const FIRST: &str = "age-encryption.org/v1";

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What the secret is for.
    pub kind: SecretKind,
    /// Who can read it, each with the line where it stands.
    pub readers: Vec<(Recipient, u32)>,
}

/// Why a file is no secret of a network, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why} (line {line})")]
pub struct HeaderError {
    /// What is wrong.
    pub why: String,
    /// The line.
    pub line: u32,
}

/// One stanza: its line, its type and its arguments.
struct Stanza<'a> {
    line: u32,
    words: Vec<&'a str>,
}

impl Header {
    /// Reads the header of a file. What follows it is not looked at.
    ///
    /// # Errors
    /// When the file is none of age, was not written by shoestring, or does not name everybody who can read it.
    pub fn parse(file: &[u8]) -> Result<Self, HeaderError> {
        let mut kind = None;
        let mut readers: Vec<(Recipient, u32)> = Vec::new();
        let mut named: Option<(Recipient, u32)> = None;
        for Stanza { line, words } in stanzas(file)? {
            let wrong = |why: String| HeaderError { why, line };
            let (name, arguments) = words.split_first().expect("a line has one word at least");
            if named.is_some() && matches!(*name, KIND | READER) {
                return Err(wrong("a reader without the stanza that is encrypted to it".to_owned()));
            }
            match *name {
                KIND => match (arguments, kind) {
                    ([word], None) => kind = Some(self::kind(word).ok_or_else(|| unknown(line))?),
                    _ => return Err(unknown(line)),
                },
                READER => {
                    let text = arguments.join(" ");
                    let reader: Recipient =
                        text.parse().map_err(|why| wrong(format!("the reader {text:?}: {why}")))?;
                    if readers.iter().any(|(other, _)| *other == reader) {
                        return Err(wrong(format!("the reader {reader} stands twice")));
                    }
                    named = Some((reader, line));
                }
                // Every age program adds one of these, so that others learn to pass over what they do not know.
                name if name.ends_with("-grease") && named.is_none() => {}
                name => match named.take() {
                    None => return Err(wrong("somebody who is not named can read it".to_owned())),
                    Some((reader, at)) => {
                        let fits = reader.stanza() == name
                            && reader.tag().is_none_or(|tag| arguments.first() == Some(&tag.as_str()));
                        if !fits {
                            return Err(wrong(format!("it is not encrypted to {reader}, as it says")));
                        }
                        readers.push((reader, at));
                    }
                },
            }
        }
        match (kind, named) {
            (Some(kind), None) if !readers.is_empty() => Ok(Self { kind, readers }),
            _ => Err(unknown(1)),
        }
    }
}

fn unknown(line: u32) -> HeaderError {
    let why = "it does not say what it is for and who can read it: shoestring did not write it".to_owned();
    HeaderError { why, line }
}

/// The kind of this word.
pub(super) fn kind(word: &str) -> Option<SecretKind> {
    [SecretKind::Tsig, SecretKind::Password, SecretKind::Cookie].into_iter().find(|kind| kind.word() == word)
}

/// Every stanza, bodies left out.
fn stanzas(file: &[u8]) -> Result<Vec<Stanza<'_>>, HeaderError> {
    let wrong = |line: u32| HeaderError { why: "it is no file of age in its binary form".to_owned(), line };
    if file.len() > MOST {
        return Err(HeaderError { why: format!("it is larger than {MOST} octets"), line: 1 });
    }
    let mut stanzas = Vec::new();
    let mut in_body = false;
    for (line, number) in file.split(|octet| *octet == b'\n').zip(1..) {
        let wrong = || wrong(number);
        if number == 1 {
            if line != FIRST.as_bytes() {
                return Err(wrong());
            }
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| wrong())?;
        if in_body {
            // A body is lines of 64 characters and a shorter one, which may be empty.
            let base64 = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
            if line.len() > 64 || !line.bytes().all(base64) {
                return Err(wrong());
            }
            in_body = line.len() == 64;
        } else if let Some(words) = line.strip_prefix("-> ") {
            let words: Vec<&str> = words.split(' ').collect();
            if words.iter().any(|word| word.is_empty() || !word.bytes().all(|octet| octet.is_ascii_graphic()))
            {
                return Err(wrong());
            }
            stanzas.push(Stanza { line: number, words });
            in_body = true;
        } else if line.starts_with("--- ") {
            return Ok(stanzas);
        } else {
            return Err(wrong());
        }
    }
    Err(wrong(1))
}
