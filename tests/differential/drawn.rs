//! Worlds that are drawn: zones that nobody thought of.
//!
//! ```text
//! seed ─→ apexes, some above others ─→ owners ─→ what each is: data, alias, cut, DNAME ─→ text ─ sign ─→ World
//! ```
//!
//! The labels are few, so that names meet: wildcards above, beside and below each other, cuts below cuts, empty
//! non-terminals, aliases to all of them. What a server may refuse to load is not drawn.

use std::collections::{BTreeMap, BTreeSet};

use shoestring::names::DomainName;

use super::draw::Draw;
use super::sign::{self, Denial, Signing};
use super::worlds::{World, ZoneText};

mod records;

/// The apexes that a world has some of.
const APEXES: [&str; 11] = [
    "test",
    "one.test",
    "two.test",
    "three.test",
    "a.one.test",
    "b.a.one.test",
    "c.two.test",
    "a.b.two.test",
    "x.x.three.test",
    "sub.example",
    "example",
];

/// The labels that most names are made of.
const LABELS: [&str; 14] =
    ["a", "b", "c", "x", "ns", "A", "ab", "*", "*", "_tcp", "www", "a-b", r"\002", r"\255"];
/// Others. NSD and Knot sort labels with an octet 0 wrongly, so there are none.
const ODD: [&str; 8] = [
    r"a\.b",
    r"\*",
    r"*a",
    r"z\009z",
    "xn--nxasmq6b",
    "123456789012345678901234567890123456789012345678901234567890abc",
    "WWW",
    r#"\032\"\;"#,
];

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Data,
    Alias,
    Dname,
    Cut,
}

/// One zone as it is being drawn: its owners, relative to the apex, and what each is.
pub struct Sketch {
    pub apex: String,
    pub owners: BTreeMap<String, Part>,
}

impl Sketch {
    /// An owner's whole name, as text.
    pub fn whole(&self, owner: &str) -> String {
        match (owner, self.apex.as_str()) {
            ("", ".") => ".".to_owned(),
            ("", apex) => format!("{apex}."),
            (owner, ".") => format!("{owner}."),
            (owner, apex) => format!("{owner}.{apex}."),
        }
    }
}

impl Sketch {
    /// Whether a name is within the zone.
    pub fn has(&self, name: &str) -> bool {
        named(name).is_within(&named(&self.whole("")))
    }

    /// What an owner is, by its whole name.
    pub fn part(&self, name: &str) -> Option<Part> {
        let name = named(name);
        self.owners.iter().find(|(owner, _)| named(&self.whole(owner)) == name).map(|(_, part)| *part)
    }

    /// Whether a name is below a DNAME.
    pub fn is_redirected(&self, name: &str) -> bool {
        let name = named(name);
        let mut dnames = self.owners.iter().filter(|(_, part)| **part == Part::Dname);
        dnames.any(|(owner, _)| {
            let dname = named(&self.whole(owner));
            name.is_within(&dname) && name != dname
        })
    }
}

fn named(text: &str) -> DomainName {
    text.parse().unwrap()
}

/// A name of some labels.
pub fn relative(draw: &mut Draw) -> String {
    let depth = draw.one(&[1, 1, 1, 2, 2, 3, 4]);
    let label = |draw: &mut Draw| if draw.percent(6) { draw.one(&ODD) } else { draw.one(&LABELS) };
    (0..depth).map(|_| label(draw)).collect::<Vec<_>>().join(".")
}

fn sketch(apex: &str, apexes: &BTreeSet<&str>, draw: &mut Draw) -> Sketch {
    let mut owners = BTreeMap::new();
    let size = draw.one(&[0, 1, 3, 8, 15, 15, 30]);
    for _ in 0..size {
        let mut owner = relative(draw);
        // Names below each other, rather than all beside each other.
        if draw.percent(40)
            && let Some(above) = nth(&owners, draw)
        {
            owner = format!("{owner}.{above}");
        }
        let part = match draw.below(100) {
            0..50 => Part::Data,
            50..70 => Part::Alias,
            70..80 => Part::Dname,
            // BIND refuses wildcards that delegate.
            _ if owner.trim_start_matches('\\').starts_with('*') => Part::Data,
            _ => Part::Cut,
        };
        if sign::fits(&owner, apex) && !owners.keys().any(|other| named(other) == named(&owner)) {
            owners.insert(owner, part);
        }
    }
    for child in apexes {
        let below = child.strip_suffix(apex).and_then(|rest| rest.strip_suffix('.'));
        let Some(owner) = below.or((apex == "." && *child != apex).then_some(child)) else { continue };
        owners.retain(|other, _| named(other) != named(owner));
        if draw.percent(75) {
            owners.insert(owner.to_owned(), Part::Cut);
        }
    }
    let mut sketch = Sketch { apex: apex.to_owned(), owners };
    if sketch.owners.is_empty() && draw.percent(50) {
        sketch.owners.insert(String::new(), Part::Dname);
    }
    sketch
}

/// Removes what is below a DNAME: NSD refuses it, even where it is in another zone.
fn prune(sketches: &mut [Sketch]) {
    let mut dnames = Vec::new();
    for sketch in &mut *sketches {
        for (owner, _) in sketch.owners.iter().filter(|(_, part)| **part == Part::Dname) {
            dnames.push(named(&sketch.whole(owner)));
        }
    }
    let is_below = |name: &str, dname: &DomainName| {
        let name = named(name);
        name.is_within(dname) && name != *dname
    };
    let apexes: Vec<String> = sketches.iter().map(|sketch| sketch.whole("")).collect();
    let (above, dnames): (Vec<_>, Vec<_>) =
        dnames.into_iter().partition(|dname| apexes.iter().any(|apex| is_below(apex, dname)));
    for sketch in sketches {
        let whole: BTreeMap<String, String> =
            sketch.owners.keys().map(|owner| (owner.clone(), sketch.whole(owner))).collect();
        sketch.owners.retain(|owner, part| {
            if *part == Part::Dname && above.contains(&named(&whole[owner])) {
                *part = Part::Data;
            }
            !dnames.iter().any(|dname| is_below(&whole[owner], dname))
        });
    }
}

fn nth(owners: &BTreeMap<String, Part>, draw: &mut Draw) -> Option<String> {
    let at = draw.below(owners.len().max(1));
    owners.keys().nth(at).cloned()
}

fn signing(draw: &mut Draw) -> Option<Signing> {
    if draw.percent(35) {
        return None;
    }
    let salt = draw.one(&["-", "-", "ab", "aabbccddeeff00112233"]);
    let denial = match draw.below(10) {
        0..4 => Denial::Nsec,
        kind => Denial::Nsec3 { salt, iterations: draw.one(&[0, 0, 1, 10]), opt_out: kind >= 7 },
    };
    let algorithms = draw.one(&[
        &["ECDSAP256SHA256"][..],
        &["ECDSAP256SHA256"],
        &["ED25519"],
        &["RSASHA256"],
        &["ECDSAP256SHA256", "ED25519"],
    ]);
    Some(Signing { denial, algorithms, by_knot: draw.percent(25) })
}

/// The world of a seed.
pub fn world(seed: u64) -> World {
    let mut draw = Draw::new(seed);
    let mut apexes = BTreeSet::new();
    let count = 3 + draw.below(4);
    while apexes.len() < count {
        apexes.insert(draw.one(&APEXES));
    }
    if draw.percent(10) {
        apexes.insert(".");
    }
    let mut sketches: Vec<Sketch> = apexes.iter().map(|apex| sketch(apex, &apexes, &mut draw)).collect();
    prune(&mut sketches);
    let zones = (0..sketches.len()).map(|at| {
        let text = records::text(&sketches, at, &mut draw);
        let apex = &sketches[at].apex;
        let text = match signing(&mut draw) {
            Some(signing) => sign::signed(apex, &text, &signing),
            None => text,
        };
        let file = if apex == "." { "root.zone".to_owned() } else { format!("{apex}.zone") };
        ZoneText::new(file, text)
    });
    World { zones: zones.collect() }
}
