use std::path::Path;

use super::super::memory::{Edition, Known};
use super::*;
use crate::desired::load;
use crate::desired::slice::slice;
use crate::dns::ZoneRecords;
use crate::dns::embedded::zonefile;
use crate::names::Serial;
use crate::tree::File;

const CATALOG: &str = "kind: catalog\nprimaries: [{ address: 203.0.113.9 }]\n";

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

/// A hub with these files beside those of the smallest network.
fn hub(files: &[(&str, &str)]) -> DesiredNode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/one-node");
    let mut tree = load::read_folder(&folder).unwrap();
    for (path, text) in files {
        tree.files.insert((*path).into(), File { bytes: text.as_bytes().into(), changed: 1 });
    }
    let node = "nodes/first.yaml";
    let text = String::from_utf8(tree.files[node].bytes.to_vec()).unwrap();
    assert!(text.contains("hub"), "{text}");
    slice(&load::read(&tree).unwrap(), &"first".parse().unwrap()).unwrap()
}

/// A node, and what it knows.
struct Lab {
    files: DesiredNode,
    memory: Memory,
    now: u32,
    node: Option<DesiredNode>,
    outcomes: BTreeMap<DomainName, Outcome>,
}

impl Lab {
    fn new(files: &[(&str, &str)]) -> Self {
        let (memory, outcomes) = Default::default();
        Self { files: hub(files), memory, now: 1_000, node: None, outcomes }
    }

    /// A catalog lists these: `id member`, or `id member heir`.
    fn says(&mut self, catalog: &str, members: &[&str]) {
        let member = |line: &&str| {
            let words: Vec<DomainName> = line.split(' ').map(name).collect();
            (words[1].clone(), Member { id: words[0].clone(), goes_to: words.get(2).cloned() })
        };
        let known = Known { serial: self.now, members: members.iter().map(member).collect() };
        self.memory.consumed.insert(name(catalog), known);
        self.merge();
    }

    fn merge(&mut self) {
        self.now += 10;
        let (node, memory, outcomes) = merge(&self.files, &self.memory, self.now);
        (self.node, self.memory, self.outcomes) = (Some(node), memory, outcomes);
    }

    /// The name server has let go of what was to leave.
    fn let_go(&mut self) {
        self.memory.leaving.clear();
        self.merge();
    }

    /// What comes from this primary.
    fn from(&self, primary: &str) -> Vec<String> {
        let zones = &self.node.as_ref().unwrap().zones;
        let is_from = |zone: &&Arc<ZoneConfig>| match &zone.source {
            ZoneRecords::Transfer(sources) => {
                sources.iter().any(|source| source.address.ip().to_string() == primary)
            }
            ZoneRecords::File { .. } => false,
        };
        zones.values().filter(is_from).map(|zone| zone.name.to_string()).collect()
    }

    fn why_not(&self, catalog: &str, member: &str) -> &str {
        &self.outcomes[&name(catalog)].refused[&name(member)]
    }
}

#[test]
fn members_become_zones_and_go_with_the_catalog_alone() {
    let policy = format!("{CATALOG}members: {{ primaries: [{{ address: 203.0.113.10 }}] }}\n");
    let mut lab = Lab::new(&[("zones/mike/cat.example.yaml", &policy)]);
    lab.merge();
    assert_eq!(lab.from("203.0.113.9"), ["cat.example"], "it is a zone itself, before anything is known");
    assert_eq!(lab.outcomes[&name("cat.example")].serial, None);
    lab.says("cat.example", &["a a.example", "b b.example"]);
    assert_eq!(lab.from("203.0.113.10"), ["a.example", "b.example"]);
    let (taken, serial) =
        (lab.outcomes[&name("cat.example")].taken, lab.outcomes[&name("cat.example")].serial);
    assert_eq!((taken, serial), (2, Some(1_010)));
    // Nothing new: the same tables, so that a tick finds nothing to do.
    let before = lab.node.clone().unwrap();
    lab.merge();
    assert_eq!(before.zones.fingerprint(), lab.node.as_ref().unwrap().zones.fingerprint());
    lab.says("cat.example", &["b b.example"]);
    assert_eq!(lab.from("203.0.113.10"), ["b.example"]);
    // The file goes, and with it everything.
    lab.files = hub(&[]);
    lab.merge();
    assert_eq!((lab.from("203.0.113.10").len(), &lab.memory), (0, &Memory::default()));
}

#[test]
fn members_stay_within_their_bounds() {
    let policy = format!("{CATALOG}members: {{ limit: 2, within: [example] }}\n");
    let mut lab = Lab::new(&[
        ("zones/mike/cat.test.yaml", &policy),
        ("zones/mike/own.example.yaml", CATALOG.replace("catalog", "secondary").as_str()),
    ]);
    lab.says("cat.test", &["1 b.example", "2 own.example", "3 other.test", "4 .", "5 c.example"]);
    assert_eq!(lab.from("203.0.113.9"), ["b.example", "c.example", "own.example", "cat.test"]);
    assert_eq!(lab.why_not("cat.test", "own.example"), "zones/mike/own.example.yaml has it");
    assert_eq!(lab.why_not("cat.test", "other.test"), "it lies in nothing that `within` names");
    assert_eq!(lab.why_not("cat.test", "."), "the root is not a zone that a network can serve");
    // One that comes before them in order does not push out those that are there.
    lab.says("cat.test", &["0 a.example", "1 b.example", "5 c.example"]);
    assert_eq!(lab.why_not("cat.test", "a.example"), "the catalog may have 2 members at most");
    assert_eq!((lab.outcomes[&name("cat.test")].taken, lab.outcomes[&name("cat.test")].refusals), (2, 1));
}

#[test]
fn nobody_takes_over_names_of_another_account() {
    let other = CATALOG.replace(".9", ".10");
    let mut lab = Lab::new(&[
        ("zones/mike/cat.mike.yaml", CATALOG),
        ("zones/adam/cat.adam.yaml", &other),
        ("zones/mike/file.example.yaml", CATALOG.replace("catalog", "secondary").as_str()),
    ]);
    lab.says("cat.mike", &["a a.example", "b b.file.example"]);
    // Adam comes before Mike, and later.
    let greedy =
        ["1 a.example", "2 x.a.example", "3 file.example", "4 y.file.example", "5 example", "6 adam.test"];
    lab.says("cat.adam", &greedy);
    assert_eq!(lab.from("203.0.113.10"), ["cat.adam", "adam.test"]);
    assert_eq!(lab.from("203.0.113.9"), ["a.example", "file.example", "b.file.example", "cat.mike"]);
    for (member, why) in [
        ("a.example", "the catalog cat.mike of account mike has it"),
        ("x.a.example", "it lies inside a.example of account mike"),
        ("file.example", "zones/mike/file.example.yaml has it"),
        ("y.file.example", "it lies inside file.example of account mike"),
        ("example", "file.example of account mike lies inside it"),
    ] {
        assert_eq!(lab.why_not("cat.adam", member), why);
    }
    // What Mike lets go of, Adam may have, as another zone.
    lab.says("cat.mike", &["b b.file.example"]);
    assert!(!lab.from("203.0.113.10").contains(&"a.example".to_owned()), "the one before leaves first");
    lab.let_go();
    assert!(lab.from("203.0.113.10").contains(&"a.example".to_owned()));
}

#[test]
fn a_member_with_another_id_is_another_zone() {
    let mut lab = Lab::new(&[("zones/mike/cat.mike.yaml", CATALOG)]);
    lab.says("cat.mike", &["a a.example", "b b.example"]);
    lab.says("cat.mike", &["c a.example", "b b.example"]);
    assert_eq!(lab.from("203.0.113.9"), ["b.example", "cat.mike"]);
    lab.merge();
    assert_eq!(lab.from("203.0.113.9"), ["b.example", "cat.mike"], "it is still there");
    lab.let_go();
    assert_eq!(lab.from("203.0.113.9"), ["a.example", "b.example", "cat.mike"]);
}

#[test]
fn a_member_goes_over_to_the_catalog_that_it_is_given_to() {
    let other = CATALOG.replace(".9", ".10");
    let limited = format!("{other}members: {{ limit: 1 }}\n");
    let mut lab = Lab::new(&[("zones/mike/cat.mike.yaml", CATALOG), ("zones/zoe/cat.zoe.yaml", &limited)]);
    lab.says("cat.mike", &["a a.example cat.zoe", "b b.example cat.zoe", "c c.example"]);
    assert_eq!(lab.from("203.0.113.9").len(), 4, "the other does not list them yet");
    lab.says("cat.zoe", &["a a.example", "b b.example", "c c.example"]);
    // One goes over without a gap; for the other there is no place; the third was not given away.
    assert_eq!(lab.from("203.0.113.10"), ["a.example", "cat.zoe"]);
    assert_eq!(lab.from("203.0.113.9"), ["b.example", "c.example", "cat.mike"]);
    assert_eq!(lab.memory.leaving, [].into());
    assert_eq!(lab.why_not("cat.zoe", "b.example"), "the catalog may have 1 members at most");
    assert_eq!(lab.why_not("cat.zoe", "c.example"), "the catalog cat.mike of account mike has it");
    lab.merge();
    assert_eq!(lab.from("203.0.113.10"), ["a.example", "cat.zoe"], "and so it stays");
}

#[test]
fn an_offered_catalog_lists_the_accounts_zones() {
    let offer = "kind: offered-catalog\ntransfer_to: [{ address: 203.0.113.20 }]\nnotify: [{ address: 203.0.113.20 }]\n";
    let mut lab = Lab::new(&[
        ("zones/mike/cat.mike.yaml", CATALOG),
        ("zones/mike/ours.example.yaml", CATALOG.replace("catalog", "secondary").as_str()),
        ("zones/mike/offer.mike.yaml", offer),
    ]);
    let (node, listed) = ("offer.mike", |lab: &Lab| {
        let zone = Arc::clone(&lab.node.as_ref().unwrap().zones[&name("offer.mike")]);
        let ZoneRecords::File { path, text, serial } = &zone.source else { panic!("it is made here") };
        let read = zonefile::read(path, text, &zone.name, Some(*serial)).unwrap();
        let members = super::super::members(&read).unwrap();
        (members.keys().map(ToString::to_string).collect::<Vec<_>>(), serial.0)
    });
    lab.merge();
    assert_eq!(listed(&lab), (vec!["ours.example".to_owned()], 1_010));
    lab.merge();
    assert_eq!(listed(&lab).1, 1_010, "nothing new");
    lab.says("cat.mike", &["a a.example"]);
    assert_eq!(listed(&lab), (vec!["a.example".to_owned(), "ours.example".to_owned()], 1_030));
    let outcome = &lab.outcomes[&name(node)];
    assert_eq!((outcome.is_offered, outcome.taken, outcome.serial), (true, 2, Some(1_030)));
    // A clock that was set back.
    lab.memory.offered.insert(name(node), Edition { fingerprint: "x".into(), serial: 5_000 });
    lab.merge();
    assert_eq!(listed(&lab).1, 5_001);
    assert!(Serial(listed(&lab).1).is_newer_than(Serial(5_000)));
    // Who may have the catalog may have what it lists, and is told of it.
    let zones = &lab.node.as_ref().unwrap().zones;
    for zone in ["offer.mike", "a.example", "ours.example"] {
        let zone = &zones[&name(zone)];
        assert_eq!((zone.transfer_to.len(), zone.notify.len()), (1, 1), "{}", zone.name);
    }
    let other = zones.values().find(|zone| zone.transfer_to.is_empty());
    assert!(other.is_some(), "the operator's zones are not Mike's");
}
