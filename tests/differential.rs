//! The embedded name server beside NSD, Knot and BIND: the same zones, the same octets asked, the responses compared.
//!
//! Where the three agree and ours differs, ours is wrong. Where they differ among themselves, `choices` says whom we
//! follow and why, and that we do is checked. Every run leaves what is wrong, by class and with examples, in
//! `target/tmp/differential.txt`.
//!
//! ```text
//! zones/<world>/*.zone ─→ worlds ─┬→ daemons: NSD, Knot, BIND ─┐
//! seed ─→ drawn, sign ───↗        ├→ the embedded server ──────┼─ wire → compare ─→ report
//!                                 └→ questions, malformed, ────┘             ↑ choices
//!                                    mangled ── ask
//! ```

use std::ops::Range;
use std::path::Path;

use choices::CHOICES;
use compare::{Compared, Report};
use draw::Draw;
use worlds::World;

mod ask;
mod choices;
mod compare;
mod daemons;
pub mod draw;
mod drawn;
mod malformed;
mod mangled;
mod questions;
mod sign;
mod wire;
mod worlds;

#[test]
fn answers_are_those_of_nsd_knot_and_bind() {
    let mut report = Report::default();
    let worlds = ["main", "root"].map(|world| {
        std::thread::spawn(|| {
            let world = World::read(world);
            let mut cases = questions::cases(&world);
            let mangled = mangled::cases(&cases, 1_000, &mut Draw::new(5));
            cases.extend(malformed::cases());
            cases.extend(mangled);
            Compared::ask(&world, cases)
        })
    });
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

/// What is wrong in the worlds of these seeds is in `target/tmp/<file>`, their zones in `target/tmp/drawn`.
fn answers_about_zones_drawn(seeds: Range<u64>, file: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if !sign::can_sign() {
        return;
    }
    let mut report = Report::default();
    for seed in seeds {
        let world = drawn::world(seed);
        let zones = folder.join("drawn").join(seed.to_string());
        std::fs::create_dir_all(&zones).unwrap();
        for zone in &world.zones {
            std::fs::write(zones.join(&zone.file), &zone.text).unwrap();
        }
        let mut cases = questions::about(&world, &mut Draw::new(seed));
        cases.iter_mut().for_each(|case| case.label = format!("{seed}: {}", case.label));
        let Some(compared) = Compared::ask(&world, cases) else { return };
        compared.judge(&mut report);
    }
    report.assert_right(&folder.join(file));
}

#[test]
fn answers_about_drawn_zones_are_those_of_nsd_knot_and_bind() {
    let halves = [4..8, 8..12].map(|seeds| {
        std::thread::spawn(move || {
            let file = format!("drawn-{}.txt", seeds.start);
            answers_about_zones_drawn(seeds, &file);
        })
    });
    halves.into_iter().for_each(|half| half.join().unwrap());
}

/// Looks for more: `SEEDS=1000..1100 cargo test --test tests mangled_at_length -- --ignored`. It finds what stands in no
/// choice once in some thousand cases: queries in which each of the three finds another fault, and we a fourth.
#[test]
#[ignore = "it takes as long as one likes"]
fn answers_about_queries_mangled_at_length() {
    let world = World::read("main");
    let mut report = Report::default();
    let plain = questions::about(&world, &mut Draw::new(0));
    let cases = seeds().flat_map(|seed| mangled::cases(&plain, 1_000, &mut Draw::new(seed)));
    for some in cases.collect::<Vec<_>>().chunks(20_000) {
        let Some(compared) = Compared::ask(&world, some.to_vec()) else { return };
        compared.judge(&mut report);
    }
    report.assert_right(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("mangled.txt"));
}

/// Looks for more: `SEEDS=1000..1100 cargo test --test tests drawn_at_length -- --ignored`. It finds what stands in no
/// choice once in some thousand cases: mostly that all three leave out what proves that a wildcard is empty.
#[test]
#[ignore = "it takes as long as one likes"]
fn answers_about_zones_drawn_at_length() {
    answers_about_zones_drawn(seeds(), "drawn.txt");
}

fn seeds() -> Range<u64> {
    let seeds = std::env::var("SEEDS").expect("SEEDS is not set to a range, as in 1000..1100");
    let (first, end) = seeds.split_once("..").unwrap();
    first.parse().unwrap()..end.parse().unwrap()
}
