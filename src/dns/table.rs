//! Tables of zones: what a node should have, and what a name server has.
//!
//! A table does not change once it is made, and its clones share it. It has one fingerprint for all that its zones are
//! configured to be, so that two tables with the same zones are known to be the same without looking at a zone: a node
//! that has nothing to do pays nothing for having many zones.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{ObservedZone, ZoneConfig, ZoneState};
use crate::fingerprint::Fingerprint;
use crate::names::DomainName;

/// What a table says of a zone.
pub trait Row {
    /// Of its configuration, its name included.
    fn fingerprint(&self) -> Fingerprint;

    /// Whether it is worth a look even where nothing has to be changed.
    fn stands_out(&self) -> bool;
}

impl Row for Arc<ZoneConfig> {
    fn fingerprint(&self) -> Fingerprint {
        ZoneConfig::fingerprint(self)
    }

    fn stands_out(&self) -> bool {
        false
    }
}

impl Row for ObservedZone {
    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn stands_out(&self) -> bool {
        self.state != ZoneState::Served
    }
}

/// Zones by name.
pub struct ZoneTable<T>(Arc<Inner<T>>);

struct Inner<T> {
    zones: BTreeMap<DomainName, T>,
    /// Of each zone, in the same order.
    rows: Box<[Fingerprint]>,
    whole: Fingerprint,
    standing_out: Box<[DomainName]>,
}

impl<T: Row> ZoneTable<T> {
    /// Equal for tables whose zones have equal configurations.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.whole
    }

    /// The zones that stand out, in order.
    pub fn standing_out(&self) -> &[DomainName] {
        &self.0.standing_out
    }

    fn rows(&self) -> impl Iterator<Item = (&DomainName, &T, Fingerprint)> {
        self.0.zones.iter().zip(&self.0.rows).map(|((name, zone), row)| (name, zone, *row))
    }

    /// What makes `present` this table: the zones to set, since they are missing there or configured in another way, and
    /// those to remove.
    pub fn changes_to<'a, U: Row>(&'a self, present: &'a ZoneTable<U>) -> (Vec<&'a T>, Vec<&'a DomainName>) {
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        if self.fingerprint() == present.fingerprint() {
            return (set, remove);
        }
        let mut there = present.rows().peekable();
        for (name, zone, row) in self.rows() {
            while let Some((gone, ..)) = there.next_if(|(other, ..)| *other < name) {
                remove.push(gone);
            }
            match there.next_if(|(other, ..)| *other == name) {
                Some((_, _, other)) if other == row => {}
                Some(_) | None => set.push(zone),
            }
        }
        remove.extend(there.map(|(gone, ..)| gone));
        (set, remove)
    }
}

impl<T: Row> From<BTreeMap<DomainName, T>> for ZoneTable<T> {
    fn from(zones: BTreeMap<DomainName, T>) -> Self {
        let rows: Box<[Fingerprint]> = zones.values().map(Row::fingerprint).collect();
        let whole = Fingerprint::of_all(&rows);
        let standing_out =
            zones.iter().filter(|(_, zone)| zone.stands_out()).map(|(name, _)| name.clone()).collect();
        Self(Arc::new(Inner { zones, rows, whole, standing_out }))
    }
}

impl<T: Row> FromIterator<(DomainName, T)> for ZoneTable<T> {
    fn from_iter<I: IntoIterator<Item = (DomainName, T)>>(zones: I) -> Self {
        BTreeMap::from_iter(zones).into()
    }
}

impl<T: Row> Default for ZoneTable<T> {
    fn default() -> Self {
        BTreeMap::new().into()
    }
}

impl<T> Deref for ZoneTable<T> {
    type Target = BTreeMap<DomainName, T>;

    fn deref(&self) -> &Self::Target {
        &self.0.zones
    }
}

impl<T> Clone for ZoneTable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for ZoneTable<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.zones == other.0.zones
    }
}

impl<T: fmt::Debug> fmt::Debug for ZoneTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.zones.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::ZoneRecords;
    use crate::names::Serial;

    fn config(name: &str, serial: u32) -> (DomainName, Arc<ZoneConfig>) {
        let name: DomainName = name.parse().unwrap();
        let source = ZoneRecords::File { path: "z".into(), text: "".into(), serial: Serial(serial) };
        (
            name.clone(),
            Arc::new(ZoneConfig {
                name,
                source,
                notify: Arc::default(),
                transfer_to: Arc::default(),
                is_private: false,
            }),
        )
    }

    fn seen((name, config): (DomainName, Arc<ZoneConfig>), state: ZoneState) -> (DomainName, ObservedZone) {
        (name, ObservedZone { fingerprint: config.fingerprint(), serial: None, state, problem: None })
    }

    #[test]
    fn the_difference_is_what_one_walk_finds() {
        let wanted: ZoneTable<_> =
            [config("a.example", 1), config("b.example", 2), config("d.example", 1)].into_iter().collect();
        let present: ZoneTable<_> = [
            seen(config("0.example", 1), ZoneState::Served),
            seen(config("a.example", 1), ZoneState::Empty("no answer".into())),
            seen(config("b.example", 1), ZoneState::Served),
            seen(config("c.example", 1), ZoneState::Served),
            seen(config("e.example", 1), ZoneState::Served),
        ]
        .into_iter()
        .collect();
        let (set, remove) = wanted.changes_to(&present);
        let names = |names: &[&DomainName]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&set.iter().map(|zone| &zone.name).collect::<Vec<_>>()), ["b.example", "d.example"]);
        assert_eq!(names(&remove), ["0.example", "c.example", "e.example"]);
        assert_eq!(names(&present.standing_out().iter().collect::<Vec<_>>()), ["a.example"]);

        let same: ZoneTable<_> =
            wanted.values().map(|zone| seen((zone.name.clone(), zone.clone()), ZoneState::Served)).collect();
        assert_eq!(wanted.fingerprint(), same.fingerprint());
        assert_eq!(wanted.changes_to(&same), (vec![], vec![]));
        assert_ne!(wanted.fingerprint(), ZoneTable::<ObservedZone>::default().fingerprint());
    }
}
