use std::time::{Duration, UNIX_EPOCH};

use pgp::composed::{
    ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::packet::{
    KeyFlags, Notation, PublicKey, PublicSubkey, SecretKey, SecretSubkey, SignatureConfig, Subpacket, UserId,
};
use pgp::types::{Password, SignedUser, SigningKey, Timestamp};
use ssh_key::rand_core::OsRng;

use super::*;

/// When everything was made, and when it is looked at.
const MADE: u32 = 1_700_000_000;
const NOW: u64 = MADE as u64 + 1000;

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

fn secret(sub: bool) -> SignedSecretKey {
    let made = Timestamp::from_secs(MADE);
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(true).created_at(made);
    builder.primary_user_id("Claire <claire@example.net>".to_owned());
    if sub {
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).created_at(made);
        builder.subkey(subkey.build().unwrap());
    }
    builder.build().unwrap().generate(OsRng).unwrap()
}

/// What a signature says of itself and of the key.
#[derive(Clone)]
struct Says {
    hash: HashAlgorithm,
    made: u32,
    signing: bool,
    key_lasts: u32,
    lasts: u32,
    more: Vec<Subpacket>,
}

impl Default for Says {
    fn default() -> Self {
        Self {
            hash: HashAlgorithm::Sha256,
            made: MADE + 1,
            signing: true,
            key_lasts: 0,
            lasts: 0,
            more: vec![],
        }
    }
}

fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}

impl Says {
    fn config(self, kind: SignatureType, signer: &impl SigningKey) -> SignatureConfig {
        let mut config = SignatureConfig::v4(kind, signer.algorithm(), self.hash);
        let mut flags = KeyFlags::default();
        flags.set_sign(self.signing);
        let span = pgp::types::Duration::from_secs;
        config.hashed_subpackets = vec![
            regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(self.made))),
            regular(SubpacketData::IssuerFingerprint(signer.fingerprint())),
            regular(SubpacketData::KeyFlags(flags)),
            regular(SubpacketData::KeyExpirationTime(span(self.key_lasts))),
            regular(SubpacketData::SignatureExpirationTime(span(self.lasts))),
        ];
        config.hashed_subpackets.extend(self.more);
        config
    }

    /// Over a commit.
    fn sign(self, kind: SignatureType, key: &impl SigningKey) -> String {
        let signature = self.config(kind, key).sign(key, &Password::empty(), PAYLOAD).unwrap();
        DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// Over a user id.
    fn vouch(self, kind: SignatureType, key: &SecretKey, id: &UserId) -> Signature {
        let config = self.config(kind, key);
        config.sign_certification(key, key.public_key(), &Password::empty(), Tag::UserId, id).unwrap()
    }

    /// Over a subkey, with the subkey's answer unless it gives none.
    fn bind(
        self,
        kind: SignatureType,
        key: &SecretKey,
        subkey: &PublicSubkey,
        answer: Option<Signature>,
    ) -> Signature {
        let mut config = self.config(kind, key);
        config
            .hashed_subpackets
            .extend(answer.map(|one| regular(SubpacketData::EmbeddedSignature(Box::new(one)))));
        config.sign_subkey_binding(key, key.public_key(), &Password::empty(), subkey).unwrap()
    }

    fn answer(self, subkey: &SecretSubkey, key: &PublicKey) -> Signature {
        let config = self.config(SignatureType::KeyBinding, subkey);
        config.sign_primary_key_binding(subkey, subkey.public_key(), &Password::empty(), key).unwrap()
    }
}

fn certificate(
    key: &SecretKey,
    revocations: Vec<Signature>,
    vouching: Vec<Signature>,
    subkey: Option<(&SecretSubkey, Vec<Signature>)>,
) -> Result<Certificate, String> {
    let users = vec![SignedUser::new(id(), vouching)];
    let subkeys = subkey
        .into_iter()
        .map(|(key, signatures)| SignedPublicSubKey::new(key.public_key().clone(), signatures));
    let details = SignedKeyDetails::new(revocations, vec![], users, vec![]);
    let public = SignedPublicKey::new(key.public_key().clone(), details, subkeys.collect());
    Certificate::parse(&public.to_armored_bytes(ArmorOptions::default()).unwrap())
}

fn id() -> UserId {
    UserId::from_str(pgp::types::PacketHeaderVersion::New, "Claire <claire@example.net>").unwrap()
}

fn judge(certificate: &Certificate, armored: &str, payload: &[u8], now: u64) -> Verdict {
    let key = Key::OpenPgp(Box::new(certificate.clone()));
    super::super::verify(armored, payload, &[&key], UNIX_EPOCH + Duration::from_secs(now))
}

#[track_caller]
fn bad(certificate: &Certificate, armored: &str, word: &str) {
    let verdict = judge(certificate, armored, PAYLOAD, NOW);
    assert!(matches!(&verdict, Verdict::Bad(why) if why.contains(word)), "{verdict:?}");
}

const CERT: SignatureType = SignatureType::CertPositive;
const BINARY: SignatureType = SignatureType::Binary;

#[test]
fn a_primary_key_signs() {
    let secret = secret(false);
    let key = &secret.primary_key;
    let vouching = vec![Says::default().vouch(CERT, key, &id())];
    let own = certificate(key, vec![], vouching.clone(), None).unwrap();
    let armored = Says { made: MADE + 5, ..Says::default() }.sign(BINARY, key);
    assert_eq!(
        judge(&own, &armored, PAYLOAD, NOW),
        Verdict::Good { key: 0, fingerprints: vec![fingerprint(key.public_key())] }
    );
    assert!(matches!(judge(&own, &armored, b"tree 5", NOW), Verdict::Bad(_)));

    let stranger = self::secret(false);
    let theirs = Says::default().sign(BINARY, &stranger.primary_key);
    assert!(matches!(judge(&own, &theirs, PAYLOAD, NOW), Verdict::Unknown(_)));
    // A stranger who says that it is our key.
    let forged = own.fingerprints();
    assert_eq!(forged.len(), 1);
    let mut config = Says::default().config(BINARY, &stranger.primary_key);
    config.hashed_subpackets[1] = regular(SubpacketData::IssuerFingerprint(key.fingerprint()));
    let forged = config.sign(&stranger.primary_key, &Password::empty(), PAYLOAD).unwrap();
    let forged = DetachedSignature::new(forged).to_armored_string(ArmorOptions::default()).unwrap();
    bad(&own, &forged, "did not sign");
}

#[test]
fn signatures_of_the_wrong_kind() {
    let secret = secret(false);
    let key = &secret.primary_key;
    let own = certificate(key, vec![], vec![Says::default().vouch(CERT, key, &id())], None).unwrap();
    let says = || Says { made: MADE + 5, ..Says::default() };
    bad(&own, &says().sign(SignatureType::Text, key), "binary");
    // The crate does not make this signature, so its bytes are another's; the hash is looked at first.
    let right = says().config(BINARY, key).sign(key, &Password::empty(), PAYLOAD).unwrap();
    let weak = Says { hash: HashAlgorithm::Sha1, ..says() }.config(BINARY, key);
    assert!(counts(&right, NOW));
    let weak = Signature::from_config(weak, [0; 2], right.signature().unwrap().clone()).unwrap();
    assert!(!counts(&weak, NOW));
    bad(&own, &DetachedSignature::new(weak).to_armored_string(ArmorOptions::default()).unwrap(), "weak hash");
    bad(&own, &Says { lasts: 100, ..says() }.sign(BINARY, key), "expired");
    bad(&own, &Says { made: MADE - 5, ..says() }.sign(BINARY, key), "before the key");
    let unknown = Notation { readable: true, name: "only-on@example.net".into(), value: "Sundays".into() };
    let unknown = Subpacket::critical(SubpacketData::Notation(unknown)).unwrap();
    bad(&own, &Says { more: vec![unknown], ..says() }.sign(BINARY, key), "cannot read");
    let both = format!("{}{}", says().sign(BINARY, key), says().sign(BINARY, key));
    bad(&own, &both, "one armoured block");
}

#[test]
fn primary_keys_that_may_not_sign() {
    let secret = secret(false);
    let key = &secret.primary_key;
    let armored = Says { made: MADE + 5, ..Says::default() }.sign(BINARY, key);
    let with = |vouching| certificate(key, vec![], vouching, None).unwrap();
    let vouch = |says: Says| says.vouch(CERT, key, &id());
    let good = vouch(Says::default());

    bad(&with(vec![vouch(Says { signing: false, ..Says::default() })]), &armored, "flags");
    bad(&with(vec![vouch(Says { key_lasts: 500, ..Says::default() })]), &armored, "expired");
    bad(&with(vec![vouch(Says { lasts: 100, ..Says::default() })]), &armored, "no valid");
    // The newest counts: extended, and then shortened again.
    let extended = Says { made: MADE + 2, key_lasts: 5000, ..Says::default() };
    let shortened = Says { made: MADE + 3, key_lasts: 500, ..Says::default() };
    let expired = vouch(Says { key_lasts: 500, ..Says::default() });
    let both = with(vec![vouch(extended.clone()), expired]);
    assert!(matches!(judge(&both, &armored, PAYLOAD, NOW), Verdict::Good { .. }));
    bad(&with(vec![vouch(extended), good.clone(), vouch(shortened)]), &armored, "expired");
    // A user id that was revoked, or that another key vouches for, is none.
    let revoked = Says::default().vouch(SignatureType::CertRevocation, key, &id());
    bad(&with(vec![good.clone(), revoked]), &armored, "no valid");
    let stranger = self::secret(false);
    bad(&with(vec![Says::default().vouch(CERT, &stranger.primary_key, &id())]), &armored, "no valid");

    let revoke = |by: &SecretKey| {
        let config = Says::default().config(SignatureType::KeyRevocation, by);
        config.sign_key(by, &Password::empty(), key.public_key()).unwrap()
    };
    let revoked = certificate(key, vec![revoke(key)], vec![good.clone()], None).unwrap();
    bad(&revoked, &armored, "revoked");
    assert!(certificate(key, vec![revoke(&stranger.primary_key)], vec![good], None).is_err());
}

#[test]
fn subkeys() {
    let secret = secret(true);
    let (key, subkey) = (&secret.primary_key, &secret.secret_subkeys[0].key);
    let armored = Says { made: MADE + 5, ..Says::default() }.sign(BINARY, subkey);
    let vouching = |says: Says| vec![says.vouch(CERT, key, &id())];
    let cert_only = Says { signing: false, ..Says::default() };
    let with = |signatures| {
        certificate(key, vec![], vouching(cert_only.clone()), Some((subkey, signatures))).unwrap()
    };
    let binding = SignatureType::SubkeyBinding;
    let bind = |says: Says, answer| says.bind(binding, key, subkey.public_key(), answer);
    let answer = || Some(Says::default().answer(subkey, key.public_key()));

    let both = vec![fingerprint(key.public_key()), fingerprint(subkey.public_key())];
    assert_eq!(
        judge(&with(vec![bind(Says::default(), answer())]), &armored, PAYLOAD, NOW),
        Verdict::Good { key: 0, fingerprints: both }
    );
    bad(&with(vec![bind(Says::default(), None)]), &armored, "acknowledge");
    let stranger = self::secret(true);
    let wrong = Says::default().answer(subkey, stranger.primary_key.public_key());
    bad(&with(vec![bind(Says::default(), Some(wrong))]), &armored, "acknowledgement");
    bad(&with(vec![bind(Says { signing: false, ..Says::default() }, answer())]), &armored, "flags");
    bad(&with(vec![bind(Says { key_lasts: 500, ..Says::default() }, answer())]), &armored, "expired");
    let theirs = Says::default().bind(binding, &stranger.primary_key, subkey.public_key(), answer());
    bad(&with(vec![theirs]), &armored, "binds");
    let revoked = Says::default().bind(SignatureType::SubkeyRevocation, key, subkey.public_key(), None);
    bad(&with(vec![bind(Says::default(), answer()), revoked]), &armored, "revoked");
    // What befalls the primary key befalls its subkeys.
    let expired = vouching(Says { key_lasts: 500, ..cert_only.clone() });
    let good = || bind(Says::default(), answer());
    bad(&certificate(key, vec![], expired, Some((subkey, vec![good()]))).unwrap(), &armored, "expired");
    let config = Says::default().config(SignatureType::KeyRevocation, key);
    let revoked = config.sign_key(key, &Password::empty(), key.public_key()).unwrap();
    let revoked = certificate(key, vec![revoked], vouching(cert_only.clone()), Some((subkey, vec![good()])));
    bad(&revoked.unwrap(), &armored, "revoked");
}

#[test]
fn what_is_no_public_key() {
    let secret = secret(false);
    let private = secret.to_armored_bytes(ArmorOptions::default()).unwrap();
    let public = secret.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap();
    assert!(Certificate::parse(&public).is_ok());
    for bad in [&b""[..], b"x", b"\xff", &private, &[public.clone(), public.clone()].concat(), &public[..200]]
    {
        assert!(Certificate::parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
    }
}
