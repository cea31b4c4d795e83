//! The keys to decrypt with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use zeroize::Zeroizing;

use super::prompt;
use crate::keyring::SecretValue;
use crate::names::SecretName;
use crate::secrets::{Identity, identity, sealed};

/// The agent's state folder, unless it was told another.
const STATE: &str = "/var/lib/shoestring";
/// More than a file of keys has, in octets.
const MOST: u64 = 64 * 1024;

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// A private key to decrypt with: an SSH key (ssh-ed25519), a file of age-keygen, or age.key in a node's state
    /// folder (repeatable) [default: ~/.ssh/id_ed25519, and on a node /var/lib/shoestring/age.key]
    #[arg(long, short, value_name = "FILE")]
    identity: Vec<PathBuf>,
}

impl Args {
    /// The keys. At least one.
    pub(super) fn read(&self) -> Result<Vec<Identity>, String> {
        let mut identities = Vec::new();
        for path in &self.identity {
            identities.extend(read(path)?);
        }
        if self.identity.is_empty() {
            let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".ssh/id_ed25519"));
            let usual = home.into_iter().chain([Path::new(STATE).join(identity::FILE)]);
            for path in usual.filter(|path| File::open(path).is_ok()) {
                identities.extend(read(&path)?);
            }
        }
        match identities.is_empty() {
            true => Err(format!(
                "there is no key to decrypt with: neither ~/.ssh/id_ed25519 nor {STATE}/{} can be read; give --identity",
                identity::FILE
            )),
            false => Ok(identities),
        }
    }
}

fn read(path: &Path) -> Result<Vec<Identity>, String> {
    let say = |why: String| format!("{}: {why}", path.display());
    let mut contents = Zeroizing::new(Vec::with_capacity(4096));
    let file = File::open(path).map_err(|error| say(error.to_string()))?;
    file.take(MOST).read_to_end(&mut contents).map_err(|error| say(error.to_string()))?;
    let ask = |question: &str| {
        let mut answer = prompt::ask(&format!("{question} {} (not shown): ", path.display()))?;
        Some(SecretString::from(std::mem::take(&mut *answer)))
    };
    Identity::parse(&contents, ask).map_err(say)
}

/// Decrypts one secret.
pub(super) fn open(name: &SecretName, file: &[u8], identities: &[Identity]) -> Result<SecretValue, String> {
    sealed::open(name, file, identities).map_err(|error| format!("cannot decrypt {name}: {error}"))
}
