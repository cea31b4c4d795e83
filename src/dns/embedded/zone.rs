//! One zone: immutable, sorted, compact.
//!
//! ```text
//! names   one entry per owner name, in canonical order (the apex first) ──┐ first set
//! sets    one entry per RRset, by name, then type                       ←─┘ ──┐ first record
//! octets  the names' keys one after another, then the records' data         ←─┘ length (2 octets), data, …
//! ```
//!
//! A name that does not exist is found missing by one binary search (two with the wildcard's), and its closest encloser
//! is an ancestor of one of the two names that it would stand between. An empty non-terminal is a name without an
//! entry whose successor is below it. RRSIG records form one set for each type that they cover, since their TTLs
//! follow the covered sets (RFC 4034 section 3).

use std::mem::size_of;

use crate::dns::embedded::name::NameBuf;
use crate::dns::embedded::rdata::{name_length, rtype};
use crate::names::{DomainName, Serial};

mod builder;
mod edit;
pub(crate) mod key;
mod lookup;
mod nsec3;

pub use builder::{ZoneBuilder, ZoneFault};
pub(crate) use builder::{check_record, covers, sane_ttl};
pub(crate) use edit::{Change, EditFault};
pub(crate) use lookup::Place;
pub(crate) use nsec3::Hashed;

/// The most that the records of one RRset may take, with 12 octets each for a compressed owner, type, class, TTL and
/// length: it must fit into one message beside a question, a signature and EDNS.
const MAX_SET: usize = 64_500;

/// A zone.
#[derive(Debug, PartialEq, Eq)]
pub struct Zone {
    apex: DomainName,
    names: Box<[NameEntry]>,
    sets: Box<[SetEntry]>,
    octets: Box<[u8]>,
    /// Where the keys end and the data starts.
    keys_end: u32,
    records: u32,
    /// The chain of hashed names, where there is one.
    chain: Option<Box<nsec3::Chain>>,
}

/// One owner name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NameEntry {
    /// Where its key starts.
    key: u32,
    /// Where its sets start.
    first_set: u32,
    state: NameState,
}

/// What a name is to the zone that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameState {
    /// The zone's own data.
    Authoritative,
    /// Delegated here: a name with NS, other than the apex.
    Cut,
    /// Has a DNAME: what is below it is answered from elsewhere (RFC 6672).
    Redirecting,
    /// Has nothing but an NSEC3 record: no name, but the hash of one (RFC 5155 section 7.2.8).
    Hashed,
    /// Below a cut or a DNAME: glue, or data that is never answered.
    Occluded,
}

/// One RRset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SetEntry {
    /// Where its first record starts, from the start of the data.
    at: u32,
    count: u32,
    ttl: u32,
    rtype: u16,
    /// The type that an RRSIG covers; else 0.
    covers: u16,
}

/// The numbers of a SOA that say when to refresh and to forget, in seconds (RFC 1035 section 3.3.13, RFC 2308 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoaTimers {
    /// Until the next look at the primary.
    pub refresh: u32,
    /// Until the next look after one that failed.
    pub retry: u32,
    /// Until the zone is no longer served, from the last look that succeeded.
    pub expire: u32,
    /// How long a negative answer may be kept.
    pub minimum: u32,
}

/// A name of a zone, by its position. Only for the zone that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameId(u32);

/// A set of a zone, by its position and its owner's. Only for the zone that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetId {
    name: NameId,
    set: u32,
}

impl Zone {
    fn new(
        apex: DomainName,
        names: Vec<NameEntry>,
        sets: Vec<SetEntry>,
        mut keys: Vec<u8>,
        data: Vec<u8>,
        records: u32,
    ) -> Self {
        let keys_end = u32::try_from(keys.len()).expect("push keeps a zone below 4 GB");
        keys.reserve_exact(data.len());
        keys.extend(data);
        let (names, sets, octets) = (names.into(), sets.into(), keys.into());
        let mut zone = Self { apex, names, sets, octets, keys_end, records, chain: None };
        zone.find_states();
        zone.chain = nsec3::Chain::of(&zone).map(Box::new);
        zone
    }

    /// Says of every name what it is to the zone. Cuts and DNAMEs come before what is below them.
    fn find_states(&mut self) {
        let mut above: Option<NameId> = None;
        for name in self.name_ids() {
            let state = if self.has_only_hash(name) {
                NameState::Hashed
            } else if above.is_some_and(|above| self.key_of(name).starts_with(self.key_of(above))) {
                NameState::Occluded
            } else if !self.is_apex(name) && self.set_at(name, rtype::NS).is_some() {
                above = Some(name);
                NameState::Cut
            } else if self.set_at(name, rtype::DNAME).is_some() {
                above = Some(name);
                NameState::Redirecting
            } else {
                NameState::Authoritative
            };
            self.names[name.0 as usize].state = state;
        }
    }

    /// Whether a name directly below the apex has nothing but an NSEC3 record and its signatures.
    fn has_only_hash(&self, name: NameId) -> bool {
        let own = |set: Rrset<'_>| {
            matches!((set.rtype(), set.entry().covers), (rtype::NSEC3, _) | (rtype::RRSIG, rtype::NSEC3))
        };
        key::ancestors(self.key_of(name)).count() == 1 && self.sets_at(name).all(own)
    }

    /// The apex.
    pub fn apex(&self) -> &DomainName {
        &self.apex
    }

    /// The serial of its SOA.
    pub fn serial(&self) -> Serial {
        Serial(self.soa_numbers()[0])
    }

    /// The timers of its SOA.
    pub fn soa(&self) -> SoaTimers {
        let [_, refresh, retry, expire, minimum] = self.soa_numbers();
        SoaTimers { refresh, retry, expire, minimum }
    }

    fn soa_numbers(&self) -> [u32; 5] {
        let mut numbers = [0; 5];
        let data = self.soa_set().rdatas().next().expect("a set has a record");
        let (octets, _) = data[data.len() - 20..].as_chunks::<4>();
        for (number, octets) in numbers.iter_mut().zip(octets) {
            *number = u32::from_be_bytes(*octets);
        }
        numbers
    }

    /// The SOA RRset.
    pub fn soa_set(&self) -> Rrset<'_> {
        self.apex_set(rtype::SOA).expect("a finished zone has a SOA")
    }

    /// All RRsets in canonical order of their owners, by type, but the SOA first (as a zone transfer sends them, whose
    /// closing SOA is not repeated here).
    pub fn rrsets(&self) -> impl Iterator<Item = Rrset<'_>> {
        let others = self.name_ids().flat_map(|name| self.sets_at(name));
        std::iter::once(self.soa_set()).chain(others.filter(|set| set.rtype() != rtype::SOA))
    }

    /// How many records it has.
    pub fn record_count(&self) -> usize {
        self.records as usize
    }

    /// How many octets its records take without compression.
    pub(crate) fn record_octets(&self) -> usize {
        let owners = self.name_ids().map(|name| {
            let owner = key::name_length(self.key_of(name), &self.apex) + 10;
            self.sets_at(name).map(|set| set.count() * owner).sum::<usize>()
        });
        // Each record's data has its length before it.
        owners.sum::<usize>() + self.octets.len() - self.keys_end as usize - 2 * self.record_count()
    }

    /// How much memory it holds besides its own fields, in octets.
    pub fn heap_bytes(&self) -> usize {
        self.apex.as_wire().len()
            + self.names.len() * size_of::<NameEntry>()
            + self.sets.len() * size_of::<SetEntry>()
            + self.octets.len()
            + self.chain.as_ref().map_or(0, |chain| size_of::<nsec3::Chain>() + chain.heap_bytes())
    }

    pub(crate) fn name_ids(&self) -> impl Iterator<Item = NameId> + use<> {
        (0..u32::try_from(self.names.len()).expect("fewer names than octets")).map(NameId)
    }

    pub(crate) fn is_apex(&self, name: NameId) -> bool {
        self.key(name.0 as usize).is_empty()
    }

    /// The name at this position in canonical order.
    pub(crate) fn name_at(&self, position: u32) -> Option<NameId> {
        ((position as usize) < self.names.len()).then_some(NameId(position))
    }

    /// The key of a name.
    pub(crate) fn key_of(&self, name: NameId) -> &[u8] {
        self.key(name.0 as usize)
    }

    fn key(&self, name: usize) -> &[u8] {
        let end = self.names.get(name + 1).map_or(self.keys_end, |next| next.key);
        &self.octets[self.names[name].key as usize..end as usize]
    }

    /// The sets of a name, by type.
    pub(crate) fn sets_at(&self, name: NameId) -> impl Iterator<Item = Rrset<'_>> {
        let end = self.names.get(name.0 as usize + 1).map_or(self.sets.len(), |next| next.first_set as usize);
        let start = self.names[name.0 as usize].first_set as usize;
        (start..end).map(move |set| self.set(SetId { name, set: u32::try_from(set).expect("a position") }))
    }

    pub(crate) fn set_at(&self, name: NameId, rtype: u16) -> Option<Rrset<'_>> {
        self.sets_at(name).find(|set| set.rtype() == rtype)
    }

    /// The signatures of a name's set of a type.
    pub(crate) fn signatures_at(&self, name: NameId, covers: u16) -> Option<Rrset<'_>> {
        self.sets_at(name).find(|set| (set.rtype(), set.entry().covers) == (rtype::RRSIG, covers))
    }

    pub(crate) fn set(&self, id: SetId) -> Rrset<'_> {
        Rrset { zone: self, id }
    }

    /// The apex, which every zone has.
    pub(crate) fn apex_id(&self) -> NameId {
        NameId(0)
    }

    pub(crate) fn apex_set(&self, rtype: u16) -> Option<Rrset<'_>> {
        let first = self.name_ids().next().filter(|first| self.is_apex(*first))?;
        self.set_at(first, rtype)
    }
}

/// One RRset of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Rrset<'a> {
    zone: &'a Zone,
    id: SetId,
}

impl<'a> Rrset<'a> {
    fn entry(&self) -> &'a SetEntry {
        &self.zone.sets[self.id.set as usize]
    }

    /// Whose it is.
    pub fn owner(&self) -> DomainName {
        key::name(self.zone.key(self.id.name.0 as usize), &self.zone.apex)
    }

    /// The same, without a heap.
    pub(crate) fn owner_on_stack(&self) -> NameBuf {
        key::name_on_stack(self.zone.key(self.id.name.0 as usize), &self.zone.apex)
    }

    /// Its type.
    pub fn rtype(&self) -> u16 {
        self.entry().rtype
    }

    /// The type that it covers, for RRSIG; else 0.
    pub(crate) fn covers(&self) -> u16 {
        self.entry().covers
    }

    /// Its TTL in seconds.
    pub fn ttl(&self) -> u32 {
        self.entry().ttl
    }

    /// How many records it has, at least one.
    pub fn count(&self) -> usize {
        self.entry().count as usize
    }

    /// The data of its records in wire form, names uncompressed.
    pub fn rdatas(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = &self.zone.octets[self.zone.keys_end as usize + self.entry().at as usize..];
        (0..self.count()).map_while(move |_| {
            let (length, after) = rest.split_first_chunk()?;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some(data)
        })
    }
}

/// The name at the start of a record's data.
pub(crate) fn leading_name(octets: &[u8]) -> Option<DomainName> {
    DomainName::from_wire(octets.get(..name_length(octets)?)?)
}

#[cfg(test)]
mod tests;
