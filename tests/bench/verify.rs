//! How long a history takes to verify, beside two floors in the same run: the bare signature checks, and reading the
//! objects. `cargo bench`; the figures are microseconds of wall time for each commit.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and a failure ends it")]

use std::time::{Instant, SystemTime};

use git2::{ObjectType, Oid, Repository, Signature};
use shoestring::config::Pin;
use shoestring::names::Revision;
use shoestring::source::hygiene::Limits;
use shoestring::source::sign::{commit_signed, new_key};
use shoestring::source::signature::{Key, Verdict, verify as check};
use shoestring::source::verify::{Terms, verify, verify_after};

const COMMITS: usize = 2_000;
const REGULAR: i32 = 0o100_644;
const FOLDER: i32 = 0o040_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let git = Repository::init_bare(folder.path()).unwrap();
    let key = new_key("bench").unwrap();
    let public = key.public_key().to_openssh().unwrap();
    let trust = format!(
        "version: 1\nprincipals:\n  nat: {{ keys: ['{public}'] }}\nrules:\n  - {{ paths: ['**'], signers: [nat], need: 1 }}\nrevoked: []\n"
    );
    let commit = |parents: &[Oid], number: usize| {
        let zones =
            one(&git, "a.example.zone", git.blob(format!("; {number}\n").as_bytes()).unwrap(), REGULAR);
        let mut root = git.treebuilder(None).unwrap();
        root.insert("network.yaml", git.blob(b"name: bench\n").unwrap(), REGULAR).unwrap();
        root.insert("trust.yaml", git.blob(trust.as_bytes()).unwrap(), REGULAR).unwrap();
        root.insert("zones", one(&git, "account", zones, FOLDER), FOLDER).unwrap();
        let author = Signature::now("nat", "nat@example.net").unwrap();
        commit_signed(&git, parents, root.write().unwrap(), "change", &author, &key).unwrap()
    };
    let mut chain = vec![commit(&[], 0)];
    for number in 1..=COMMITS {
        chain.push(commit(&[chain[number - 1]], number));
    }
    let (root, tip) = (chain[0], chain[COMMITS]);
    let terms = Terms {
        network: "bench".parse().unwrap(),
        pin: Pin::Root(revision(root)),
        limits: Limits::default(),
        now: SystemTime::now(),
    };

    let database = git.odb().unwrap();
    let begun = Instant::now();
    for id in &chain {
        assert_eq!(database.read(*id).unwrap().kind(), ObjectType::Commit);
    }
    print("reading the commits (floor)", begun, COMMITS);

    let signed: Vec<_> = chain.iter().map(|id| git.extract_signature(id, None).unwrap()).collect();
    let keys = [&Key::Ssh(Box::new(key.public_key().clone()))];
    let begun = Instant::now();
    for (signature, payload) in &signed {
        let verdict = check(signature.as_str().unwrap(), payload, &keys, terms.now);
        assert!(matches!(verdict, Verdict::Good { .. }), "{verdict:?}");
    }
    print("checking the signatures (floor)", begun, COMMITS);

    let begun = Instant::now();
    let verification = verify(&git, &terms, None, revision(tip)).unwrap();
    print("verifying the history", begun, COMMITS);
    assert_eq!((verification.refused, verification.judged.len()), (None, COMMITS));

    let verified = verification.verified.unwrap();
    let next = commit(&[tip], COMMITS + 1);
    let begun = Instant::now();
    let after = verify_after(&git, &terms, &verified, revision(next)).unwrap();
    print("verifying one more commit on top", begun, 1);
    assert_eq!(after.refused, None);
}

/// A tree with one entry.
fn one(git: &Repository, name: &str, id: Oid, mode: i32) -> Oid {
    let mut tree = git.treebuilder(None).unwrap();
    tree.insert(name, id, mode).unwrap();
    tree.write().unwrap()
}

fn revision(id: Oid) -> Revision {
    id.to_string().parse().unwrap()
}

fn print(what: &str, begun: Instant, count: usize) {
    let micros = begun.elapsed().as_micros() as f64 / count as f64;
    println!("{what:<36}{micros:>10.1} us");
}
