//! Outgoing: a zone as the messages of an AXFR's answer (RFC 5936 section 2.2), made one at a time.
//!
//! Every owner is within the apex, which stands in the question at a known place, so an owner is its own labels and
//! a pointer there; record data goes out uncompressed.

use std::sync::Arc;

use super::zone::Zone;
use crate::names::DomainName;

/// How long a message may get before the next one starts: pointers cannot reach beyond 16 KB, and a receiver that
/// reads slowly costs us no more than this.
const MESSAGE: usize = 16 << 10;
/// Where the question's name starts.
const QUESTION: u16 = 12;

/// A transfer to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    zone: Arc<Zone>,
    id: u16,
    qtype: u16,
    /// The apex as it was asked for.
    name: Vec<u8>,
}

impl Outgoing {
    /// In answer to the question with this id, type and name. The name is the zone's apex in wire form.
    pub(crate) fn new(zone: Arc<Zone>, id: u16, qtype: u16, name: &[u8]) -> Self {
        Self { zone, id, qtype, name: name.to_vec() }
    }

    /// The messages.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Vec<u8>> {
        let zone = &*self.zone;
        let closing = std::iter::once(zone.soa_set());
        let mut records = zone
            .rrsets()
            .chain(closing)
            .flat_map(|set| set.rdatas().map(move |rdata| (set.owner(), set.rtype(), set.ttl(), rdata)))
            .peekable();
        std::iter::from_fn(move || {
            records.peek()?;
            let mut message = self.start();
            let mut count: u16 = 0;
            while let Some((owner, rtype, ttl, rdata)) =
                records.next_if(|(_, _, _, rdata)| count == 0 || message.len() + 300 + rdata.len() <= MESSAGE)
            {
                self.push(&mut message, &owner, rtype, ttl, rdata);
                count += 1;
            }
            message[6..8].copy_from_slice(&count.to_be_bytes());
            Some(message)
        })
    }

    /// A header with QR and AA, and the question.
    fn start(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(MESSAGE);
        message.extend(self.id.to_be_bytes());
        message.extend([0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend(&self.name);
        message.extend(self.qtype.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    fn push(&self, message: &mut Vec<u8>, owner: &DomainName, rtype: u16, ttl: u32, rdata: &[u8]) {
        let labels = owner.as_wire().len().saturating_sub(self.name.len());
        message.extend(&owner.as_wire()[..labels]);
        message.extend((0xc000 | QUESTION).to_be_bytes());
        message.extend(rtype.to_be_bytes());
        message.extend([0, 1]);
        message.extend(ttl.to_be_bytes());
        // The zone's builder refuses data that is longer.
        message.extend(u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend(rdata);
    }
}
