//! A session's password: named by the configuration, looked up in the keyring each time that it is used.

use std::io;
use std::sync::Arc;

use crate::keyring::{Keyring, Secret, SecretRef};

/// A password that the keyring may have.
#[derive(Debug, Clone)]
pub(super) struct Password {
    secret: SecretRef,
    keyring: Arc<Keyring>,
}

impl Password {
    pub(super) fn new(secret: SecretRef, keyring: &Arc<Keyring>) -> Self {
        Self { secret, keyring: Arc::clone(keyring) }
    }

    /// The value.
    ///
    /// # Errors
    /// When the keyring has no password of this name.
    pub(super) fn value(&self) -> io::Result<Secret> {
        self.keyring.password(&self.secret.name).ok_or_else(|| {
            let why = format!(
                "this node cannot read the password {0}: encrypt secrets/{0}.age to it",
                self.secret.name
            );
            io::Error::new(io::ErrorKind::NotFound, why)
        })
    }
}

impl PartialEq for Password {
    /// Another after each rotation.
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}
