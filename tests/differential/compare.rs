//! Comparing what ours says with what the three say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ask::ask;
use super::choices::{CHOICES, Choice, Like, Theirs};
use super::daemons::{Daemon, Kind};
use super::malformed;
use super::questions::{self, Case};
use super::wire::{Aspect, Seen};
use super::worlds::{Ours, World};

/// How many examples of a class are shown.
const EXAMPLES: usize = 3;

/// All the cases of a world, with what ours and the three say.
pub struct Compared {
    cases: Vec<Case>,
    ours: Vec<Seen>,
    theirs: [Vec<Seen>; 3],
}

/// What differs where it should not, and which choices were made.
#[derive(Default)]
pub struct Report {
    pub cases: usize,
    /// By class: how often, and some examples.
    pub classes: BTreeMap<String, (usize, String)>,
    /// The choices that were made, and how often.
    pub made: BTreeMap<&'static str, usize>,
}

impl Compared {
    /// Asks all four. `None` where one of the three is not installed.
    pub fn ask(world: &'static str) -> Option<Self> {
        let world = World::read(world);
        let daemons: Vec<Daemon> = Kind::ALL.iter().filter_map(|kind| Daemon::start(*kind, &world)).collect();
        let daemons = <[Daemon; 3]>::try_from(daemons).ok()?;
        let server = Ours::start(&world);
        let mut cases = questions::cases(&world);
        cases.extend(malformed::cases());
        let (ours, theirs) = std::thread::scope(|scope| {
            let cases = &cases;
            let theirs = daemons.each_ref().map(|daemon| scope.spawn(|| ask(daemon.address, cases)));
            (ask(server.address, cases), theirs.map(|asked| asked.join().unwrap()))
        });
        Some(Self { cases, ours, theirs })
    }

    pub fn judge(&self, report: &mut Report) {
        report.cases += self.cases.len();
        for (at, case) in self.cases.iter().enumerate() {
            let theirs = self.theirs.each_ref().map(|seen| &seen[at]);
            judge(case, &self.ours[at], &theirs, report);
        }
    }
}

/// Which servers say the same, ours first: `ours, Knot / NSD, BIND`.
fn parties(ours: &str, theirs: &[&str; 3]) -> String {
    let mut groups = vec![(ours, vec!["ours"])];
    for (kind, said) in Kind::ALL.iter().zip(theirs) {
        match groups.iter_mut().find(|(other, _)| other == said) {
            Some((_, group)) => group.push(kind.name()),
            None => groups.push((said, vec![kind.name()])),
        }
    }
    groups.iter().map(|(_, group)| group.join(", ")).collect::<Vec<_>>().join(" / ")
}

fn choice(case: &Case, aspect: Aspect, theirs: &Theirs<'_>) -> Option<&'static Choice> {
    CHOICES.iter().find(|choice| choice.aspects.contains(&aspect) && (choice.when)(case, theirs))
}

/// Adds the aspects in which ours is wrong to the report.
fn judge(case: &Case, ours: &Seen, theirs: &Theirs<'_>, report: &mut Report) {
    let mut aspects: Vec<Aspect> =
        theirs.iter().copied().chain([ours]).flat_map(|seen| seen.aspects.keys().copied()).collect();
    aspects.sort_unstable();
    aspects.dedup();
    let all_speak = theirs.iter().copied().chain([ours]).all(|seen| !seen.octets.is_empty());
    // Who says nothing differs in that alone.
    for aspect in aspects.into_iter().filter(|aspect| all_speak || *aspect == Aspect::Reply) {
        let said = theirs.map(|seen| seen.get(aspect));
        let (class, fine) = if said.iter().all(|other| *other == said[0]) {
            ("all three agree".to_owned(), ours.get(aspect) == said[0])
        } else if let Some(choice) = choice(case, aspect, theirs) {
            *report.made.entry(choice.name).or_default() += 1;
            let fine = match choice.like {
                Like::All(kinds) => kinds.iter().all(|kind| said[*kind as usize] == ours.get(aspect)),
                Like::Own(check) => check(case, ours, theirs),
            };
            (format!("against {}", choice.name), fine)
        } else {
            (parties(ours.get(aspect), &said), false)
        };
        if !fine {
            let class = format!("{}: {class}", format!("{aspect:?}").to_lowercase());
            let (count, examples) = report.classes.entry(class).or_default();
            *count += 1;
            if *count <= EXAMPLES {
                explain(examples, case, ours, theirs);
            }
        }
    }
}

/// Adds what all four servers said.
fn explain(out: &mut String, case: &Case, ours: &Seen, theirs: &Theirs<'_>) {
    writeln!(out, "\n{}", case.label).expect("a string takes it");
    for (name, seen) in ["ours", "NSD", "Knot", "BIND"].iter().zip([&ours].into_iter().chain(theirs)) {
        writeln!(out, "  {name}: {:?}", seen.aspects).expect("a string takes it");
    }
}
