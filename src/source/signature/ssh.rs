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

/// Reads a line as in `authorized_keys`: algorithm, key, and a comment. Only kinds that `verify` knows.
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
    judge(&signature, payload, keys)
}

fn judge(signature: &SshSig, payload: &[u8], keys: &[&Key]) -> Verdict {
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
    if let Err(why) = admissible(claimed).and_then(|()| fits(claimed, signature)) {
        return Verdict::Bad(why);
    }
    match key.verify(NAMESPACE, payload, signature) {
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

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use ssh_key::private::Ed25519Keypair;
    use ssh_key::public::{DsaPublicKey, EcdsaPublicKey, RsaPublicKey, SkEcdsaSha2NistP256, SkEd25519};
    use ssh_key::rand_core::OsRng;
    use ssh_key::{EcdsaCurve, LineEnding, Mpint, PrivateKey, Signature, SigningKey};

    use super::*;

    const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

    fn ed25519() -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))
    }

    fn listed(key: impl Into<PublicKey>) -> Key {
        Key::Ssh(Box::new(key.into()))
    }

    fn raw(key: &impl SigningKey, message: &[u8]) -> Signature {
        key.try_sign(message).unwrap()
    }

    /// What a security key does (PROTOCOL.u2f): it signs hashes of the application and of the message, with a byte
    /// of flags and a counter between them, and appends both to the signature.
    fn touch(by: &PrivateKey, key: KeyData, algorithm: Algorithm, flags: u8) -> SshSig {
        let message = SshSig::signed_data(NAMESPACE, HashAlg::Sha256, PAYLOAD).unwrap();
        let trailer = [flags, 0, 0, 0, 9];
        let signed = [&Sha256::digest(b"ssh:")[..], &trailer, &Sha256::digest(message)].concat();
        let signature = raw(by, &signed);
        let signature = Signature::new(algorithm, [signature.as_bytes(), &trailer].concat()).unwrap();
        SshSig::new(key, NAMESPACE, HashAlg::Sha256, signature).unwrap()
    }

    #[test]
    fn security_keys_must_be_touched() {
        let by = ed25519();
        let ed25519 = KeyData::SkEd25519(SkEd25519::from(*by.public_key().key_data().ed25519().unwrap()));
        let algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        let by_ecdsa = PrivateKey::random(&mut OsRng, algorithm).unwrap();
        let Some(EcdsaPublicKey::NistP256(point)) = by_ecdsa.public_key().key_data().ecdsa() else {
            panic!("a P-256 key")
        };
        let ecdsa = KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*point, "ssh:"));
        for (by, key, algorithm) in
            [(&by, ed25519, Algorithm::SkEd25519), (&by_ecdsa, ecdsa, Algorithm::SkEcdsaSha2NistP256)]
        {
            let keys = [listed(key.clone())];
            let judge = |flags, payload| {
                judge(&touch(by, key.clone(), algorithm.clone(), flags), payload, &keys.each_ref())
            };
            // Touched; touched and a PIN given.
            for flags in [0x01, 0x05] {
                assert!(matches!(judge(flags, PAYLOAD), Verdict::Good { key: 0, .. }), "{algorithm:?}");
            }
            for flags in [0x00, 0x04] {
                assert!(matches!(judge(flags, PAYLOAD), Verdict::Bad(why) if why.contains("touched")));
            }
            assert!(matches!(judge(0x01, b"tree"), Verdict::Bad(why) if why.contains("did not sign")));
        }
    }

    #[test]
    fn a_security_key_is_read_from_an_armoured_signature() {
        let by = ed25519();
        let key = KeyData::SkEd25519(SkEd25519::from(*by.public_key().key_data().ed25519().unwrap()));
        let armored = touch(&by, key.clone(), Algorithm::SkEd25519, 1).to_pem(LineEnding::LF).unwrap();
        let line = PublicKey::from(key).to_openssh().unwrap();
        let key = listed(parse_key(&line).unwrap());
        assert!(matches!(verify(&armored, PAYLOAD, &[&key]), Verdict::Good { .. }));
        // The same point as a plain key is another key.
        let plain = listed(by.public_key().clone());
        assert!(matches!(verify(&armored, PAYLOAD, &[&plain]), Verdict::Unknown(_)));
    }

    #[test]
    fn weak_keys_and_algorithms_are_not_accepted() {
        let number = |bits: usize| {
            let mut bytes = vec![0xff; bits.div_ceil(8)];
            bytes[0] >>= bytes.len() * 8 - bits;
            Mpint::from_positive_bytes(&bytes).unwrap()
        };
        let rsa = |bits| KeyData::Rsa(RsaPublicKey { e: number(17), n: number(bits) });
        assert!(admissible(&rsa(2048)).is_ok());
        assert!(admissible(&rsa(2047)).is_err());
        let dsa = DsaPublicKey { p: number(2048), q: number(256), g: number(8), y: number(8) };
        assert!(admissible(&KeyData::Dsa(dsa)).is_err());

        // RFC 8332: as a signature's algorithm, `ssh-rsa` means SHA-1.
        let signed = |algorithm, bytes: &[u8]| {
            let signature = Signature::new(algorithm, bytes)?;
            SshSig::new(rsa(2048), NAMESPACE, HashAlg::Sha256, signature)
        };
        let sha2 = signed(Algorithm::Rsa { hash: Some(HashAlg::Sha256) }, &[1; 256]).unwrap();
        assert!(fits(sha2.public_key(), &sha2).is_ok());
        assert!(signed(Algorithm::Rsa { hash: None }, &[1; 256]).is_err());
        let other = signed(Algorithm::Ed25519, &[1; 64]).unwrap();
        assert!(fits(other.public_key(), &other).is_err());
    }

    #[test]
    fn lines_that_are_no_keys() {
        for bad in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 AAAA\nssh-ed25519 AAAA"] {
            assert!(parse_key(bad).is_err(), "{bad}");
        }
        let line = ed25519().public_key().to_openssh().unwrap();
        assert!(parse_key(&line).is_ok());
        assert!(parse_key(&format!("{line} nat@example.net")).is_ok());
        assert!(parse_key(&format!("restrict {line}")).is_err());
    }
}
