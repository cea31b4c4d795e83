//! The node's WireGuard key. It is made on the node and never leaves it: only its public half is ever printed.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use wireguard_control::Key;

use crate::mesh::PublicKey;

/// The file in the state folder that holds the private key, in base64 as `wg genkey` writes it.
const FILE: &str = "mesh.key";

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
    /// The file could not be made, read or written.
    #[error("{operation} {path}: {source}", path = path.display())]
    File {
        /// What was being done to it.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What was met.
        source: io::Error,
    },
    /// Somebody else may have read the key.
    #[error(
        "{path} has mode {mode:04o} and owner {owner}: others may read the private key; if nobody has, run chmod 600 \
         and chown on it; otherwise remove it, start again, and put the new public key into the node's file",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The user id of its owner.
        owner: u32,
    },
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
    let key = match load(&path)? {
        Some(key) => key,
        None => {
            make(state, &path)?;
            // Read back: another process may have been first, and then its key is the node's.
            load(&path)?.ok_or_else(|| failed("read", &path)(io::ErrorKind::NotFound.into()))?
        }
    };
    let public = key.public();
    Ok((key, public))
}

fn load(path: &Path) -> Result<Option<PrivateKey>, KeyError> {
    let file =
        match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", path)(error)),
        };
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() {
        return Err(KeyError::Malformed { path: path.to_owned() });
    }
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if mode & 0o077 != 0 || owner != nix::unistd::geteuid().as_raw() {
        return Err(KeyError::Exposed { path: path.to_owned(), mode, owner });
    }
    let mut text = String::new();
    match file.take(64).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(KeyError::Malformed { path: path.to_owned() });
        }
        Err(error) => return Err(failed("read", path)(error)),
    }
    let key = Key::from_base64(text.trim_end()).map_err(|_| KeyError::Malformed { path: path.to_owned() })?;
    Ok(Some(PrivateKey(key)))
}

/// Writes a new key under a name of its own and links it into place: whole or not at all, and never over another.
fn make(state: &Path, path: &Path) -> Result<(), KeyError> {
    DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed("make", state))?;
    let draft = state.join(format!("{FILE}.{}", std::process::id()));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &draft)(error)),
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", Key::generate_private().to_base64())?;
        file.sync_all()
    };
    let written = write().map_err(failed("write", &draft));
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make", path)(error)),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&draft).map_err(failed("remove", &draft));
    linked.and(removed)?;
    File::open(state).and_then(|folder| folder.sync_all()).map_err(failed("write", state))
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyError {
    move |source| KeyError::File { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let (private, public) = load_or_make(&state).unwrap();
        assert_eq!(load_or_make(&state).unwrap().1, public);

        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(state.join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);

        let secret = fs::read_to_string(state.join(FILE)).unwrap();
        assert!(!format!("{private:?}").contains(secret.trim()));
        assert!(format!("{private:?}").contains(&public.to_string()));
    }

    #[test]
    fn racing_processes_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let (_, first) = load_or_make(folder.path()).unwrap();
        // The second one to arrive found no key when it looked.
        make(folder.path(), &folder.path().join(FILE)).unwrap();
        assert_eq!(load_or_make(folder.path()).unwrap().1, first);
    }

    #[test]
    fn a_readable_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        load_or_make(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = load_or_make(folder.path()).unwrap_err();
        assert!(error.to_string().contains("0640") && error.to_string().contains("chmod 600"), "{error}");
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
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(FILE)).unwrap();
        assert!(load_or_make(folder.path()).is_err());
    }
}
