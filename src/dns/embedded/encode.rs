//! From an answer to the records of a message.
//!
//! Names in the data of NS, CNAME, SOA, PTR and MX may be compressed and are handed over typed; the data of every other
//! type is handed over as octets, since its names must not be (RFC 3597 section 4).
//!
//! The codec would cut a message that is too long in the midst of an RRset, and leave EDNS out with it; so what does
//! not fit is taken out here, whole RRsets at a time (RFC 2181 section 9).

use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder, Restrict};

use super::answer::{Answer, Part};
use super::rdata::rtype;

/// The records of the three sections.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section, without OPT.
    pub additional: Vec<Record>,
    /// The TC bit: something that the answer needs did not fit.
    pub truncated: bool,
}

/// The records of an answer that fit into a message of `room` octets, header and question included: the size limit
/// less whatever else is to go in (OPT). `question` is the name that was asked for.
pub fn encode(answer: &Answer, question: &Name, room: usize) -> Encoded {
    let parts = || answer.answers.iter().chain(&answer.authority).chain(&answer.additional);
    let required = answer.answers.len() + answer.authority.len() + answer.required;
    let sets: Vec<Vec<Record>> = parts().map(|part| records(part).collect()).collect();
    // Compression only makes it shorter, so most answers are seen to fit without trying.
    let longest: usize = parts().map(longest).sum();
    let fitting = if HEADER + question.len() + 5 + longest <= room {
        sets.len()
    } else {
        measure(&sets, question, room.min(usize::from(u16::MAX)))
    };
    let mut encoded = Encoded { truncated: fitting < required, ..Encoded::default() };
    for (position, set) in sets.into_iter().take(fitting).enumerate() {
        let section = match position {
            at if at < answer.answers.len() => &mut encoded.answers,
            at if at < answer.answers.len() + answer.authority.len() => &mut encoded.authority,
            _ => &mut encoded.additional,
        };
        section.extend(set);
    }
    encoded
}

/// The length of a message's header.
const HEADER: usize = 12;

/// How many octets a part takes without compression.
fn longest(part: &Part) -> usize {
    let owner = part.owner().len();
    part.rdatas().map(|data| owner + 10 + data.len()).sum()
}

/// How many of the sets, from the first, fit into `room` octets.
fn measure(sets: &[Vec<Record>], question: &Name, room: usize) -> usize {
    let mut octets = Vec::with_capacity(room.min(4096));
    let mut encoder = BinEncoder::new(&mut octets);
    let start = encoder.emit_vec(&[0; HEADER]).and_then(|()| question.emit(&mut encoder));
    if start.and_then(|()| encoder.emit_vec(&[0; 4])).is_err() {
        return 0;
    }
    let mut fits = |set: &Vec<Record>| {
        set.iter().all(|record| record.emit(&mut encoder).is_ok() && encoder.len() <= room)
    };
    sets.iter().take_while(|set| fits(set)).count()
}

/// The records of one RRset.
pub fn records(part: &Part) -> impl Iterator<Item = Record> {
    let owner = name(&part.owner());
    let (rtype, class, ttl) = (part.rtype(), DNSClass::from(part.class()), part.ttl());
    part.rdatas().map(move |data| {
        let mut record = Record::from_rdata(owner.clone(), ttl, rdata(rtype, data));
        record.dns_class = class;
        record
    })
}

/// A name from its wire form.
pub fn name(wire: &[u8]) -> Name {
    // Names were checked when they were stored or asked for.
    Name::read(&mut BinDecoder::new(wire)).unwrap_or_default()
}

/// A record's data from its wire form, names uncompressed.
pub fn rdata(rtype: u16, data: &[u8]) -> RData {
    let code = RecordType::from(rtype);
    if matches!(rtype, rtype::NS | rtype::CNAME | rtype::SOA | rtype::PTR | rtype::MX)
        && let Ok(length) = u16::try_from(data.len())
        && let Ok(typed) = RData::read(&mut BinDecoder::new(data), code, Restrict::new(length))
    {
        return typed;
    }
    RData::Unknown { code, rdata: NULL::with(data.to_vec()) }
}
