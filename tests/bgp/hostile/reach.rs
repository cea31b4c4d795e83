//! MP_REACH_NLRI and MP_UNREACH_NLRI: RFC 4760 and RFC 7606. Wherever prefixes may be lost, the session ends.

use super::*;

const REACH: u8 = 14;
const UNREACH: u8 = 15;

fn of(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[0x80, kind, u8::try_from(value.len()).unwrap()], value].concat()
}

/// An UPDATE of this attribute, first, and of the good ones.
fn with(attribute: &[u8]) -> Vec<u8> {
    update(&[], &[attribute, ORIGIN, AS_PATH], &[])
}

/// Those that end the session: with the attribute, as RFC 4760 section 7 has it.
fn resets(kind: u8, values: &[(&'static str, &[u8])]) -> Vec<Demand> {
    let values = values.iter();
    values.map(|(what, value)| (*what, with(&of(kind, value)), closes_with(3, 9, &of(kind, value)))).collect()
}

const V4_HOP: &[u8] = &[0, 1, 1, 4, 192, 0, 2, 9, 0];
const V4_ROUTE: &[u8] = &[0, 1, 1, 4, 192, 0, 2, 9, 0, 24, 203, 0, 113];
const V6_HOP: &[u8] = &[0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0];
const V6_PREFIX: &[u8] = &[48, 0x20, 1, 0xd, 0xb8, 1, 0];

/// A route of IPv6 with this next hop.
fn v6_route(hop: &[u8]) -> Vec<u8> {
    [&[0, 2, 1, u8::try_from(hop.len()).unwrap()], hop, &[0], V6_PREFIX].concat()
}

/// What holds for every family.
fn both(route: &[u8], unreach: &[u8]) -> Vec<Demand> {
    let bad_origin: &[u8] = &[0x40, 1, 1, 9];
    let reach = of(REACH, route);
    let mut transitive = reach.clone();
    transitive[0] = 0xc0;
    let mut well_known = of(UNREACH, unreach);
    well_known[0] = 0x40;
    vec![
        ("MP_REACH_NLRI", with(&reach), Stays),
        ("MP_REACH_NLRI last", update(&[], &[ORIGIN, AS_PATH, &reach], &[]), Stays),
        ("MP_REACH_NLRI with an extended length", with(&attribute(0x80, REACH, route)), Stays),
        (
            "MP_REACH_NLRI beside a route in the message",
            update(&[], &[&reach, ORIGIN, AS_PATH, NEXT_HOP], ROUTE),
            Stays,
        ),
        (
            "MP_REACH_NLRI and MP_UNREACH_NLRI",
            update(&[], &[&reach, &of(UNREACH, unreach), ORIGIN, AS_PATH], &[]),
            Stays,
        ),
        ("MP_REACH_NLRI without ORIGIN", update(&[], &[&reach, AS_PATH], &[]), Mends),
        ("MP_REACH_NLRI without AS_PATH", update(&[], &[&reach, ORIGIN], &[]), Mends),
        ("MP_REACH_NLRI with a bad ORIGIN", update(&[], &[&reach, bad_origin, AS_PATH], &[]), Mends),
        (
            "MP_REACH_NLRI of EVPN, not negotiated",
            with(&of(REACH, &[0, 25, 70, 4, 192, 0, 2, 9, 0, 99, 1, 0xaa])),
            Stays,
        ),
        ("MP_REACH_NLRI that is transitive", with(&transitive), closes_with(3, 4, &transitive)),
        ("MP_REACH_NLRI twice", update(&[], &[&reach, &reach, ORIGIN, AS_PATH], &[]), closes_with(3, 1, &[])),
        (
            "MP_REACH_NLRI that overruns",
            update(&[], &[ORIGIN, AS_PATH, &[0x80, REACH, 200], route], &[]),
            closes(3, 1),
        ),
        (
            "an overrun after MP_REACH_NLRI",
            update(&[], &[&reach, ORIGIN, AS_PATH, &[0xc0, 8, 200, 1]], &[]),
            Mends,
        ),
        ("MP_UNREACH_NLRI", update(&[], &[&of(UNREACH, unreach)], &[]), Stays),
        ("MP_UNREACH_NLRI with other attributes", with(&of(UNREACH, unreach)), Stays),
        ("MP_UNREACH_NLRI of another family", update(&[], &[&of(UNREACH, &[0, 25, 70])], &[]), Stays),
        (
            "MP_UNREACH_NLRI that is well-known",
            update(&[], &[&well_known], &[]),
            closes_with(3, 4, &well_known),
        ),
        ("MP_UNREACH_NLRI twice", with(&of(UNREACH, unreach).repeat(2)), closes_with(3, 1, &[])),
        (
            "MP_UNREACH_NLRI with a bad ORIGIN",
            update(&[], &[&of(UNREACH, unreach), bad_origin], &[]),
            closes_with(3, 6, bad_origin),
        ),
    ]
    .into_iter()
    .chain(resets(REACH, &[("MP_REACH_NLRI of 3 octets", &route[..3]), ("MP_REACH_NLRI of 0 octets", &[])]))
    .chain(resets(
        UNREACH,
        &[("MP_UNREACH_NLRI of 2 octets", &unreach[..2]), ("MP_UNREACH_NLRI of 0 octets", &[])],
    ))
    .collect()
}

pub(super) fn ipv4() -> Vec<Demand> {
    let with_prefix = |prefix: &[u8]| [V4_HOP, prefix].concat();
    let bad_origin: &[u8] = &[0x40, 1, 1, 9];
    let mut cases = both(V4_ROUTE, &[0, 1, 1, 24, 203, 0, 113]);
    cases.extend([
        ("End-of-RIB by MP_UNREACH_NLRI", update(&[], &[&of(UNREACH, &[0, 1, 1])], &[]), Stays),
        ("MP_REACH_NLRI of IPv6, not negotiated", with(&of(REACH, &[V6_HOP, V6_PREFIX].concat())), Stays),
        (
            "MP_REACH_NLRI of IPv6, not negotiated, with a bad ORIGIN",
            update(&[], &[&of(REACH, &[V6_HOP, V6_PREFIX].concat()), bad_origin, AS_PATH], &[]),
            Mends,
        ),
        (
            "MP_REACH_NLRI without a prefix, with a bad ORIGIN",
            update(&[], &[&of(REACH, V4_HOP), bad_origin, AS_PATH], &[]),
            closes_with(3, 6, bad_origin),
        ),
        (
            "MP_REACH_NLRI with a next hop of 0.0.0.0",
            with(&of(REACH, &[0, 1, 1, 4, 0, 0, 0, 0, 0, 24, 203, 0, 113])),
            Mends,
        ),
    ]);
    cases.extend(resets(
        REACH,
        &[
            ("MP_REACH_NLRI with a next hop that overruns", &[0, 1, 1, 200, 192, 0]),
            ("MP_REACH_NLRI with a next hop of 5 octets", &[0, 1, 1, 5, 192, 0, 2, 9, 0, 0, 24, 203, 0, 113]),
            ("MP_REACH_NLRI with a next hop of 0 octets", &[0, 1, 1, 0, 0, 24, 203, 0, 113]),
            ("MP_REACH_NLRI that ends after the next hop", &V4_HOP[..8]),
            ("MP_REACH_NLRI with a prefix of 33 bits", &with_prefix(&[33, 203, 0, 113, 0, 0])),
            ("MP_REACH_NLRI with a prefix that overruns", &with_prefix(&[24, 203])),
        ],
    ));
    cases.extend(resets(
        UNREACH,
        &[
            ("MP_UNREACH_NLRI with a prefix of 33 bits", &[0, 1, 1, 33, 203, 0, 113, 0, 0]),
            ("MP_UNREACH_NLRI with a prefix that overruns", &[0, 1, 1, 24, 203]),
        ],
    ));
    cases
}

pub(super) fn ipv6() -> Vec<Demand> {
    let global: &[u8] = &V6_HOP[4..20];
    let link_local: &[u8] = &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let hop = |hop: &[u8]| with(&of(REACH, &v6_route(hop)));
    let with_prefix = |prefix: &[u8]| [V6_HOP, prefix].concat();
    let eleven: Vec<u8> = (0..11u8).flat_map(|last| [56, 0x20, 1, 0xd, 0xb8, 1, 0, last]).collect();
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let mut cases = both(&v6_route(global), &[&[0, 2, 1][..], V6_PREFIX].concat());
    cases.extend([
        ("End-of-RIB", update(&[], &[&of(UNREACH, &[0, 2, 1])], &[]), Stays),
        ("a route of IPv4 in the message, not negotiated", offer(&[ORIGIN, AS_PATH, NEXT_HOP]), Stays),
        (
            "a malformed route of IPv4 in the message",
            update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[33, 1]),
            closes_with(3, 10, &[]),
        ),
        ("the default route", with(&of(REACH, &with_prefix(&[0]))), Stays),
        ("bits beyond the prefix", with(&of(REACH, &with_prefix(&[33, 0x20, 1, 0xd, 0xb8, 0xff]))), Stays),
        ("a next hop of 32 octets", hop(&[global, link_local].concat()), Stays),
        ("a next hop of 32 octets, both global", hop(&[global, global].concat()), Stays),
        ("a link-local next hop", hop(link_local), Stays),
        ("a next hop of ::", hop(&[0; 16]), Mends),
        ("a next hop of ::1", hop(&loopback), Mends),
        ("a multicast next hop", hop(&[0xff; 16]), Mends),
        (
            "NEXT_HOP beside MP_REACH_NLRI",
            update(&[], &[&of(REACH, &v6_route(global)), ORIGIN, AS_PATH, NEXT_HOP], &[]),
            Stays,
        ),
        (
            "eleven prefixes",
            with(&of(REACH, &with_prefix(&eleven))),
            closes_with(6, 1, &[0, 2, 1, 0, 0, 0, 10]),
        ),
    ]);
    cases.extend(resets(
        REACH,
        &[
            ("a next hop of 4 octets", &v6_route(&[192, 0, 2, 9])),
            ("a next hop of 24 octets", &v6_route(&[&[0; 8], global].concat())),
            ("a next hop of 0 octets", &v6_route(&[])),
            ("a prefix of 129 bits", &with_prefix(&[&[129], &[0x20; 17][..]].concat())),
            ("a prefix that overruns", &with_prefix(&V6_PREFIX[..4])),
        ],
    ));
    cases.extend(resets(
        UNREACH,
        &[("a withdrawn prefix of 129 bits", &[&[0, 2, 1, 129], &[0x20; 17][..]].concat())],
    ));
    cases
}
