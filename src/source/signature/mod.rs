//! Signature: who signed these bytes.
//!
//! The verdict has three values, and only one of them is good: *unknown* (a key that nobody listed, a kind that we
//! do not read) is never good.

pub mod openpgp;
pub mod ssh;

use std::time::SystemTime;

/// A public key of a principal.
#[derive(Debug, Clone)]
pub enum Key {
    /// An SSH key.
    Ssh(Box<ssh_key::PublicKey>),
    /// An OpenPGP certificate with its subkeys.
    OpenPgp(Box<openpgp::Certificate>),
}

impl Key {
    /// Its fingerprints as people write them: `SHA256:…`, or hexadecimal in upper case. An OpenPGP certificate
    /// has one for each of its keys, the primary key's first.
    pub fn fingerprints(&self) -> Vec<String> {
        match self {
            Self::Ssh(key) => vec![ssh::fingerprint(key)],
            Self::OpenPgp(certificate) => certificate.fingerprints(),
        }
    }
}

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One of the given keys made it.
    Good {
        /// Which of the given keys, by its place among them.
        key: usize,
        /// The fingerprints that answer for it: the key's, or the OpenPGP primary key's and the signing subkey's.
        fingerprints: Vec<String>,
    },
    /// It is wrong: the bytes were changed, or the key may not sign.
    Bad(String),
    /// Whether it is right cannot be told.
    Unknown(String),
}

/// Judges one armoured signature over `payload`. `now` is the time of verification: what has expired by then is
/// expired, whatever dates the signature carries.
pub fn verify(armored: &str, payload: &[u8], keys: &[&Key], now: SystemTime) -> Verdict {
    // Two blocks in one header are two signatures, of which readers would pick a different one.
    if armored.matches("-----BEGIN ").count() != 1 || armored.matches("-----END ").count() != 1 {
        return Verdict::Bad("it is not exactly one armoured block".to_owned());
    }
    if armored.starts_with("-----BEGIN SSH SIGNATURE-----\n") {
        ssh::verify(armored, payload, keys)
    } else if armored.starts_with("-----BEGIN PGP SIGNATURE-----\n") {
        openpgp::verify(armored, payload, keys, now)
    } else {
        Verdict::Unknown("it is neither an SSH nor an OpenPGP signature".to_owned())
    }
}
