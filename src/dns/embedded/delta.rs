//! Delta: the difference between two versions of a zone.
//!
//! Its octets are a difference sequence as RFC 1995 section 4 has it, names uncompressed and without the class:
//!
//! ```text
//! old SOA, what is removed, new SOA, what is added
//! each record: owner, type (2 octets), TTL (4), length of the data (2), data
//! ```
//!
//! The second SOA record says where the additions start, so the octets are all there is: in memory, in a journal, and,
//! compressed, in a transfer. `difference` makes a delta of two zones; `apply` makes the next zone of a delta.

use super::rdata::{self, name_length, rtype};
use super::zone::{self, ZoneFault};
use crate::names::{DomainName, Serial};

mod apply;
mod difference;

pub use apply::apply;
pub use difference::difference;

/// Why there is no delta, or why it does not lead from a zone to another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaFault {
    /// The octets end within a record, or are no difference sequence.
    #[error("it is not a difference between two versions of a zone")]
    Malformed,
    /// A record that no zone has.
    #[error(transparent)]
    Record(ZoneFault),
    /// It starts from another version.
    #[error("it starts from serial {from}, but the zone is at {have}")]
    WrongSerial {
        /// What it starts from.
        from: Serial,
        /// What the zone is at.
        have: Serial,
    },
    /// It removes a record that the zone does not have.
    #[error("it removes a {} record of {owner} that is not there", rdata::type_name(*.rtype))]
    Absent {
        /// Whose record.
        owner: DomainName,
        /// Its type.
        rtype: u16,
    },
    /// It adds a record that the zone has.
    #[error("it adds a {} record of {owner} that is there already", rdata::type_name(*.rtype))]
    Present {
        /// Whose record.
        owner: DomainName,
        /// Its type.
        rtype: u16,
    },
    /// What it leads to is not a zone.
    #[error("it leads to records that are no zone: {}", .0.first().map_or_else(String::new, ToString::to_string))]
    Zone(Vec<ZoneFault>),
}

/// The step from one version of a zone to a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    octets: Box<[u8]>,
    /// Where the new SOA record starts.
    added: usize,
    from: Serial,
    to: Serial,
}

/// One record of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaRecord<'a> {
    /// The owner in wire form, lower case, uncompressed.
    pub owner: &'a [u8],
    /// The type.
    pub rtype: u16,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The data in wire form, names uncompressed.
    pub rdata: &'a [u8],
}

impl Delta {
    /// Reads what `octets` returned.
    pub fn from_octets(octets: &[u8]) -> Result<Self, DeltaFault> {
        let first = DeltaRecords(octets).next().ok_or(DeltaFault::Malformed)?;
        let apex = DomainName::from_wire(first.owner).ok_or(DeltaFault::Malformed)?;
        let mut builder = DeltaBuilder::new(apex);
        let mut records = DeltaRecords(octets);
        for record in &mut records {
            let owner = DomainName::from_wire(record.owner).ok_or(DeltaFault::Malformed)?;
            builder.push(&owner, record.rtype, record.ttl, record.rdata)?;
        }
        if records.0.is_empty() { builder.finish() } else { Err(DeltaFault::Malformed) }
    }

    /// The whole of it, for a journal.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The serial of the version that it starts from.
    pub fn from(&self) -> Serial {
        self.from
    }

    /// The serial of the version that it leads to.
    pub fn to(&self) -> Serial {
        self.to
    }

    /// The records from this octet on, at which one has to start: the whole difference sequence from 0.
    pub(crate) fn records_from(&self, octet: usize) -> DeltaRecords<'_> {
        DeltaRecords(&self.octets[octet..])
    }

    /// What it removes, the old SOA record first.
    pub fn removed(&self) -> DeltaRecords<'_> {
        DeltaRecords(&self.octets[..self.added])
    }

    /// What it adds, the new SOA record first.
    pub fn added(&self) -> DeltaRecords<'_> {
        DeltaRecords(&self.octets[self.added..])
    }
}

/// The records in the octets of a delta.
#[derive(Debug, Clone)]
pub struct DeltaRecords<'a>(&'a [u8]);

impl DeltaRecords<'_> {
    /// How many octets the records take that are still to come.
    pub(crate) fn octets_left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for DeltaRecords<'a> {
    type Item = DeltaRecord<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (owner, rest) = self.0.split_at_checked(name_length(self.0)?)?;
        let (&rtype, rest) = rest.split_first_chunk()?;
        let (&ttl, rest) = rest.split_first_chunk()?;
        let (&length, rest) = rest.split_first_chunk()?;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
        self.0 = rest;
        Some(DeltaRecord { owner, rtype: u16::from_be_bytes(rtype), ttl: u32::from_be_bytes(ttl), rdata })
    }
}

/// Collects the records of one delta, in the order of a difference sequence.
#[derive(Debug)]
pub struct DeltaBuilder {
    apex: DomainName,
    octets: Vec<u8>,
    from: Option<Serial>,
    /// Where the additions start, and the serial that they lead to.
    to: Option<(usize, Serial)>,
}

impl DeltaBuilder {
    /// A delta without records.
    pub fn new(apex: DomainName) -> Self {
        Self { apex, octets: Vec::new(), from: None, to: None }
    }

    /// The next record of class IN, its data in wire form, names uncompressed.
    ///
    /// The first has to be a SOA record, the second SOA record starts the additions, and there is no third.
    pub fn push(&mut self, owner: &DomainName, rtype: u16, ttl: u32, rdata: &[u8]) -> Result<(), DeltaFault> {
        zone::check_record(owner, &self.apex, rtype, rdata).map_err(DeltaFault::Record)?;
        match (rtype, self.from, self.to) {
            (rtype::SOA, ..) if *owner != self.apex => return Err(DeltaFault::Malformed),
            (rtype::SOA, None, _) => self.from = Some(soa_serial(rdata)),
            (rtype::SOA, Some(_), None) => self.to = Some((self.octets.len(), soa_serial(rdata))),
            (rtype::SOA, Some(_), Some(_)) | (_, None, _) => return Err(DeltaFault::Malformed),
            (_, Some(_), _) => (),
        }
        self.octets.extend(owner.as_wire());
        self.octets.extend(rtype.to_be_bytes());
        self.octets.extend(zone::sane_ttl(ttl).to_be_bytes());
        self.octets.extend(u16::try_from(rdata.len()).expect("checked above").to_be_bytes());
        self.octets.extend(rdata);
        Ok(())
    }

    /// How much memory it takes so far, in octets.
    pub fn size(&self) -> usize {
        self.octets.len()
    }

    /// The delta, if both SOA records have come.
    pub fn finish(self) -> Result<Delta, DeltaFault> {
        let (Some(from), Some((added, to))) = (self.from, self.to) else {
            return Err(DeltaFault::Malformed);
        };
        Ok(Delta { octets: self.octets.into(), added, from, to })
    }
}

/// The serial in the data of a SOA record that is well formed.
fn soa_serial(rdata: &[u8]) -> Serial {
    let numbers = rdata.last_chunk::<20>().expect("a SOA record ends with five numbers");
    Serial(u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]]))
}

#[cfg(test)]
mod tests;
