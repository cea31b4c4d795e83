//! Recipients: the public keys that secrets are encrypted to.

use std::fmt;
use std::str::FromStr;

use age_core::primitives::bech32_decode;
use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// A public key that secrets can be encrypted to: `age1…` (X25519), or an SSH key `ssh-ed25519 AAAA…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient(Kind);

/// The text is kept, so that a recipient can be compared and sorted; that it parses was seen when it was made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    X25519(String),
    Ed25519(String),
}

/// Why a text is no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecipientError(String);

/// To a point of small order every message is the same, and anybody can read it.
const WEAK: &str = "it is a key that protects nothing (a point of small order)";

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        if text.starts_with("age1") {
            return x25519(text).map(|()| Self(Kind::X25519(text.to_owned()))).map_err(RecipientError);
        }
        ed25519(text).map(|text| Self(Kind::Ed25519(text))).map_err(RecipientError)
    }
}

fn x25519(text: &str) -> Result<(), String> {
    let wrong = || "it begins as an age recipient (age1…), and is none of X25519".to_owned();
    let point: [u8; 32] = bech32_decode(
        text,
        |_| wrong(),
        |prefix| if prefix.as_str() == "age" { Ok(()) } else { Err(wrong()) },
        |_, octets| octets.collect::<Vec<u8>>().try_into().map_err(|_| wrong()),
    )?;
    // One way to write it, so that two texts are never one key.
    match text.parse::<age::x25519::Recipient>() {
        Ok(recipient) if recipient.to_string() == text => {}
        Ok(_) | Err(_) => return Err(wrong()),
    }
    let shared = StaticSecret::from([7; 32]).diffie_hellman(&PublicKey::from(point));
    if shared.was_contributory() { Ok(()) } else { Err(WEAK.to_owned()) }
}

fn ed25519(text: &str) -> Result<String, String> {
    let mut key = ssh_key::PublicKey::from_openssh(text)
        .map_err(|_| "it is neither an age recipient (age1…) nor an SSH public key".to_owned())?;
    let Some(point) = key.key_data().ed25519() else {
        return Err(format!(
            "an SSH key of the kind {} cannot decrypt: only ssh-ed25519 can",
            key.algorithm()
        ));
    };
    match CompressedEdwardsY(point.0).decompress() {
        None => return Err("it is no ed25519 key".to_owned()),
        Some(point) if point.is_small_order() => return Err(WEAK.to_owned()),
        Some(_) => {}
    }
    key.set_comment("");
    let text = key.to_openssh().map_err(|error| error.to_string())?.trim().to_owned();
    match text.parse::<age::ssh::Recipient>() {
        Ok(_) => Ok(text),
        Err(_) => Err("it is no ed25519 key".to_owned()),
    }
}

impl Recipient {
    /// For the crate that encrypts.
    pub(super) fn encryptor(&self) -> Box<dyn age::Recipient> {
        const MADE: &str = "that it parses was seen when it was made";
        match &self.0 {
            Kind::X25519(text) => Box::new(text.parse::<age::x25519::Recipient>().expect(MADE)),
            Kind::Ed25519(text) => Box::new(text.parse::<age::ssh::Recipient>().expect(MADE)),
        }
    }

    /// The type of the stanzas in a file's header that are for it.
    pub(super) fn stanza(&self) -> &'static str {
        match &self.0 {
            Kind::X25519(_) => "X25519",
            Kind::Ed25519(_) => "ssh-ed25519",
        }
    }

    /// The first argument of its stanzas, where that tells whose they are: of an SSH key, the first four octets of
    /// its hash. Those of X25519 are anonymous.
    pub(super) fn tag(&self) -> Option<String> {
        use base64ct::{Base64Unpadded, Encoding};
        match &self.0 {
            Kind::X25519(_) => None,
            Kind::Ed25519(text) => {
                let key = ssh_key::PublicKey::from_openssh(text).and_then(|key| key.to_bytes()).ok()?;
                Some(Base64Unpadded::encode_string(Sha256::digest(key).get(..4)?))
            }
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Kind::X25519(text) | Kind::Ed25519(text)) = &self.0;
        f.write_str(text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOYDOeBylyhoDvKQ2kBkJcvCPqlCeiJNGyDUMfV6jxk";

    fn error(text: &str) -> String {
        text.parse::<Recipient>().unwrap_err().to_string()
    }

    fn ssh(point: [u8; 32]) -> String {
        ssh_key::PublicKey::from(ssh_key::public::Ed25519PublicKey(point)).to_openssh().unwrap()
    }

    #[test]
    fn the_two_kinds() {
        let text = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(text.parse::<Recipient>().unwrap().to_string(), text);
        assert_eq!(SSH.parse::<Recipient>().unwrap().to_string(), SSH);
        assert_eq!(format!("{SSH} somebody@example").parse::<Recipient>().unwrap().to_string(), SSH);
    }

    #[test]
    fn what_is_none() {
        let text = age::x25519::Identity::generate().to_public().to_string();
        for bad in ["", "age", "age1", &text[..text.len() - 1], &format!("{text}q"), &text.to_uppercase()] {
            assert!(bad.parse::<Recipient>().is_err(), "{bad}");
        }
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHxCPfJYJNP/IjhlqQMIUlDbuSR724ym8RPJC2KAzPHgfw0D+DTP5w6aFouhrsb98sC092Z5NRtXf9yl1i0axYc=";
        assert!(error(ecdsa).contains("only ssh-ed25519"), "{}", error(ecdsa));
    }

    /// With these, age panics, or encrypts so that anybody can decrypt.
    #[test]
    fn keys_of_small_order() {
        use age_core::primitives::bech32_encode;
        let good = age::x25519::Identity::generate().to_public().to_string();
        let zero = bech32_decode(&good, |_| (), |_| Ok(()), |prefix, _| Ok(bech32_encode(prefix, &[0; 32])));
        assert_eq!(error(&zero.unwrap()), WEAK);
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert_eq!(error(&ssh(point)), WEAK);
        }
        assert_eq!(error(&ssh([2; 32])), "it is no ed25519 key");
    }
}
