//! Trees with what must not be in them. All are signed by one who may change everything.

use git2::Oid;
use shoestring::source::hygiene::Limits;
use shoestring::source::verify;

use super::repository::{Repo, revision};

#[track_caller]
fn refused(repo: &Repo, tree: Oid, word: &str) {
    let bad = repo.commit(&[repo.root], tree, Some(&repo.nat));
    repo.expect(bad, repo.root, "R8", word);
}

#[test]
fn what_is_no_plain_file() {
    let repo = Repo::new();
    let blob = repo.blob(b"/etc/passwd");
    let folder = repo.raw_tree(&[("100644", b"x", blob)]);
    for (mode, name, id, word) in [
        ("120000", &b"link"[..], blob, "symbolic link"),
        ("160000", b"module", repo.root, "submodule"),
        ("100664", b"group", blob, "mode"),
        ("040000", b"padded", folder, "mode"),
        ("100644", b"..", blob, "leads out"),
        ("40000", b"..", folder, "leads out"),
        ("40000", b".", folder, "leads out"),
        ("40000", b".git", folder, "git's own"),
        ("40000", b".Git", folder, "git's own"),
        ("100644", b"", blob, "empty name"),
        ("100644", b"zones/x", blob, "slash"),
        ("100644", b"zones\\x", blob, "slash"),
        ("100644", b"line\nbreak", blob, "control"),
        ("100644", "turned\u{202e}round".as_bytes(), blob, "bidirectional"),
        ("100644", b"bad \xff", blob, "UTF-8"),
        ("100644", b"network.yaml", blob, "twice"),
        ("100644", b"folder as a file", folder, "expected"),
        ("40000", b"file as a folder", blob, "expected"),
        ("100644", b"nothing", Oid::from_bytes(&[9; 20]).unwrap(), "cannot read"),
    ] {
        let tree = repo.root_tree_with(mode, name, id);
        refused(&repo, tree, word);
        // The same, some folders down.
        if name != b"network.yaml" {
            let inner = repo.raw_tree(&[(mode, name, id)]);
            let outer = repo.raw_tree(&[("40000", b"a", inner)]);
            refused(&repo, repo.root_tree_with("40000", b"deep", outer), word);
        }
    }
    refused(&repo, repo.root_tree_with("40000", b"empty", repo.raw_tree(&[])), "empty folder");
    let reversed = repo.raw_tree(&[("100644", b"b", blob), ("100644", b"a", blob)]);
    refused(&repo, repo.root_tree_with("40000", b"unordered", reversed), "out of order");
}

#[test]
fn a_root_with_what_must_not_be_there() {
    let mut repo = Repo::new();
    let blob = repo.blob(b"/etc/passwd");
    repo.root = repo.commit(&[], repo.root_tree_with("120000", b"link", blob), Some(&repo.nat));
    let verification = repo.verify_from(None, repo.root);
    assert_eq!(verification.refused.unwrap().rule, "R8");
    assert!(verification.verified.is_none());
}

#[test]
fn what_is_too_much() {
    let repo = Repo::new();
    let limits = Limits::default();
    let huge = repo.blob(&vec![b'x'; usize::try_from(limits.blob_bytes).unwrap() + 1]);
    refused(&repo, repo.root_tree_with("100644", b"huge", huge), "bytes");

    let mut deep = repo.raw_tree(&[("100644", b"x", repo.blob(b"x"))]);
    for _ in 0..limits.depth {
        deep = repo.raw_tree(&[("40000", b"d", deep)]);
    }
    refused(&repo, repo.root_tree_with("40000", b"deep", deep), "deeper");

    let long = "x".repeat(limits.path_bytes + 1);
    refused(&repo, repo.root_tree_with("100644", long.as_bytes(), repo.blob(b"x")), "a path of");
}

/// Each level holds the level below sixteen times: sixteen to the tenth files in ten objects.
#[test]
fn a_tree_that_holds_itself_many_times() {
    let repo = Repo::new();
    let names: Vec<String> = (0..16).map(|n| format!("{n:02}")).collect();
    let mut level = repo.blob(b"x");
    let mut mode = "100644";
    for _ in 0..10 {
        level = repo.raw_tree(&names.iter().map(|name| (mode, name.as_bytes(), level)).collect::<Vec<_>>());
        mode = "40000";
    }
    refused(&repo, repo.root_tree_with("40000", b"many", level), "files");
}

#[test]
fn files_and_bytes_are_counted_over_the_whole_revision() {
    let repo = Repo::new();
    let mut terms = repo.terms();
    let verify = |terms: &verify::Terms, candidate| {
        verify::verify(&repo.git, terms, Some(revision(repo.root)), revision(candidate)).unwrap().refused
    };
    terms.limits.files = repo.files().len() as u64;
    let one_more = repo.change(repo.root, &repo.files_with("zones/mike/a.yaml", "x"), &repo.nat);
    assert_eq!(verify(&terms, one_more).unwrap().rule, "R8");
    let mut swapped = repo.files_with("zones/mike/a.yaml", "x");
    swapped.remove("zones/mike/example.org.yaml");
    assert_eq!(verify(&terms, repo.change(repo.root, &swapped, &repo.nat)), None);

    terms = repo.terms();
    terms.limits.total_bytes = repo.files().values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(verify(&terms, one_more).unwrap().rule, "R8");
}
