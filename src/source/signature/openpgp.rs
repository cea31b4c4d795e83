//! OpenPGP signatures (RFC 9580): the mathematics are the `pgp` crate's, what a key may do is ours to check.
//!
//! A *certificate* is a primary key, its user ids, its subkeys, and the signatures of the primary key that bind them
//! (*self-signatures*). What counts about each part is what its newest self-signature says. A signature over a commit
//! is good only if all of this holds:
//!
//! - it is of the type "binary document", and it and every self-signature relied on use a hash of 256 bits or more;
//! - the primary key is not revoked, not expired at the time of verification, and one user id or a direct-key
//!   signature vouches for it;
//! - the key that signed is the primary key or a subkey bound to it; a subkey is bound from both sides (RFC 9580
//!   section 5.2.1.9), not revoked and not expired;
//! - the key flags of that key allow signing;
//! - the signature says that it was made while the key was valid. That date is the signer's to choose; whether a key
//!   has expired is therefore decided by the time of verification.
//!
//! A revocation counts for all time and whatever its reason says. One that we cannot check (made by another key) is
//! taken as no certificate at all.

use std::time::{SystemTime, UNIX_EPOCH};

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, KeyVersion, PublicParams, Tag, VerifyingKey};

use super::{Key, Verdict};

/// RSA keys with fewer bits are not accepted.
const RSA_BITS: u16 = 2048;

/// A primary key with its user ids, subkeys and self-signatures.
#[derive(Debug, Clone)]
pub struct Certificate(SignedPublicKey);

impl Certificate {
    /// Reads exactly one armoured public key.
    pub fn parse(armored: &[u8]) -> Result<Self, String> {
        let text =
            std::str::from_utf8(armored).map_err(|_| "it is not an armoured OpenPGP key".to_owned())?;
        if text.matches("-----BEGIN ").count() != 1 || !text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----")
        {
            return Err("it is not one armoured OpenPGP public key: use `gpg --armor --export`".to_owned());
        }
        let failed = |error: pgp::errors::Error| format!("it is no OpenPGP public key: {error}");
        let (mut keys, _) = SignedPublicKey::from_armor_many(armored).map_err(failed)?;
        let key = keys.next().ok_or("it holds no key")?.map_err(failed)?;
        if keys.next().is_some() {
            return Err("it holds more than one key".to_owned());
        }
        if !matches!(key.primary_key.version(), KeyVersion::V4 | KeyVersion::V6) {
            return Err("it is of an old version: make a new key".to_owned());
        }
        let certificate = Self(key);
        certificate.no_foreign_revocation()?;
        Ok(certificate)
    }

    /// The primary key's fingerprint, then the subkeys', in upper-case hexadecimal.
    pub fn fingerprints(&self) -> Vec<String> {
        let subkeys = self.0.public_subkeys.iter().map(|subkey| fingerprint(&subkey.key));
        std::iter::once(fingerprint(&self.0.primary_key)).chain(subkeys).collect()
    }

    /// A revocation that the primary key did not make itself may be that of a designated revoker, or a forgery. The
    /// one must not be overlooked, so neither is accepted.
    fn no_foreign_revocation(&self) -> Result<(), String> {
        let primary = &self.0.primary_key;
        let of_key = self.0.details.revocation_signatures.iter().map(|one| one.verify_key(primary));
        let of_subkeys = self.0.public_subkeys.iter().flat_map(|subkey| {
            let revocations = subkey.signatures.iter().filter(|one| is(one, SignatureType::SubkeyRevocation));
            revocations.map(|one| one.verify_subkey_binding(primary, &subkey.key))
        });
        if of_key.chain(of_subkeys).any(|verified| verified.is_err()) {
            return Err("it holds a revocation that is not the key's own".to_owned());
        }
        Ok(())
    }

    /// The newest self-signatures: over the whole key, and over a user id that is not revoked. RFC 9580 section
    /// 5.2.3.10 puts what is said of the key in the former (version 6) or the latter (version 4).
    fn newest_self_signatures<'a>(&'a self, now: u64) -> (Option<&'a Signature>, Option<&'a Signature>) {
        let primary = &self.0.primary_key;
        let direct = self.0.details.direct_signatures.iter().filter(|one| one.verify_key(primary).is_ok());
        let users = self.0.details.users.iter().flat_map(|user| {
            let own = |one: &&Signature| one.verify_certification(primary, Tag::UserId, &user.id).is_ok();
            let revoked =
                user.signatures.iter().any(|one| is(one, SignatureType::CertRevocation) && own(&one));
            let signatures = user.signatures.iter().filter(|one| !is(one, SignatureType::CertRevocation));
            signatures.filter(own).filter(move |_| !revoked)
        });
        let newest = |signatures: &mut dyn Iterator<Item = &'a Signature>| {
            signatures.filter(|one| counts(one, now)).max_by_key(|one| created(one))
        };
        (newest(&mut direct.into_iter()), newest(&mut users.into_iter()))
    }

    /// Whether the primary key is valid at `now` and was at `signed`, and whether it may sign by itself.
    fn primary(&self, signed: u64, now: u64) -> Result<bool, String> {
        if !self.0.details.revocation_signatures.is_empty() {
            return Err("it is revoked".to_owned());
        }
        let (direct, user) = self.newest_self_signatures(now);
        if direct.is_none() && user.is_none() {
            return Err("no valid self-signature vouches for it".to_owned());
        }
        for own in [direct, user].into_iter().flatten() {
            in_time(&self.0.primary_key, own, signed, now)?;
        }
        Ok(direct.and_then(may_sign).or_else(|| user.and_then(may_sign)).unwrap_or(false))
    }

    /// Whether a subkey is valid at `now` and was at `signed`, and may sign.
    fn subkey(&self, subkey: &SignedPublicSubKey, signed: u64, now: u64) -> Result<(), String> {
        if subkey.signatures.iter().any(|one| is(one, SignatureType::SubkeyRevocation)) {
            return Err("the subkey is revoked".to_owned());
        }
        let primary = &self.0.primary_key;
        let bindings = subkey.signatures.iter().filter(|one| is(one, SignatureType::SubkeyBinding));
        let valid = bindings
            .filter(|one| counts(one, now) && one.verify_subkey_binding(primary, &subkey.key).is_ok());
        let newest =
            valid.max_by_key(|one| created(one)).ok_or("no valid self-signature binds the subkey")?;
        if may_sign(newest) != Some(true) {
            return Err("the subkey's flags do not allow signing".to_owned());
        }
        // RFC 9580 section 5.2.1.9: without it anybody could adopt another's signing key as a subkey.
        let back = newest.embedded_signature().ok_or("the subkey does not acknowledge its primary key")?;
        if !counts(back, now) || back.verify_primary_key_binding(&subkey.key, primary).is_err() {
            return Err("the subkey's acknowledgement of its primary key is wrong".to_owned());
        }
        in_time(&subkey.key, newest, signed, now)
    }

    /// Judges a signature if one of our keys is named as its issuer. `None`: it is not ours.
    fn judge(&self, signature: &Signature, payload: &[u8], now: u64) -> Option<Result<Vec<String>, String>> {
        let primary = &self.0.primary_key;
        if issued(signature, primary) {
            return Some(self.by_primary(signature, payload, now));
        }
        let subkey = self.0.public_subkeys.iter().find(|subkey| issued(signature, &subkey.key))?;
        Some(self.by_subkey(subkey, signature, payload, now))
    }

    fn by_primary(&self, signature: &Signature, payload: &[u8], now: u64) -> Result<Vec<String>, String> {
        let primary = &self.0.primary_key;
        over_commit(signature, primary, payload, now)?;
        if !self.primary(created(signature), now)? {
            return Err("the primary key's flags do not allow signing".to_owned());
        }
        Ok(vec![fingerprint(primary)])
    }

    fn by_subkey(
        &self,
        subkey: &SignedPublicSubKey,
        signature: &Signature,
        payload: &[u8],
        now: u64,
    ) -> Result<Vec<String>, String> {
        over_commit(signature, &subkey.key, payload, now)?;
        self.primary(created(signature), now)?;
        self.subkey(subkey, created(signature), now)?;
        Ok(vec![fingerprint(&self.0.primary_key), fingerprint(&subkey.key)])
    }
}

pub(super) fn verify(armored: &str, payload: &[u8], keys: &[&Key], now: SystemTime) -> Verdict {
    let unreadable = |error: &dyn std::fmt::Display| {
        Verdict::Unknown(format!("the OpenPGP signature cannot be read: {error}"))
    };
    let mut signatures = match DetachedSignature::from_armor_many(armored.as_bytes()) {
        Ok((signatures, _)) => signatures,
        Err(error) => return unreadable(&error),
    };
    let signature = match (signatures.next(), signatures.next()) {
        (Some(Ok(one)), None) => one.signature,
        (Some(Err(error)), _) => return unreadable(&error),
        (None, _) => return unreadable(&"there is none"),
        (Some(Ok(_)), Some(_)) => return Verdict::Bad("there is more than one signature".to_owned()),
    };
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for (index, key) in keys.iter().enumerate() {
        let Key::OpenPgp(certificate) = key else { continue };
        match certificate.judge(&signature, payload, now) {
            None => {}
            Some(Ok(fingerprints)) => return Verdict::Good { key: index, fingerprints },
            Some(Err(why)) => {
                return Verdict::Bad(format!(
                    "OpenPGP key {}: {why}",
                    fingerprint(&certificate.0.primary_key)
                ));
            }
        }
    }
    let issuer =
        signature.issuer_fingerprint().first().map(|fingerprint| fingerprint.to_string().to_uppercase());
    Verdict::Unknown(format!(
        "the OpenPGP key {} is no principal's",
        issuer.as_deref().unwrap_or("that made it")
    ))
}

/// Whether the signature names this key; one that names none is nobody's.
fn issued(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        return signature.issuer_key_id().contains(&&key.legacy_key_id());
    }
    fingerprints.contains(&&key.fingerprint())
}

/// Whether `key` made the signature over these bytes, leaving aside what the key may do.
fn over_commit(
    signature: &Signature,
    key: &impl VerifyingKey,
    payload: &[u8],
    now: u64,
) -> Result<(), String> {
    if !is(signature, SignatureType::Binary) {
        return Err("the signature is not over a binary document".to_owned());
    }
    strong(key)?;
    if !counts(signature, now) {
        return Err("the signature uses a weak hash, has expired, has no date, or says what we cannot read"
            .to_owned());
    }
    signature.verify(key, payload).map_err(|_| "it did not sign these bytes".to_owned())
}

fn is(signature: &Signature, kind: SignatureType) -> bool {
    signature.typ() == Some(kind)
}

fn fingerprint(key: &impl KeyDetails) -> String {
    key.fingerprint().to_string().to_uppercase()
}

/// What the key flags say of signing; `None` where there are none.
#[expect(clippy::wildcard_enum_match_arm, reason = "one subpacket is looked for")]
fn may_sign(own: &Signature) -> Option<bool> {
    own.config()?.hashed_subpackets().find_map(|one| match &one.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    })
}

/// When it says that it was made, in seconds since 1970; [`counts`] makes sure that it says so.
fn created(signature: &Signature) -> u64 {
    signature.created().map_or(0, |time| u64::from(time.as_secs()))
}

/// Whether a signature is to be considered at all: strong hash, dated, not expired, nothing critical that we do not
/// understand (RFC 9580 section 5.2.3.7).
fn counts(signature: &Signature, now: u64) -> bool {
    let Some(config) = signature.config() else { return false };
    let strong = matches!(
        config.hash_alg,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    );
    let lasts = signature.signature_expiration_time().map_or(0, |span| u64::from(span.as_secs()));
    let expired = lasts != 0 && created(signature) + lasts <= now;
    let unknown = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::Notation(_) | SubpacketData::Experimental(..) | SubpacketData::Other(..)
        )
    };
    let understood = !config.hashed_subpackets().any(|one| one.is_critical && unknown(&one.data));
    strong && signature.created().is_some() && !expired && understood
}

/// Whether the key's kind and size are acceptable.
#[expect(clippy::wildcard_enum_match_arm, reason = "kinds that we do not name are not accepted")]
fn strong(key: &impl KeyDetails) -> Result<(), String> {
    match key.public_params() {
        PublicParams::RSA(rsa) => {
            // RFC 9580 section 3.2: a number begins with its length in bits; the modulus comes first.
            let bits = rsa.to_bytes().ok().and_then(|bytes| Some(u16::from_be_bytes(*bytes.first_chunk()?)));
            match bits {
                Some(bits) if bits >= RSA_BITS => Ok(()),
                _ => Err(format!("an RSA key of fewer than {RSA_BITS} bits")),
            }
        }
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => Ok(()),
        _ => Err(format!("keys of the kind {:?} are not accepted", key.algorithm())),
    }
}

/// Whether `key` was there and not expired both at `signed` and at `now`, by what its self-signature says.
fn in_time(key: &impl KeyDetails, own: &Signature, signed: u64, now: u64) -> Result<(), String> {
    strong(key)?;
    let begin = u64::from(key.created_at().as_secs());
    if signed < begin {
        return Err("the signature is dated before the key was made".to_owned());
    }
    let lasts = own.key_expiration_time().map_or(0, |span| u64::from(span.as_secs()));
    if lasts != 0 && begin + lasts <= now.max(signed) {
        return Err("the key has expired: extend it and commit it anew under keys/".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
