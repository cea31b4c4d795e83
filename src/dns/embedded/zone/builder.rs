//! Building a zone: records in any order go in, a zone or all its faults come out.

use std::ops::Range;

use super::{MAX_SET, NameEntry, NameId, NameState, SetEntry, Zone, key};
use crate::dns::embedded::rdata::{self, rtype, type_name};
use crate::names::{DomainName, Serial};

/// Why records do not make a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFault {
    /// The owner is not within the apex.
    #[error("{owner} is not in the zone {apex}")]
    OutOfZone {
        /// Whose record it is.
        owner: DomainName,
        /// The zone's apex.
        apex: DomainName,
    },
    /// The data is not what its type has.
    #[error("the {} record of {owner} is malformed", type_name(*.rtype))]
    Malformed {
        /// Whose record it is.
        owner: DomainName,
        /// Its type.
        rtype: u16,
    },
    /// The type is for questions or messages only.
    #[error("{} of {owner} is not a type for a zone", type_name(*.rtype))]
    NotForZones {
        /// Whose record it is.
        owner: DomainName,
        /// Its type.
        rtype: u16,
    },
    /// No SOA at the apex.
    #[error("the zone {0} has no SOA record")]
    NoSoa(DomainName),
    /// More than one SOA at the apex.
    #[error("the zone {0} has more than one SOA record")]
    ManySoa(DomainName),
    /// A SOA below the apex.
    #[error("{0} has a SOA record but is not the apex")]
    SoaBelowApex(DomainName),
    /// No NS at the apex (RFC 1034 section 4.2.1).
    #[error("the zone {0} has no NS record at its apex")]
    NoNs(DomainName),
    /// A CNAME beside another record (RFC 1034 section 3.6.2).
    #[error("{0} has a CNAME record and other records beside it")]
    CnameAndOther(DomainName),
    /// Two CNAMEs of one name (RFC 2181 section 10.1).
    #[error("{0} has more than one CNAME record")]
    ManyCname(DomainName),
    /// Two DNAMEs of one name (RFC 6672 section 2.4).
    #[error("{0} has more than one DNAME record")]
    ManyDname(DomainName),
    /// An RRset that no message can carry.
    #[error("the {} records of {owner} take {octets} octets together, more than a message carries", type_name(*.rtype))]
    SetTooLarge {
        /// Whose records they are.
        owner: DomainName,
        /// Their type.
        rtype: u16,
        /// How much they take.
        octets: usize,
    },
    /// More octets than a zone may have.
    #[error("the zone {0} has more than 4 GB of data")]
    ZoneTooLarge(DomainName),
}

impl ZoneFault {
    /// The name that is at fault: the apex, for a fault of the whole zone.
    pub fn owner(&self) -> &DomainName {
        match self {
            Self::OutOfZone { owner, .. }
            | Self::Malformed { owner, .. }
            | Self::NotForZones { owner, .. }
            | Self::SetTooLarge { owner, .. }
            | Self::NoSoa(owner)
            | Self::ManySoa(owner)
            | Self::SoaBelowApex(owner)
            | Self::NoNs(owner)
            | Self::CnameAndOther(owner)
            | Self::ManyCname(owner)
            | Self::ManyDname(owner)
            | Self::ZoneTooLarge(owner) => owner,
        }
    }
}

/// Collects the records of one zone.
#[derive(Debug)]
pub struct ZoneBuilder {
    apex: DomainName,
    serial: Option<Serial>,
    /// Keys and data of the records.
    octets: Vec<u8>,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    key: Range<usize>,
    data: Range<usize>,
    ttl: u32,
    rtype: u16,
    covers: u16,
}

impl ZoneBuilder {
    /// A zone without records.
    pub fn new(apex: DomainName) -> Self {
        Self { apex, serial: None, octets: Vec::new(), records: Vec::new() }
    }

    /// Replaces the serial of the zone's SOA.
    pub fn set_serial(&mut self, serial: Serial) {
        self.serial = Some(serial);
    }

    /// Adds a record of class IN; `rdata` is in wire form, its names uncompressed.
    pub fn push(&mut self, owner: &DomainName, rtype: u16, ttl: u32, rdata: &[u8]) -> Result<(), ZoneFault> {
        let key = check_record(owner, &self.apex, rtype, rdata)?;
        // Offsets in the finished zone have 32 bits, and its keys and its data are each no larger than this buffer, but
        // for the length before each record's data.
        if self.octets.len() + 2 * self.records.len() + 66_000 > u32::MAX as usize {
            return Err(ZoneFault::ZoneTooLarge(self.apex.clone()));
        }
        let (covers, ttl) = (covers(rtype, rdata), sane_ttl(ttl));
        // Records mostly come name by name: one key for all of a name's.
        let same =
            self.records.last().map(|last| last.key.clone()).filter(|last| self.octets[last.clone()] == key);
        let key = same.unwrap_or_else(|| self.store(&key));
        let data = self.store(rdata);
        self.records.push(Record { key, data, ttl, rtype, covers });
        Ok(())
    }

    fn store(&mut self, octets: &[u8]) -> Range<usize> {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        start..self.octets.len()
    }

    /// The zone, or everything that keeps the records from being one.
    pub fn finish(mut self) -> Result<Zone, Vec<ZoneFault>> {
        let octets = std::mem::take(&mut self.octets);
        let set = |record: &Record| (&octets[record.key.clone()], record.rtype, record.covers);
        let data = |record: &Record| rdata::folded(record.rtype, &octets[record.data.clone()]);
        self.records.sort_by(|a, b| set(a).cmp(&set(b)).then_with(|| data(a).cmp(&data(b))));
        self.records.dedup_by(|later, first| {
            let same = set(later) == set(first) && data(later) == data(first);
            if same {
                first.ttl = first.ttl.min(later.ttl);
            }
            same
        });
        let zone = Laying::new(&octets, self.records.len()).lay(&self.records, self.apex, self.serial);
        let faults = faults(&zone);
        if faults.is_empty() { Ok(zone) } else { Err(faults) }
    }
}

/// Whether a zone may have this record, its data in wire form, names uncompressed. Returns the owner's key.
pub(crate) fn check_record(
    owner: &DomainName,
    apex: &DomainName,
    rtype: u16,
    rdata: &[u8],
) -> Result<Vec<u8>, ZoneFault> {
    let Some(key) = key::key(owner, apex) else {
        return Err(ZoneFault::OutOfZone { owner: owner.clone(), apex: apex.clone() });
    };
    if rdata::is_meta(rtype) {
        return Err(ZoneFault::NotForZones { owner: owner.clone(), rtype });
    }
    if !rdata::is_well_formed(rtype, rdata) {
        return Err(ZoneFault::Malformed { owner: owner.clone(), rtype });
    }
    Ok(key)
}

/// The type that a record's signature covers; 0 for all but RRSIG.
pub(crate) fn covers(rtype: u16, rdata: &[u8]) -> u16 {
    match (rtype, rdata) {
        (rtype::RRSIG, [high, low, ..]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// RFC 2181 section 8: a TTL with the highest bit set counts as zero.
pub(crate) fn sane_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// Sorted records being laid out as a zone.
struct Laying<'a> {
    octets: &'a [u8],
    names: Vec<NameEntry>,
    sets: Vec<SetEntry>,
    keys: Vec<u8>,
    data: Vec<u8>,
}

impl<'a> Laying<'a> {
    fn new(octets: &'a [u8], records: usize) -> Self {
        let (names, sets, keys) = (Vec::new(), Vec::new(), Vec::new());
        Self { octets, names, sets, keys, data: Vec::with_capacity(octets.len() + 2 * records) }
    }

    fn lay(mut self, records: &[Record], apex: DomainName, serial: Option<Serial>) -> Zone {
        for of_name in records.chunk_by(|a, b| self.octets[a.key.clone()] == self.octets[b.key.clone()]) {
            let key = of_name[0].key.clone();
            self.names.push(NameEntry {
                key: offset(self.keys.len()),
                first_set: offset(self.sets.len()),
                // It follows when all names are there.
                state: NameState::Authoritative,
            });
            self.keys.extend(&self.octets[key]);
            for of_set in of_name.chunk_by(|a, b| (a.rtype, a.covers) == (b.rtype, b.covers)) {
                self.lay_set(of_set, serial);
            }
        }
        Zone::new(apex, self.names, self.sets, self.keys, self.data, offset(records.len()))
    }

    fn lay_set(&mut self, records: &[Record], serial: Option<Serial>) {
        let &Record { rtype, covers, .. } = &records[0];
        self.sets.push(SetEntry {
            at: offset(self.data.len()),
            count: offset(records.len()),
            // RFC 2181 section 5.2: one TTL for a set, the lowest where they differ.
            ttl: records.iter().map(|record| record.ttl).min().unwrap_or(0),
            rtype,
            covers,
        });
        for record in records {
            let data = &self.octets[record.data.clone()];
            self.data.extend(u16::try_from(data.len()).expect("checked when pushed").to_be_bytes());
            self.data.extend(data);
            if let (rtype::SOA, Some(serial)) = (rtype, serial) {
                let at = self.data.len() - 20;
                self.data[at..at + 4].copy_from_slice(&serial.0.to_be_bytes());
            }
        }
    }
}

pub(super) fn offset(length: usize) -> u32 {
    u32::try_from(length).expect("push keeps a zone below 4 GB")
}

/// What is wrong with a zone.
fn faults(zone: &Zone) -> Vec<ZoneFault> {
    let mut faults = faults_of_apex(zone);
    for name in zone.name_ids() {
        faults_of_name(zone, name, &mut faults);
    }
    faults
}

/// What a zone lacks as a whole.
pub(super) fn faults_of_apex(zone: &Zone) -> Vec<ZoneFault> {
    let mut faults = Vec::new();
    match zone.apex_set(rtype::SOA).map(|set| set.count()) {
        None => faults.push(ZoneFault::NoSoa(zone.apex().clone())),
        Some(1) => (),
        Some(_) => faults.push(ZoneFault::ManySoa(zone.apex().clone())),
    }
    if zone.apex_set(rtype::NS).is_none() {
        faults.push(ZoneFault::NoNs(zone.apex().clone()));
    }
    faults
}

/// What is wrong with the sets of one name.
pub(super) fn faults_of_name(zone: &Zone, name: NameId, faults: &mut Vec<ZoneFault>) {
    for set in zone.sets_at(name) {
        if set.rtype() == rtype::SOA && !zone.is_apex(name) {
            faults.push(ZoneFault::SoaBelowApex(set.owner()));
        }
        let octets = set.rdatas().map(|data| data.len() + 12).sum();
        if octets > MAX_SET {
            faults.push(ZoneFault::SetTooLarge { owner: set.owner(), rtype: set.rtype(), octets });
        }
    }
    if let Some(cname) = zone.set_at(name, rtype::CNAME) {
        // RFC 4035 section 2.5: only signatures and the proof of their own kind may stand beside it.
        let lone = |rtype| matches!(rtype, rtype::CNAME | rtype::RRSIG | rtype::NSEC);
        if zone.sets_at(name).any(|set| !lone(set.rtype())) {
            faults.push(ZoneFault::CnameAndOther(cname.owner()));
        }
        if cname.count() > 1 {
            faults.push(ZoneFault::ManyCname(cname.owner()));
        }
    }
    if let Some(dname) = zone.set_at(name, rtype::DNAME).filter(|dname| dname.count() > 1) {
        faults.push(ZoneFault::ManyDname(dname.owner()));
    }
}
