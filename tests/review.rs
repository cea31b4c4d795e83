//! What `plan` says of a change to the example network.

use std::path::Path;

use shoestring::desired::load::{read, read_folder};
use shoestring::desired::model::DesiredState;
use shoestring::review::{Change, Review, markdown, review, text};
use shoestring::tree::Tree;

fn example() -> Tree {
    read_folder(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/desired-state"))).unwrap()
}

fn state(tree: &Tree) -> DesiredState {
    read(tree).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The review of the example after an edit of some files: path, text before, text after.
fn after(edits: &[(&str, &str, &str)]) -> Review {
    let base = example();
    let mut head = base.clone();
    for (path, from, to) in edits {
        let file = head.files.get_mut(*path).unwrap();
        let before = std::str::from_utf8(&file.bytes).unwrap();
        assert!(before.contains(from), "{path} has {from:?}");
        file.bytes = before.replace(from, to).into_bytes().into();
        file.changed += 1;
    }
    review(Some(&state(&base)), &state(&head))
}

#[test]
fn no_change_is_an_empty_review() {
    let review = after(&[]);
    assert_eq!(review, Review::default());
    assert!(text(&review).contains("No node would change anything"));
}

#[test]
fn a_drained_node_is_seen_in_its_plan_and_in_its_sessions_alone() {
    let review = after(&[("nodes/pune.yaml", "state: live", "state: drained")]);
    assert!(review.zones.is_empty());
    let [node] = &review.nodes[..] else { panic!("{:?}", review.nodes) };
    assert_eq!(node.nodes, ["pune"]);
    assert!(node.actions[0].starts_with("drain 192.0.2.0/24"), "{:?}", node.actions);
    assert!(!review.bgp.is_empty());
    for session in &review.bgp {
        assert_eq!((session.node.as_str(), session.change), ("pune", Change::Changed));
        assert!(session.terms.contains("announces nothing"), "{}", session.terms);
    }
}

#[test]
fn a_change_of_configuration_says_in_which_waves_it_goes() {
    let review = after(&[("network.yaml", "routing_trial: 2m", "routing_trial: 3m")]);
    assert_eq!(review.waves[..2], [vec!["london-c".to_owned()], vec!["boston".into(), "edinburgh".into()]]);
    assert_eq!((review.waves.len(), review.waves[2].len()), (3, 8), "the planned node is in none");
    assert!(text(&review).contains("\n  2. boston, edinburgh\n"), "{}", text(&review));
    assert!(markdown(&review).contains("\n1. boston, edinburgh\n"), "{}", markdown(&review));
    for at_once in [
        ("zones/operator/example.net.zone", "203.0.113.80", "203.0.113.81"),
        ("nodes/pune.yaml", "state: live", "state: drained"),
        ("network.yaml", "soak: 60s", "soak: 30s"),
    ] {
        assert!(after(&[at_once]).waves.is_empty(), "{at_once:?}");
    }
}

#[test]
fn a_changed_record_is_shown_by_itself_and_every_node_sets_the_zone() {
    let zone = "zones/operator/example.net.zone";
    let review = after(&[(zone, "203.0.113.80", "203.0.113.99")]);
    let [change] = &review.zones[..] else { panic!("{:?}", review.zones) };
    assert_eq!((change.zone.as_str(), change.change), ("example.net", Change::Changed));
    assert!(change.removed.iter().all(|record| record.contains(" A 203.0.113.80")), "{:?}", change.removed);
    assert!(change.added.iter().all(|record| record.contains(" A 203.0.113.99")), "{:?}", change.added);
    assert!(!change.added.is_empty());
    let [plan] = &review.nodes[..] else { panic!("{:?}", review.nodes) };
    assert_eq!(plan.nodes.len(), 11, "the planned node does nothing: {:?}", plan.nodes);
    assert_eq!(plan.actions, ["set zone example.net"]);
    assert!(review.bgp.is_empty());
}

#[test]
fn a_zone_file_that_is_only_written_otherwise_says_so() {
    let review = after(&[("zones/operator/example.net.zone", "203.0.113.80", " 203.0.113.80")]);
    assert!(review.zones[0].added.is_empty() && review.zones[0].removed.is_empty(), "{:?}", review.zones);
    assert!(text(&review).contains("it gets a new serial"), "{}", text(&review));
    assert!(
        !text(&after(&[("zones/operator/example.net.zone", "203.0.113.80", "203.0.113.81")]))
            .contains("new serial")
    );
}

#[test]
fn a_new_peer_shows_what_it_will_be_sent() {
    let base = example();
    let mut head = base.clone();
    let (path, peer) = base.files.iter().find(|(path, _)| path.starts_with("peers/pune/")).unwrap();
    head.files.remove(path);
    let text_of = |review: &Review| text(review);
    let gone = review(Some(&state(&base)), &state(&head));
    assert!(gone.bgp.iter().all(|session| session.change == Change::Removed), "{:?}", gone.bgp);
    head.files.insert(path.clone(), peer.clone());
    let mut without = base.clone();
    without.files.remove(path);
    let new = review(Some(&state(&without)), &state(&head));
    assert!(new.bgp.iter().all(|session| session.change == Change::Added), "{:?}", new.bgp);
    assert!(new.bgp.iter().any(|session| session.terms.contains("announces 192.0.2.0/24")), "{:?}", new.bgp);
    assert!(text_of(&new).contains("+ pune "), "{}", text_of(&new));
}

#[test]
fn markdown_keeps_records_inside_their_fences() {
    let zone = "zones/operator/example.net.zone";
    let review = after(&[(zone, "v=spf1 mx -all", "```</details>**bold**")]);
    let page = markdown(&review);
    let fence = page.lines().find(|line| line.trim_start().starts_with("````diff")).unwrap_or_default();
    assert!(!fence.is_empty(), "the fence is longer than the quotes in the record:\n{page}");
}
