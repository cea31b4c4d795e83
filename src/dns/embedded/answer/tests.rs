use super::*;
use crate::dns::embedded::zone::ZoneBuilder;

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

#[test]
fn a_small_zone_answers() {
    let mut builder = ZoneBuilder::new(name("example"));
    let mut soa = b"\x02ns\x07example\0\x04mail\x07example\0".to_vec();
    soa.extend([1_u32, 2, 3, 4, 5].iter().flat_map(|number| number.to_be_bytes()));
    builder.push(&name("example"), 6, 3600, &soa).unwrap();
    builder.push(&name("example"), 2, 3600, b"\x02ns\x07example\0").unwrap();
    builder.push(&name("ns.example"), 1, 3600, &[192, 0, 2, 1]).unwrap();
    let zones = Zones::new();
    zones.serve(Arc::new(builder.finish().unwrap()));
    let question = Question { name: b"\x02nS\x07example\0", qtype: 1, qclass: CLASS_IN };
    let got = answer(&zones, &question, "node");
    assert_eq!(got.answers[0].owner()[..], *question.name);
    let missing = Question { name: b"\x02no\x07example\0", ..question };
    let got = answer(&zones, &missing, "node");
    assert_eq!((got.rcode, got.authority[0].ttl()), (ResponseCode::NXDomain, 5));
}
