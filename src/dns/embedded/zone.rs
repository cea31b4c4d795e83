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

use crate::dns::embedded::rdata::{name_length, rtype};
use crate::names::{DomainName, Serial};

mod builder;
mod edit;
pub(crate) mod key;

pub use builder::{ZoneBuilder, ZoneFault};
pub(crate) use builder::{check_record, covers, sane_ttl};
pub(crate) use edit::{Change, EditFault};

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

/// How a name relates to the zone's cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameState {
    /// The zone's own data.
    Authoritative,
    /// Delegated here: a name with NS, other than the apex.
    Cut,
    /// Below a cut: glue, or data that is never answered.
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

/// Where a name is in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has data, and the zone answers for it.
    Name(NameId),
    /// It is delegated at this name, which is itself or above it.
    Cut(NameId),
    /// It has no data, but a name below it has (RFC 8020).
    EmptyNonTerminal,
    /// It does not exist, and this wildcard is the source of synthesis (RFC 4592 section 3.3.1).
    Wildcard(NameId),
    /// It does not exist, and the source of synthesis is an empty non-terminal.
    EmptyWildcard,
    /// It does not exist.
    Missing,
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
        let octets = keys.into();
        let mut zone = Self { apex, names: names.into(), sets: sets.into(), octets, keys_end, records };
        zone.find_cuts();
        zone
    }

    /// Says of every name how it relates to the cuts, all of which come before what is below them.
    fn find_cuts(&mut self) {
        let mut cut: Option<NameId> = None;
        for name in self.name_ids() {
            let state = if cut.is_some_and(|cut| self.key_of(name).starts_with(self.key_of(cut))) {
                NameState::Occluded
            } else if !self.is_apex(name) && self.set_at(name, rtype::NS).is_some() {
                cut = Some(name);
                NameState::Cut
            } else {
                NameState::Authoritative
            };
            self.names[name.0 as usize].state = state;
        }
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

    /// How much memory it holds besides its own fields, in octets.
    pub fn heap_bytes(&self) -> usize {
        self.apex.as_wire().len()
            + self.names.len() * size_of::<NameEntry>()
            + self.sets.len() * size_of::<SetEntry>()
            + self.octets.len()
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

    pub(crate) fn set(&self, id: SetId) -> Rrset<'_> {
        Rrset { zone: self, id }
    }

    pub(crate) fn apex_set(&self, rtype: u16) -> Option<Rrset<'_>> {
        let first = self.name_ids().next().filter(|first| self.is_apex(*first))?;
        self.set_at(first, rtype)
    }

    /// The entry of a key, or where it would be.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.names.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn id(position: usize) -> NameId {
        NameId(u32::try_from(position).expect("a position in the names"))
    }

    /// The name with exactly this key, occluded or not: for glue.
    pub(crate) fn exact(&self, key: &[u8]) -> Option<NameId> {
        self.search(key).ok().map(Self::id)
    }

    /// The highest cut at or above this key. `near` is the entry at or before it: whatever stands between a cut and a
    /// name below the cut is itself below the cut.
    fn cut_above(&self, key: &[u8], near: usize) -> Option<NameId> {
        if self.names[near].state == NameState::Authoritative {
            return None;
        }
        key::ancestors(key)
            .filter_map(|ancestor| self.search(ancestor).ok())
            .find(|at| self.names[*at].state == NameState::Cut)
            .map(Self::id)
    }

    /// Where a key is.
    pub(crate) fn locate(&self, key: &[u8]) -> Place {
        let found = self.search(key);
        let next = match found {
            Ok(at) => match self.cut_above(key, at) {
                Some(cut) => return Place::Cut(cut),
                None => return Place::Name(Self::id(at)),
            },
            Err(next) => next,
        };
        // The apex's key is empty, so something always precedes.
        let before = next.saturating_sub(1);
        if let Some(cut) = self.cut_above(key, before) {
            return Place::Cut(cut);
        }
        let after = (next < self.names.len()).then(|| self.key(next));
        if after.is_some_and(|after| after.starts_with(key)) {
            return Place::EmptyNonTerminal;
        }
        // RFC 4592 section 3.3.1: the closest encloser is the deepest existing ancestor.
        let encloser =
            key::shared(key, self.key(before)).max(after.map_or(0, |after| key::shared(key, after)));
        let mut wildcard = key[..encloser].to_vec();
        wildcard.extend(b"*\0");
        match self.search(&wildcard) {
            Ok(at) => Place::Wildcard(Self::id(at)),
            Err(at) if at < self.names.len() && self.key(at).starts_with(&wildcard) => Place::EmptyWildcard,
            Err(_) => Place::Missing,
        }
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

    pub(crate) fn id(&self) -> SetId {
        self.id
    }

    /// Whose it is.
    pub fn owner(&self) -> DomainName {
        key::name(self.zone.key(self.id.name.0 as usize), &self.zone.apex)
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
