//! Survey: which serial the daemon serves of each zone, asked of itself.
//!
//! ```text
//! sweep: those that are served, in turn ──ask──┐
//!                                              ├→ last answers → what is observed
//! each look: those that are not ───────────────┘
//! ```
//! Whoever sweeps waits for no look, and no look for the sweep: answers are noted when they have come. A look that has
//! nothing to ask after a sweep that was answered since the look before it asks nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::dns::serials::{self, Serials};
use crate::names::{DomainName, Serial};

/// For one window of answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Zones that are asked at one look because they are not known to be served.
const PRESSING: usize = 2_000;

/// What a zone answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is served with this serial.
    Serial(Serial),
    /// It is not served.
    Failed {
        /// What the daemon said instead.
        code: &'static str,
        /// Whether it was served before.
        served: bool,
    },
}

/// The zones that are asked about, and what they answered.
pub(super) struct Survey {
    local: SocketAddr,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// Each zone with its last answer.
    answers: BTreeMap<DomainName, Option<Answer>>,
    /// Those of them that are not known to be served as things are now.
    open: BTreeSet<DomainName>,
    /// Those that began to fail, until somebody has asked for them.
    failing: BTreeSet<DomainName>,
    /// Where the next look goes on among the open ones.
    at: Option<DomainName>,
    /// Whether any answered otherwise than before since that was last asked.
    changed: bool,
    /// Whether any answered at all since the last look.
    heard: bool,
}

impl Noted {
    fn answer(&self, zone: &DomainName) -> Option<Answer> {
        self.answers.get(zone).copied().flatten()
    }

    /// Nothing is noted of zones that nobody asked about.
    fn note(&mut self, zone: &DomainName, serial: Result<Serial, &'static str>) {
        let Some(last) = self.answers.get_mut(zone) else { return };
        let before = *last;
        let served = matches!(before, Some(Answer::Serial(_) | Answer::Failed { served: true, .. }));
        let answer = serial.map_or_else(|code| Answer::Failed { code, served }, Answer::Serial);
        *last = Some(answer);
        self.changed |= before != Some(answer);
        match answer {
            Answer::Serial(_) => _ = self.open.remove(zone),
            Answer::Failed { .. } => {
                self.open.insert(zone.clone());
                if !matches!(before, Some(Answer::Failed { .. })) {
                    self.failing.insert(zone.clone());
                }
            }
        }
    }
}

impl Survey {
    pub(super) fn new(local: SocketAddr) -> Self {
        Self { local, noted: Mutex::default() }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a zone answered last.
    pub(super) fn answer(&self, zone: &DomainName) -> Option<Answer> {
        self.noted().answer(zone)
    }

    /// Asks about these zones from now on.
    pub(super) fn cover<'a>(&self, zones: impl Iterator<Item = &'a DomainName>) {
        let noted = &mut *self.noted();
        noted.answers = zones.map(|zone| (zone.clone(), noted.answer(zone))).collect();
        let is_open =
            |(_, answer): &(&DomainName, &Option<Answer>)| !matches!(answer, Some(Answer::Serial(_)));
        noted.open = noted.answers.iter().filter(is_open).map(|(zone, _)| zone.clone()).collect();
    }

    /// Asks about this zone, too, from now on.
    pub(super) fn include(&self, zone: &DomainName) {
        let mut noted = self.noted();
        if !noted.answers.contains_key(zone) {
            noted.answers.insert(zone.clone(), None);
            noted.open.insert(zone.clone());
        }
    }

    /// Asks about this zone no more.
    pub(super) fn leave_out(&self, zone: &DomainName) {
        let mut noted = self.noted();
        noted.answers.remove(zone);
        noted.open.remove(zone);
    }

    /// Its data may be other data now.
    pub(super) fn forget(&self, zone: &DomainName) {
        let mut noted = self.noted();
        if noted.answers.get_mut(zone).and_then(Option::take).is_some() {
            noted.open.insert(zone.clone());
        }
    }

    /// Whether any zone answered otherwise than before since this was asked last.
    pub(super) fn take_changed(&self) -> bool {
        std::mem::take(&mut self.noted().changed)
    }

    /// The zones that began to fail since this was asked last, or were given back.
    pub(super) fn take_failing(&self) -> BTreeSet<DomainName> {
        std::mem::take(&mut self.noted().failing)
    }

    /// Nothing could be done about these now.
    pub(super) fn give_back(&self, failing: BTreeSet<DomainName>) {
        let noted = &mut *self.noted();
        noted.failing.extend(failing);
        noted.failing.retain(|zone| noted.open.contains(zone));
    }

    /// Whatever is served may be served in another way now: the next looks ask for all zones.
    pub(super) fn reconsider(&self) {
        let noted = &mut *self.noted();
        noted.open = noted.answers.keys().cloned().collect();
    }

    /// Whether the daemon answers at all.
    pub(super) async fn reaches(&self) -> Result<(), String> {
        self.within(&[DomainName::root()]).await.map(drop)
    }

    /// Asks for some of the zones that are not known to be served, and for none of the others: a look costs the same
    /// whatever their number. The error says why the daemon does not answer.
    pub(super) async fn look(&self) -> Result<(), String> {
        let (asked, heard) = {
            let Noted { open, at, heard, .. } = &mut *self.noted();
            (turn(open, at, PRESSING), std::mem::take(heard))
        };
        match asked.is_empty() {
            true if heard => Ok(()),
            true => self.reaches().await,
            false => self.ask(&asked, PATIENCE).await.map(drop).map_err(|error| self.silent(&error)),
        }
    }

    /// Those of these zones that it may serve still: it does not say otherwise. Nothing is noted.
    pub(super) async fn served(&self, zones: &[DomainName]) -> Result<Vec<DomainName>, String> {
        let serials = self.within(zones).await?;
        let may_be = |zone: &&DomainName| serials.get(*zone).is_none_or(Result::is_ok);
        Ok(zones.iter().filter(may_be).cloned().collect())
    }

    /// Asks for these zones, each window of them within this time.
    pub(super) async fn ask(&self, zones: &[DomainName], patience: Duration) -> io::Result<Serials> {
        let serials = serials::by_tcp(self.local, zones, patience).await?;
        let mut noted = self.noted();
        serials.iter().for_each(|(zone, serial)| noted.note(zone, *serial));
        noted.heard |= !serials.is_empty();
        Ok(serials)
    }

    async fn within(&self, zones: &[DomainName]) -> Result<Serials, String> {
        serials::by_tcp(self.local, zones, PATIENCE).await.map_err(|error| self.silent(&error))
    }

    fn silent(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.local)
    }
}

/// The next few of these, after where the last turn ended; from the start again once it came to the end.
fn turn(all: &BTreeSet<DomainName>, at: &mut Option<DomainName>, count: usize) -> Vec<DomainName> {
    let after = at.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let next: Vec<DomainName> =
        all.range::<DomainName, _>((after, Bound::Unbounded)).take(count).cloned().collect();
    *at = if next.len() < count { None } else { next.last().cloned() };
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> DomainName {
        format!("z{number:03}.example").parse().unwrap()
    }

    #[test]
    fn every_zone_has_its_turn() {
        let all: BTreeSet<DomainName> = (0..10).map(name).collect();
        let mut at = None;
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(turn(&all, &mut at, 4).len());
        }
        assert_eq!(turns, [4, 4, 2, 4]);
        assert_eq!(at, Some(name(3)));
        assert_eq!(turn(&BTreeSet::new(), &mut at, 4), []);
    }

    #[test]
    fn what_is_not_served_stays_open() {
        let survey = Survey::new(([127, 0, 0, 1], 1).into());
        let note = |number: usize, serial| {
            survey.noted().note(&name(number), serial);
            survey.take_changed()
        };
        let open = || survey.noted().open.clone();
        survey.cover([name(1), name(2)].iter());
        assert!(note(1, Ok(Serial(1))));
        assert!(!note(1, Ok(Serial(1))), "nothing new");
        assert!(note(2, Err("SERVFAIL")));
        assert!(!note(3, Ok(Serial(1))), "nobody asked about it");
        assert_eq!(open(), [name(2)].into());
        assert_eq!(survey.take_failing(), [name(2)].into());
        assert!(!note(2, Err("SERVFAIL")));
        assert_eq!(survey.take_failing(), BTreeSet::new(), "it fails still");
        survey.give_back([name(1), name(2)].into());
        assert_eq!(survey.take_failing(), [name(2)].into(), "the other one is served");
        survey.forget(&name(1));
        assert_eq!(open(), [name(1), name(2)].into());
        note(1, Ok(Serial(1)));
        survey.cover([name(1), name(4)].iter());
        assert_eq!((open(), survey.answer(&name(2))), ([name(4)].into(), None));
        survey.include(&name(1));
        survey.include(&name(5));
        assert_eq!(open(), [name(4), name(5)].into(), "the first one is known to be served");
        survey.leave_out(&name(1));
        survey.leave_out(&name(4));
        assert_eq!((open(), survey.answer(&name(1))), ([name(5)].into(), None));
        assert!(!note(1, Ok(Serial(1))), "nobody asks about it any more");
    }

    #[test]
    fn whatever_is_served_is_asked_for_again_after_a_change_of_the_daemon() {
        let survey = Survey::new(([127, 0, 0, 1], 1).into());
        survey.cover([name(1), name(2)].iter());
        survey.noted().note(&name(1), Ok(Serial(1)));
        survey.take_changed();
        survey.reconsider();
        assert_eq!(survey.noted().open, [name(1), name(2)].into());
        survey.noted().note(&name(1), Err("SERVFAIL"));
        assert_eq!(survey.answer(&name(1)), Some(Answer::Failed { code: "SERVFAIL", served: true }));
    }
}
