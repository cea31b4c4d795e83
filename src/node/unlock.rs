//! Unlock: from the sealed secrets of a revision to the values in this node's keyring, before anything is configured
//! that uses them.
//!
//! A secret that cannot be decrypted stops nothing else: the value from before stays in use where there is one, and the
//! node says what is wrong until it is put right. What is configured goes by what the keyring holds, not by what the
//! repository says: the fingerprint of a secret changes for the parts of the node when its value does. So they take up
//! a value that comes late, and a secret that was only encrypted anew resets no session.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::{info, warn};

use crate::config::LocalConfig;
use crate::desired::model::{DesiredState, SealedSecret};
use crate::desired::slice::DesiredNode;
use crate::fingerprint::Fingerprint;
use crate::keyring::{Keyring, SecretRef, SecretValue};
use crate::names::{NodeName, SecretName};
use crate::secrets::identity::{self, IdentityError};
use crate::secrets::{Identity, sealed};

/// Decrypts the secrets of one node.
pub(super) struct Unlocker {
    node: NodeName,
    state: PathBuf,
    /// A key that the machine's owner chose, in place of the one in the state folder.
    chosen: Option<PathBuf>,
    keyring: Arc<Keyring>,
    held: BTreeMap<SecretName, Held>,
    /// What was in the way the last time: told once, not at every step.
    told: Vec<String>,
}

/// A secret in the keyring.
struct Held {
    value: Arc<SecretValue>,
    /// Of the file that it was last decrypted from.
    from: Fingerprint,
    /// By which the parts of the node know it: of the file that the value first came from.
    known: Fingerprint,
}

impl Unlocker {
    /// For the node of this configuration; makes its key if there is none yet.
    pub(super) fn new(config: &LocalConfig, keyring: Arc<Keyring>) -> Self {
        let unlocker = Self {
            node: config.node.clone(),
            state: config.state.clone(),
            chosen: config.age_identity.clone(),
            keyring,
            held: BTreeMap::new(),
            told: Vec::new(),
        };
        match unlocker.identity() {
            Ok(identity) => info!(recipient = %identity.recipient(), "this node's secrets are encrypted to"),
            // Told again for each secret, once there are any.
            Err(error) => warn!(%error, "this node's key for secrets cannot be used"),
        }
        unlocker
    }

    fn identity(&self) -> Result<Identity, IdentityError> {
        match &self.chosen {
            Some(path) => identity::load(path),
            None => identity::load_or_make(&self.state),
        }
    }

    /// Fills the keyring with what `wanted` names. Returns the node as the keyring lets it be, and what is in the way
    /// of the rest.
    pub(super) fn unlock(
        &mut self,
        wanted: &Arc<DesiredNode>,
        state: &DesiredState,
    ) -> (Arc<DesiredNode>, Vec<String>) {
        let named: BTreeMap<SecretName, Fingerprint> =
            wanted.secrets().map(|SecretRef { name, sealed }| (name, sealed)).collect();
        self.held.retain(|name, _| named.contains_key(name));
        let locked: Vec<&SecretName> = named
            .iter()
            .filter(|(name, sealed)| self.held.get(*name).is_none_or(|held| held.from != **sealed))
            .map(|(name, _)| name)
            .collect();
        let mut waits = Vec::new();
        if !locked.is_empty() {
            let identity = self.identity();
            for name in locked {
                let Some(secret) = state.secrets.get(name) else { continue };
                if let Err(why) = self.open(name, secret, &identity) {
                    waits.push(self.wait(name, &why));
                }
            }
        }
        for wait in waits.iter().filter(|wait| !self.told.contains(wait)) {
            warn!("{wait}");
        }
        self.told.clone_from(&waits);
        self.keyring
            .replace(self.held.iter().map(|(name, held)| (name.clone(), Arc::clone(&held.value))).collect());

        let known: BTreeMap<SecretName, Fingerprint> = named
            .keys()
            .map(|name| {
                // Another one than any file's, so that the first value is a change.
                let known = self.held.get(name).map_or_else(|| Fingerprint::of(&[]), |held| held.known);
                (name.clone(), known)
            })
            .collect();
        let node = if known == named { Arc::clone(wanted) } else { Arc::new(wanted.with_sealed(&known)) };
        (node, waits)
    }

    fn open(
        &mut self,
        name: &SecretName,
        secret: &SealedSecret,
        identity: &Result<Identity, IdentityError>,
    ) -> Result<(), String> {
        let identity = identity.as_ref().map_err(ToString::to_string)?;
        let value = sealed::open(name, &secret.octets, std::slice::from_ref(identity)).map_err(|error| {
            format!(
                "{error}; see that nodes/{}.yaml has `age_recipient: {}`, then run `shoestring secret rotate \
                 --keep-value {name}`",
                self.node,
                identity.recipient()
            )
        })?;
        let from = secret.sealed;
        match self.held.get_mut(name) {
            Some(held) if *held.value == value => held.from = from,
            _ => {
                info!(secret = %name, "decrypted");
                self.held.insert(name.clone(), Held { value: Arc::new(value), from, known: from });
            }
        }
        Ok(())
    }

    fn wait(&self, name: &SecretName, why: &str) -> String {
        let until = match self.held.contains_key(name) {
            true => "the value from before stays in use",
            false => "what needs it waits",
        };
        format!("the secret {name} cannot be decrypted, and {until}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::Pin;
    use crate::desired::load;
    use crate::desired::slice::slice;
    use crate::keyring::Secret;
    use crate::secrets::Recipient;
    use crate::secrets::sealed::seal;

    /// A node of the example whose sessions with one peer have a password, its state folder, and its secrets.
    struct Lab {
        folder: tempfile::TempDir,
        desired: DesiredState,
        unlocker: Unlocker,
        keyring: Arc<Keyring>,
    }

    fn password(text: &str) -> SecretValue {
        SecretValue::Password(Secret::new(text.as_bytes().to_vec()))
    }

    fn transit() -> SecretName {
        "transit".parse().unwrap()
    }

    impl Lab {
        fn new() -> Self {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
            let mut desired = load::read(&load::read_folder(&example).unwrap()).unwrap();
            desired.network.cookie_secret = None;
            let peer = desired.peers.values_mut().find(|peer| peer.node.as_str() == "bremen").unwrap();
            peer.password = Some(transit());
            let folder = tempfile::tempdir().unwrap();
            let config = LocalConfig {
                node: "bremen".parse().unwrap(),
                network: desired.network.name.clone(),
                repository: "unused".to_owned(),
                branch: "main".to_owned(),
                pin: Pin::Signers(Vec::new()),
                state: folder.path().to_owned(),
                age_identity: None,
                daemons: None,
                supervision: None,
                poll_seconds: 30,
                mesh_interface: "unused".to_owned(),
            };
            let keyring = Arc::new(Keyring::default());
            let unlocker = Unlocker::new(&config, Arc::clone(&keyring));
            Self { folder, desired, unlocker, keyring }
        }

        fn own(&self) -> Recipient {
            identity::load(&self.folder.path().join(identity::FILE)).unwrap().recipient().clone()
        }

        /// Puts a secret into the repository: the fingerprint of its file.
        fn set(&mut self, value: &SecretValue, to: Recipient) -> Fingerprint {
            let octets = seal(value, &BTreeSet::from([to])).unwrap();
            let sealed = Fingerprint::of(&[&octets]);
            let path = "secrets/transit.age".to_owned();
            self.desired.secrets.insert(transit(), SealedSecret { path, octets: octets.into(), sealed });
            sealed
        }

        /// What the session's password is known by, and what is in the way.
        fn unlock(&mut self) -> (Fingerprint, Vec<String>) {
            let wanted = Arc::new(slice(&self.desired, &"bremen".parse().unwrap()).unwrap());
            let (node, waits) = self.unlocker.unlock(&wanted, &self.desired);
            let known: BTreeSet<_> = node.secrets().map(|secret| secret.sealed).collect();
            assert_eq!(known.len(), 1);
            (known.into_iter().next().unwrap(), waits)
        }

        fn value(&self) -> Option<Vec<u8>> {
            self.keyring.password(&transit()).map(|secret| secret.expose().to_vec())
        }
    }

    #[test]
    fn parts_go_by_the_value_not_by_the_file() {
        let mut lab = Lab::new();
        let own = lab.own();
        let first = lab.set(&password("one"), own.clone());
        assert_eq!(lab.unlock(), (first, vec![]));
        assert_eq!(lab.value().unwrap(), b"one");
        // Encrypted anew: nothing to do. Rotated: something.
        assert_ne!(lab.set(&password("one"), own.clone()), first);
        assert_eq!(lab.unlock(), (first, vec![]));
        let second = lab.set(&password("two"), own);
        assert_eq!(lab.unlock(), (second, vec![]));
        assert_eq!(lab.value().unwrap(), b"two");
        // No longer named: forgotten.
        lab.desired.peers.values_mut().for_each(|peer| peer.password = None);
        let wanted = Arc::new(slice(&lab.desired, &"bremen".parse().unwrap()).unwrap());
        lab.unlocker.unlock(&wanted, &lab.desired);
        assert_eq!(lab.value(), None);
    }

    #[test]
    fn what_cannot_be_decrypted_is_said_and_the_last_value_stays() {
        let mut lab = Lab::new();
        let (own, other) = (lab.own(), Identity::generate().unwrap().recipient().clone());
        lab.set(&password("one"), other.clone());
        let (known, waits) = lab.unlock();
        let [wait] = &waits[..] else { panic!("{waits:?}") };
        assert!(
            wait.starts_with("the secret transit cannot be decrypted, and what needs it waits: "),
            "{wait}"
        );
        assert!(wait.contains(&own.to_string()) && wait.contains("rotate --keep-value transit"), "{wait}");
        assert_eq!(lab.value(), None);

        let first = lab.set(&password("one"), own.clone());
        assert_ne!(known, first, "what waits for it must see a change");
        assert_eq!(lab.unlock(), (first, vec![]));
        lab.set(&password("two"), other);
        let (known, waits) = lab.unlock();
        assert!(waits[0].contains("the value from before stays in use"), "{waits:?}");
        assert_eq!((known, lab.value().unwrap()), (first, b"one".to_vec()));

        // The key itself cannot be used, and is put right.
        let second = lab.set(&password("two"), own);
        let path = lab.folder.path().join(identity::FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let (_, waits) = lab.unlock();
        assert!(waits[0].contains("0644") && waits[0].contains("stays in use"), "{waits:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(lab.unlock(), (second, vec![]));
    }
}
