//! Keyring: this node's secrets as they are once decrypted, by name.
//!
//! Configurations, plans and observations name secrets and never hold them. What they carry beside the name is the
//! fingerprint of the *encrypted* file: it changes when the secret is rotated, and tells nothing of its value. A
//! driver asks the keyring for the value at the moment that it uses it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::fingerprint::Fingerprint;
use crate::names::{DomainName, SecretName};

/// Octets that nobody prints. They are overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets, for whoever uses them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The algorithms of TSIG that are spoken (RFC 8945 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TsigAlgorithm {
    /// hmac-sha256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// hmac-sha384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// hmac-sha512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// A TSIG key (RFC 8945).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// The name that both sides know it by.
    pub name: DomainName,
    /// The algorithm.
    pub algorithm: TsigAlgorithm,
    /// What both sides know and nobody else.
    pub secret: Secret,
}

/// What a secret is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretValue {
    /// Signs messages between name servers.
    Tsig(TsigKey),
    /// The password of BGP sessions (TCP MD5, RFC 2385).
    Password(Secret),
    /// Makes the server's half of DNS cookies (RFC 7873), the same on every node (RFC 9018 section 4.4).
    Cookie(CookieSecret),
}

/// The secret that DNS cookies are made with. While a new one spreads, cookies made with the one before are still
/// taken (RFC 9018 section 5), so a rotation turns no client away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSecret {
    /// Makes cookies: 16 octets, a key of SipHash-2-4.
    pub current: Secret,
    /// Made them before: 16 octets. Checks them, makes none.
    pub previous: Option<Secret>,
}

/// What a secret is for, without it: known to everybody who has the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKind {
    /// A TSIG key.
    Tsig,
    /// A password of BGP sessions.
    Password,
    /// The secret of DNS cookies.
    Cookie,
}

impl SecretKind {
    /// The word for it, in files and arguments.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tsig => "tsig",
            Self::Password => "password",
            Self::Cookie => "cookie",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tsig => "a TSIG key",
            Self::Password => "a password",
            Self::Cookie => "a cookie secret",
        })
    }
}

impl SecretValue {
    /// What it is for.
    pub fn kind(&self) -> SecretKind {
        match self {
            Self::Tsig(_) => SecretKind::Tsig,
            Self::Password(_) => SecretKind::Password,
            Self::Cookie(_) => SecretKind::Cookie,
        }
    }
}

/// A secret as a configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SecretRef {
    /// Which one.
    pub name: SecretName,
    /// Of its encrypted file: another after each rotation.
    pub sealed: Fingerprint,
}

/// The secrets of this node. Shared by the loop that decrypts them and the parts that use them.
#[derive(Default)]
pub struct Keyring(ArcSwap<Ring>);

#[derive(Default)]
struct Ring {
    secrets: BTreeMap<SecretName, Arc<SecretValue>>,
    /// The TSIG keys by the names that messages know them by; two parties may have chosen the same.
    tsig: BTreeMap<DomainName, Vec<Arc<SecretValue>>>,
}

impl Keyring {
    /// The secret of this name; `None` if this node has none that it could decrypt.
    pub fn get(&self, name: &SecretName) -> Option<Arc<SecretValue>> {
        self.0.load().secrets.get(name).cloned()
    }

    /// The TSIG key of this name; `None` also if the secret is for something else.
    pub fn tsig(&self, name: &SecretName) -> Option<TsigKey> {
        match &*self.get(name)? {
            SecretValue::Tsig(key) => Some(key.clone()),
            SecretValue::Password(_) | SecretValue::Cookie(_) => None,
        }
    }

    /// The TSIG keys that messages know by this name.
    pub fn tsig_named(&self, name: &DomainName) -> Vec<TsigKey> {
        let ring = self.0.load();
        let values = ring.tsig.get(name).into_iter().flatten();
        values
            .filter_map(|value| match &**value {
                SecretValue::Tsig(key) => Some(key.clone()),
                SecretValue::Password(_) | SecretValue::Cookie(_) => None,
            })
            .collect()
    }

    /// The password of this name; `None` also if the secret is for something else.
    pub fn password(&self, name: &SecretName) -> Option<Secret> {
        match &*self.get(name)? {
            SecretValue::Password(password) => Some(password.clone()),
            SecretValue::Tsig(_) | SecretValue::Cookie(_) => None,
        }
    }

    /// The cookie secret of this name; `None` also if the secret is for something else.
    pub fn cookie(&self, name: &SecretName) -> Option<CookieSecret> {
        match &*self.get(name)? {
            SecretValue::Cookie(secret) => Some(secret.clone()),
            SecretValue::Tsig(_) | SecretValue::Password(_) => None,
        }
    }

    /// Takes these secrets in place of those that it had.
    pub fn replace(&self, secrets: BTreeMap<SecretName, Arc<SecretValue>>) {
        let mut tsig: BTreeMap<DomainName, Vec<_>> = BTreeMap::new();
        for value in secrets.values() {
            if let SecretValue::Tsig(key) = &**value {
                tsig.entry(key.name.clone()).or_default().push(Arc::clone(value));
            }
        }
        self.0.store(Arc::new(Ring { secrets, tsig }));
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.load().secrets.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let secret = Secret::new(b"hunter2".to_vec());
        let value = SecretValue::Tsig(TsigKey {
            name: "key.example".parse().unwrap(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret: secret.clone(),
        });
        let keyring = Keyring::default();
        keyring.replace([("transit".parse().unwrap(), Arc::new(value.clone()))].into());
        for printed in [format!("{secret:?}"), format!("{value:?}"), format!("{keyring:?}")] {
            let octets = format!("{:?}", b"hunter2");
            assert!(
                !printed.contains("hunter2") && !printed.contains(&octets[1..octets.len() - 1]),
                "{printed}"
            );
        }
        assert!(keyring.tsig(&"transit".parse().unwrap()).is_some());
        assert_eq!(keyring.tsig_named(&"Key.example".parse().unwrap()).len(), 1);
        assert_eq!(keyring.tsig_named(&"transit".parse().unwrap()).len(), 0);
        assert_eq!(keyring.password(&"transit".parse().unwrap()), None);
    }
}
