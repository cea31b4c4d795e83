//! Who signed what, and in which order.

use shoestring::config::Pin;
use shoestring::source::verify;

use super::repository::{Repo, fingerprint, key, line, revision, signature, with_header};

#[test]
fn a_good_chain_is_verified_to_its_end() {
    let repo = Repo::new();
    let one = repo.good(repo.root, "one");
    let files = repo.files_with("zones/mike/example.org.yaml", "two");
    let two = repo.change(one, &files, &repo.mike);
    let verification = repo.verify_from(None, two);
    assert_eq!(verification.refused, None);
    let verified = verification.verified.unwrap();
    assert_eq!(verified.revision(), revision(two));
    let file = &verified.tree().files["zones/mike/example.org.yaml"];
    assert_eq!((&file.bytes[..], file.changed), (&b"two"[..], 3));
    let judged: Vec<_> =
        verification.judged.iter().map(|judged| (judged.revision, judged.signer.as_str())).collect();
    assert_eq!(judged, [(revision(one), "nat"), (revision(two), "mike")]);

    let again = repo.verify_from(Some(two), two);
    assert_eq!((again.refused, again.judged), (None, vec![]));
    assert_eq!(again.verified.unwrap().revision(), revision(two));

    let three = repo.change(two, &repo.files_with("zones/mike/example.org.yaml", "three"), &repo.mike);
    let after = verify::verify_after(&repo.git, &repo.terms(), &verified, revision(three)).unwrap();
    assert_eq!(after.refused, None);
    assert_eq!(after.verified.unwrap().tree().files["zones/mike/example.org.yaml"].changed, 4);
}

#[test]
fn unsigned_tip() {
    let repo = Repo::new();
    let good = repo.good(repo.root, "one");
    let bad = repo.commit(&[good], repo.tree(&repo.files()), None);
    repo.expect(bad, good, "R2", "not signed");
}

#[test]
fn signed_tip_over_an_unsigned_parent() {
    let repo = Repo::new();
    let unsigned = repo.commit(&[repo.root], repo.tree(&repo.files_with("nodes/x.yaml", "x")), None);
    let tip = repo.change(unsigned, &repo.files(), &repo.nat);
    repo.expect(tip, repo.root, "R2", "not signed");
}

#[test]
fn unknown_key() {
    let repo = Repo::new();
    let bad = repo.change(repo.root, &repo.files_with("zones/mike/a.yaml", "x"), &repo.stranger);
    repo.expect(bad, repo.root, "R2", "no principal's");
}

#[test]
fn a_signature_over_something_else() {
    let repo = Repo::new();
    let tree = repo.tree(&repo.files_with("zones/mike/a.yaml", "x"));
    let raw = repo.unsigned(&[repo.root], tree);
    let other = signature(&repo.nat, "git", repo.unsigned(&[repo.root], repo.tree(&repo.files())).as_bytes());
    let moved = repo.raw_commit(with_header(&raw, &other).as_bytes());
    repo.expect(moved, repo.root, "R2", "did not sign");
    for namespace in ["file", "approve@shoestring"] {
        let wrong = signature(&repo.nat, namespace, raw.as_bytes());
        let bad = repo.raw_commit(with_header(&raw, &wrong).as_bytes());
        repo.expect(bad, repo.root, "R2", "namespace");
    }
}

#[test]
fn a_signer_added_by_the_same_commit() {
    let repo = Repo::new();
    let trust = String::from_utf8(repo.trust(2, "")).unwrap();
    let trust = trust.replace(&line(&repo.nat), &line(&repo.stranger));
    let bad = repo.change(repo.root, &repo.files_with("trust.yaml", trust), &repo.stranger);
    repo.expect(bad, repo.root, "R2", "no principal's");
}

#[test]
fn a_signer_counts_from_the_next_commit_on() {
    let repo = Repo::new();
    let trust = String::from_utf8(repo.trust(2, "")).unwrap();
    let trust = trust.replace(&line(&repo.mike), &line(&repo.stranger));
    let mut files = repo.files_with("trust.yaml", trust);
    let handed_over = repo.change(repo.root, &files, &repo.nat);
    files.insert("zones/mike/a.yaml".to_owned(), b"x".to_vec());
    let by_new = repo.change(handed_over, &files, &repo.stranger);
    assert_eq!(repo.verify_from(None, by_new).refused, None);
    let by_old = repo.change(handed_over, &files, &repo.mike);
    repo.expect(by_old, handed_over, "R2", "no principal's");
}

#[test]
fn wrong_path_for_the_signer() {
    let repo = Repo::new();
    for path in ["nodes/london.yaml", "trust.yaml", "zones/mikes/a.yaml", "zones/mike", "zones/a.yaml", "new"]
    {
        let bad = repo.change(repo.root, &repo.files_with("zones/mike/a.yaml", "x"), &repo.nat);
        let mut files = repo.files_with("zones/mike/a.yaml", "x");
        if path == "zones/mike" {
            files.retain(|path, _| !path.starts_with("zones/mike/"));
        }
        files.insert(path.to_owned(), repo.trust(2, "# longer\n"));
        repo.expect(repo.change(bad, &files, &repo.mike), bad, "R3", "mike may not change");
    }
}

#[test]
fn mike_may_not_take_away_or_change_the_mode_of_what_is_not_his() {
    let repo = Repo::new();
    let mut files = repo.files();
    files.remove("peers/london/transit.yaml");
    repo.expect(repo.change(repo.root, &files, &repo.mike), repo.root, "R3", "peers/london/transit.yaml");

    let blob = repo.blob(b"name: example\n");
    let tree = repo.git.find_commit(repo.root).unwrap().tree().unwrap();
    let entries: Vec<_> = tree
        .iter()
        .map(|entry| {
            let mode = match (entry.id() == blob, entry.filemode()) {
                (true, _) => "100755",
                (false, 0o040_000) => "40000",
                (false, _) => "100644",
            };
            (mode, entry.name_bytes().to_vec(), entry.id())
        })
        .collect();
    let entries: Vec<_> = entries.iter().map(|(mode, name, id)| (*mode, name.as_slice(), *id)).collect();
    let bad = repo.commit(&[repo.root], repo.raw_tree(&entries), Some(&repo.mike));
    repo.expect(bad, repo.root, "R3", "network.yaml");
}

#[test]
fn a_merge_that_silently_undoes_peers() {
    let repo = Repo::new();
    let peer = repo.change(repo.root, &repo.files_with("peers/london/new.yaml", "asn: 64501"), &repo.nat);
    let zone = repo.change(repo.root, &repo.files_with("zones/mike/a.yaml", "x"), &repo.mike);
    // The merge takes mike's side of everything: `git log -p` shows nothing of it.
    let tree = repo.tree(&repo.files_with("zones/mike/a.yaml", "x"));
    let evil = repo.commit(&[peer, zone], tree, Some(&repo.mike));
    repo.expect(evil, peer, "R3", "peers/london/new.yaml");

    let mut files = repo.files_with("zones/mike/a.yaml", "x");
    files.insert("peers/london/new.yaml".to_owned(), b"asn: 64501".to_vec());
    let honest = repo.commit(&[peer, zone], repo.tree(&files), Some(&repo.mike));
    assert_eq!(repo.verify_from(None, honest).refused, None);
}

#[test]
fn second_parents_give_no_authority() {
    let repo = Repo::new();
    // What nat signed on another branch is not thereby allowed to mike.
    let other = repo.change(repo.root, &repo.files_with("nodes/x.yaml", "x"), &repo.nat);
    let tree = repo.tree(&repo.files_with("nodes/x.yaml", "x"));
    let bad = repo.commit(&[repo.root, other], tree, Some(&repo.mike));
    repo.expect(bad, repo.root, "R3", "nodes/x.yaml");
}

#[test]
fn rewind_to_an_older_signed_commit() {
    let repo = Repo::new();
    let one = repo.good(repo.root, "one");
    let two = repo.good(one, "two");
    for older in [one, repo.root] {
        let verification = repo.verify_from(Some(two), older);
        let refused = verification.refused.unwrap();
        assert_eq!((refused.rule.as_str(), refused.why.contains("turned back")), ("R5", true), "{refused:?}");
        let kept = verification.verified.unwrap();
        assert_eq!(kept.revision(), revision(two));
        assert_eq!(&kept.tree().files["zones/mike/example.org.yaml"].bytes[..], b"two");
    }
}

#[test]
fn forked_history() {
    let repo = Repo::new();
    let applied = repo.good(repo.root, "one");
    let fork = repo.good(repo.good(repo.root, "other"), "more");
    // The applied revision as the second parent only is a fork as well.
    let merged = repo.commit(&[fork, applied], repo.tree(&repo.files()), Some(&repo.nat));
    for candidate in [fork, merged] {
        let verification = repo.verify_from(Some(applied), candidate);
        let refused = verification.refused.unwrap();
        assert_eq!(
            (refused.rule.as_str(), refused.why.contains("does not descend")),
            ("R5", true),
            "{refused:?}"
        );
        assert_eq!(verification.verified.unwrap().revision(), revision(applied));
    }
}

#[test]
fn another_root() {
    let repo = Repo::new();
    let other = repo.commit(&[], repo.tree(&repo.files_with("nodes/x.yaml", "x")), Some(&repo.nat));
    let verification = repo.verify_from(None, other);
    assert_eq!(verification.refused.unwrap().rule, "R1");
    assert!(verification.verified.is_none());
}

#[test]
fn pinned_signers() {
    let repo = Repo::new();
    let mut terms = repo.terms();
    let verify = |terms: &verify::Terms, candidate| {
        verify::verify(&repo.git, terms, None, revision(candidate)).unwrap()
    };
    terms.pin = Pin::Signers(vec![fingerprint(&repo.nat)]);
    let tip = repo.good(repo.root, "one");
    assert_eq!(verify(&terms, tip).refused, None);

    let files = repo.tree(&repo.files());
    for root in [repo.commit(&[], files, None), repo.commit(&[], files, Some(&repo.stranger))] {
        let verification = verify(&terms, repo.good(root, "one"));
        assert_eq!(verification.refused.unwrap().rule, "R1");
        assert!(verification.verified.is_none());
    }
    terms.pin = Pin::Signers(vec![fingerprint(&repo.mike)]);
    assert_eq!(verify(&terms, tip).refused.unwrap().rule, "R1");
    terms.pin = Pin::Signers(vec![]);
    assert_eq!(verify(&terms, tip).refused.unwrap().rule, "R1");
}

#[test]
fn a_later_commit_may_be_pinned() {
    let repo = Repo::new();
    let unsigned = repo.commit(&[repo.root], repo.tree(&repo.files_with("nodes/x.yaml", "x")), None);
    let pinned = repo.change(unsigned, &repo.files(), &repo.nat);
    let tip = repo.good(pinned, "one");
    let mut terms = repo.terms();
    terms.pin = Pin::Root(revision(pinned));
    for applied in [None, Some(revision(repo.root)), Some(revision(pinned))] {
        let verification = verify::verify(&repo.git, &terms, applied, revision(tip)).unwrap();
        assert_eq!(verification.refused, None, "{applied:?}");
        assert_eq!(verification.verified.unwrap().revision(), revision(tip));
    }
    // The pin is no way back behind what is applied.
    let behind = verify::verify(&repo.git, &terms, Some(revision(tip)), revision(pinned)).unwrap();
    assert_eq!(behind.refused.unwrap().rule, "R5");
}

#[test]
fn a_repository_of_another_network() {
    let repo = Repo::new();
    let bad = repo.change(repo.root, &repo.files_with("network.yaml", "name: other\n"), &repo.nat);
    repo.expect(bad, repo.root, "R1", "other");
}

#[test]
fn need_of_two_is_never_met_by_one() {
    let repo = Repo::new();
    let rule = "  - { paths: [\"nodes/**\"], signers: [nat, mike], need: 2 }\n";
    let mut files = repo.files_with("trust.yaml", repo.trust(2, rule));
    let trust = repo.change(repo.root, &files, &repo.nat);
    files.insert("nodes/x.yaml".to_owned(), b"x".to_vec());
    repo.expect(repo.change(trust, &files, &repo.nat), trust, "R4", "mike must still approve");
}

#[test]
fn the_trust_file_must_stay_and_its_version_go_up_by_one() {
    let repo = Repo::new();
    for version in [0, 1, 3] {
        let trust = repo.trust(version, "# changed\n");
        let bad = repo.change(repo.root, &repo.files_with("trust.yaml", trust), &repo.nat);
        repo.expect(bad, repo.root, if version == 0 { "R7" } else { "R3" }, "version");
    }
    for trust in
        ["", "version: 2\n", "version: 2\nversion: 2\n", "a: &a [*a, *a]\n", "\u{202e}", "rules: [\n"]
    {
        let bad = repo.change(repo.root, &repo.files_with("trust.yaml", trust), &repo.nat);
        repo.expect(bad, repo.root, "R7", "trust.yaml");
    }
    let mut files = repo.files();
    files.remove("trust.yaml");
    repo.expect(repo.change(repo.root, &files, &repo.nat), repo.root, "R7", "no trust.yaml");
}

#[test]
fn a_revoked_key_is_not_believed_by_what_its_parent_said() {
    let repo = Repo::new();
    let revoke = |who| repo.trust(2, &format!("revoked: [\"{}\"]\n", fingerprint(who)));
    let mut files = repo.files_with("trust.yaml", revoke(&repo.mike));
    let revoked = repo.change(repo.root, &files, &repo.nat);
    assert_eq!(repo.verify_from(None, revoked).refused, None);
    // After the revocation, though still listed as a principal's key.
    files.insert("zones/mike/a.yaml".to_owned(), b"x".to_vec());
    repo.expect(repo.change(revoked, &files, &repo.mike), revoked, "R7", "revoked");

    // Before the revocation, in the same batch: not applied, so not believed either.
    let good = repo.good(repo.root, "one");
    let by_mike = repo.change(good, &repo.files_with("zones/mike/a.yaml", "x"), &repo.mike);
    let mut files = repo.files_with("zones/mike/a.yaml", "x");
    files.insert("trust.yaml".to_owned(), revoke(&repo.mike));
    let tip = repo.change(by_mike, &files, &repo.nat);
    repo.expect(tip, good, "R7", "revoked");
    // Applied already: it stays, and the revocation follows.
    let verification = repo.verify_from(Some(by_mike), tip);
    assert_eq!(verification.refused, None);
    assert_eq!(verification.verified.unwrap().revision(), revision(tip));
}

#[test]
fn who_may_not_change_the_trust_file_may_not_revoke() {
    let repo = Repo::new();
    let good = repo.good(repo.root, "one");
    let revoke = repo.trust(2, &format!("revoked: [\"{}\"]\n", fingerprint(&repo.nat)));
    let mut files = repo.files_with("zones/mike/example.org.yaml", "one");
    files.insert("trust.yaml".to_owned(), revoke);
    repo.expect(repo.change(good, &files, &repo.mike), good, "R3", "trust.yaml");
    // nat may revoke the key of nat; nothing signed by it counts from then on.
    let own = repo.change(
        repo.root,
        &{
            let mut files = files.clone();
            files.insert("zones/mike/example.org.yaml".to_owned(), b"primary: {}\n".to_vec());
            files
        },
        &repo.nat,
    );
    assert_eq!(repo.verify_from(None, own).refused, None);
    files.insert("zones/mike/b.yaml".to_owned(), b"x".to_vec());
    repo.expect(repo.change(own, &files, &repo.nat), own, "R7", "revoked");
}

#[test]
fn replace_refs_have_no_say() {
    let repo = Repo::new();
    let bad = repo.commit(&[repo.root], repo.tree(&repo.files_with("nodes/x.yaml", "x")), None);
    let good = repo.good(repo.root, "one");
    repo.git.reference(&format!("refs/replace/{bad}"), good, true, "").unwrap();
    repo.expect(bad, repo.root, "R2", "not signed");
    // git itself is taken in.
    if let Some(shown) = repo.run_git(&["cat-file", "commit", &bad.to_string()]) {
        assert!(shown.contains("gpgsig"), "{shown}");
    }
    // And a good commit is not turned into another.
    repo.git.reference(&format!("refs/replace/{good}"), repo.root, true, "").unwrap();
    let verified = repo.verify_from(None, good).verified.unwrap();
    assert_eq!(&verified.tree().files["zones/mike/example.org.yaml"].bytes[..], b"one");
}

#[test]
fn malformed_commits() {
    let repo = Repo::new();
    let good = repo.good(repo.root, "one");
    let tree = repo.tree(&repo.files());
    let raw = repo.unsigned(&[good], tree);
    let signed = |raw: &str| with_header(raw, &signature(&repo.nat, "git", raw.as_bytes()));
    let own = signature(&repo.nat, "git", raw.as_bytes());
    let stranger = signature(&repo.stranger, "git", raw.as_bytes());
    let author = "author Nat <nat@example.net> 1000000000 +0000\n";
    for (what, raw) in [
        ("two trees", signed(&raw.replacen("parent", &format!("tree {tree}\nparent"), 1))),
        ("two authors", signed(&raw.replacen("author", &format!("{author}author"), 1))),
        ("no committer", signed(&raw.replacen("committer", "comitter", 1))),
        ("late author", signed(&raw.replacen(author, "", 1).replacen("\n\n", &format!("\n{author}\n"), 1))),
        ("two signatures", with_header(&with_header(&raw, &stranger), &own)),
        ("two signatures, turned", with_header(&with_header(&raw, &own), &stranger)),
        ("a signature of another form", with_header(&raw, &own).replacen("gpgsig", "gpgsig-sha256", 1)),
        ("both forms", with_header(&raw, &own).replacen("gpgsig", "gpgsig-sha256 x\ngpgsig", 1)),
        ("a NUL byte", signed(&raw.replacen("Change", "Ch\0nge", 1))),
    ] {
        let bad = repo.raw_commit(raw.as_bytes());
        let refused = repo.verify_from(None, bad).refused.expect(what);
        assert!(refused.why.contains("malformed"), "{what}: {refused:?}");
        repo.expect(bad, good, "R8", "malformed");
    }
    // Two blocks in one header.
    let both = format!("{own}\n {stranger}");
    repo.expect(repo.raw_commit(with_header(&raw, &both).as_bytes()), good, "R2", "armoured block");
    // Another parent than the one that was signed.
    let moved = with_header(&raw, &own).replacen(&good.to_string(), &repo.root.to_string(), 1);
    repo.expect(repo.raw_commit(moved.as_bytes()), repo.root, "R2", "did not sign");
}

#[test]
fn a_missing_parent() {
    let repo = Repo::new();
    let nowhere = "1111111111111111111111111111111111111111".parse().unwrap();
    let orphan = repo.good(nowhere, "one");
    let verification = repo.verify_from(Some(repo.root), orphan);
    assert_eq!(verification.refused.unwrap().rule, "R8");
    assert_eq!(verification.verified.unwrap().revision(), revision(repo.root));
}

#[test]
fn a_chain_without_end() {
    let repo = Repo::new();
    let mut tip = repo.root;
    for text in ["a", "b", "c", "d"] {
        tip = repo.good(tip, text);
    }
    let mut terms = repo.terms();
    terms.limits.chain = 3;
    let refused = verify::verify(&repo.git, &terms, None, revision(tip)).unwrap().refused.unwrap();
    assert_eq!(refused.rule, "R8");
    terms.limits.chain = 5;
    assert_eq!(verify::verify(&repo.git, &terms, None, revision(tip)).unwrap().refused, None);
}

#[test]
fn keys_of_the_test_are_different() {
    assert_ne!(fingerprint(&key(1)), fingerprint(&key(2)));
}
