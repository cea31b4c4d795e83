//! Outgoing: a zone as the messages of an AXFR's answer (RFC 5936 section 2.2), made one at a time.

use std::sync::Arc;

use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::{Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::encode::{name, rdata};
use super::zone::{Rrset, Zone};

/// How long a message may get before the next one starts, but for an RRset that is larger by itself: pointers cannot reach beyond 16 KB, and a receiver that
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
    /// How many RRsets are in the messages that have been made.
    sent: usize,
}

impl Outgoing {
    /// In answer to the question with this id, type and name. The name is the zone's apex in wire form.
    pub(crate) fn new(zone: Arc<Zone>, id: u16, qtype: u16, name: &[u8]) -> Self {
        Self { zone, id, qtype, name: name.to_vec(), sent: 0 }
    }

    /// Makes the next message in this buffer, in place of what it held; false after the last.
    pub(crate) fn next_message(&mut self, message: &mut Vec<u8>) -> bool {
        message.clear();
        let zone = &*self.zone;
        let mut sets = zone.rrsets().chain(std::iter::once(zone.soa_set())).skip(self.sent).peekable();
        if sets.peek().is_none() {
            return false;
        }
        let mut next = self.start();
        let mut length = 0;
        while let Some(set) = sets.next_if(|set| length == 0 || length + 300 + longest(set) <= MESSAGE) {
            length += longest(&set);
            next.answers.extend(records(set));
            self.sent += 1;
        }
        next.emit(&mut BinEncoder::new(message)).is_ok()
    }

    /// A header with QR and AA, and the question.
    fn start(&self) -> Message {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.authoritative = true;
        message.add_query(Query::query(name(&self.name), RecordType::from(self.qtype)));
        message
    }
}

/// How long the records of a set are before compression.
fn longest(set: &Rrset<'_>) -> usize {
    let owner = set.owner().as_wire().len();
    set.rdatas().map(|data| owner + 10 + data.len()).sum()
}

/// The records of a set.
fn records(set: Rrset<'_>) -> impl Iterator<Item = Record> {
    let (name, rtype, ttl) = (name(set.owner().as_wire()), set.rtype(), set.ttl());
    set.rdatas().map(move |data| Record::from_rdata(name.clone(), ttl, rdata(rtype, data)))
}
