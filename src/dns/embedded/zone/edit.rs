//! Editing a zone: the next version, made of the old one and the records that change.
//!
//! Both are sorted, so the names between two that change are copied as one run; only the offsets of their entries move.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::builder::{faults_of_apex, faults_of_name, offset};
use super::{NameEntry, NameState, Rrset, SetEntry, Zone, ZoneFault, key};
use crate::dns::embedded::rdata::folded;
use crate::names::DomainName;

/// What happens to one record.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    /// The owner's key.
    pub(crate) key: Vec<u8>,
    pub(crate) rtype: u16,
    /// The type that an RRSIG covers; else 0.
    pub(crate) covers: u16,
    /// Its data, names in lower case: what records are compared by.
    pub(crate) data: Cow<'a, [u8]>,
    /// Whether the old zone has to have it.
    pub(crate) was: bool,
    /// Its TTL and data in the new zone, if it is there.
    pub(crate) becomes: Option<(u32, &'a [u8])>,
}

/// Which record a change is about, in the order in which a zone sorts them.
pub(crate) type Identity<'a> = (&'a [u8], u16, u16, &'a [u8]);

impl Change<'_> {
    pub(crate) fn identity(&self) -> Identity<'_> {
        (&self.key, self.rtype, self.covers, &self.data)
    }
}

/// Why a zone cannot be changed so.
#[derive(Debug)]
pub(crate) enum EditFault {
    /// A record is removed that the zone does not have.
    Absent { owner: DomainName, rtype: u16 },
    /// A record is added that the zone has.
    Present { owner: DomainName, rtype: u16 },
    /// What comes out is no zone.
    Zone(Vec<ZoneFault>),
}

impl Zone {
    /// The zone with these changes, which are sorted by what they are about, at most one of each record.
    pub(crate) fn edited(&self, changes: &[Change<'_>]) -> Result<Self, EditFault> {
        let added: usize = changes.iter().filter_map(|c| Some(c.key.len() + 2 + c.becomes?.1.len())).sum();
        if self.octets.len() + added > u32::MAX as usize {
            return Err(EditFault::Zone(vec![ZoneFault::ZoneTooLarge(self.apex.clone())]));
        }
        let mut edit = Edit {
            old: self,
            taken: 0,
            names: Vec::with_capacity(self.names.len() + changes.len()),
            sets: Vec::with_capacity(self.sets.len() + changes.len()),
            keys: Vec::with_capacity(self.octets.len() + added),
            data: Vec::with_capacity(self.octets.len() - self.keys_end as usize + added),
            records: 0,
        };
        for of_name in changes.chunk_by(|a, b| a.key == b.key) {
            edit.name(of_name)?;
        }
        edit.copy_up_to(self.names.len());
        let Edit { names, sets, keys, data, records, .. } = edit;
        let zone = Self::new(self.apex.clone(), names, sets, keys, data, records);
        let mut faults = faults_of_apex(&zone);
        for of_name in changes.chunk_by(|a, b| a.key == b.key) {
            if let Some(name) = zone.exact(&of_name[0].key) {
                faults_of_name(&zone, name, &mut faults);
            }
        }
        if faults.is_empty() { Ok(zone) } else { Err(EditFault::Zone(faults)) }
    }

    /// Where the data of a set starts, or where all data ends.
    fn data_at(&self, set: usize) -> usize {
        let all = self.octets.len() - self.keys_end as usize;
        self.sets.get(set).map_or(all, |entry| entry.at as usize)
    }
}

/// The new zone as far as it is laid out.
struct Edit<'a> {
    old: &'a Zone,
    /// How many of the old names are done.
    taken: usize,
    names: Vec<NameEntry>,
    sets: Vec<SetEntry>,
    keys: Vec<u8>,
    data: Vec<u8>,
    records: u32,
}

impl Edit<'_> {
    /// Copies the old names up to this one, which is not copied.
    fn copy_up_to(&mut self, name: usize) {
        let (old, names) = (self.old, self.taken..name);
        self.taken = name;
        let first_key =
            |name| old.names.get(name).map_or(old.keys_end, |entry: &NameEntry| entry.key) as usize;
        let first_set =
            |name| old.names.get(name).map_or(old.sets.len(), |entry: &NameEntry| entry.first_set as usize);
        let keys = first_key(names.start)..first_key(names.end);
        let sets = first_set(names.start)..first_set(names.end);
        let data = old.data_at(sets.start)..old.data_at(sets.end);
        // Offsets in the new zone, less those in the old one.
        let move_key = offset(self.keys.len()).wrapping_sub(offset(keys.start));
        let move_set = offset(self.sets.len()).wrapping_sub(offset(sets.start));
        let move_data = offset(self.data.len()).wrapping_sub(offset(data.start));
        self.names.extend(old.names[names].iter().map(|entry| NameEntry {
            key: entry.key.wrapping_add(move_key),
            first_set: entry.first_set.wrapping_add(move_set),
            state: entry.state,
        }));
        self.sets.extend(old.sets[sets].iter().map(|entry| {
            self.records += entry.count;
            SetEntry { at: entry.at.wrapping_add(move_data), ..*entry }
        }));
        self.keys.extend(&old.octets[keys]);
        let from = old.keys_end as usize;
        self.data.extend(&old.octets[from + data.start..from + data.end]);
    }

    /// Lays out one name that changes.
    fn name(&mut self, changes: &[Change<'_>]) -> Result<(), EditFault> {
        let key = &changes[0].key;
        let found = self.old.search(key);
        let (Ok(at) | Err(at)) = found;
        self.copy_up_to(at);
        let old = found.ok().map(|at| {
            self.taken = at + 1;
            Zone::id(at)
        });
        // What the sets of this name add is taken back if there are none.
        let first_set = offset(self.sets.len());
        let mut olds = old.into_iter().flat_map(|name| self.old.sets_at(name)).peekable();
        let mut news = changes.chunk_by(|a, b| (a.rtype, a.covers) == (b.rtype, b.covers)).peekable();
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(set), Some(of_set)) => {
                    (set.rtype(), set.covers()).cmp(&(of_set[0].rtype, of_set[0].covers))
                }
            };
            let set = if order.is_le() { olds.next() } else { None };
            let of_set = if order.is_ge() { news.next() } else { None };
            self.set(key, set, of_set.unwrap_or(&[]))?;
        }
        if self.sets.len() > first_set as usize {
            // Its state follows when all names are there.
            let state = NameState::Authoritative;
            self.names.push(NameEntry { key: offset(self.keys.len()), first_set, state });
            self.keys.extend(key);
        }
        Ok(())
    }

    /// Lays out one set: the old one, if there is one, with its changes.
    fn set(&mut self, key: &[u8], old: Option<Rrset<'_>>, changes: &[Change<'_>]) -> Result<(), EditFault> {
        let (at, mut count, mut ttl) = (offset(self.data.len()), 0_u32, u32::MAX);
        let (rtype, covers) = match (&old, changes) {
            (Some(set), _) => (set.rtype(), set.covers()),
            (None, [change, ..]) => (change.rtype, change.covers),
            (None, []) => return Ok(()),
        };
        let mut lay = |record_ttl: u32, record: &[u8]| {
            ttl = ttl.min(record_ttl);
            count += 1;
            self.data.extend(u16::try_from(record.len()).expect("checked before").to_be_bytes());
            self.data.extend(record);
        };
        let old_ttl = old.as_ref().map_or(0, Rrset::ttl);
        let mut olds = old.iter().flat_map(Rrset::rdatas).peekable();
        let mut news = changes.iter().peekable();
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(record), Some(change)) => folded(rtype, record).cmp(&change.data),
            };
            let record = if order.is_le() { olds.next() } else { None };
            let change = if order.is_ge() { news.next() } else { None };
            match (record, change) {
                (Some(record), None) => lay(old_ttl, record),
                (record, Some(change)) if record.is_some() == change.was => {
                    if let Some((ttl, record)) = change.becomes {
                        lay(ttl, record);
                    }
                }
                (record, _) => {
                    let owner = key::name(key, &self.old.apex);
                    return Err(match record {
                        Some(_) => EditFault::Present { owner, rtype },
                        None => EditFault::Absent { owner, rtype },
                    });
                }
            }
        }
        if count > 0 {
            self.records += count;
            self.sets.push(SetEntry { at, count, ttl, rtype, covers });
        }
        Ok(())
    }
}
