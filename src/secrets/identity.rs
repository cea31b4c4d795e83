//! Identities: the private keys that decrypt secrets. A node makes one for itself, which never leaves it; an operator
//! has an SSH key, or a file of `age-keygen`.

use std::fmt;
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::recipient::Recipient;
use crate::private_file::{self, PrivateFileError};

/// The file in the state folder that holds a node's identity, as `age-keygen` writes it.
pub const FILE: &str = "age.key";
/// More than a file of keys has, in octets.
const MOST: u64 = 64 * 1024;
/// Keys of one file that are tried.
const KEYS: usize = 64;

/// A private key that decrypts secrets. It has no `Display`, and `Debug` shows only its public half.
pub struct Identity {
    key: Key,
    recipient: Recipient,
}

enum Key {
    X25519(age::x25519::Identity),
    Ssh(age::ssh::Identity),
}

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Its file.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file is not there.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// It is not a key.
    #[error("{path}: {why}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it is not.
        why: String,
    },
}

impl Identity {
    /// A new X25519 key.
    ///
    /// # Errors
    /// Never, but by a random number generator that gives zeros.
    pub fn generate() -> Result<Self, String> {
        Self::x25519(age::x25519::Identity::generate())
    }

    /// The public half.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// For the crate that decrypts.
    pub(super) fn decryptor(&self) -> &dyn age::Identity {
        match &self.key {
            Key::X25519(key) => key,
            Key::Ssh(key) => key,
        }
    }

    /// The keys in a file's contents: an OpenSSH private key, or lines of `AGE-SECRET-KEY-1…`. `passphrase` is asked,
    /// with what to show, for the one of an SSH key that has one.
    ///
    /// # Errors
    /// What the contents are not. They are not quoted.
    pub fn parse(
        contents: &[u8],
        passphrase: impl FnOnce(&str) -> Option<SecretString>,
    ) -> Result<Vec<Self>, String> {
        let text = std::str::from_utf8(contents).map_err(|_| "it holds no key".to_owned())?;
        if text.trim_start().starts_with("-----BEGIN") {
            return Self::ssh(text.trim_start(), passphrase).map(|identity| vec![identity]);
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<Self> = lines
            .take(KEYS)
            .map(|line| {
                let key = line.parse().map_err(|_| {
                    "it holds neither an OpenSSH private key nor lines of AGE-SECRET-KEY-1…".to_owned()
                })?;
                Self::x25519(key)
            })
            .collect::<Result<_, String>>()?;
        if keys.is_empty() { Err("it holds no key".to_owned()) } else { Ok(keys) }
    }

    fn x25519(key: age::x25519::Identity) -> Result<Self, String> {
        let recipient =
            key.to_public().to_string().parse::<Recipient>().map_err(|error| error.to_string())?;
        Ok(Self { key: Key::X25519(key), recipient })
    }

    fn ssh(text: &str, passphrase: impl FnOnce(&str) -> Option<SecretString>) -> Result<Self, String> {
        use age::ssh::Identity as Ssh;
        let unread =
            || "it is no SSH private key that can be read: convert it with `ssh-keygen -p`".to_owned();
        let key = match Ssh::from_buffer(text.as_bytes(), None).map_err(|_| unread())? {
            key @ Ssh::Unencrypted(_) => key,
            Ssh::Encrypted(locked) => {
                let given = passphrase("passphrase of the SSH key")
                    .ok_or("the key has a passphrase, and there is nobody to ask for it")?;
                Ssh::Unencrypted(locked.decrypt(given).map_err(|_| "the passphrase is wrong".to_owned())?)
            }
            Ssh::Unsupported(_) => {
                return Err("an SSH key of this kind cannot decrypt: only ssh-ed25519 can".to_owned());
            }
        };
        let recipient = age::ssh::Recipient::try_from(key.clone()).map_err(|_| unread())?;
        let recipient = recipient.to_string().parse::<Recipient>().map_err(|error| error.to_string())?;
        Ok(Self { key: Key::Ssh(key), recipient })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient)
    }
}

/// Loads a node's key from its state folder; makes folder and key first where there are none.
pub fn load_or_make(state: &Path) -> Result<Identity, IdentityError> {
    let path = state.join(FILE);
    let make = || {
        let key = age::x25519::Identity::generate();
        let (public, private) = (key.to_public(), key.to_string());
        Zeroizing::new(format!("# public key: {public}\n{}\n", private.expose_secret()))
    };
    let contents = private_file::load_or_make(&path, MOST, make)?;
    first(&path, &contents)
}

/// Loads a node's key from a file that its owner chose, such as the machine's SSH host key.
pub fn load(path: &Path) -> Result<Identity, IdentityError> {
    match private_file::load(path, MOST)? {
        Some(contents) => first(path, &contents),
        None => Err(IdentityError::Missing(path.to_owned())),
    }
}

fn first(path: &Path, contents: &[u8]) -> Result<Identity, IdentityError> {
    let malformed = |why| IdentityError::Malformed { path: path.to_owned(), why };
    let keys = Identity::parse(contents, |_| None).map_err(malformed)?;
    keys.into_iter().next().ok_or_else(|| malformed("it holds no key".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let identity = load_or_make(folder.path()).unwrap();
        assert_eq!(load_or_make(folder.path()).unwrap().recipient(), identity.recipient());
        assert_eq!(load(&folder.path().join(FILE)).unwrap().recipient(), identity.recipient());
        let contents = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(contents.contains("\nAGE-SECRET-KEY-1"));
        let shown = format!("{identity:?}");
        assert!(shown.contains("age1") && !shown.contains("SECRET"), "{shown}");
    }

    #[test]
    fn other_contents_are_refused_and_not_quoted() {
        for contents in [&b""[..], b"# only a comment\n", b"hunter2\n", b"\xff\xfe", b"-----BEGIN hunter2"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE);
            fs::write(&path, contents).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = load_or_make(folder.path()).unwrap_err();
            assert!(
                matches!(error, IdentityError::Malformed { .. }) && !error.to_string().contains("hunter2")
            );
            assert_eq!(fs::read(&path).unwrap(), contents);
        }
        assert!(matches!(load(Path::new("/nonexistent/key")), Err(IdentityError::Missing(_))));
    }

    #[test]
    fn an_ssh_key_with_a_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "open sesame", "-f"]).arg(&path);
        if !keygen.status().is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "needs ssh-keygen");
            return;
        }
        let (text, public) =
            (fs::read(&path).unwrap(), fs::read_to_string(path.with_extension("pub")).unwrap());
        let parse = |given: Option<&str>| {
            Identity::parse(&text, |_| given.map(|given| SecretString::from(given.to_owned())))
        };
        assert!(parse(None).unwrap_err().contains("nobody to ask"));
        assert!(parse(Some("wrong")).unwrap_err().contains("wrong"));
        let recipient = parse(Some("open sesame")).unwrap().remove(0).recipient().to_string();
        assert!(public.starts_with(&recipient));
    }
}
