use super::*;
use crate::dns::embedded::rdata::rtype;

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

const NS: &[u8] = b"\x02ns\x07example\0";

fn soa(serial: u32) -> Vec<u8> {
    let numbers: Vec<u8> = [serial, 7200, 1800, 86400, 300].iter().flat_map(|n| n.to_be_bytes()).collect();
    [NS, NS, &numbers].concat()
}

fn builder() -> ZoneBuilder {
    let mut builder = ZoneBuilder::new(name("example"));
    builder.push(&name("example"), rtype::SOA, 3600, &soa(7)).unwrap();
    builder.push(&name("example"), rtype::NS, 3600, NS).unwrap();
    builder
}

fn built(records: &[(&str, u16, u32, &[u8])]) -> Result<Zone, Vec<ZoneFault>> {
    let mut builder = builder();
    for (owner, rtype, ttl, rdata) in records {
        builder.push(&name(owner), *rtype, *ttl, rdata).unwrap();
    }
    builder.finish()
}

#[test]
fn sets_come_in_canonical_order_with_the_soa_first() {
    let zone = built(&[
        ("z.example", 16, 5, b"\x01x"),
        ("a.z.example", 1, 5, &[192, 0, 2, 2]),
        ("*.example", 1, 5, &[192, 0, 2, 2]),
        ("example", 1, 5, &[192, 0, 2, 9]),
        ("example", 1, 5, &[192, 0, 2, 1]),
    ])
    .unwrap();
    let sets: Vec<(String, u16, usize)> =
        zone.rrsets().map(|set| (set.owner().to_string(), set.rtype(), set.count())).collect();
    let wanted = [
        ("example", 6, 1),
        ("example", 1, 2),
        ("example", 2, 1),
        ("*.example", 1, 1),
        ("z.example", 16, 1),
        ("a.z.example", 1, 1),
    ];
    assert_eq!(sets, wanted.map(|(owner, rtype, count)| (owner.to_owned(), rtype, count)));
    assert_eq!(zone.rrsets().nth(1).unwrap().rdatas().collect::<Vec<_>>(), [[192, 0, 2, 1], [192, 0, 2, 9]]);
    assert_eq!(zone.record_count(), 7);
    assert_eq!(zone.serial(), Serial(7));
    assert_eq!(zone.soa(), SoaTimers { refresh: 7200, retry: 1800, expire: 86400, minimum: 300 });
}

#[test]
fn equal_records_are_one_and_a_set_has_one_ttl() {
    let zone = built(&[
        ("m.example", 15, 60, b"\0\x01\x01A\0"),
        ("M.example", 15, 50, b"\0\x01\x01a\0"),
        ("m.example", 15, 40, b"\0\x02\x01a\0"),
        ("h.example", 1, 0x8000_0000, &[192, 0, 2, 1]),
    ])
    .unwrap();
    let sets: Vec<(usize, u32)> = zone.rrsets().skip(2).map(|set| (set.count(), set.ttl())).collect();
    assert_eq!(sets, [(1, 0), (2, 40)]);
}

#[test]
fn signatures_keep_the_ttl_of_what_they_cover() {
    let signature = |covers: u8| [&[0, covers][..], &[8, 2, 0, 0, 0, 60], &[0; 10], b"\0sig"].concat();
    let zone = built(&[
        ("h.example", 46, 60, &signature(1)),
        ("h.example", 46, 30, &signature(16)),
        ("h.example", 47, 30, b"\0\0\x01\x40"),
        ("h.example", 5, 30, b"\0"),
    ])
    .unwrap();
    let sets: Vec<(u16, u32)> = zone.rrsets().skip(2).map(|set| (set.rtype(), set.ttl())).collect();
    assert_eq!(sets, [(5, 30), (46, 60), (46, 30), (47, 30)]);
}

#[test]
fn a_serial_is_replaced() {
    let mut builder = builder();
    builder.set_serial(Serial(u32::MAX));
    let zone = builder.finish().unwrap();
    assert_eq!(zone.serial(), Serial(u32::MAX));
    assert_eq!(zone.soa().refresh, 7200);
}

#[test]
fn one_record_can_be_at_fault() {
    let mut builder = builder();
    let mut push = |owner: &str, rtype: u16, rdata: &[u8]| builder.push(&name(owner), rtype, 60, rdata);
    assert!(matches!(push("example.org", 1, &[192, 0, 2, 1]), Err(ZoneFault::OutOfZone { .. })));
    assert!(matches!(push("a.example", 1, &[192, 0, 2]), Err(ZoneFault::Malformed { .. })));
    assert!(matches!(push("a.example", 252, b""), Err(ZoneFault::NotForZones { .. })));
    assert!(matches!(push("example", rtype::SOA, &soa(7)[..20]), Err(ZoneFault::Malformed { .. })));
}

#[test]
fn records_together_can_be_at_fault() {
    let apex = name("example");
    let empty = ZoneBuilder::new(apex.clone()).finish().unwrap_err();
    assert_eq!(empty, [ZoneFault::NoSoa(apex.clone()), ZoneFault::NoNs(apex.clone())]);
    let fault = |records: &[(&str, u16, u32, &[u8])]| built(records).unwrap_err().remove(0);
    let address: &[u8] = &[192, 0, 2, 1];
    assert_eq!(fault(&[("example", 6, 60, &soa(8))]), ZoneFault::ManySoa(apex.clone()));
    assert_eq!(fault(&[("a.example", 6, 60, &soa(8))]), ZoneFault::SoaBelowApex(name("a.example")));
    assert_eq!(fault(&[("example", 5, 60, b"\0")]), ZoneFault::CnameAndOther(apex));
    let alias = ("a.example", 5, 60, &b"\0"[..]);
    assert_eq!(fault(&[alias, ("a.example", 1, 60, address)]), ZoneFault::CnameAndOther(name("a.example")));
    assert_eq!(fault(&[alias, ("a.example", 5, 60, b"\x01b\0")]), ZoneFault::ManyCname(name("a.example")));
    let large = vec![0; 40_000];
    let other = vec![1; 40_000];
    let sets = [("a.example", 65280, 60, &large[..]), ("a.example", 65280, 60, &other[..])];
    assert!(matches!(fault(&sets), ZoneFault::SetTooLarge { octets: 80_024, .. }));
}

#[test]
fn a_small_zone_is_small() {
    let mut builder = builder();
    for host in 0..8 {
        builder.push(&name(&format!("host-{host}.example")), 1, 60, &[192, 0, 2, host]).unwrap();
    }
    let zone = builder.finish().unwrap();
    assert!(zone.heap_bytes() < 600, "{}", zone.heap_bytes());
}
