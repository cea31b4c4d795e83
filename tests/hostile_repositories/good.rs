//! What the real programs sign is accepted.

use super::repository::{Repo, revision, run};

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
        let line = std::fs::read_to_string(folder.join("key.pub")).unwrap();
        let trust = String::from_utf8(repo.trust(2, "")).unwrap();
        let trust = trust.replace(&super::repository::line(&repo.mike), line.trim());
        let files = repo.files_with("trust.yaml", trust);
        let base = repo.change(repo.root, &files, &repo.nat);
        let mut files = files.clone();
        files.insert("zones/mike/a.yaml".to_owned(), b"x".to_vec());
        let tree = repo.tree(&files);
        let Some(tip) = repo.run_git(&[
            "-c",
            "gpg.format=ssh",
            "-c",
            "user.signingKey=key",
            "commit-tree",
            "-S",
            "-p",
            &base.to_string(),
            "-m",
            "By git itself",
            &tree.to_string(),
        ]) else {
            return;
        };
        let verification = repo.verify_from(None, tip.parse().unwrap());
        assert_eq!(verification.refused, None, "{kind}");
        assert_eq!(verification.judged.last().unwrap().signer.as_str(), "mike", "{kind}");
        // And what libgit2 calls the same commit is what git called it.
        assert_eq!(verification.verified.unwrap().revision(), revision(tip.parse().unwrap()));
    }
}
