//! A revision before a verified one is verified too, and nothing else is.

use shoestring::config::Pin;
use shoestring::source::verify;

use super::repository::{Repo, revision};

#[test]
fn only_what_lies_on_the_verified_chain_can_be_gone_back_to() {
    let repo = Repo::new();
    let commit = |parents: &[git2::Oid], text: &str, key| {
        let tree = repo.tree(&repo.files_with("nodes/london.yaml", text));
        repo.commit(parents, tree, key)
    };
    let second = commit(&[repo.root], "city: Bremen\n", Some(&repo.nat));
    let third = commit(&[second], "city: Boston\n", Some(&repo.nat));
    // Signed like the others, beside the chain; unsigned, and merged, so an ancestor of the tip.
    let beside = commit(&[repo.root], "city: Pune\n", Some(&repo.nat));
    let unsigned = commit(&[second], "city: Nowhere\n", None);
    let tip = commit(&[third, unsigned], "city: Boston\n", Some(&repo.nat));
    let verified = repo.verify_from(None, tip);
    assert_eq!(verified.refused, None);
    let verified = verified.verified.unwrap();
    let earlier = |terms: &verify::Terms, of| {
        verify::verify_earlier(&repo.git, terms, &verified, revision(of)).unwrap()
    };
    for (of, city) in [(repo.root, "London"), (second, "Bremen"), (third, "Boston"), (tip, "Boston")] {
        let earlier = earlier(&repo.terms(), of).unwrap();
        assert_eq!(earlier.revision(), revision(of));
        let file = &earlier.tree().files["nodes/london.yaml"];
        assert_eq!(&*file.bytes, format!("city: {city}\n").as_bytes());
    }
    for of in [beside, unsigned, git2::Oid::from_bytes(&[7; 20]).unwrap()] {
        assert!(earlier(&repo.terms(), of).is_none(), "{of}");
    }
    // Nor what lies before the pin, which may have been moved.
    let terms = verify::Terms { pin: Pin::Root(revision(second)), ..repo.terms() };
    assert!(earlier(&terms, second).is_some());
    assert!(earlier(&terms, repo.root).is_none());
}
