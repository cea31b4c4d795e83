//! Parts: the RRsets of a response, each a reference into a zone or made for the occasion.

use std::sync::Arc;

use super::CLASS_IN;
use crate::dns::embedded::zone::{Rrset, SetId, Zone};

/// One RRset of a response.
#[derive(Debug, Clone)]
pub struct Part {
    /// The owner's wire form, where it is not the stored one: synthesised, or in the asker's case.
    owner: Option<Box<[u8]>>,
    ttl: u32,
    records: Records,
}

#[derive(Debug, Clone)]
enum Records {
    Stored { zone: Arc<Zone>, set: SetId },
    Made { class: u16, rtype: u16, rdata: Box<[u8]> },
}

impl Part {
    pub(super) fn stored(zone: &Arc<Zone>, set: Rrset<'_>) -> Self {
        Self { owner: None, ttl: set.ttl(), records: Records::Stored { zone: zone.clone(), set: set.id() } }
    }

    pub(super) fn made(owner: &[u8], class: u16, rtype: u16, rdata: &[u8]) -> Self {
        let records = Records::Made { class, rtype, rdata: rdata.into() };
        Self { owner: Some(owner.into()), ttl: 0, records }
    }

    pub(super) fn owned_by(self, owner: &[u8]) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }

    pub(super) fn with_ttl(self, ttl: u32) -> Self {
        Self { ttl, ..self }
    }

    /// The owner's wire form, in the case that the response has it in.
    pub fn owner(&self) -> Box<[u8]> {
        match (&self.owner, &self.records) {
            (Some(owner), _) => owner.clone(),
            (None, Records::Stored { zone, set }) => zone.set(*set).owner().as_wire().into(),
            (None, Records::Made { .. }) => Box::new([0]),
        }
    }

    /// The TTL, in seconds.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// The type.
    pub fn rtype(&self) -> u16 {
        match &self.records {
            Records::Stored { zone, set } => zone.set(*set).rtype(),
            Records::Made { rtype, .. } => *rtype,
        }
    }

    /// The class.
    pub fn class(&self) -> u16 {
        match &self.records {
            Records::Stored { .. } => CLASS_IN,
            Records::Made { class, .. } => *class,
        }
    }

    /// The data of its records in wire form, names uncompressed.
    pub fn rdatas(&self) -> impl Iterator<Item = &[u8]> {
        let (stored, made) = match &self.records {
            Records::Stored { zone, set } => (Some(zone.set(*set).rdatas()), None),
            Records::Made { rdata, .. } => (None, Some(&**rdata)),
        };
        stored.into_iter().flatten().chain(made)
    }
}
