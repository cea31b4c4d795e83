//! Comparing what ours says with what the three say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::ask::ask;
use super::choices::{CHOICES, Choice, Like, Theirs};
use super::daemons::{Daemon, Kind};
use super::malformed;
use super::questions::{self, Case};
use super::wire::{Aspect, Seen};
use super::worlds::{Ours, World};

/// How many examples of a class are shown.
const EXAMPLES: usize = 6;

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

impl Report {
    /// Writes what there is to say of it to a file, and fails if ours is wrong anywhere.
    pub fn assert_right(&self, file: &Path) {
        let mut text = String::new();
        for (class, (count, examples)) in &self.classes {
            writeln!(text, "== {count} {class}\n{examples}").expect("a string takes it");
        }
        for Choice { name, why, .. } in CHOICES {
            let made = self.made.get(name).unwrap_or(&0);
            writeln!(text, "chosen {made:6} {name}: {why}").expect("a string takes it");
        }
        std::fs::write(file, text).unwrap();
        let wrong: Vec<String> =
            self.classes.iter().map(|(class, (count, _))| format!("{count} {class}")).collect();
        assert!(wrong.is_empty(), "wrong in {} cases, shown in {}: {wrong:#?}", self.cases, file.display());
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

/// Adds the aspects in which ours is wrong to the report. Who gives another response code than ours differs in that, and
/// in nothing else: what a REFUSED lacks needs no choice of its own.
fn judge(case: &Case, ours: &Seen, theirs: &Theirs<'_>, report: &mut Report) {
    for &aspect in Aspect::ALL {
        let speaks = |seen: &Seen| aspect == Aspect::Reply || !seen.get(Aspect::Rcode).is_empty();
        let alike = |seen: &Seen| seen.get(Aspect::Rcode) == ours.get(Aspect::Rcode);
        let counts = |seen: &Seen| speaks(seen) && (aspect <= Aspect::Rcode || alike(seen));
        let peers: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| counts(theirs[*kind as usize])).collect();
        if peers.is_empty() || !speaks(ours) {
            continue;
        }
        let said = |kind: &Kind| theirs[*kind as usize].get(aspect);
        let like = |kind: &Kind| said(kind) == ours.get(aspect);
        let agreed = |kinds: &[Kind]| kinds.iter().all(|kind| said(kind) == said(&kinds[0]));
        let (class, fine) = if agreed(&peers) && peers.len() == 3 {
            ("all three agree".to_owned(), like(&peers[0]))
        } else if let Some(choice) = choice(case, aspect, theirs) {
            *report.made.entry(choice.name).or_default() += 1;
            let fine = match choice.like {
                Like::All(kinds) => {
                    let mut kinds = kinds.iter().filter(|kind| peers.contains(kind)).peekable();
                    kinds.peek().is_some() && kinds.all(like)
                }
                Like::Own(check) => check(case, ours, theirs),
            };
            (format!("against {}", choice.name), fine)
        } else {
            let two = peers.iter().filter(|kind| like(kind)).count() >= 2;
            *report.made.entry("two of three").or_default() += usize::from(two);
            (
                parties(ours.get(aspect), &theirs.map(|seen| seen.get(aspect))),
                two || agreed(&peers) && like(&peers[0]),
            )
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
