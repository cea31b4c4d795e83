//! What the real programs sign is accepted, and what they still sign with a key that is no longer good is not.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use git2::Oid;
use shoestring::source::verify;

use super::repository::{Files, Repo, line, revision, run};

#[test]
fn what_git_signs_with_an_ssh_key_is_accepted() {
    for kind in ["ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521", "rsa -b 3072"] {
        let repo = Repo::new();
        let folder = repo.folder.path();
        let mut arguments = vec!["-q", "-N", "", "-f", "key", "-t"];
        arguments.extend(kind.split(' '));
        if run(folder, "ssh-keygen", &arguments).is_none() {
            return;
        }
        let key = std::fs::read_to_string(folder.join("key.pub")).unwrap();
        let (base, files) = in_place_of_mike(&repo, key.trim(), repo.files());
        let Some(tip) = signed_by_git(&repo, base, &files, &["gpg.format=ssh", "user.signingKey=key"]) else {
            return;
        };
        let verification = repo.verify_from(None, tip);
        assert_eq!(verification.refused, None, "{kind}");
        assert_eq!(verification.judged.last().unwrap().signer.as_str(), "mike", "{kind}");
    }
}

#[test]
fn an_rsa_key_that_is_too_short_is_refused() {
    let repo = Repo::new();
    let folder = repo.folder.path();
    if run(folder, "ssh-keygen", &["-q", "-N", "", "-f", "key", "-t", "rsa", "-b", "1024"]).is_none() {
        return;
    }
    let key = std::fs::read_to_string(folder.join("key.pub")).unwrap();
    let (base, _) = in_place_of_mike(&repo, key.trim(), repo.files());
    repo.expect(base, repo.root, "R7", "RSA key of 1024 bits");
}

#[test]
fn what_git_signs_with_an_openpgp_key_is_accepted() {
    for kind in ["ed25519", "rsa3072"] {
        let repo = Repo::new();
        let Some(claire) = Claire::new(&repo, kind) else { return };
        let (base, files) = claire.in_place_of_mike();
        let tip = claire.commit(base, &files);
        let verification = repo.verify_from(None, tip);
        assert_eq!(verification.refused, None, "{kind}");
        assert_eq!(verification.judged.last().unwrap().signer.as_str(), "mike", "{kind}");

        // Two years on the subkey has expired: whatever date a commit or a signature carries.
        let mut terms = repo.terms();
        terms.now += Duration::from_secs(2 * 366 * 86_400);
        let later = verify::verify(&repo.git, &terms, None, revision(tip)).unwrap().refused.unwrap();
        assert_eq!((later.rule.as_str(), later.why.contains("expired")), ("R2", true), "{later:?}");

        if kind == "rsa3072" {
            std::fs::write(claire.home().join("gpg.conf"), "digest-algo SHA1\n").unwrap();
            repo.expect(claire.commit(base, &files), base, "R2", "weak hash");
        }
    }
}

/// Also where git still signs with it, on a machine that has not heard of the revocation.
#[test]
fn a_revoked_openpgp_key_is_refused() {
    let repo = Repo::new();
    let Some(claire) = Claire::new(&repo, "ed25519") else { return };
    let (good, mut files) = claire.in_place_of_mike();
    assert_eq!(repo.verify_from(None, claire.commit(good, &files)).refused, None);
    // gpg makes this with every key; a colon keeps it from being imported by mistake.
    let path = claire.home().join(format!("openpgp-revocs.d/{}.rev", claire.fingerprint));
    let revocation = std::fs::read_to_string(path).unwrap();
    let revocation = &revocation[revocation.find(":-----BEGIN").unwrap() + 1..];
    let folder = repo.folder.path();
    std::fs::write(folder.join("key"), claire.key()).unwrap();
    std::fs::write(folder.join("revocation"), revocation).unwrap();
    std::fs::create_dir(folder.join("elsewhere")).unwrap();
    std::fs::set_permissions(folder.join("elsewhere"), PermissionsExt::from_mode(0o700)).unwrap();
    claire.gpg(&["--homedir", "elsewhere", "--import", "key", "revocation"]).unwrap();
    let key = claire.gpg(&["--homedir", "elsewhere", "--armor", "--export"]).unwrap();
    files.insert("keys/claire.asc".to_owned(), key.into_bytes());
    files.remove("zones/mike/a.yaml");
    let revoked = repo.change(good, &files, &repo.nat);
    assert_eq!(repo.verify_from(None, revoked).refused, None);
    files.insert("zones/mike/a.yaml".to_owned(), b"x".to_vec());
    repo.expect(claire.commit(revoked, &files), revoked, "R2", "revoked");
}

/// A key file says whose key counts: who may not change `trust.yaml` may not change it, whatever rule its path has.
#[test]
fn a_key_file_is_part_of_the_trust_file() {
    let repo = Repo::new();
    let Some(claire) = Claire::new(&repo, "ed25519") else { return };
    let trust = format!(
        "version: 2\n\
         principals:\n  nat: {{ keys: [\"{}\"] }}\n  mike: {{ keys: [\"{}\"] }}\n\
         \x20 claire: {{ keys: [\"openpgp: keys/claire.asc\"] }}\n\
         rules:\n\
         \x20 - {{ paths: [\"trust.yaml\"], signers: [nat], need: 1 }}\n\
         \x20 - {{ paths: [\"keys/**\"], signers: [nat, mike], need: 1 }}\n",
        line(&repo.nat),
        line(&repo.mike)
    );
    let mut files = repo.files_with("trust.yaml", trust);
    files.insert("keys/claire.asc".to_owned(), claire.key().into_bytes());
    let base = repo.change(repo.root, &files, &repo.nat);
    assert_eq!(repo.verify_from(None, base).refused, None);
    files.insert("keys/other.asc".to_owned(), b"x".to_vec());
    let beside = repo.change(base, &files, &repo.mike);
    assert_eq!(repo.verify_from(None, beside).refused, None);
    files.insert("keys/claire.asc".to_owned(), format!("{}\n", claire.key()).into_bytes());
    repo.expect(repo.change(beside, &files, &repo.mike), beside, "R3", "keys/claire.asc");
    assert_eq!(repo.verify_from(None, repo.change(beside, &files, &repo.nat)).refused, None);
    files.remove("keys/claire.asc");
    repo.expect(repo.change(beside, &files, &repo.nat), beside, "R7", "no file keys/claire.asc");
}

/// Replaces mike's key by another, and gives the commit and what mike then wants to change.
fn in_place_of_mike(repo: &Repo, key: &str, mut files: Files) -> (Oid, Files) {
    let trust = String::from_utf8(repo.trust(2, "")).unwrap().replace(&line(&repo.mike), key);
    files.insert("trust.yaml".to_owned(), trust.into_bytes());
    let base = repo.change(repo.root, &files, &repo.nat);
    files.insert("zones/mike/a.yaml".to_owned(), b"x".to_vec());
    (base, files)
}

fn signed_by_git(repo: &Repo, parent: Oid, files: &Files, settings: &[&str]) -> Option<Oid> {
    let (parent, tree) = (parent.to_string(), repo.tree(files).to_string());
    let mut arguments: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting]).collect();
    arguments.extend(["commit-tree", "-S", "-p", &parent, "-m", "By git itself", &tree]);
    Some(repo.run_git(&arguments)?.parse().unwrap())
}

/// Somebody with a primary key that only certifies and a subkey that signs, for a year.
struct Claire<'a> {
    repo: &'a Repo,
    fingerprint: String,
}

impl<'a> Claire<'a> {
    fn new(repo: &'a Repo, kind: &str) -> Option<Self> {
        let mut claire = Self { repo, fingerprint: String::new() };
        std::fs::create_dir(claire.home()).unwrap();
        std::fs::set_permissions(claire.home(), PermissionsExt::from_mode(0o700)).unwrap();
        claire.gpg(&["--quick-gen-key", "claire@example.net", kind, "cert", "never"])?;
        let listed = claire.gpg(&["--with-colons", "--list-keys"])?;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        claire.fingerprint = line.split(':').nth(9).unwrap().to_owned();
        claire.gpg(&["--quick-add-key", &claire.fingerprint, kind, "sign", "1y"])?;
        Some(claire)
    }

    fn home(&self) -> std::path::PathBuf {
        self.repo.folder.path().join("gnupg")
    }

    fn gpg(&self, arguments: &[&str]) -> Option<String> {
        let always = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
        run(self.repo.folder.path(), "gpg", &[&always, arguments].concat())
    }

    fn key(&self) -> String {
        self.gpg(&["--armor", "--export", &self.fingerprint]).unwrap()
    }

    fn in_place_of_mike(&self) -> (Oid, Files) {
        let files = self.repo.files_with("keys/claire.asc", self.key());
        in_place_of_mike(self.repo, "openpgp: keys/claire.asc", files)
    }

    fn commit(&self, parent: Oid, files: &Files) -> Oid {
        let setting = format!("user.signingKey={}", self.fingerprint);
        signed_by_git(self.repo, parent, files, &[&setting]).unwrap()
    }
}

impl Drop for Claire<'_> {
    /// Ends the agent that gpg started, by asking it to.
    fn drop(&mut self) {
        if self.home().exists() && !self.fingerprint.is_empty() {
            run(self.repo.folder.path(), "gpgconf", &["--kill", "gpg-agent"]);
        }
    }
}
