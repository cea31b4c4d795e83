//! Listing: what the daemon has, as far as we know.
//!
//! All its zones are read when we first meet it, and whenever its mark says that somebody else has changed them. What we
//! change ourselves is read back by itself: a batch costs what its zones do, not what all of them do. Somebody else who
//! changes a zone between two of our own looks at the mark is seen by the next comparison of all, which comes the sooner the
//! less it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::ledger::Entry;
use super::survey::Answer;
use super::{DriverError, ExternalNameServer, Mark, State};
use crate::dns::{ObservedZone, ZoneConfig, ZoneState, ZoneTable};
use crate::fingerprint::Fingerprint;
use crate::memory;
use crate::names::DomainName;

/// Between two comparisons of all zones while the mark stands still, at least and at most: a mark says nothing of a memory
/// that differs from the disk.
const COMPARE: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(1_800)];
/// In between, comparing all takes at most one part in so many of the time.
const CALM_SHARE: u32 = 2_000;
/// The same after changes of ours.
const SHARE: u32 = 100;

/// Zones whose last words in the log are looked for at once.
const EXPLAINED: usize = 20;

/// The zones of the daemon.
#[derive(Default)]
pub(super) struct Listing {
    /// Each with the fingerprint of its form.
    zones: BTreeMap<DomainName, Fingerprint>,
    /// The mark that they were read at; `None` where they have to be read anew.
    mark: Option<Mark>,
    /// The last comparison of all of them.
    compared: Option<Comparison>,
}

struct Comparison {
    at: Instant,
    took: Duration,
    /// Whether zones were changed by us since then.
    is_past: bool,
}

impl Comparison {
    fn is_due(&self) -> bool {
        let [least, most] = COMPARE;
        let calm = (self.took * CALM_SHARE).clamp(least, most);
        let pause = if self.is_past { (self.took * SHARE).min(calm) } else { calm };
        self.at.elapsed() >= pause
    }
}

impl Listing {
    pub(super) fn zones(&self) -> &BTreeMap<DomainName, Fingerprint> {
        &self.zones
    }

    /// Nothing is certain any more: all are read at the next look.
    pub(super) fn doubt(&mut self) {
        self.mark = None;
    }

    fn is_true_at(&self, mark: &Mark) -> bool {
        self.mark.as_ref() == Some(mark) && self.compared.as_ref().is_some_and(|compared| !compared.is_due())
    }
}

fn fingerprint(form: &str) -> Fingerprint {
    Fingerprint::of(&[form.as_bytes()])
}

impl ExternalNameServer {
    /// The forms that zones have once the daemon has them as they are configured.
    pub(super) fn forms<'a>(&self, zones: &'a [Arc<ZoneConfig>]) -> BTreeMap<&'a DomainName, Fingerprint> {
        zones.iter().map(|zone| (&zone.name, fingerprint(&self.driver.form(zone)))).collect()
    }

    /// Reads all of the daemon's zones where they may have changed.
    pub(super) async fn list(&self, state: &mut State) -> Result<(), DriverError> {
        let mark = self.driver.mark().await?;
        if state.listing.is_true_at(&mark) {
            return Ok(());
        }
        let at = Instant::now();
        let forms = self.driver.list().await?;
        let listed: BTreeMap<DomainName, Fingerprint> =
            forms.into_iter().map(|(name, form)| (name, fingerprint(&form))).collect();
        if listed != state.listing.zones {
            self.survey.cover(listed.keys());
            state.listing.zones = listed;
            state.table = None;
        }
        // Files of ours that somebody else wrote to are zones that differ.
        for name in state.zone_files.changed(&self.place) {
            warn!(zone = %name, "its zone file was changed by hand");
            state.ledger.forget(&name);
            state.table = None;
        }
        state.listing.mark = Some(mark);
        state.listing.compared = Some(Comparison { at, took: at.elapsed(), is_past: false });
        memory::give_back();
        Ok(())
    }

    /// Reads the zones that were just changed; all of them where the change went wrong.
    pub(super) async fn read_back(
        &self,
        state: &mut State,
        touched: BTreeSet<DomainName>,
    ) -> Result<(), DriverError> {
        if state.listing.mark.take().is_none() {
            return self.list(state).await;
        }
        let mut forms = self.driver.look_up(&touched).await?;
        for name in touched {
            match forms.remove(&name) {
                Some(form) => {
                    self.survey.include(&name);
                    state.listing.zones.insert(name, fingerprint(&form));
                }
                None => {
                    self.survey.leave_out(&name);
                    state.listing.zones.remove(&name);
                }
            }
        }
        state.listing.mark = Some(self.driver.mark().await?);
        if let Some(compared) = &mut state.listing.compared {
            compared.is_past = true;
        }
        Ok(())
    }

    /// What is observed: everything but the configuration.
    pub(super) fn table(&self, state: &State) -> ZoneTable<ObservedZone> {
        let mut explained = 0..EXPLAINED;
        let row = |(name, form): (&DomainName, &Fingerprint)| {
            let fingerprint = match state.ledger.get(name) {
                Some(Entry { config, form: given }) if given == form => *config,
                // Not as we gave it: equal to nothing that we could want.
                Some(_) | None => Fingerprint::of(&[b"drift", name.as_wire(), form.to_string().as_bytes()]),
            };
            let mut why = |known: &str| match explained.next().and_then(|_| self.said_of(name)) {
                Some(said) => format!("{known}; {} says: {said}", self.driver.title()),
                None => known.to_owned(),
            };
            let (serial, zone_state) = match self.survey.answer(name) {
                Some(Answer::Serial(serial)) => (Some(serial), ZoneState::Served),
                Some(Answer::Failed { code, served: true }) => (None, ZoneState::Expired(why(code))),
                Some(Answer::Failed { code, served: false }) => (None, ZoneState::Empty(why(code))),
                None => (None, ZoneState::Empty("it was not asked yet".to_owned())),
            };
            (name.clone(), ObservedZone { fingerprint, serial, state: zone_state, problem: None })
        };
        state.listing.zones.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_compared_the_sooner_after_a_change_the_less_it_costs() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let is_due = |seconds, millis, is_past| {
            Comparison { at: ago(seconds), took: Duration::from_millis(millis), is_past }.is_due()
        };
        assert!(!is_due(200, 10, false) && is_due(300, 10, false), "as good as true until then");
        assert!(is_due(1, 10, true), "a few zones are compared at the next look");
        assert!(!is_due(99, 1_000, true) && is_due(100, 1_000, true));
        assert!(!is_due(598, 300, false) && is_due(600, 300, false), "the later the more it costs");
        for is_past in [false, true] {
            assert!(!is_due(1_798, 60_000, is_past) && is_due(1_800, 60_000, is_past));
        }
    }
}
