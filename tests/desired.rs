//! The desired state from outside: what is wrong with a network's files, and where.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use shoestring::desired::load;
use shoestring::tree::{File, Tree};

mod secrets;
mod table;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn example() -> Tree {
    static EXAMPLE: LazyLock<Tree> = LazyLock::new(|| load::read_folder(&folder("desired-state")).unwrap());
    EXAMPLE.clone()
}

fn put(tree: &mut Tree, path: &str, bytes: &[u8]) {
    tree.files.insert(path.into(), File { bytes: bytes.into(), changed: 1 });
}

/// The example without its secrets, which depend on what every node is.
fn bare() -> Tree {
    let mut tree = example();
    tree.files.retain(|path, _| !path.starts_with("secrets/"));
    let paths: Vec<Arc<str>> = tree.files.keys().filter(|path| path.ends_with(".yaml")).cloned().collect();
    for path in paths {
        let text = String::from_utf8(tree.files[&path].bytes.to_vec()).unwrap();
        let names = ["age_recipient:", "cookie_secret:", "password:", "tsig_key:"];
        let kept = text.lines().filter(|line| !names.iter().any(|name| line.trim_start().starts_with(name)));
        put(&mut tree, &path, kept.map(|line| format!("{line}\n")).collect::<String>().as_bytes());
    }
    tree
}

/// Every finding as one line.
fn findings(tree: &Tree) -> Vec<String> {
    match load::check(tree) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_examples_have_no_findings() {
    assert_eq!(findings(&example()), [""; 0]);
    let mut folders = 0;
    let examples = std::fs::read_dir(folder("examples")).unwrap().map(|entry| entry.unwrap().path());
    for example in examples.filter(|example| example.is_dir()) {
        let tree = load::read_folder(&example).unwrap();
        assert_eq!(findings(&tree), [""; 0]);
        folders += 1;
    }
    assert_ne!(folders, 0);
}

/// The serial of a primary zone counts revisions, whichever of its two files changed last.
#[test]
fn a_serial_comes_from_the_later_of_two_files() {
    use shoestring::desired::model::ZoneSource;
    let mut tree = example();
    let serial = |tree: &Tree, zone: &str| {
        let state = load::read(tree).unwrap();
        match &state.zones[&zone.parse().unwrap()].source {
            ZoneSource::Primary(primary) => primary.serial.0,
            ZoneSource::Secondary(_) | ZoneSource::Catalog(..) | ZoneSource::OfferedCatalog => {
                panic!("{zone} is no primary zone")
            }
        }
    };
    for (path, changed) in [("bikes.example.yaml", 7), ("bikes.example.zone", 9), ("wheels.example.yaml", 3)]
    {
        tree.files.get_mut(&*format!("zones/mike/{path}")).unwrap().changed = changed;
    }
    assert_eq!(serial(&tree, "bikes.example"), 9);
    assert_eq!(serial(&tree, "wheels.example"), 2_014_090_103);
}

/// Bytes that are no text, and texts that would cost a parser more than they weigh.
#[test]
fn hostile_bytes_are_findings() {
    let mut bomb = "place: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, name) in ('a'..'y').zip('b'..'z') {
        let list = vec![format!("*{before}"); 9].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    let cases: [(&[u8], &str); 7] = [
        (b"place: \xff\xfe", "1:8: the file is not UTF-8 from here on"),
        (
            b"place:\n  city: a\0b",
            "2:10: the character U+0000 is not allowed (control and bidirectional characters can hide what a file says; remove it)",
        ),
        (
            bomb.as_bytes(),
            "1:11: anchors and aliases are not allowed (write the value out where it is used; quote a text that begins with & or *)",
        ),
        (&b"[".repeat(200_000), "1:13: recursion limit exceeded"),
        (&b"- ".repeat(100_000), "1:1: expected keys with values here"),
        (
            &b"a: b\n".repeat(40_000),
            "1:1: unknown field `a`, expected one of place, fqdn, description, live_since, cost, management, interfaces, mesh, roles, dns, routing, mrt, router_id, age_recipient, state",
        ),
        (&b"#".repeat(300_000), " the file has 300000 bytes; 262144 is the most"),
    ];
    for (bytes, expected) in cases {
        let mut tree = example();
        put(&mut tree, "nodes/bahrain.yaml", bytes);
        assert_eq!(findings(&tree), [format!("nodes/bahrain.yaml:{expected}")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in a file, reading it ends, and ends without a panic.
    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0..6usize) {
        let mut tree = example();
        let path = ["network.yaml", "trust.yaml", "nodes/pune.yaml", "peers/pune/deccan-net.yaml",
            "zones/mike/bikes.example.yaml", "zones/mike/bikes.example.zone"][which];
        put(&mut tree, path, &bytes);
        let _ = load::read(&tree);
    }

    /// The same for text that looks like YAML.
    #[test]
    fn no_text_is_too_strange(text in r#"([a-z_]{1,9}: |- |\[|\]|\{|\}|"|'|&a |\*a|!t |<<: |# |\n|  |---|[0-9]{1,4}|:|,|\||>|%|\\u202e|é){0,60}"#) {
        let mut tree = example();
        put(&mut tree, "nodes/pune.yaml", text.as_bytes());
        prop_assert!(!findings(&tree).is_empty());
    }

    /// One octet of a good file changed.
    #[test]
    fn no_slip_is_too_strange(at in 0..2000usize, octet in any::<u8>()) {
        let mut tree = example();
        let mut bytes = tree.files["nodes/san-francisco.yaml"].bytes.to_vec();
        let at = at % bytes.len();
        bytes[at] = octet;
        put(&mut tree, "nodes/san-francisco.yaml", &bytes);
        let _ = load::read(&tree);
    }
}
