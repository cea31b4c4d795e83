//! SSH signatures as `ssh-keygen -Y sign` makes them (OpenSSH's PROTOCOL.sshsig), in the namespace `git`.

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

use super::{Key, Verdict};

/// The namespace that git signs in. A signature made for anything else (a file, an approval) is not a commit's.
pub const NAMESPACE: &str = "git";

/// RSA keys with fewer bits are not accepted.
const RSA_BITS: usize = 2048;

/// PROTOCOL.u2f: somebody touched the security key.
const USER_PRESENT: u8 = 0x01;

/// `SHA256:…`
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Reads a line as in `authorized_keys`: algorithm, key, and a comment. Only kinds that [`verify`] knows.
pub fn parse_key(line: &str) -> Result<PublicKey, String> {
    let key =
        PublicKey::from_openssh(line.trim()).map_err(|error| format!("not an SSH public key: {error}"))?;
    admissible(key.key_data())?;
    Ok(key)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what we do not name is not admissible")]
fn admissible(key: &KeyData) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) | KeyData::Ecdsa(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            Ok(())
        }
        KeyData::Rsa(rsa) => {
            let modulus = rsa.n.as_positive_bytes().unwrap_or_default();
            let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
            if bits < RSA_BITS {
                return Err(format!("an RSA key of {bits} bits: use one of {RSA_BITS} or more, or ed25519"));
            }
            Ok(())
        }
        other => Err(format!("keys of the kind {} are not accepted: use ed25519", other.algorithm())),
    }
}

/// The key that a signature names. The signature may still be anybody's.
pub fn claimed_key(armored: &str) -> Option<PublicKey> {
    let signature = SshSig::from_pem(armored).ok()?;
    admissible(signature.public_key()).ok()?;
    Some(PublicKey::from(signature.public_key().clone()))
}

pub(super) fn verify(armored: &str, payload: &[u8], keys: &[&Key]) -> Verdict {
    let signature = match SshSig::from_pem(armored) {
        Ok(signature) => signature,
        Err(error) => return Verdict::Unknown(format!("the SSH signature cannot be read: {error}")),
    };
    if signature.namespace() != NAMESPACE {
        return Verdict::Bad(format!(
            "it was made in the namespace {:?}, a commit's is {NAMESPACE:?}",
            signature.namespace()
        ));
    }
    let claimed = signature.public_key();
    let name = fingerprint(&PublicKey::from(claimed.clone()));
    let found = keys.iter().enumerate().find_map(|(index, key)| match key {
        Key::Ssh(key) if key.key_data() == claimed => Some((index, key)),
        Key::Ssh(_) | Key::OpenPgp(_) => None,
    });
    let Some((index, key)) = found else {
        return Verdict::Unknown(format!("the key {name} is no principal's"));
    };
    if let Err(why) = admissible(claimed).and_then(|()| fits(claimed, &signature)) {
        return Verdict::Bad(why);
    }
    match key.verify(NAMESPACE, payload, &signature) {
        Ok(()) => Verdict::Good { key: index, fingerprints: vec![name] },
        Err(_) => Verdict::Bad(format!("the key {name} did not sign these bytes")),
    }
}

/// Whether the signature's algorithm is one that we accept of this kind of key.
#[expect(clippy::wildcard_enum_match_arm, reason = "what we do not name does not fit")]
fn fits(key: &KeyData, signature: &SshSig) -> Result<(), String> {
    let algorithm = signature.algorithm();
    let fits = match key {
        // RFC 8332: `ssh-rsa` as a signature's algorithm means SHA-1.
        KeyData::Rsa(_) => {
            matches!(algorithm, Algorithm::Rsa { hash: Some(HashAlg::Sha256 | HashAlg::Sha512) })
        }
        _ => algorithm == key.algorithm(),
    };
    if !fits {
        return Err(format!("the signature's algorithm {algorithm} is not accepted of this key"));
    }
    if matches!(key, KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_)) {
        // PROTOCOL.u2f: the signature ends with one byte of flags and a counter of four.
        let bytes = signature.signature_bytes();
        let flags = bytes.len().checked_sub(5).and_then(|at| bytes.get(at)).copied().unwrap_or(0);
        if flags & USER_PRESENT == 0 {
            return Err("the security key signed without being touched".to_owned());
        }
    }
    Ok(())
}
