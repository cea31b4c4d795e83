//! The embedded name server beside NSD, Knot and BIND: the same zones, the same octets asked, the responses compared.
//!
//! Where the three agree and ours differs, ours is wrong. Where they differ among themselves, `choices` says whom we
//! follow and why, and that we do is checked. Every run leaves what is wrong, by class and with examples, in
//! `target/tmp/differential.txt`.
//!
//! ```text
//! zones/<world>/*.zone ─→ worlds ─┬→ daemons: NSD, Knot, BIND ─┐
//!                                 ├→ the embedded server ──────┼─ wire → compare ─→ report
//!                                 └→ questions, malformed ─ask→┘             ↑ choices
//! ```

use std::path::Path;

use choices::CHOICES;
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
    report.assert_right(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.txt"));
    let idle: Vec<&str> =
        CHOICES.iter().map(|choice| choice.name).filter(|name| !report.made.contains_key(name)).collect();
    assert!(idle.is_empty(), "choices that nobody makes: {idle:?}");
}
