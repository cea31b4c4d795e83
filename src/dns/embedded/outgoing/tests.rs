use domain::base::Message as OtherMessage;
use domain::base::iana::Class;
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::rdata::AllRecordData;
use hickory_proto::op::Message;
use hickory_proto::rr::DNSClass;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dns::embedded::delta::difference;
use crate::dns::embedded::testing::{self, wire};
use crate::dns::embedded::zone::ZoneBuilder;
use crate::names::DomainName;

/// Owner (lower case), type, TTL, data.
type Record = (Vec<u8>, u16, u32, Vec<u8>);

const ID: u16 = 0x1234;

fn apex() -> DomainName {
    "example.org".parse().unwrap()
}

fn asked(name: &[u8]) -> Asked<'_> {
    // OPT with a size of 1232.
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0".to_vec();
    Asked { id: ID, recursion_desired: false, qtype: rtype::AXFR, name, opt }
}

/// What hickory reads in the messages.
fn by_hickory(messages: &[Vec<u8>]) -> Vec<Record> {
    let mut records = Vec::new();
    for (position, octets) in messages.iter().enumerate() {
        let message = Message::from_vec(octets).unwrap();
        assert!(message.metadata.id == ID && message.metadata.authoritative && message.queries.len() == 1);
        assert_eq!(message.edns.is_some(), position == 0);
        for record in &message.answers {
            assert_eq!(record.dns_class, DNSClass::IN);
            let mut rdata = Vec::new();
            let mut encoder = BinEncoder::new(&mut rdata);
            encoder.set_name_encoding(hickory_proto::serialize::binary::NameEncoding::Uncompressed);
            record.data.emit(&mut encoder).unwrap();
            records.push((wire(&record.name), record.record_type().into(), record.ttl, rdata));
        }
    }
    records
}

/// What the crate domain reads in them.
fn by_domain(messages: &[Vec<u8>]) -> Vec<Record> {
    let mut records = Vec::new();
    for octets in messages {
        let message = OtherMessage::from_octets(octets.as_slice()).unwrap();
        for record in message.answer().unwrap() {
            let record = record.unwrap().into_record::<AllRecordData<_, _>>().unwrap().unwrap();
            assert_eq!(record.class(), Class::IN);
            let mut rdata = Vec::new();
            record.data().compose_rdata(&mut rdata).unwrap();
            let owner: domain::base::Name<Vec<u8>> = record.owner().to_name();
            records.push((owner.into_octets(), record.rtype().to_int(), record.ttl().as_secs(), rdata));
        }
    }
    records
}

/// A zone's records as an AXFR has them.
fn records_of(zone: &Zone) -> Vec<Record> {
    let sets = zone.rrsets().chain([zone.soa_set()]);
    sets.flat_map(|set| {
        let owner = set.owner().as_wire().to_vec();
        set.rdatas()
            .map(move |rdata| (owner.clone(), set.rtype(), set.ttl(), rdata.to_vec()))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Data of a type in whose names are these labels.
fn data(rtype: u16, labels: &[String]) -> Vec<u8> {
    let mut name: Vec<u8> =
        labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    name.extend(b"\x07Example\x03org\0");
    match rtype {
        15 => [b"\0\x0a", &name[..]].concat(),
        33 => [b"\0\x01\0\x02\0\x35", &name[..]].concat(),
        16 => b"\x04text".to_vec(),
        1 => vec![192, 0, 2, 1],
        _ => name,
    }
}

fn zones() -> impl Strategy<Value = Zone> {
    let label = || "[a-cA-C]{1,2}";
    let labels = || vec(label(), 0..4);
    let rtype = prop_oneof![Just(1_u16), Just(12), Just(15), Just(16), Just(33)];
    vec((labels(), rtype, labels()), 0..60).prop_map(|records| {
        let mut builder = ZoneBuilder::new(apex());
        let mut soa = b"\x02ns\x07example\x03ORG\0\x04mail\x02ns\x07example\x03org\0".to_vec();
        soa.extend([1_u32, 3600, 600, 86_400, 300].iter().flat_map(|number| number.to_be_bytes()));
        builder.push(&apex(), 6, 3600, &soa).unwrap();
        builder.push(&apex(), 2, 3600, b"\x02ns\x07example\x03org\0").unwrap();
        for (owner, rtype, target) in records {
            let owner = DomainName::from_wire(&data(12, &owner)).unwrap();
            builder.push(&owner, rtype, 60, &data(rtype, &target)).unwrap();
        }
        builder.finish().unwrap()
    })
}

proptest! {
    #[test]
    fn others_read_the_zone_in_it(zone in zones(), old in zones()) {
        let zone = Arc::new(zone);
        let name = b"\x07eXample\x03org\0";
        let messages = testing::messages(&mut Outgoing::whole(Arc::clone(&zone), asked(name)));
        let records = records_of(&zone);
        prop_assert_eq!(&by_hickory(&messages), &records);
        prop_assert_eq!(&by_domain(&messages), &records);
        prop_assert_eq!(&messages[0][12..12 + name.len()], name);

        let delta = Arc::new(difference(&old, &zone));
        let mut outgoing = Outgoing::steps(Arc::clone(&zone), vec![Arc::clone(&delta); 2], asked(name));
        let messages = testing::messages(&mut outgoing);
        let step: Vec<Record> = delta
            .records_from(0)
            .map(|r| (r.owner.to_vec(), r.rtype, r.ttl, r.rdata.to_vec()))
            .collect();
        let soa = &records[..1];
        let wanted = [soa, &step, &step, soa].concat();
        prop_assert_eq!(&by_hickory(&messages), &wanted);
        prop_assert_eq!(&by_domain(&messages), &wanted);
    }
}

/// 300 texts of 205 octets: a set of 64 KB.
fn large() -> Zone {
    let mut builder = ZoneBuilder::new(apex());
    for set in testing::zone(&apex(), 7, 20_000).rrsets() {
        set.rdatas().for_each(|rdata| builder.push(&set.owner(), set.rtype(), set.ttl(), rdata).unwrap());
    }
    for number in 0..300_u16 {
        let text = [&[200][..], &[b'x'; 198], &number.to_be_bytes()].concat();
        builder.push(&"large.example.org".parse().unwrap(), 16, 60, &text).unwrap();
    }
    for octets in [20_000, 64_000] {
        let owner = format!("opaque{octets}.example.org").parse().unwrap();
        builder.push(&owner, 65280, 60, &vec![7; octets]).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn a_large_zone_takes_many_messages_and_no_more_than_it_must() {
    let zone = Arc::new(large());
    let messages = testing::messages(&mut Outgoing::whole(Arc::clone(&zone), asked(apex().as_wire())));
    let records = records_of(&zone);
    assert_eq!(by_hickory(&messages), records);
    assert_eq!(by_domain(&messages), records);
    let long: Vec<usize> = messages.iter().map(Vec::len).filter(|length| *length > MESSAGE).collect();
    assert!(long.len() == 2 && long.iter().all(|length| *length <= usize::from(u16::MAX)), "{long:?}");
    let total: usize = messages.iter().map(Vec::len).sum();
    let least = total / MESSAGE + 1;
    assert!(messages.len() <= least + 3, "{} messages for {total} octets", messages.len());
    // Owner, type, class, TTL, length and text: compressed to a label and a pointer.
    assert!(total < zone.record_count() * 36 + 300 * 190 + 84_000, "{total} octets");
}

#[test]
fn it_fits_a_datagram_or_not() {
    let (old, new) = (testing::zone(&apex(), 1, 3), Arc::new(testing::zone(&apex(), 2, 3)));
    let delta = Arc::new(difference(&old, &new));
    let outgoing = || Outgoing::steps(Arc::clone(&new), vec![Arc::clone(&delta)], asked(apex().as_wire()));
    let mut message = Vec::new();
    assert!(outgoing().in_one_message(&mut message, 1232));
    let length = message.len();
    assert_eq!(by_hickory(&[message.clone()]).len(), 10);
    assert!(outgoing().in_one_message(&mut message, length));
    assert!(!outgoing().in_one_message(&mut message, length - 1));
    assert!(!outgoing().in_one_message(&mut message, 0));
}
