//! The embedded name server beside NSD, Knot and BIND: the same zones, the same octets asked, the responses compared.
//!
//! Where the three agree and ours differs, ours is wrong. Where they differ among themselves, `choices` says whom we
//! follow and why, and that we do is checked. What is wrong today is counted in `pending.txt`, by class; it must be
//! exact, and at the end empty. A run with `BLESS=1` writes it anew, and every run leaves the examples of all classes
//! in `target/tmp/differential.txt`.
//!
//! ```text
//! zones/<world>/*.zone ─→ worlds ─┬→ daemons: NSD, Knot, BIND ─┐
//!                                 ├→ the embedded server ──────┼─ wire → compare ─→ report
//!                                 └→ questions, malformed ─ask→┘             ↑ choices
//! ```

use std::fmt::Write as _;
use std::path::Path;

use choices::{CHOICES, Choice};
use compare::{Compared, Report};

mod ask;
mod choices;
mod compare;
mod daemons;
mod malformed;
mod questions;
mod wire;
mod worlds;

#[test]
fn answers_are_those_of_nsd_knot_and_bind() {
    let mut report = Report::default();
    let worlds = ["main", "root"].map(|world| std::thread::spawn(|| Compared::ask(world)));
    for world in worlds {
        let Some(compared) = world.join().unwrap() else { return };
        compared.judge(&mut report);
    }
    assert!(report.cases > 6_000, "only {} cases", report.cases);
    let mut examples = String::new();
    let mut pending = String::new();
    for (class, (count, shown)) in &report.classes {
        writeln!(pending, "{count:6} {class}").unwrap();
        writeln!(examples, "== {count} {class}\n{shown}").unwrap();
    }
    for Choice { name, why, .. } in CHOICES {
        writeln!(examples, "chosen {:6} {name}: {why}", report.made.get(name).unwrap_or(&0)).unwrap();
    }
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.txt");
    std::fs::write(&written, examples).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/pending.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &pending).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap();
    let fewer = |line: &&str| !pending.lines().any(|other| other == *line);
    let more = |line: &&str| !known.lines().any(|other| other == *line);
    let gone: Vec<&str> = known.lines().filter(fewer).collect();
    let new: Vec<&str> = pending.lines().filter(more).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "{} cases; examples are in {}\nexpected by pending.txt, but not so: {gone:#?}\nnot in pending.txt: {new:#?}",
        report.cases,
        written.display(),
    );
    let idle: Vec<&str> =
        CHOICES.iter().map(|choice| choice.name).filter(|name| !report.made.contains_key(name)).collect();
    assert!(idle.is_empty(), "choices that nobody makes: {idle:?}");
}
