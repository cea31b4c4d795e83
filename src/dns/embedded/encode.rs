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
    let rdata = if data.is_empty() { NULL::new() } else { NULL::with(data.to_vec()) };
    RData::Unknown { code, rdata }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_proto::op::{Message, MessageType, OpCode, Query};
    use proptest::prelude::*;

    use super::*;
    use crate::dns::embedded::answer::{CLASS_IN, Question, answer};
    use crate::dns::embedded::zone::ZoneBuilder;
    use crate::dns::embedded::zonefile;
    use crate::dns::embedded::zones::Zones;
    use crate::names::DomainName;

    const HEAD: &str = "$TTL 60\n@ SOA ns.example. h.example. 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

    fn zones(lines: &str) -> Zones {
        let zones = Zones::new();
        let zone = zonefile::read("example", &format!("{HEAD}{lines}"), &"example".parse().unwrap(), None);
        zones.serve(Arc::new(zone.unwrap_or_else(|found| panic!("{found:?}"))));
        zones
    }

    fn encoded(zones: &Zones, qname: &[u8], qtype: u16, room: usize) -> Encoded {
        let found = answer(zones, &Question { name: qname, qtype, qclass: CLASS_IN }, "");
        encode(&found, &name(qname), room)
    }

    /// How long the message becomes.
    fn message(qname: &[u8], qtype: u16, records: &Encoded) -> Vec<u8> {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name(qname), RecordType::from(qtype)));
        message.answers = records.answers.clone();
        message.authorities = records.authority.clone();
        message.additionals = records.additional.clone();
        message.to_vec().unwrap()
    }

    #[test]
    fn names_are_compressed_where_they_may_be() {
        let zones = zones("m MX 10 ns\ns SRV 1 2 3 ns\nd DNAME ns\n");
        let octets = b"\x02ns\x07example\0";
        let mx = message(b"\x01m\x07example\0", 15, &encoded(&zones, b"\x01m\x07example\0", 15, 1232));
        // The owner is a pointer, and so is the target but for the label `ns`; the address is 16 more.
        assert_eq!(mx.len(), 12 + 11 + 4 + 12 + 2 + 5 + 16);
        for (label, qtype) in [(b's', 33), (b'd', 39)] {
            let qname = [1, label, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0];
            let message = message(&qname, qtype, &encoded(&zones, &qname, qtype, 1232));
            assert!(message.windows(octets.len()).any(|window| window == octets), "{qtype}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_whole_sets() {
        let many = |owner: &str, count: u8| {
            (0..count).map(|host| format!("{owner} A 198.51.100.{host}\n")).collect::<String>()
        };
        let zones = zones(&format!(
            "m MX 1 a\nm MX 2 b\n{}{}sub NS ns.sub\nsub NS far.example.org.\n{}",
            many("a", 20),
            many("b", 20),
            many("ns.sub", 40),
        ));
        let mx = b"\x01m\x07example\0";
        let whole = encoded(&zones, mx, 15, 1232);
        assert_eq!((whole.additional.len(), whole.truncated), (40, false));
        let size = message(mx, 15, &whole).len();
        assert_eq!(encoded(&zones, mx, 15, size).additional.len(), 40);
        let less = encoded(&zones, mx, 15, size - 1);
        assert_eq!((less.answers.len(), less.additional.len(), less.truncated), (2, 20, false));
        // The answer itself, or glue that the referral needs: TC.
        let none = encoded(&zones, b"\x01a\x07example\0", 1, 300);
        assert_eq!((none.answers.len(), none.truncated), (0, true));
        let glue = encoded(&zones, b"\x01x\x03sub\x07example\0", 1, 512);
        assert_eq!((glue.authority.len(), glue.additional.len(), glue.truncated), (2, 0, true));
        let glue = encoded(&zones, b"\x01x\x03sub\x07example\0", 1, 1232);
        assert_eq!((glue.authority.len(), glue.additional.len(), glue.truncated), (2, 40, false));
    }

    #[test]
    fn the_largest_set_fits_into_the_largest_message() {
        let (text, count) = (format!("\"{}\" ", "x".repeat(255)), 64_500 / (12 + 256 * 10));
        let lines: String = (0..count).map(|line| format!("t TXT l{line} {}\n", text.repeat(9))).collect();
        let qname = b"\x01t\x07example\0";
        let whole = encoded(&zones(&lines), qname, 16, usize::from(u16::MAX));
        assert_eq!((whole.answers.len(), whole.truncated), (count, false));
        assert!(message(qname, 16, &whole).len() > 55_000);
    }

    #[test]
    fn data_without_octets_stays_so() {
        let records = encoded(&zones("e TYPE65280 \\# 0\n"), b"\x01e\x07example\0", 65280, 512);
        let message = message(b"\x01e\x07example\0", 65280, &records);
        assert_eq!(message[message.len() - 2..], [0, 0]);
    }

    /// Octets in which names, numbers and lengths are likely.
    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let label = [&[63][..], &[b'x'; 63]].concat();
        let scrap = prop_oneof![
            any::<u8>().prop_map(|octet| vec![octet]),
            prop::sample::select(vec![
                &b"\x01a\0"[..],
                b"\0",
                b"\0\0",
                b"\x01*",
                b"\xc0\x0c",
                b"\x01\0\0",
                b"\0\0\0\0"
            ])
            .prop_map(<[u8]>::to_vec),
            Just(label),
        ];
        prop::collection::vec(scrap, 0..10).prop_map(|scraps| scraps.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// A zone transfer may bring any data; what the store accepts must not hurt the codec.
        #[test]
        fn any_stored_data_is_encoded(
            records in prop::collection::vec((0_u16..70, octets()), 1..20),
            owner in octets(),
            room in 0_usize..1300,
        ) {
            let apex = DomainName::root();
            let mut builder = ZoneBuilder::new(apex.clone());
            builder.push(&apex, 6, 1, &[0; 22]).unwrap();
            builder.push(&apex, 2, 1, b"\x01*\0").unwrap();
            let owner = DomainName::from_wire(&owner).unwrap_or(apex);
            let mut stored = |(rtype, data): &(u16, Vec<u8>)| {
                let lone = !matches!(*rtype, 5 | 6);
                lone && builder.push(&owner, *rtype, 1, data).is_ok()
            };
            let types: Vec<u16> = records.iter().filter(|record| stored(record)).map(|record| record.0).collect();
            let zones = Zones::new();
            zones.serve(Arc::new(builder.finish().unwrap()));
            for qtype in types.into_iter().chain([2, 6, 255]) {
                let records = encoded(&zones, owner.as_wire(), qtype, room);
                let message = message(owner.as_wire(), qtype, &records);
                let base = 12 + owner.as_wire().len() + 4;
                prop_assert!(message.len() <= room.max(base), "{} > {}", message.len(), room);
                if let Some(data) = records.answers.iter().find(|record| record.record_type() != RecordType::from(qtype)) {
                    prop_assert!(qtype == 255, "{data}");
                }
            }
        }
    }
}
