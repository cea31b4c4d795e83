//! Comparing what ours says with what the three say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::ask::ask;
use super::choices::{CHOICES, Choice, Like, Theirs};
use super::daemons::{Daemon, Kind};
use super::questions::Case;
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
    pub fn ask(world: &World, cases: Vec<Case>) -> Option<Self> {
        let daemons: Vec<Daemon> = Kind::ALL.iter().filter_map(|kind| Daemon::start(*kind, world)).collect();
        let daemons = <[Daemon; 3]>::try_from(daemons).ok()?;
        let server = Ours::start(world);
        for daemon in &daemons {
            daemon.assert_serves(world);
        }
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

/// The choice about an aspect, whose servers are among those that are compared in it.
fn choice(case: &Case, aspect: Aspect, theirs: &Theirs<'_>, peers: &[Kind]) -> Option<&'static Choice> {
    let can = |choice: &Choice| match choice.like {
        Like::All(kinds) => kinds.iter().any(|kind| peers.contains(kind)),
        Like::Any | Like::Own(_) => true,
    };
    let mut choices = CHOICES.iter().filter(|choice| choice.aspects.contains(&aspect) && can(choice));
    choices.find(|choice| (choice.when)(case, theirs))
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
        } else if let Some(choice) = choice(case, aspect, theirs, &peers) {
            *report.made.entry(choice.name).or_default() += 1;
            let fine = match choice.like {
                Like::All(kinds) => kinds.iter().filter(|kind| peers.contains(kind)).all(like),
                Like::Any => Kind::ALL.iter().any(like),
                Like::Own(check) => check(case, ours, theirs),
            };
            (format!("against {}", choice.name), fine)
        } else {
            // Most of them: two of three; of two or one, one.
            let most = peers.iter().filter(|kind| like(kind)).count() > (peers.len() - 1) / 2;
            *report.made.entry("most").or_default() += usize::from(most);
            (parties(ours.get(aspect), &theirs.map(|seen| seen.get(aspect))), most)
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

/// Adds what the four servers said, where they differ.
fn explain(out: &mut String, case: &Case, ours: &Seen, theirs: &Theirs<'_>) {
    writeln!(out, "\n{}", case.label).expect("a string takes it");
    for &aspect in Aspect::ALL {
        let said = [ours, theirs[0], theirs[1], theirs[2]].map(|seen| seen.get(aspect));
        for (name, text) in ["ours", "NSD", "Knot", "BIND"].iter().zip(said) {
            if said.iter().any(|other| *other != said[0]) {
                let text = text.replace('\n', "\n      ");
                writeln!(out, "  {aspect:?} {name}:\n      {text}").expect("a string takes it");
            }
        }
    }
}
