use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dns::embedded::zone::{Zone, ZoneBuilder};

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn soa(serial: u32) -> Vec<u8> {
    let numbers: Vec<u8> = [serial, 7200, 1800, 86400, 300].iter().flat_map(|n| n.to_be_bytes()).collect();
    [&b"\x02ns\x07example\0\x04mail\x07example\0"[..], &numbers].concat()
}

type Record<'a> = (&'a str, u16, u32, &'a [u8]);

fn zone(serial: u32, records: &[Record<'_>]) -> Zone {
    let mut builder = ZoneBuilder::new(name("example"));
    builder.push(&name("example"), rtype::SOA, 3600, &soa(serial)).unwrap();
    builder.push(&name("example"), rtype::NS, 3600, b"\x02ns\x07example\0").unwrap();
    for (owner, rtype, ttl, rdata) in records {
        builder.push(&name(owner), *rtype, *ttl, rdata).unwrap();
    }
    builder.finish().unwrap()
}

/// A delta from serial 1 to 2 that removes and adds these.
fn delta(removed: &[Record<'_>], added: &[Record<'_>]) -> Delta {
    let mut builder = DeltaBuilder::new(name("example"));
    for (serial, records) in [(1, removed), (2, added)] {
        builder.push(&name("example"), rtype::SOA, 3600, &soa(serial)).unwrap();
        for (owner, rtype, ttl, rdata) in records {
            builder.push(&name(owner), *rtype, *ttl, rdata).unwrap();
        }
    }
    builder.finish().unwrap()
}

const NAMES: [&str; 9] = [
    "example",
    "a.example",
    "b.a.example",
    "c.b.a.example",
    "*.a.example",
    "d.example",
    "e.d.example",
    r"\000.d.example",
    "z.example",
];

/// Types of every kind: with data that differ in case, with signatures of two types, and with cuts.
const DATA: [(u16, &[u8]); 12] = [
    (1, &[192, 0, 2, 1]),
    (1, &[192, 0, 2, 2]),
    (1, &[192, 0, 2, 3]),
    (2, b"\x02ns\x01a\x07example\0"),
    (2, b"\x02NS\x01a\x07example\0"),
    (15, b"\0\x01\x01A\0"),
    (15, b"\0\x01\x01a\0"),
    (16, b"\x01A"),
    (16, b"\x01a"),
    (46, b"\0\x01\x08\x02\0\0\0\x3c\0\0\0\0\0\0\0\0\0\x01\0sig"),
    (46, b"\0\x10\x08\x02\0\0\0\x3c\0\0\0\0\0\0\0\0\0\x01\0sig"),
    (65280, b""),
];

fn records() -> impl Strategy<Value = Vec<Record<'static>>> {
    let record = (0..NAMES.len(), 0..DATA.len(), prop_oneof![Just(60), Just(300)]);
    let record = record.prop_map(|(owner, data, ttl)| (NAMES[owner], DATA[data].0, ttl, DATA[data].1));
    vec(record, 0..40)
}

proptest! {
    #[test]
    fn a_difference_leads_to_the_new_zone_and_back(old in records(), new in records(), newest in records()) {
        let (old, new, newest) = (zone(1, &old), zone(2, &new), zone(3, &newest));
        let (first, second) = (difference(&old, &new), difference(&new, &newest));
        prop_assert_eq!(&apply(&old, [&first]).unwrap(), &new);
        prop_assert_eq!(&apply(&new, [&difference(&new, &old)]).unwrap(), &old);
        prop_assert_eq!(&apply(&old, [&first, &second]).unwrap(), &newest);
        prop_assert_eq!(&Delta::from_octets(first.octets()).unwrap(), &first);
        // What a zone does not have cannot be removed, and what it has cannot be added.
        let fault = apply(&new, [&Delta { from: Serial(2), ..first }]).unwrap_err();
        let strict = matches!(fault, DeltaFault::Absent { .. } | DeltaFault::Present { .. });
        prop_assert!(strict, "{}", fault);
    }

    #[test]
    fn octets_that_are_no_delta_are_refused(
        octets in vec(any::<u8>(), 0..80),
        cut in any::<proptest::sample::Index>(),
    ) {
        prop_assert!(Delta::from_octets(&octets).is_err());
        let whole = difference(&zone(1, &[]), &zone(2, &[("a.example", 1, 5, &[192, 0, 2, 1])]));
        let octets = whole.octets();
        let cut = Delta::from_octets(&octets[..cut.index(octets.len())]);
        // The additions may end after any record.
        prop_assert!(cut.is_err() || cut == Ok(difference(&zone(1, &[]), &zone(2, &[]))));
    }
}

#[test]
fn only_what_differs_is_in_it() {
    let a = [192, 0, 2, 1];
    let old = zone(1, &[("a.example", 1, 60, &a), ("b.example", 1, 60, &a), ("b.example", 16, 60, b"\x01x")]);
    let new = zone(2, &[("a.example", 1, 60, &a), ("b.example", 1, 60, &a), ("b.example", 16, 50, b"\x01x")]);
    let delta = difference(&old, &new);
    let list = |records: DeltaRecords<'_>| records.map(|r| (r.rtype, r.ttl)).collect::<Vec<_>>();
    assert_eq!(list(delta.removed()), [(6, 3600), (16, 60)]);
    assert_eq!(list(delta.added()), [(6, 3600), (16, 50)]);
    assert_eq!((delta.from(), delta.to()), (Serial(1), Serial(2)));
}

#[test]
fn it_is_applied_as_it_stands_or_not_at_all() {
    let a: &[u8] = &[192, 0, 2, 1];
    let old = zone(1, &[("a.example", 1, 60, a)]);
    let (owner, rtype) = (name("a.example"), 1);
    for (delta, wanted) in [
        (
            delta(&[("a.example", 1, 60, &[192, 0, 2, 9])], &[]),
            DeltaFault::Absent { owner: owner.clone(), rtype },
        ),
        (delta(&[], &[("a.example", 1, 60, a)]), DeltaFault::Present { owner: owner.clone(), rtype }),
        (delta(&[("a.example", 1, 60, a); 2], &[]), DeltaFault::Absent { owner: owner.clone(), rtype }),
        (
            delta(&[], &[("a.example", 5, 60, b"\0")]),
            DeltaFault::Zone(vec![ZoneFault::CnameAndOther(owner.clone())]),
        ),
        (
            delta(&[("example", 2, 3600, b"\x02ns\x07example\0")], &[]),
            DeltaFault::Zone(vec![ZoneFault::NoNs(name("example"))]),
        ),
    ] {
        assert_eq!(apply(&old, [&delta]).unwrap_err(), wanted);
    }
    let late = zone(9, &[]);
    let fault = apply(&late, [&delta(&[], &[])]).unwrap_err();
    assert_eq!(fault, DeltaFault::WrongSerial { from: Serial(1), have: Serial(9) });
    // A record that is removed with another TTL is the same record.
    let gone = apply(&old, [&delta(&[("A.example", 1, 5, a)], &[])]).unwrap();
    assert_eq!(gone, zone(2, &[]));
}

#[test]
fn a_builder_takes_only_difference_sequences() {
    let apex = name("example");
    let push = |builder: &mut DeltaBuilder, owner: &str, rtype, rdata: &[u8]| {
        builder.push(&name(owner), rtype, 60, rdata)
    };
    let mut builder = DeltaBuilder::new(apex.clone());
    assert_eq!(push(&mut builder, "example", 1, &[192, 0, 2, 1]), Err(DeltaFault::Malformed));
    assert_eq!(push(&mut builder, "a.example", 6, &soa(1)), Err(DeltaFault::Malformed));
    push(&mut builder, "example", 6, &soa(1)).unwrap();
    for (owner, rtype, rdata) in
        [("other", 1, &[192, 0, 2, 1][..]), ("example", 1, b"x"), ("example", 255, b"")]
    {
        assert!(matches!(push(&mut builder, owner, rtype, rdata), Err(DeltaFault::Record(_))));
    }
    push(&mut builder, "example", 6, &soa(2)).unwrap();
    assert_eq!(push(&mut builder, "example", 6, &soa(3)), Err(DeltaFault::Malformed));
    assert!(builder.size() > 0 && builder.finish().is_ok());
    assert_eq!(DeltaBuilder::new(apex).finish(), Err(DeltaFault::Malformed));
}
