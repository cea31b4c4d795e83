//! Outgoing: the answer to AXFR (RFC 5936 section 2.2) and IXFR (RFC 1995 section 4), one message at a time.
//!
//! ```text
//! SOA, all other records of the zone, SOA              the whole zone
//! SOA, (old SOA, removed, new SOA, added)…, SOA        from a version that `history` reaches back to
//! ```
//!
//! A record that does not fit opens the next message, so an RRset may spread over several. Each message repeats the
//! question, which gives the apex to be pointed at.

use std::sync::Arc;

use super::authenticate::{self, Seal};
use super::delta::{Delta, DeltaRecord};
use super::rdata::rtype;
use super::zone::Zone;

mod names;
mod records;

use names::Names;
use records::{Body, Place};

/// How long a message may get, but for one record that is longer by itself: what follows would be beyond the reach of
/// pointers, and a receiver that reads slowly costs us no more than this.
const MESSAGE: usize = 16 << 10;

/// A transfer to be sent.
#[derive(Debug)]
pub struct Outgoing {
    zone: Arc<Zone>,
    /// Header and question, and what follows the records of the first message: OPT or nothing.
    head: Vec<u8>,
    opt: Vec<u8>,
    body: Body,
    part: Part,
    names: Names,
    /// Closes each message.
    seal: Seal,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Opening,
    Body,
    Closing,
    Done,
}

/// What is asked, as a transfer repeats it.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    /// The id of the request.
    pub(crate) id: u16,
    /// Whether the request had RD set.
    pub(crate) recursion_desired: bool,
    /// AXFR or IXFR.
    pub(crate) qtype: u16,
    /// The apex as it was written, in wire form.
    pub(crate) name: &'a [u8],
    /// The OPT record of the response; empty if the request had none.
    pub(crate) opt: Vec<u8>,
}

impl Outgoing {
    /// The whole zone.
    pub(crate) fn whole(zone: Arc<Zone>, asked: Asked<'_>) -> Self {
        Self::new(zone, asked, Body::Whole(Place::default()))
    }

    /// The steps to the zone from an earlier version, the oldest first.
    pub(crate) fn steps(zone: Arc<Zone>, deltas: Vec<Arc<Delta>>, asked: Asked<'_>) -> Self {
        Self::new(zone, asked, Body::Steps { deltas, delta: 0, octet: 0 })
    }

    fn new(zone: Arc<Zone>, asked: Asked<'_>, body: Body) -> Self {
        let Asked { id, recursion_desired, qtype, name, opt } = asked;
        let mut head = id.to_be_bytes().to_vec();
        // QR and AA.
        head.extend([0x84 | u8::from(recursion_desired), 0]);
        head.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        head.extend(name);
        head.extend(qtype.to_be_bytes());
        head.extend([0, 1]);
        Self { zone, head, opt, body, part: Part::Opening, names: Names::new(), seal: Seal::None }
    }

    /// The same with every message closed so (RFC 8945 section 5.3.1).
    pub(crate) fn sealed(self, seal: Seal) -> Self {
        Self { seal, ..self }
    }

    /// Makes the next message in this buffer, in place of what it held; false after the last.
    pub fn next_message(&mut self, message: &mut Vec<u8>) -> bool {
        message.clear();
        if self.part == Part::Done {
            return false;
        }
        self.fill(message, MESSAGE);
        self.seal.close(message, authenticate::time);
        true
    }

    /// Makes the whole transfer one message of at most so many octets. False if that is not enough; the transfer can
    /// then not be used any more.
    pub(crate) fn in_one_message(&mut self, message: &mut Vec<u8>, limit: usize) -> bool {
        message.clear();
        self.fill(message, limit);
        self.part == Part::Done && message.len() <= limit
    }

    fn fill(&mut self, message: &mut Vec<u8>, limit: usize) {
        let Self { zone, head, opt, body, part, names, seal: _ } = self;
        names.clear();
        message.extend(&head[..12]);
        // The question's name is there to be pointed at, and has no other before it.
        names.write(message, &head[12..head.len() - 4]);
        message.extend(&head[head.len() - 4..]);
        let opt = if *part == Part::Opening { std::mem::take(opt) } else { Vec::new() };
        let room = limit.saturating_sub(opt.len());
        let mut count = 0_u16;
        let mut write = |record: DeltaRecord<'_>| {
            let before = message.len();
            record_to(names, message, record);
            let fits = message.len() <= room || count == 0;
            if fits {
                count += 1;
            } else {
                message.truncate(before);
            }
            fits
        };
        let soa = zone.soa_set();
        let owner = soa.owner();
        let rdata = soa.rdatas().next().expect("a set has a record");
        let soa = DeltaRecord { owner: owner.as_wire(), rtype: rtype::SOA, ttl: soa.ttl(), rdata };
        if *part == Part::Opening && write(soa) {
            *part = Part::Body;
        }
        if *part == Part::Body && body.take(zone, &mut write) {
            *part = Part::Closing;
        }
        if *part == Part::Closing && write(soa) {
            *part = Part::Done;
        }
        message[6..8].copy_from_slice(&count.to_be_bytes());
        if !opt.is_empty() {
            message.extend(opt);
            message[11] = 1;
        }
    }
}

/// Appends a record of class IN.
fn record_to(names: &mut Names, message: &mut Vec<u8>, record: DeltaRecord<'_>) {
    let DeltaRecord { owner, rtype, ttl, rdata } = record;
    names.write(message, owner);
    message.extend(rtype.to_be_bytes());
    message.extend([0, 1]);
    message.extend(ttl.to_be_bytes());
    let length = message.len();
    message.extend([0, 0]);
    names::write_rdata(names, message, rtype, rdata);
    let data = u16::try_from(message.len() - length - 2).expect("a record's data has a length of 16 bits");
    message[length..length + 2].copy_from_slice(&data.to_be_bytes());
}

#[cfg(test)]
mod tests;
