//! Who can read a secret, who needs it, and what `check` says where that is not the same.

use std::collections::BTreeSet;

use shoestring::keyring::{CookieSecret, Secret, SecretValue, TsigAlgorithm, TsigKey};
use shoestring::secrets::{Identity, Recipient, sealed::seal};
use shoestring::tree::Tree;

use super::{bare, findings, put};

const NAT: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOYDOeBylyhoDvKQ2kBkJcvCPqlCeiJNGyDUMfV6jxk";
const CLAIRE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIODjHpdG29MtS+QVgvfhJNt1Ja7PpJ1p5hcmJrvigCkV";
const MIKE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKaJiGo/HwsKoLyw5C7fiGE9neB1hHRCr7/D3nk8K+fY";
const KEEP: &str = "(run `shoestring secret rotate --keep-value hush`)";
const ROTATE: &str = "(run `shoestring secret rotate hush`: who could read it may have kept it)";

fn password() -> SecretValue {
    SecretValue::Password(Secret::new(b"hunter2".to_vec()))
}

fn edit(tree: &mut Tree, path: &str, from: &str, to: &str) {
    let text = String::from_utf8(tree.files[path].bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{path}: {from}");
    put(tree, path, text.replacen(from, to, 1).as_bytes());
}

fn set(tree: &mut Tree, value: &SecretValue, readers: &[&str]) {
    let readers: BTreeSet<Recipient> = readers.iter().map(|reader| reader.parse().unwrap()).collect();
    put(tree, "secrets/hush.age", &seal(value, &readers).unwrap());
}

fn key() -> String {
    Identity::generate().unwrap().recipient().to_string()
}

/// The example, where the sessions of pune with deccan-net have the password `hush`; and pune's key.
fn with_password() -> (Tree, String) {
    let (mut tree, pune) = (bare(), key());
    edit(&mut tree, "peers/pune/deccan-net.yaml", "communities:", "password: hush\ncommunities:");
    edit(&mut tree, "nodes/pune.yaml", "state: live", &format!("age_recipient: {pune}\nstate: live"));
    set(&mut tree, &password(), &[NAT, CLAIRE, &pune]);
    (tree, pune)
}

#[test]
fn a_secret_is_for_those_who_need_it() {
    let (mut tree, pune) = with_password();
    assert_eq!(findings(&tree), [""; 0]);

    set(&mut tree, &password(), &[NAT, CLAIRE]);
    let missing =
        format!("secrets/hush.age:1:1: pune needs it for sessions with deccan-net and cannot read it {KEEP}");
    assert_eq!(findings(&tree), [missing]);

    set(&mut tree, &password(), &[NAT, &pune]);
    assert_eq!(
        findings(&tree),
        [format!("secrets/hush.age:1:1: claire may change it and cannot read it {KEEP}")]
    );

    let nobody = key();
    for (more, why) in [
        (MIKE, "mike can read it and may not change it".to_owned()),
        (&nobody, format!("{nobody} can read it, which is no node's and no operator's")),
    ] {
        set(&mut tree, &password(), &[NAT, CLAIRE, &pune, more]);
        let found = findings(&tree);
        assert!(matches!(&found[..], [one] if one.ends_with(&format!(": {why} {ROTATE}"))), "{found:?}");
    }

    // The name stands in the file's own text, so there is a line to point at.
    set(&mut tree, &password(), &[NAT, CLAIRE, &pune]);
    edit(&mut tree, "nodes/pune.yaml", "state: live", "state: retired");
    let file = tree.files["secrets/hush.age"].bytes.clone();
    let line =
        file.split(|octet| *octet == b'\n').position(|line| line.ends_with(pune.as_bytes())).unwrap() + 1;
    let gone = format!("secrets/hush.age:{line}:1: pune can read it and does not need it {ROTATE}");
    assert_eq!(findings(&tree), [gone]);
}

#[test]
fn a_secret_that_nobody_uses_or_that_is_no_secret() {
    let (mut tree, _) = with_password();
    edit(&mut tree, "peers/pune/deccan-net.yaml", "password: hush\n", "");
    let found = findings(&tree);
    assert_eq!(
        found[0],
        "secrets/hush.age: nothing uses the secret hush (`shoestring secret rm hush` removes it; or name it where it is wanted)"
    );
    assert!(found[1].contains("pune can read it and does not need it"), "{found:?}");

    let (mut tree, _) = with_password();
    put(&mut tree, "secrets/hush.age", b"password: hunter2\n");
    assert_eq!(
        findings(&tree),
        [
            "secrets/hush.age:1:1: it is no file of age in its binary form (`shoestring secret set hush` writes it anew)"
        ]
    );
}

#[test]
fn a_secret_of_another_kind() {
    let (mut tree, pune) = with_password();
    let secret = Secret::new(vec![7; 16]);
    let key = TsigKey {
        name: "hush".parse().unwrap(),
        algorithm: TsigAlgorithm::HmacSha256,
        secret: secret.clone(),
    };
    let cookie = SecretValue::Cookie(CookieSecret { current: secret, previous: None });
    for (value, is) in [(SecretValue::Tsig(key), "a TSIG key"), (cookie, "a cookie secret")] {
        set(&mut tree, &value, &[NAT, CLAIRE, &pune]);
        let why = format!(
            "peers/pune/deccan-net.yaml:8:11: the secret hush is {is}, and a password is wanted here (name another secret)"
        );
        assert_eq!(findings(&tree), [why]);
    }
}

#[test]
fn keys_to_encrypt_to() {
    let (mut tree, pune) = with_password();
    let line = format!("age_recipient: {pune}\n");
    edit(&mut tree, "nodes/pune.yaml", &line, "age_recipient: age1pune\n");
    let found = findings(&tree);
    assert_eq!(
        found,
        [
            "nodes/pune.yaml:33:16: \"age1pune\" is no key to encrypt to: it begins as an age recipient (age1…), and is none of X25519"
        ]
    );

    edit(&mut tree, "nodes/pune.yaml", "age_recipient: age1pune\n", "");
    set(&mut tree, &password(), &[NAT, CLAIRE]);
    let found = findings(&tree);
    assert!(
        matches!(&found[..], [one] if one.starts_with("nodes/pune.yaml: pune needs the secret hush for sessions with deccan-net and has no key to encrypt it to (add `age_recipient:`")),
        "{found:?}"
    );

    // One key of two machines.
    let (mut tree, pune) = with_password();
    edit(&mut tree, "nodes/bremen.yaml", "state: live", &format!("age_recipient: {pune}\nstate: live"));
    let found = findings(&tree);
    assert!(matches!(&found[..], [one] if one.contains("stands at nodes/bremen.yaml")), "{found:?}");

    // An operator who decrypts with another key than the one that signs.
    let (mut tree, pune) = with_password();
    let nat = key();
    edit(&mut tree, "trust.yaml", "  nat:\n", &format!("  nat:\n    age_recipients: [{nat}]\n"));
    set(&mut tree, &password(), &[&nat, CLAIRE, &pune]);
    assert_eq!(findings(&tree), [""; 0]);
    edit(&mut tree, "trust.yaml", &nat, "age1nat");
    let found = findings(&tree);
    assert!(found[0].starts_with("trust.yaml:6:22: a key of nat to encrypt to: "), "{found:?}");
}
