//! The zones that are served.
//!
//! Readers take no lock: the zones are spread over shards by their apex, each shard a sorted array that is replaced as a
//! whole. Setting one zone among 100,000 copies the pointers of one shard, about twenty-five.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::rdata::rtype;
use super::zone::Zone;
use crate::names::DomainName;

const SHARDS: usize = 4096;

/// What there is of a zone.
#[derive(Debug, Clone)]
pub enum ZoneEntry {
    /// It answers.
    Served(Arc<Zone>),
    /// It is ours but never had data: SERVFAIL.
    Empty,
    /// It is ours but its data is too old: SERVFAIL (RFC 1035 section 3.3.13).
    Expired,
}

#[derive(Debug)]
struct Slot {
    apex: DomainName,
    entry: ZoneEntry,
}

type Shard = Vec<Arc<Slot>>;

/// An entry that was found, as it was then. Short-lived: it keeps its shard from being freed.
pub(crate) struct Found {
    shard: Guard<Arc<Shard>>,
    at: usize,
}

impl Found {
    pub(crate) fn apex(&self) -> &DomainName {
        &self.shard[self.at].apex
    }

    pub(crate) fn entry(&self) -> &ZoneEntry {
        &self.shard[self.at].entry
    }
}

/// The zones that are served, by apex. Shared between the tasks that answer and those that change it.
#[derive(Debug)]
pub struct Zones {
    shards: Box<[ArcSwap<Shard>]>,
    /// The apexes of those about which not everybody gets an answer: few.
    private: ArcSwap<BTreeSet<DomainName>>,
    /// Of the hash that spreads them, so that nobody can choose names that meet in one shard.
    key: [u64; 2],
    /// Held by a writer while it replaces a shard.
    writer: Mutex<()>,
}

impl Default for Zones {
    fn default() -> Self {
        Self::new()
    }
}

impl Zones {
    /// No zones.
    pub fn new() -> Self {
        Self {
            shards: std::iter::repeat_n(Arc::default(), SHARDS).map(ArcSwap::new).collect(),
            private: ArcSwap::default(),
            key: [0, 1].map(|half| RandomState::new().hash_one(half)),
            writer: Mutex::new(()),
        }
    }

    fn shard(&self, apex: &[u8]) -> &ArcSwap<Shard> {
        &self.shards
            [usize::try_from(hash(self.key, apex) % SHARDS as u64).expect("below the number of shards")]
    }

    fn lookup(&self, apex: &[u8]) -> Option<Found> {
        let shard = self.shard(apex).load();
        position(&shard, apex).ok().map(|at| Found { shard, at })
    }

    /// Whether there is a zone with this apex, in wire form and lower case.
    pub(crate) fn has(&self, apex: &[u8]) -> bool {
        self.lookup(apex).is_some()
    }

    /// The zone with this apex.
    pub fn get(&self, apex: &DomainName) -> Option<ZoneEntry> {
        self.lookup(apex.as_wire()).map(|found| found.entry().clone())
    }

    /// The closest enclosing zone of a name that is asked for; see `find_wire`.
    pub fn find(&self, name: &DomainName, qtype: u16) -> Option<ZoneEntry> {
        self.find_wire(name.as_wire(), qtype).map(|found| found.entry().clone())
    }

    /// The closest enclosing zone of a name that is asked for (RFC 1034 section 4.3.2 step 2), given by its wire form in
    /// lower case. DS belongs to the parent's side of a cut, so it is looked for there first (RFC 4035 section 3.1.4.1).
    pub(crate) fn find_wire(&self, wire: &[u8], qtype: u16) -> Option<Found> {
        let mut own = None;
        let mut at = 0;
        loop {
            let suffix = wire.get(at..).filter(|suffix| !suffix.is_empty());
            let Some(suffix) = suffix else { return own };
            if let Some(found) = self.lookup(suffix) {
                if at > 0 || qtype != rtype::DS {
                    return Some(found);
                }
                own = Some(found);
            }
            at += 1 + usize::from(suffix[0]);
        }
    }

    /// Whether any is private. Most servers have none, and pay nothing for it.
    pub(crate) fn has_private(&self) -> bool {
        !self.private.load().is_empty()
    }

    /// The private zone that a question is about, if it is about one.
    pub(crate) fn private(&self, wire: &[u8], qtype: u16) -> Option<DomainName> {
        let found = self.find_wire(wire, qtype)?;
        self.private.load().get(found.apex()).cloned()
    }

    /// Says whether a zone is private, be it there or not.
    pub fn set_private(&self, apex: &DomainName, is_private: bool) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let private = self.private.load();
        if private.contains(apex) != is_private {
            let mut changed = BTreeSet::clone(&private);
            if is_private {
                changed.insert(apex.clone())
            } else {
                changed.remove(apex)
            };
            self.private.store(Arc::new(changed));
        }
    }

    /// Sets a zone's entry, whether it was there or not.
    pub fn set(&self, apex: &DomainName, entry: ZoneEntry) {
        let slot = Arc::new(Slot { apex: apex.clone(), entry });
        self.change(apex, |shard| match position(shard, apex.as_wire()) {
            Ok(at) => shard[at] = slot,
            Err(at) => shard.insert(at, slot),
        });
    }

    /// Serves a zone.
    pub fn serve(&self, zone: Arc<Zone>) {
        self.set(&zone.apex().clone(), ZoneEntry::Served(zone));
    }

    /// Forgets a zone, if it is there.
    pub fn remove(&self, apex: &DomainName) {
        self.change(apex, |shard| {
            if let Ok(at) = position(shard, apex.as_wire()) {
                shard.remove(at);
            }
        });
    }

    fn change(&self, apex: &DomainName, edit: impl FnOnce(&mut Shard)) {
        // The lock guards no data of its own, so a writer that panicked left nothing half done.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = self.shard(apex.as_wire());
        let mut shard = Shard::clone(&cell.load());
        edit(&mut shard);
        cell.store(Arc::new(shard));
    }

    /// All zones, in canonical order.
    pub fn list(&self) -> Vec<(DomainName, ZoneEntry)> {
        let mut all: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| {
                shard.load().iter().map(|slot| (slot.apex.clone(), slot.entry.clone())).collect::<Vec<_>>()
            })
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.load().len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Folds products of eight octets each. A search in a shard is quick however full it is, so this need not be better.
fn hash(key: [u64; 2], octets: &[u8]) -> u64 {
    let fold = |hash: u64, octets: [u8; 8]| {
        let product = u128::from(hash ^ u64::from_le_bytes(octets)) * u128::from(key[1] | 1);
        (product ^ product >> 64) as u64
    };
    let (eights, rest) = octets.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    eights.iter().copied().chain([last]).fold(key[0] ^ octets.len() as u64, fold)
}

fn position(shard: &Shard, apex: &[u8]) -> Result<usize, usize> {
    shard.binary_search_by(|slot| slot.apex.as_wire().cmp(apex))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn zone(apex: &str) -> Arc<Zone> {
        let text = "$TTL 1\n@ SOA . . 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
        Arc::new(crate::dns::embedded::zonefile::read(apex, text, &name(apex), None).unwrap())
    }

    fn found(zones: &Zones, qname: &str, qtype: u16) -> Option<String> {
        zones.find(&name(qname), qtype).map(|entry| match entry {
            ZoneEntry::Served(zone) => zone.apex().to_string(),
            ZoneEntry::Empty => "empty".to_owned(),
            ZoneEntry::Expired => "expired".to_owned(),
        })
    }

    #[test]
    fn the_closest_zone_is_found() {
        let zones = Zones::new();
        for apex in ["example", "a.b.example", "test"] {
            zones.serve(zone(apex));
        }
        zones.set(&name("gone.example"), ZoneEntry::Expired);
        for (qname, wanted) in [
            ("example", Some("example")),
            ("b.example", Some("example")),
            ("a.b.EXAMPLE", Some("a.b.example")),
            ("x.y.a.b.example", Some("a.b.example")),
            ("x.gone.example", Some("expired")),
            ("example.org", None),
            (".", None),
        ] {
            assert_eq!(found(&zones, qname, rtype::A).as_deref(), wanted, "{qname}");
        }
        // DS is the parent's, unless only the child is here.
        assert_eq!(found(&zones, "a.b.example", rtype::DS).as_deref(), Some("example"));
        assert_eq!(found(&zones, "test", rtype::DS).as_deref(), Some("test"));
        zones.serve(zone("."));
        assert_eq!(found(&zones, "example.org", rtype::A).as_deref(), Some("."));
        assert_eq!(found(&zones, ".", rtype::DS).as_deref(), Some("."));
    }

    #[test]
    fn zones_come_and_go() {
        let zones = Zones::new();
        assert!(zones.is_empty());
        for number in 0..3000 {
            zones.set(&name(&format!("z{number}.example")), ZoneEntry::Empty);
        }
        zones.serve(zone("z7.example"));
        assert_eq!(zones.len(), 3000);
        assert!(matches!(zones.get(&name("z7.example")), Some(ZoneEntry::Served(_))));
        let list = zones.list();
        assert!(list.len() == 3000 && list.is_sorted_by(|a, b| a.0 < b.0));
        zones.remove(&name("z7.example"));
        zones.remove(&name("never.example"));
        assert!(zones.get(&name("z7.example")).is_none());
        assert_eq!(zones.len(), 2999);
    }

    #[test]
    fn a_reader_never_misses_a_zone_that_others_come_and_go_around() {
        let zones = Zones::new();
        zones.serve(zone("example"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..2000 {
                    zones.serve(zone("example"));
                    let other = name(&format!("z{round}.example"));
                    zones.set(&other, ZoneEntry::Empty);
                    zones.remove(&other);
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                assert!(matches!(zones.get(&name("example")), Some(ZoneEntry::Served(_))));
            }
        });
    }
}
