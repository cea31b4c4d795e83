//! What stands of every zone, for those who compare it with what is wanted.

use std::ops::Bound;

use super::{AT_A_TIME, Entry, Records, Roster};
use crate::dns::embedded::zones::ZoneEntry;
use crate::dns::{ObservedZone, ZoneState, ZoneTable};
use crate::names::DomainName;

impl Roster {
    /// Every zone as it stands. Costs nothing while nothing changes; else some zones are looked at at a time, since those
    /// who answer wait for the lock when they are asked for a transfer.
    pub(crate) fn observe(&self) -> ZoneTable<ObservedZone> {
        let mut zones: Vec<(DomainName, ObservedZone)> = Vec::new();
        let mut before = None;
        loop {
            let mut table = self.lock();
            if let Some(observed) = &table.observed {
                return observed.clone();
            }
            let from = zones.last().map_or(Bound::Unbounded, |(last, _)| Bound::Excluded(last));
            let next = table.entries.range((from, Bound::Unbounded)).take(AT_A_TIME);
            let next: Vec<_> =
                next.map(|(apex, entry)| (apex.clone(), self.observe_zone(apex, entry))).collect();
            let changes = *before.get_or_insert(table.changes);
            if next.is_empty() {
                drop(table);
                let observed: ZoneTable<_> = zones.into_iter().collect();
                table = self.lock();
                if table.changes == changes {
                    table.observed = Some(observed.clone());
                }
                return observed;
            }
            drop(table);
            zones.extend(next);
        }
    }

    fn observe_zone(&self, apex: &DomainName, entry: &Entry) -> ObservedZone {
        let problem = match &entry.records {
            Records::Primary { problem } => problem.clone(),
            Records::Secondary(secondary) => secondary.problem().map(str::to_owned),
        };
        let met = || problem.clone().unwrap_or_else(|| "no source has answered yet".to_owned());
        let (serial, state) = match self.zones.get(apex) {
            Some(ZoneEntry::Served(zone)) => (Some(zone.serial()), ZoneState::Served),
            Some(ZoneEntry::Expired) => (None, ZoneState::Expired(met())),
            Some(ZoneEntry::Empty) | None => (None, ZoneState::Empty(met())),
        };
        ObservedZone { fingerprint: entry.fingerprint, serial, state, problem }
    }
}
