//! OPENs: RFC 4271 section 6.2 and those that add to it.

use super::*;

/// An OPEN of the right AS with one more capability, or other optional parameters.
fn open_with(capability: &[u8]) -> Vec<u8> {
    open_of(&capabilities(&[IPV4_UNICAST, &four_octet_as(PROVIDER_ASN), capability]))
}

fn open_of(parameters: &[u8]) -> Vec<u8> {
    peer::open(23456, 90, IDENTIFIER, parameters)
}

/// With one octet of the message changed.
fn with(mut open: Vec<u8>, at: usize, octet: u8) -> Vec<u8> {
    open[at] = octet;
    open
}

/// Where the version and the length of the optional parameters are.
const VERSION: usize = 19;
const LENGTH: usize = 28;

/// Capabilities in the extended form of RFC 9072.
fn extended(capabilities: &[u8]) -> Vec<u8> {
    let length = u16::try_from(capabilities.len()).unwrap();
    let [of_parameter, of_all] = [length, length + 3].map(u16::to_be_bytes);
    [&[255], &of_all[..], &[2], &of_parameter, capabilities].concat()
}

/// One whose optional parameters may be longer than their first length can say.
fn long_open(parameters: &[u8]) -> Vec<u8> {
    let head = [&[4, 0x5b, 0xa0, 0, 90], &IDENTIFIER[..], &[255]].concat();
    message(OPEN, &[&head, parameters].concat())
}

pub(super) fn plain() -> Vec<Demand> {
    let ours = [IPV4_UNICAST, &four_octet_as(PROVIDER_ASN)].concat();
    let good = capabilities(&[&ours]);
    let open = |my_as: u16, hold_time: u16| peer::open(my_as, hold_time, IDENTIFIER, &good);
    let many: Vec<u8> = (0..20).flat_map(|code| [128 + code, 0]).collect();
    let very_many: Vec<u8> = (0..100).flat_map(|_| [200, 4, 1, 2, 3, 4]).collect();
    vec![
        ("version 3", with(open_of(&good), VERSION, 3), closes_with(2, 1, &[0, 4])),
        ("version 5", with(open_of(&good), VERSION, 5), closes_with(2, 1, &[0, 4])),
        ("version 0", with(open_of(&good), VERSION, 0), closes_with(2, 1, &[0, 4])),
        ("version 3, and all else wrong, too", with(open_of(&[99]), VERSION, 3), closes_with(2, 1, &[0, 4])),
        ("another AS", peer::good_open(64999, 90), closes(2, 2)),
        ("AS 0", peer::open(0, 90, IDENTIFIER, &capabilities(&[IPV4_UNICAST])), closes(2, 2)),
        ("AS 0, and the right one in four octets", open(0, 90), closes(2, 2)),
        ("AS_TRANS alone", peer::open(23456, 90, IDENTIFIER, &capabilities(&[IPV4_UNICAST])), closes(2, 2)),
        ("4-octet AS 0", open_of(&capabilities(&[IPV4_UNICAST, &four_octet_as(0)])), closes(2, 2)),
        ("4-octet AS_TRANS", open_of(&capabilities(&[IPV4_UNICAST, &four_octet_as(23456)])), closes(2, 2)),
        ("our own AS", peer::good_open(OUR_ASN, 90), closes(2, 2)),
        // RFC 6793 section 4.1: the four octets count, in lieu of the two.
        ("another AS in two octets than in four", open(64999, 90), Stays),
        ("identifier 0.0.0.0", peer::open(23456, 90, [0; 4], &good), closes(2, 3)),
        ("our own identifier, which RFC 6286 allows", peer::open(23456, 90, [192, 0, 2, 1], &good), Stays),
        ("identifier 240.0.0.1, which RFC 6286 allows", peer::open(23456, 90, [240, 0, 0, 1], &good), Stays),
        ("hold time 1", open(23456, 1), closes(2, 6)),
        ("hold time 2", open(23456, 2), closes(2, 6)),
        ("hold time 3", open(23456, 3), Stays),
        ("hold time 0", open(23456, 0), Stays),
        ("hold time 65535", open(23456, 65535), Stays),
        ("optional parameter 1, authentication", open_of(&[1, 2, 0, 0]), closes_with(2, 4, &[])),
        ("optional parameter 99", open_of(&[&good[..], &[99, 0]].concat()), closes_with(2, 4, &[])),
        (
            "optional parameter 255 after another",
            open_of(&[&good[..], &[255, 0]].concat()),
            closes_with(2, 4, &[]),
        ),
        ("parameters longer than said", with(open_of(&good), LENGTH, 13), closes_with(2, 0, &[])),
        ("parameters shorter than said", with(open_of(&good), LENGTH, 15), closes_with(2, 0, &[])),
        ("parameters of length 0 that are there", with(open_of(&good), LENGTH, 0), closes_with(2, 0, &[])),
        ("a parameter that overruns", open_of(&[2, 9, 1, 4]), closes_with(2, 0, &[])),
        ("a parameter of one octet", open_of(&[&good[..], &[2]].concat()), closes_with(2, 0, &[])),
        ("a capability that overruns", open_of(&[2, 2, 1, 4]), closes_with(2, 0, &[])),
        ("a capability of one octet", open_of(&[2, 1, 1]), closes_with(2, 0, &[])),
        ("a parameter without capabilities", open_of(&[&good[..], &[2, 0]].concat()), Stays),
        (
            "capabilities in two parameters",
            open_of(&[capabilities(&[IPV4_UNICAST]), capabilities(&[&four_octet_as(PROVIDER_ASN)])].concat()),
            Stays,
        ),
        ("multiprotocol of 3 octets", open_with(&[1, 3, 0, 1, 0]), closes_with(2, 0, &[])),
        (
            "4-octet AS of 2 octets",
            open_of(&capabilities(&[IPV4_UNICAST, &[65, 2, 0, 1]])),
            closes_with(2, 0, &[]),
        ),
        ("route refresh of 1 octet", open_with(&[2, 1, 0]), closes_with(2, 0, &[])),
        ("extended messages of 1 octet", open_with(&[6, 1, 0]), closes_with(2, 0, &[])),
        ("a role of 2 octets", open_with(&[9, 2, 0, 0]), closes_with(2, 0, &[])),
        ("a role of 0 octets", open_with(&[9, 0]), closes_with(2, 0, &[])),
        (
            "only IPv6",
            open_of(&capabilities(&[IPV6_UNICAST, &four_octet_as(PROVIDER_ASN)])),
            closes_with(2, 7, IPV4_UNICAST),
        ),
        (
            "only IPv4 multicast",
            open_of(&capabilities(&[&[1, 4, 0, 1, 0, 2], &four_octet_as(PROVIDER_ASN)])),
            closes_with(2, 7, IPV4_UNICAST),
        ),
        ("no family, which means IPv4", open_of(&capabilities(&[&four_octet_as(PROVIDER_ASN)])), Stays),
        ("IPv4 with the reserved octet set", open_of(&capabilities(&[&[1, 4, 0, 1, 9, 1], &ours])), Stays),
        (
            "every family there is",
            open_with(&[1, 4, 0, 25, 0, 70, 1, 4, 0, 1, 0, 133, 1, 4, 0xff, 0xff, 0, 0xff]),
            Stays,
        ),
        ("the role provider", open_with(&[9, 1, 0]), Stays),
        ("the role customer", open_with(&[9, 1, 3]), closes(2, 11)),
        ("the role peer", open_with(&[9, 1, 4]), closes(2, 11)),
        ("a role that nobody has", open_with(&[9, 1, 200]), closes(2, 11)),
        ("two roles", open_with(&[9, 1, 0, 9, 1, 4]), closes(2, 11)),
        ("one role twice", open_with(&[9, 1, 0, 9, 1, 0]), Stays),
        ("unknown capabilities", open_with(&many), Stays),
        ("capability 0, which is reserved", open_with(&[0, 2, 1, 1]), Stays),
        ("graceful restart, restarting", open_with(&[64, 6, 0x80, 120, 0, 1, 1, 0x80]), Stays),
        ("graceful restart, of odd length", open_with(&[64, 3, 0, 0, 0]), Stays),
        ("ADD-PATH in both directions", open_with(&[69, 4, 0, 1, 1, 3]), Stays),
        ("the same capability twenty times", open_with(&IPV4_UNICAST.repeat(20)), Stays),
        ("extended parameters (RFC 9072)", with(open_of(&extended(&ours)), LENGTH, 255), Stays),
        ("extended parameters whose first length is their own", open_of(&extended(&ours)), Stays),
        ("extended parameters of 600 octets", long_open(&extended(&[&ours[..], &very_many].concat())), Stays),
        ("extended parameters that overrun", open_of(&[255, 0, 200, 2, 0, 2, 1, 0]), closes_with(2, 0, &[])),
        ("extended parameters cut off", open_of(&[255, 0]), closes_with(2, 0, &[])),
    ]
}

/// From a peer of the first days.
pub(super) fn two_octets() -> Vec<Demand> {
    let open = |my_as: u16, parameters: &[u8]| peer::open(my_as, 90, IDENTIFIER, parameters);
    vec![
        ("no optional parameters", open(64999, &[]), Stays),
        ("extended parameters, and none of them", open(64999, &[255, 0, 0]), Stays),
        ("no optional parameters, of another AS", open(64998, &[]), closes(2, 2)),
        ("a family, and no four octets", open(64999, &capabilities(&[IPV4_UNICAST])), Stays),
    ]
}

/// Where a role is demanded.
pub(super) fn strict() -> Vec<Demand> {
    vec![
        ("no role", open_with(&[]), closes(2, 11)),
        ("the role provider, as it must be", open_with(&[9, 1, 0]), Stays),
        ("another role, where one is demanded", open_with(&[9, 1, 2]), closes(2, 11)),
    ]
}

pub(super) fn ipv6() -> Vec<Demand> {
    let of = |families: &[u8]| open_of(&capabilities(&[families, &four_octet_as(PROVIDER_ASN)]));
    vec![
        ("IPv6", of(IPV6_UNICAST), Stays),
        ("IPv4 and IPv6", of(&[IPV4_UNICAST, IPV6_UNICAST].concat()), Stays),
        ("only IPv4", of(IPV4_UNICAST), closes_with(2, 7, IPV6_UNICAST)),
        ("no family, which does not mean IPv6", of(&[]), closes_with(2, 7, IPV6_UNICAST)),
    ]
}
