//! Outgoing: a zone as the messages of an AXFR's answer (RFC 5936 section 2.2), made one at a time.

use std::sync::Arc;

use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::{Record, RecordType};

use super::encode::{name, rdata};
use super::zone::{Rrset, Zone};

/// How long a message may get before the next one starts: pointers cannot reach beyond 16 KB, and a receiver that
/// reads slowly costs us no more than this.
const MESSAGE: usize = 16 << 10;

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
    pub(crate) fn messages(&self) -> impl Iterator<Item = Message> {
        let zone = &*self.zone;
        let closing = std::iter::once(zone.soa_set());
        let mut records = zone.rrsets().chain(closing).flat_map(records).peekable();
        std::iter::from_fn(move || {
            records.peek()?;
            let mut message = self.start();
            let mut length = 0;
            while let Some((longest, record)) =
                records.next_if(|(longest, _)| length == 0 || length + 300 + longest <= MESSAGE)
            {
                length += longest;
                message.answers.push(record);
            }
            Some(message)
        })
    }

    /// A header with QR and AA, and the question.
    fn start(&self) -> Message {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.authoritative = true;
        message.add_query(Query::query(name(&self.name), RecordType::from(self.qtype)));
        message
    }
}

/// The records of a set, each with its length before compression.
fn records(set: Rrset<'_>) -> impl Iterator<Item = (usize, Record)> {
    let (owner, rtype, ttl) = (set.owner(), set.rtype(), set.ttl());
    let name = name(owner.as_wire());
    set.rdatas().map(move |data| {
        let longest = owner.as_wire().len() + 10 + data.len();
        (longest, Record::from_rdata(name.clone(), ttl, rdata(rtype, data)))
    })
}
