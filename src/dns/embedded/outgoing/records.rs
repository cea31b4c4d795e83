//! Records: what a transfer consists of, one record after another, to be taken up again at any of them.

use std::sync::Arc;

use crate::dns::embedded::delta::{Delta, DeltaRecord};
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::zone::{NameId, Zone, key};

/// The records between the opening and the closing SOA record.
#[derive(Debug)]
pub(super) enum Body {
    /// All of a zone but its SOA record (RFC 5936 section 2.2).
    Whole(Place),
    /// Difference sequences, the oldest first (RFC 1995 section 4).
    Steps { deltas: Vec<Arc<Delta>>, delta: usize, octet: usize },
}

/// A record of a zone, by numbers: the name, the set of that name, the record of that set.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Place {
    name: u32,
    set: usize,
    record: usize,
}

impl Body {
    /// Hands over one record after another, until there are no more, or one is not taken: that one comes first next
    /// time. True if there are no more.
    pub(super) fn take(&mut self, zone: &Zone, mut taken: impl FnMut(DeltaRecord<'_>) -> bool) -> bool {
        match self {
            Self::Whole(place) => whole(zone, place, taken),
            Self::Steps { deltas, delta, octet } => {
                while let Some(step) = deltas.get(*delta) {
                    let mut records = step.records_from(*octet);
                    while let Some(record) = records.next() {
                        if !taken(record) {
                            return false;
                        }
                        *octet = step.octets().len() - records.octets_left();
                    }
                    (*delta, *octet) = (*delta + 1, 0);
                }
                true
            }
        }
    }
}

fn whole(zone: &Zone, place: &mut Place, mut taken: impl FnMut(DeltaRecord<'_>) -> bool) -> bool {
    let mut owner = Vec::with_capacity(255);
    while let Some(name) = zone.name_at(place.name) {
        owner.clear();
        key::write_name(zone.key_of(name), zone.apex(), &mut owner);
        if !of_name(zone, name, &owner, place, &mut taken) {
            return false;
        }
        *place = Place { name: place.name + 1, ..Place::default() };
    }
    true
}

fn of_name(
    zone: &Zone,
    name: NameId,
    owner: &[u8],
    place: &mut Place,
    taken: &mut impl FnMut(DeltaRecord<'_>) -> bool,
) -> bool {
    for set in zone.sets_at(name).skip(place.set) {
        if set.rtype() != rtype::SOA {
            for rdata in set.rdatas().skip(place.record) {
                if !taken(DeltaRecord { owner, rtype: set.rtype(), ttl: set.ttl(), rdata }) {
                    return false;
                }
                place.record += 1;
            }
        }
        (place.set, place.record) = (place.set + 1, 0);
    }
    true
}
