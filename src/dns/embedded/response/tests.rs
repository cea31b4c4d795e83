use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use super::*;
use crate::dns::embedded::answer::answer;
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

fn octets(zones: &Zones, name: &[u8], qtype: u16, room: usize) -> Vec<u8> {
    let question = Question { name, qtype, qclass: 1 };
    let mut octets = Vec::new();
    let mut response = Response::begin(&mut octets, [0, 1], Some(&question), room);
    answer(zones, &question, false, &mut response);
    response.finish(Header { id: [0, 1], flags: 0 }, None);
    octets
}

/// How many records of each section there are, and whether something is missing.
fn counts(octets: &[u8]) -> (usize, usize, usize, bool) {
    let message = Message::from_vec(octets).unwrap();
    let (answers, authority) = (message.answers.len(), message.authorities.len());
    (answers, authority, message.additionals.len(), message.metadata.truncation)
}

#[test]
fn names_are_compressed_where_they_may_be() {
    let zones = zones("m MX 10 ns\ns SRV 1 2 3 ns\nd DNAME ns\n");
    let mx = octets(&zones, b"\x01M\x07eXample\0", 15, 1232);
    // The owner is a pointer; the target is one but for the label `ns`; the owner of the address is one to that.
    assert_eq!(mx.len(), 12 + (11 + 4) + (2 + 10 + 2 + 5) + (2 + 10 + 4));
    for (label, qtype) in [(b's', 33), (b'd', 39)] {
        let name = [1, label, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0];
        let whole = b"\x02ns\x07example\0";
        assert!(
            octets(&zones, &name, qtype, 1232).windows(whole.len()).any(|there| there == whole),
            "{qtype}"
        );
    }
    // SOA: owner and both names share the question's suffix.
    let denied = octets(&zones, b"\x02no\x07example\0", 1, 1232);
    assert_eq!(denied.len(), 12 + (12 + 4) + (2 + 10 + 5 + 4 + 20));
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
    let whole = octets(&zones, mx, 15, 1232);
    assert_eq!(counts(&whole), (2, 0, 40, false));
    assert_eq!(octets(&zones, mx, 15, whole.len()), whole);
    assert_eq!(counts(&octets(&zones, mx, 15, whole.len() - 1)), (2, 0, 20, false));
    // The answer itself, or glue that the referral needs: TC.
    assert_eq!(counts(&octets(&zones, b"\x01a\x07example\0", 1, 300)), (0, 0, 0, true));
    assert_eq!(counts(&octets(&zones, b"\x01x\x03sub\x07example\0", 1, 512)), (0, 2, 0, true));
    assert_eq!(counts(&octets(&zones, b"\x01x\x03sub\x07example\0", 1, 1232)), (0, 2, 40, false));
}

#[test]
fn the_largest_set_fits_into_the_largest_message() {
    let (text, count) = (format!("\"{}\" ", "x".repeat(255)), 64_500 / (12 + 256 * 10));
    let lines: String = (0..count).map(|line| format!("t TXT l{line} {}\n", text.repeat(9))).collect();
    let whole = octets(&zones(&lines), b"\x01t\x07example\0", 16, usize::from(u16::MAX));
    assert_eq!(counts(&whole), (count, 0, 0, false));
    assert!(whole.len() > 55_000);
}

#[test]
fn names_beyond_the_reach_of_pointers_are_whole() {
    let lines: String = (0..2000).map(|host| format!("m MX {host} h{host}\nh{host} A 192.0.2.1\n")).collect();
    let message = Message::from_vec(&octets(&zones(&lines), b"\x01m\x07example\0", 15, 65_535)).unwrap();
    assert_eq!(message.answers.len(), 2000);
    for record in &message.answers {
        let data = record.data.to_string();
        let (preference, target) = data.split_once(' ').unwrap();
        assert_eq!(target, format!("h{preference}.example."));
    }
}

/// Octets in which names, numbers and lengths are likely.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let label = [&[63][..], &[b'x'; 63]].concat();
    let likely = vec![&b"\x01a\0"[..], b"\0", b"\0\0", b"\x01*", b"\xc0\x0c", b"\x01\0\0", b"\0\0\0\0"];
    let scrap = prop_oneof![
        any::<u8>().prop_map(|octet| vec![octet]),
        prop::sample::select(likely).prop_map(<[u8]>::to_vec),
        Just(label),
    ];
    prop::collection::vec(scrap, 0..10).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A zone transfer may bring any data; what the store accepts comes out as a message that can be read.
    #[test]
    fn any_stored_data_is_written(
        records in prop::collection::vec((0_u16..70, scraps()), 1..20),
        owner in scraps(),
        room in 300_usize..1300,
    ) {
        let apex = DomainName::root();
        let mut builder = ZoneBuilder::new(apex.clone());
        builder.push(&apex, 6, 1, &[0; 22]).unwrap();
        builder.push(&apex, 2, 1, b"\x01*\0").unwrap();
        let owner = DomainName::from_wire(&owner).unwrap_or(apex);
        let mut stored = |(rtype, data): &(u16, Vec<u8>)| {
            let lone = !matches!(*rtype, 2 | 5 | 6 | 39 | 46);
            lone && builder.push(&owner, *rtype, 1, data).is_ok()
        };
        let types: Vec<u16> = records.iter().filter(|record| stored(record)).map(|record| record.0).collect();
        let zones = Zones::new();
        zones.serve(Arc::new(builder.finish().unwrap()));
        for qtype in types.into_iter().chain([2, 6, 255]) {
            let message = octets(&zones, owner.as_wire(), qtype, room);
            prop_assert!(message.len() <= room, "{} > {}", message.len(), room);
            // hickory refuses data of some types that it knows better; its reader of sections does not.
            if let Ok(message) = Message::from_vec(&message) {
                let other = message.answers.iter().find(|record| record.record_type() != RecordType::from(qtype));
                prop_assert!(other.is_none() || qtype == 255, "{:?}", other);
            }
        }
    }
}
