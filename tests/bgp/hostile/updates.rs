//! UPDATEs: RFC 4271 section 6.3 and RFC 7606.

use super::*;

/// An UPDATE whose lengths are these.
fn with_lengths(withdrawn: u16, attributes: u16, rest: &[u8]) -> Vec<u8> {
    message(UPDATE, &[&withdrawn.to_be_bytes()[..], &attributes.to_be_bytes(), rest].concat())
}

pub(super) fn plain() -> Vec<Demand> {
    let path = |segments: &[u8]| {
        offer(&[ORIGIN, &[&[0x40, 2, u8::try_from(segments.len()).unwrap()], segments].concat(), NEXT_HOP])
    };
    let announce = |nlri: &[u8]| update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], nlri);
    let unknown = |kind: u8| [0xc0, kind, 3, 1, 2, 3];
    let all_unknown: Vec<u8> = (129..=254).flat_map(unknown).collect();
    let mut cases = vec![
        ("End-of-RIB", update(&[], &[], &[]), Stays),
        ("a route", offer(&[ORIGIN, AS_PATH, NEXT_HOP]), Stays),
        ("attributes in any order", offer(&[NEXT_HOP, AS_PATH, ORIGIN]), Stays),
        ("a withdrawal of what was never offered", update(ROUTE, &[], &[]), Stays),
        ("withdrawn and announced at once", update(ROUTE, &[ORIGIN, AS_PATH, NEXT_HOP], ROUTE), Stays),
        ("the default route", announce(&[0]), Stays),
        ("bits beyond the prefix", announce(&[20, 203, 0, 127]), Stays),
        ("a multicast prefix", announce(&[8, 224]), Stays),
        ("the same prefix twenty times", announce(&ROUTE.repeat(20)), Stays),
        ("withdrawn routes that overrun", with_lengths(200, 0, &[]), closes_with(3, 1, &[])),
        ("withdrawn routes up to the end", message(UPDATE, &[0, 2, 0, 0]), closes_with(3, 1, &[])),
        ("attributes that overrun", with_lengths(0, 200, ORIGIN), closes_with(3, 1, &[])),
        ("attributes that overrun by one octet", with_lengths(0, 5, ORIGIN), closes_with(3, 1, &[])),
        ("lengths of 65535", with_lengths(65535, 65535, ORIGIN), closes_with(3, 1, &[])),
        ("a prefix of 33 bits", announce(&[33, 203, 0, 113, 0, 0]), closes_with(3, 10, &[])),
        ("a prefix that overruns", announce(&[24, 203, 0]), closes_with(3, 10, &[])),
        ("a prefix that overruns after a good one", announce(&[24, 203, 0, 113, 8]), closes_with(3, 10, &[])),
        ("a withdrawn prefix of 255 bits", update(&[255, 1, 2, 3, 4], &[], &[]), closes_with(3, 10, &[])),
        ("a withdrawn prefix that overruns", update(&[32, 1], &[], &[]), closes_with(3, 10, &[])),
        ("an attribute that overruns", offer_and(&[0xc0, 8, 200, 1]), Mends),
        ("an attribute of one octet", offer_and(&[0xc0]), Mends),
        ("an attribute of two octets", offer_and(&[0xc0, 8]), Mends),
        ("an extended length of one octet", offer_and(&[0xd0, 8, 0]), Mends),
        ("an unknown attribute that overruns", offer_and(&[0xc0, 99, 9, 1]), Mends),
        ("ORIGIN EGP", offer(&[&[0x40, 1, 1, 1], AS_PATH, NEXT_HOP]), Stays),
        ("ORIGIN 3", offer(&[&[0x40, 1, 1, 3], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN of 2 octets", offer(&[&[0x40, 1, 2, 0, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN of 0 octets", offer(&[&[0x40, 1, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN twice", offer(&[ORIGIN, ORIGIN, AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN twice, first malformed", offer(&[&[0x40, 1, 1, 9], ORIGIN, AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN that is optional", offer(&[&[0xc0, 1, 1, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN that is not transitive", offer(&[&[0x00, 1, 1, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN with an extended length", offer(&[&[0x50, 1, 0, 1, 0], AS_PATH, NEXT_HOP]), Stays),
        ("ORIGIN with the partial bit", offer(&[&[0x60, 1, 1, 0], AS_PATH, NEXT_HOP]), Stays),
        ("ORIGIN with the bits that have no meaning", offer(&[&[0x4f, 1, 1, 0], AS_PATH, NEXT_HOP]), Stays),
        ("no ORIGIN", offer(&[AS_PATH, NEXT_HOP]), Mends),
        ("no AS_PATH", offer(&[ORIGIN, NEXT_HOP]), Mends),
        ("no NEXT_HOP", offer(&[ORIGIN, AS_PATH]), Mends),
        ("no attribute at all", offer(&[]), Mends),
        ("an AS_PATH of no segment", path(&[]), Stays),
        ("a segment of no number", path(&[2, 0]), Mends),
        ("a segment that overruns", path(&[2, 2, 0, 1, 0, 0]), Mends),
        ("a segment of one octet", path(&[2, 1, 0, 1, 0, 0, 2]), Mends),
        ("a segment of unknown type", path(&[9, 1, 0, 1, 0, 0]), Mends),
        ("a segment of type 0", path(&[0, 1, 0, 1, 0, 0]), Mends),
        ("a confederation's sequence", path(&[3, 1, 0, 1, 0, 0]), Mends),
        ("a confederation's set", path(&[4, 1, 0, 1, 0, 0]), Mends),
        ("an AS_SET (RFC 9774)", path(&[1, 1, 0, 1, 0, 0]), Mends),
        ("AS 0 in the path (RFC 7607)", path(&[2, 1, 0, 0, 0, 0]), Mends),
        ("our own AS in the path", path(&[2, 2, 0, 1, 0, 0, 0, 0, 0xfb, 0xf4]), Stays),
        ("AS_PATH that is optional", offer(&[ORIGIN, &[0xc0, 2, 6, 2, 1, 0, 1, 0, 0], NEXT_HOP]), Mends),
        ("NEXT_HOP of 3 octets", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 3, 192, 0, 2]]), Mends),
        ("NEXT_HOP of 0 octets", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 0]]), Mends),
        (
            "NEXT_HOP of 16 octets",
            offer(&[ORIGIN, AS_PATH, &[0x40, 3, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]),
            Mends,
        ),
        ("NEXT_HOP 0.0.0.0", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 4, 0, 0, 0, 0]]), Mends),
        ("NEXT_HOP 224.0.0.1", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 4, 224, 0, 0, 1]]), Mends),
        ("NEXT_HOP 255.255.255.255", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 4, 255, 255, 255, 255]]), Mends),
        ("MED", offer_and(&[0x80, 4, 4, 0, 0, 0, 1]), Stays),
        ("MED of 3 octets", offer_and(&[0x80, 4, 3, 0, 0, 1]), Mends),
        ("MED of 0 octets", offer_and(&[0x80, 4, 0]), Mends),
        ("MED that is transitive", offer_and(&[0xc0, 4, 4, 0, 0, 0, 1]), Mends),
        ("LOCAL_PREF from outside", offer_and(&[0x40, 5, 4, 0, 0, 0, 1]), Stays),
        ("LOCAL_PREF from outside, of 3 octets", offer_and(&[0x40, 5, 3, 0, 0, 1]), Stays),
        ("ATOMIC_AGGREGATE", offer_and(&[0x40, 6, 0]), Stays),
        ("ATOMIC_AGGREGATE of 1 octet", offer_and(&[0x40, 6, 1, 0]), Mends),
        ("AGGREGATOR", offer_and(&[0xc0, 7, 8, 0, 1, 0, 0, 192, 0, 2, 9]), Stays),
        ("AGGREGATOR of 6 octets", offer_and(&[0xc0, 7, 6, 0, 1, 192, 0, 2, 9]), Mends),
        ("AGGREGATOR of 0 octets", offer_and(&[0xc0, 7, 0]), Mends),
        ("AGGREGATOR of AS 0", offer_and(&[0xc0, 7, 8, 0, 0, 0, 0, 192, 0, 2, 9]), Mends),
        ("COMMUNITIES of 3 octets", offer_and(&[0xc0, 8, 3, 1, 2, 3]), Mends),
        ("COMMUNITIES of 0 octets", offer_and(&[0xc0, 8, 0]), Mends),
        ("COMMUNITIES that are well-known", offer_and(&[0x40, 8, 4, 0, 1, 0, 1]), Mends),
        ("COMMUNITIES that are not transitive", offer_and(&[0x80, 8, 4, 0, 1, 0, 1]), Mends),
        ("COMMUNITIES twice", offer_and(&[0xc0, 8, 4, 0, 1, 0, 1, 0xc0, 8, 4, 0, 1, 0, 2]), Mends),
        ("ORIGINATOR_ID from outside", offer_and(&[0x80, 9, 3, 1, 2, 3]), Stays),
        ("CLUSTER_LIST from outside", offer_and(&[0x80, 10, 3, 1, 2, 3]), Stays),
        ("extended communities of 7 octets", offer_and(&[0xc0, 16, 7, 0, 2, 0, 1, 0, 0, 0]), Mends),
        ("extended communities of 0 octets", offer_and(&[0xc0, 16, 0]), Mends),
        (
            "an extended community of unknown type",
            offer_and(&[0xc0, 16, 8, 0x7f, 0xee, 0, 1, 0, 0, 0, 1]),
            Stays,
        ),
        (
            "large communities of 11 octets",
            offer_and(&[0xc0, 32, 11, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]),
            Mends,
        ),
        ("large communities of 0 octets", offer_and(&[0xc0, 32, 0]), Mends),
        ("AS4_PATH from a speaker of four octets", offer_and(&[0xc0, 17, 6, 2, 1, 0, 1, 0, 0]), Stays),
        ("a broken AS4_PATH from a speaker of four octets", offer_and(&[0xc0, 17, 1, 2]), Stays),
        ("AS4_AGGREGATOR from a speaker of four octets", offer_and(&[0xc0, 18, 2, 0, 0]), Stays),
        ("Only-to-Customer", offer_and(&[0xc0, 35, 4, 0, 1, 0, 0]), Stays),
        ("Only-to-Customer of 3 octets", offer_and(&[0xc0, 35, 3, 0, 1, 0]), Mends),
        ("Only-to-Customer of 0 octets", offer_and(&[0xc0, 35, 0]), Mends),
        ("an unknown optional attribute", offer_and(&[0xc0, 199, 3, 1, 2, 3]), Stays),
        ("an unknown optional attribute of 0 octets", offer_and(&[0xc0, 199, 0]), Stays),
        ("an unknown optional attribute twice", offer_and(&[0xc0, 199, 1, 0, 0xc0, 199, 1, 0]), Mends),
        ("an unknown attribute that is not transitive", offer_and(&[0x80, 199, 0]), Stays),
        ("126 unknown attributes", offer_and(&all_unknown), Stays),
        ("attribute 0, optional", offer_and(&[0xc0, 0, 1, 0]), Stays),
        ("attribute 255, optional", offer_and(&[0xc0, 255, 1, 0]), Stays),
        ("two attributes malformed", offer(&[&[0x40, 1, 1, 9], AS_PATH, NEXT_HOP, &[0xc0, 8, 1, 0]]), Mends),
        (
            "one malformed, and an unknown well-known one: the stronger counts",
            offer(&[&[0x40, 1, 1, 9], AS_PATH, NEXT_HOP, &[0x40, 199, 0]]),
            closes_with(3, 2, &[0x40, 199, 0]),
        ),
        (
            "eleven prefixes",
            announce(&(0..11u8).flat_map(|last| [32, 203, 0, 113, last]).collect::<Vec<u8>>()),
            closes_with(6, 1, &[0, 1, 1, 0, 0, 0, 10]),
        ),
    ];
    for (what, attribute) in [
        ("an unknown well-known attribute", &[0x40, 199, 1, 7][..]),
        ("an unknown attribute that is neither optional nor transitive", &[0x00, 199, 1, 7]),
        ("attribute 0, well-known", &[0x40, 0, 1, 7]),
    ] {
        cases.push((what, offer_and(attribute), closes_with(3, 2, attribute)));
    }
    cases
}

/// RFC 7606 section 5.2: with nothing announced there is nothing to withdraw, so an error is a reset.
pub(super) fn without_routes() -> Vec<Demand> {
    let alone = |attributes: &[&[u8]]| update(&[], attributes, &[]);
    let mut cases = vec![
        ("good attributes, and nothing announced", alone(&[ORIGIN, AS_PATH, NEXT_HOP]), Stays),
        ("one attribute, and nothing announced", alone(&[ORIGIN]), Stays),
        ("what is discarded, and nothing announced", alone(&[&[0x40, 6, 1, 0]]), Mends),
        ("one attribute twice, and nothing announced", alone(&[ORIGIN, ORIGIN]), Mends),
        ("an overrun, and nothing announced", alone(&[ORIGIN, &[0xc0, 8, 200, 1]]), closes_with(3, 1, &[])),
        (
            "an AS_PATH of a broken segment, and nothing announced",
            alone(&[&[0x40, 2, 2, 2, 0]]),
            closes_with(3, 11, &[]),
        ),
        (
            "a bad ORIGIN, and only withdrawn routes",
            update(ROUTE, &[&[0x40, 1, 1, 9]], &[]),
            closes_with(3, 6, &[0x40, 1, 1, 9]),
        ),
    ];
    for (what, subcode, attribute) in [
        ("a bad ORIGIN, and nothing announced", 6, &[0x40, 1, 1, 9][..]),
        ("ORIGIN of wrong flags, and nothing announced", 4, &[0xc0, 1, 1, 0]),
        ("ORIGIN of 2 octets, and nothing announced", 5, &[0x40, 1, 2, 0, 0]),
        ("MED of 3 octets, and nothing announced", 5, &[0x80, 4, 3, 0, 0, 1]),
        ("NEXT_HOP of 3 octets, and nothing announced", 5, &[0x40, 3, 3, 192, 0, 2]),
        ("COMMUNITIES of 3 octets, and nothing announced", 5, &[0xc0, 8, 3, 1, 2, 3]),
    ] {
        cases.push((what, alone(&[attribute]), closes_with(3, subcode, attribute)));
    }
    cases
}

/// RFC 6793 section 6: what is wrong with the attributes of four octets is discarded with them.
pub(super) fn two_octets() -> Vec<Demand> {
    let path: &[u8] = &[0x40, 2, 4, 2, 1, 0xfd, 0xe7];
    let and = |attribute: &[u8]| offer(&[ORIGIN, path, NEXT_HOP, attribute]);
    vec![
        ("a route of two octets", offer(&[ORIGIN, path, NEXT_HOP]), Stays),
        ("an AS_PATH of four octets, not negotiated", offer(&[ORIGIN, AS_PATH, NEXT_HOP]), Mends),
        ("AS4_PATH", and(&[0xc0, 17, 6, 2, 1, 0, 0, 0xfd, 0xe7]), Stays),
        ("AS4_PATH longer than the path", and(&[0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 0, 0xfd, 0xe7]), Stays),
        ("AS4_PATH of a broken segment", and(&[0xc0, 17, 6, 2, 2, 0, 0, 0xfd, 0xe7]), Mends),
        ("AS4_PATH of 0 octets", and(&[0xc0, 17, 0]), Mends),
        ("AS4_PATH with AS 0", and(&[0xc0, 17, 6, 2, 1, 0, 0, 0, 0]), Mends),
        ("AGGREGATOR of two octets", and(&[0xc0, 7, 6, 0xfd, 0xe7, 192, 0, 2, 9]), Stays),
        ("AGGREGATOR of four octets", and(&[0xc0, 7, 8, 0, 0, 0xfd, 0xe7, 192, 0, 2, 9]), Mends),
        ("AS4_AGGREGATOR", and(&[0xc0, 18, 8, 0, 1, 0, 0, 192, 0, 2, 9]), Stays),
        ("AS4_AGGREGATOR of 6 octets", and(&[0xc0, 18, 6, 0, 1, 192, 0, 2, 9]), Mends),
        ("AS4_AGGREGATOR of AS 0", and(&[0xc0, 18, 8, 0, 0, 0, 0, 192, 0, 2, 9]), Mends),
    ]
}
