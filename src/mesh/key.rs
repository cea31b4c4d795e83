//! The node's WireGuard key. It is made on the node and never leaves it: only its public half is ever printed.

use std::fmt;
use std::path::{Path, PathBuf};

use wireguard_control::Key;
use zeroize::Zeroizing;

use crate::mesh::PublicKey;
use crate::private_file::{self, PrivateFileError};

/// The file in the state folder that holds the private key, in base64 as `wg genkey` writes it.
const FILE: &str = "mesh.key";
/// More than the file ever has, in octets.
const MOST: u64 = 64;

/// A WireGuard private key. It has no `Display`, and `Debug` does not show it.
#[derive(Clone)]
pub struct PrivateKey(Key);

impl PrivateKey {
    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.get_public().0)
    }

    /// For the device, and for nothing else.
    pub(super) fn secret(&self) -> Key {
        self.0.clone()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public())
    }
}

/// Why the node's key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It is not a key.
    #[error(
        "{path} does not hold a WireGuard private key (44 characters of base64); restore it, or remove it, start \
         again, and put the new public key into the node's file",
        path = path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Loads the node's key from its state folder; makes folder and key first where there are none.
pub fn load_or_make(state: &Path) -> Result<(PrivateKey, PublicKey), KeyError> {
    let path = state.join(FILE);
    let make = || Zeroizing::new(format!("{}\n", Key::generate_private().to_base64()));
    let octets = private_file::load_or_make(&path, MOST, make)?;
    let key = std::str::from_utf8(&octets).ok().and_then(|text| Key::from_base64(text.trim_end()).ok());
    let key = PrivateKey(key.ok_or(KeyError::Malformed { path })?);
    let public = key.public();
    Ok((key, public))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = load_or_make(folder.path()).unwrap();
        assert_eq!(load_or_make(folder.path()).unwrap().1, public);
        let secret = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!format!("{private:?}").contains(secret.trim()));
        assert!(format!("{private:?}").contains(&public.to_string()));
    }

    #[test]
    fn other_contents_are_refused_and_kept() {
        for contents in [&b""[..], b"hello\n", b"\xff\xfe", &[b'A'; 4096]] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE);
            fs::write(&path, contents).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(load_or_make(folder.path()), Err(KeyError::Malformed { .. })));
            assert_eq!(fs::read(&path).unwrap(), contents);
        }
    }
}
