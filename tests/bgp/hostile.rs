//! Hostile messages, one by one, each with the reaction that the RFCs demand.

use std::net::SocketAddr;

use futures_util::stream::{self, StreamExt};

use super::peer::{
    self, IPV4_UNICAST, KEEPALIVE, NOTIFICATION, OPEN, Peer, ROUTE_REFRESH, UPDATE, capabilities,
    four_octet_as, good_open, keepalive, message, refresh, update,
};
use super::*;

/// In which state of RFC 4271 section 8.2.2 a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    OpenSent,
    OpenConfirm,
    Established,
}

use When::{Established, OpenConfirm, OpenSent};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reaction {
    /// A NOTIFICATION, and these data if they are prescribed.
    Closes(u8, u8, Option<Vec<u8>>),
    /// The connection ends without a word.
    Ends,
    /// The session goes on.
    Stays,
    /// It goes on, and something was malformed (RFC 7606).
    Mends,
}

use Reaction::{Ends, Mends, Stays};

fn closes(code: u8, subcode: u8) -> Reaction {
    Reaction::Closes(code, subcode, None)
}

fn closes_with(code: u8, subcode: u8, data: &[u8]) -> Reaction {
    Reaction::Closes(code, subcode, Some(data.to_vec()))
}

struct Case {
    what: &'static str,
    when: When,
    octets: Vec<u8>,
    demanded: Reaction,
}

const ROUTE: &[u8] = &[24, 203, 0, 113];
const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 1, 0, 0];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 9];
const IDENTIFIER: [u8; 4] = [192, 0, 2, 9];

/// A header by hand.
fn header(marker: u8, length: u16, kind: u8, body: &[u8]) -> Vec<u8> {
    [&[marker; 16], &length.to_be_bytes()[..], &[kind], body].concat()
}

/// An OPEN of the right AS with one more capability, or other optional parameters.
fn open_with(capability: &[u8]) -> Vec<u8> {
    open_of(&capabilities(&[IPV4_UNICAST, &four_octet_as(PROVIDER_ASN), capability]))
}

fn open_of(parameters: &[u8]) -> Vec<u8> {
    peer::open(23456, 90, IDENTIFIER, parameters)
}

/// One route with these attributes in place of, or after, the good ones.
fn offer(attributes: &[&[u8]]) -> Vec<u8> {
    update(&[], attributes, ROUTE)
}

fn offer_and(attribute: &[u8]) -> Vec<u8> {
    offer(&[ORIGIN, AS_PATH, NEXT_HOP, attribute])
}

/// RFC 4271 section 6.1, in every state.
fn headers() -> Vec<(&'static str, Vec<u8>, Reaction)> {
    vec![
        ("a marker of zeros", header(0, 19, KEEPALIVE, &[]), closes(1, 1)),
        ("text", b"GET / HTTP/1.1\r\nHost: bgp\r\n\r\n".to_vec(), closes(1, 1)),
        ("one octet that no marker has", vec![0xfe], closes(1, 1)),
        ("a length of 0", header(0xff, 0, KEEPALIVE, &[]), closes_with(1, 2, &[0, 0])),
        ("a length of 18", header(0xff, 18, KEEPALIVE, &[]), closes_with(1, 2, &[0, 18])),
        ("a length of 65535", header(0xff, 65535, UPDATE, &[]), closes_with(1, 2, &[255, 255])),
        ("a length of 4097", header(0xff, 4097, UPDATE, &[]), closes_with(1, 2, &[16, 1])),
        ("type 0", header(0xff, 19, 0, &[]), closes_with(1, 3, &[0])),
        ("type 6", header(0xff, 23, 6, &[0; 4]), closes_with(1, 3, &[6])),
        ("type 255", header(0xff, 19, 255, &[]), closes_with(1, 3, &[255])),
        ("a KEEPALIVE with a body", header(0xff, 20, KEEPALIVE, &[0]), closes_with(1, 2, &[0, 20])),
        ("an OPEN of 28 octets", header(0xff, 28, OPEN, &[4; 9]), closes_with(1, 2, &[0, 28])),
        ("an OPEN of 4097 octets", header(0xff, 4097, OPEN, &[4; 10]), closes_with(1, 2, &[16, 1])),
        ("an UPDATE of 22 octets", header(0xff, 22, UPDATE, &[0; 3]), closes_with(1, 2, &[0, 22])),
        ("a NOTIFICATION of 20 octets", header(0xff, 20, NOTIFICATION, &[6]), closes_with(1, 2, &[0, 20])),
        (
            "a ROUTE-REFRESH of 22 octets",
            header(0xff, 22, ROUTE_REFRESH, &[0, 1, 0]),
            closes_with(1, 2, &[0, 22]),
        ),
        // RFC 4271 section 6.4: whatever it says, there is no answer to it.
        ("a NOTIFICATION", message(NOTIFICATION, &[6, 2]), Ends),
        ("a NOTIFICATION of unknown code", message(NOTIFICATION, &[99, 99, 1, 2, 3]), Ends),
        ("a shutdown message that overruns", message(NOTIFICATION, &[6, 2, 200, b'x']), Ends),
        ("a shutdown message that is no UTF-8", message(NOTIFICATION, &[6, 2, 2, 0xff, 0xfe]), Ends),
    ]
}

/// RFC 4271 section 6.2 and those that add to it.
fn opens() -> Vec<(&'static str, Vec<u8>, Reaction)> {
    let good = capabilities(&[IPV4_UNICAST, &four_octet_as(PROVIDER_ASN)]);
    let mut version_3 = open_of(&good);
    version_3[19] = 3;
    let mut version_5 = open_of(&good);
    version_5[19] = 5;
    let mut more_parameters = open_of(&good);
    more_parameters[28] += 1;
    let mut fewer_parameters = open_of(&good);
    fewer_parameters[28] -= 1;
    let extended = [&[255, 0, u8::try_from(good.len() + 1).unwrap(), 2, 0][..], &good[1..]].concat();
    let many: Vec<u8> = (0..20).flat_map(|code| [128 + code, 0]).collect();
    vec![
        ("version 3", version_3, closes_with(2, 1, &[0, 4])),
        ("version 5", version_5, closes_with(2, 1, &[0, 4])),
        ("another AS", good_open(64999, 90), closes(2, 2)),
        ("AS 0", peer::open(0, 90, IDENTIFIER, &capabilities(&[IPV4_UNICAST])), closes(2, 2)),
        ("AS_TRANS alone", peer::open(23456, 90, IDENTIFIER, &capabilities(&[IPV4_UNICAST])), closes(2, 2)),
        ("4-octet AS 0", open_of(&capabilities(&[IPV4_UNICAST, &four_octet_as(0)])), closes(2, 2)),
        ("our own AS", good_open(OUR_ASN, 90), closes(2, 2)),
        ("identifier 0.0.0.0", peer::open(23456, 90, [0; 4], &good), closes(2, 3)),
        ("our own identifier, which RFC 6286 allows", peer::open(23456, 90, [192, 0, 2, 1], &good), Stays),
        ("hold time 1", good_open(PROVIDER_ASN, 1), closes(2, 6)),
        ("hold time 2", good_open(PROVIDER_ASN, 2), closes(2, 6)),
        ("hold time 3", good_open(PROVIDER_ASN, 3), Stays),
        ("hold time 0", good_open(PROVIDER_ASN, 0), Stays),
        ("hold time 65535", good_open(PROVIDER_ASN, 65535), Stays),
        ("optional parameter 1, authentication", open_of(&[1, 2, 0, 0]), closes(2, 4)),
        ("optional parameter 99", open_of(&[&good[..], &[99, 0]].concat()), closes(2, 4)),
        ("parameters longer than said", fewer_parameters, closes(2, 0)),
        ("parameters shorter than said", more_parameters, closes(2, 0)),
        ("a parameter that overruns", open_of(&[2, 9, 1, 4]), closes(2, 0)),
        ("a parameter of one octet", open_of(&[&good[..], &[2]].concat()), closes(2, 0)),
        ("a capability that overruns", open_of(&[2, 2, 1, 4]), closes(2, 0)),
        ("a capability of one octet", open_of(&[2, 1, 1]), closes(2, 0)),
        ("multiprotocol of 3 octets", open_with(&[1, 3, 0, 1, 0]), closes(2, 0)),
        ("4-octet AS of 2 octets", open_of(&capabilities(&[IPV4_UNICAST, &[65, 2, 0, 1]])), closes(2, 0)),
        ("route refresh of 1 octet", open_with(&[2, 1, 0]), closes(2, 0)),
        ("a role of 2 octets", open_with(&[9, 2, 0, 0]), closes(2, 0)),
        (
            "only IPv6",
            open_of(&capabilities(&[&[1, 4, 0, 2, 0, 1], &four_octet_as(PROVIDER_ASN)])),
            closes_with(2, 7, IPV4_UNICAST),
        ),
        (
            "only IPv4 multicast",
            open_of(&capabilities(&[&[1, 4, 0, 1, 0, 2], &four_octet_as(PROVIDER_ASN)])),
            closes_with(2, 7, IPV4_UNICAST),
        ),
        ("no family, which means IPv4", open_of(&capabilities(&[&four_octet_as(PROVIDER_ASN)])), Stays),
        (
            "every family there is",
            open_with(&[1, 4, 0, 25, 0, 70, 1, 4, 0, 1, 0, 133, 1, 4, 0xff, 0xff, 0, 0xff]),
            Stays,
        ),
        ("the role customer", open_with(&[9, 1, 3]), closes(2, 11)),
        ("the role peer", open_with(&[9, 1, 4]), closes(2, 11)),
        ("a role that nobody has", open_with(&[9, 1, 200]), closes(2, 11)),
        ("two roles", open_with(&[9, 1, 0, 9, 1, 4]), closes(2, 11)),
        ("one role twice", open_with(&[9, 1, 0, 9, 1, 0]), Stays),
        ("unknown capabilities", open_with(&many), Stays),
        ("graceful restart, of odd length", open_with(&[64, 3, 0, 0, 0]), Stays),
        ("the same capability twenty times", open_with(&IPV4_UNICAST.repeat(20)), Stays),
        (
            "extended optional parameters (RFC 9072)",
            peer::open(23456, 90, IDENTIFIER, &extended)
                .into_iter()
                .enumerate()
                .map(|(at, octet)| if at == 28 { 255 } else { octet })
                .collect(),
            Stays,
        ),
        ("extended parameters that overrun", open_of(&[255, 0, 200, 2, 0, 2, 1, 0]), closes(2, 0)),
    ]
}

/// RFC 4271 section 6.3 and RFC 7606.
fn updates() -> Vec<(&'static str, Vec<u8>, Reaction)> {
    let lengths = |withdrawn: u16, attributes: u16, rest: &[u8]| {
        message(UPDATE, &[&withdrawn.to_be_bytes()[..], &attributes.to_be_bytes(), rest].concat())
    };
    let reach = |rest: &[u8]| {
        let length = u8::try_from(rest.len()).unwrap();
        update(&[], &[&[&[0x80, 14, length], rest].concat(), ORIGIN, AS_PATH], &[])
    };
    vec![
        ("End-of-RIB", update(&[], &[], &[]), Stays),
        ("a route", offer(&[ORIGIN, AS_PATH, NEXT_HOP]), Stays),
        ("attributes in any order", offer(&[NEXT_HOP, AS_PATH, ORIGIN]), Stays),
        ("a withdrawal of what was never offered", update(ROUTE, &[], &[]), Stays),
        ("withdrawn and announced at once", update(ROUTE, &[ORIGIN, AS_PATH, NEXT_HOP], ROUTE), Stays),
        ("the default route", update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[0]), Stays),
        ("bits beyond the prefix", update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[20, 203, 0, 127]), Stays),
        ("withdrawn routes that overrun", lengths(200, 0, &[]), closes(3, 1)),
        ("attributes that overrun", lengths(0, 200, ORIGIN), closes(3, 1)),
        (
            "a prefix of 33 bits",
            update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[33, 203, 0, 113, 0, 0]),
            closes(3, 10),
        ),
        ("a prefix that overruns", update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[24, 203, 0]), closes(3, 10)),
        ("a withdrawn prefix of 255 bits", update(&[255, 1, 2, 3, 4], &[], &[]), closes(3, 10)),
        ("a withdrawn prefix that overruns", update(&[32, 1], &[], &[]), closes(3, 10)),
        ("an attribute that overruns", offer(&[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 8, 200, 1]]), Mends),
        ("an attribute of one octet", offer(&[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0]]), Mends),
        ("an extended length of one octet", offer(&[ORIGIN, AS_PATH, NEXT_HOP, &[0xd0, 8, 0]]), Mends),
        ("an overrun, and nothing announced", update(&[], &[ORIGIN, &[0xc0, 8, 200, 1]], &[]), closes(3, 1)),
        ("ORIGIN 3", offer(&[&[0x40, 1, 1, 3], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN of 2 octets", offer(&[&[0x40, 1, 2, 0, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN of 0 octets", offer(&[&[0x40, 1, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN twice", offer(&[ORIGIN, ORIGIN, AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN that is optional", offer(&[&[0xc0, 1, 1, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN that is not transitive", offer(&[&[0x00, 1, 1, 0], AS_PATH, NEXT_HOP]), Mends),
        ("ORIGIN with an extended length", offer(&[&[0x50, 1, 0, 1, 0], AS_PATH, NEXT_HOP]), Stays),
        ("no ORIGIN", offer(&[AS_PATH, NEXT_HOP]), Mends),
        ("no AS_PATH", offer(&[ORIGIN, NEXT_HOP]), Mends),
        ("no NEXT_HOP", offer(&[ORIGIN, AS_PATH]), Mends),
        ("no attribute at all", offer(&[]), Mends),
        ("a segment of no number", offer(&[ORIGIN, &[0x40, 2, 2, 2, 0], NEXT_HOP]), Mends),
        ("a segment that overruns", offer(&[ORIGIN, &[0x40, 2, 6, 2, 2, 0, 1, 0, 0], NEXT_HOP]), Mends),
        ("a segment of one octet", offer(&[ORIGIN, &[0x40, 2, 7, 2, 1, 0, 1, 0, 0, 2], NEXT_HOP]), Mends),
        ("a segment of unknown type", offer(&[ORIGIN, &[0x40, 2, 6, 9, 1, 0, 1, 0, 0], NEXT_HOP]), Mends),
        ("a confederation's segment", offer(&[ORIGIN, &[0x40, 2, 6, 3, 1, 0, 1, 0, 0], NEXT_HOP]), Mends),
        ("an AS_SET (RFC 9774)", offer(&[ORIGIN, &[0x40, 2, 6, 1, 1, 0, 1, 0, 0], NEXT_HOP]), Mends),
        ("AS 0 in the path (RFC 7607)", offer(&[ORIGIN, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], NEXT_HOP]), Mends),
        (
            "our own AS in the path",
            offer(&[ORIGIN, &[0x40, 2, 10, 2, 2, 0, 1, 0, 0, 0, 0, 0xfb, 0xf4], NEXT_HOP]),
            Stays,
        ),
        ("NEXT_HOP of 3 octets", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 3, 192, 0, 2]]), Mends),
        (
            "NEXT_HOP of 16 octets",
            offer(&[ORIGIN, AS_PATH, &[0x40, 3, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]),
            Mends,
        ),
        ("NEXT_HOP 0.0.0.0", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 4, 0, 0, 0, 0]]), Mends),
        ("NEXT_HOP 224.0.0.1", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 4, 224, 0, 0, 1]]), Mends),
        ("NEXT_HOP 255.255.255.255", offer(&[ORIGIN, AS_PATH, &[0x40, 3, 4, 255, 255, 255, 255]]), Mends),
        ("MED of 3 octets", offer_and(&[0x80, 4, 3, 0, 0, 1]), Mends),
        ("LOCAL_PREF from outside, of 3 octets", offer_and(&[0x40, 5, 3, 0, 0, 1]), Stays),
        ("ATOMIC_AGGREGATE of 1 octet", offer_and(&[0x40, 6, 1, 0]), Mends),
        ("AGGREGATOR of 6 octets", offer_and(&[0xc0, 7, 6, 0, 1, 192, 0, 2, 9]), Mends),
        ("AGGREGATOR of AS 0", offer_and(&[0xc0, 7, 8, 0, 0, 0, 0, 192, 0, 2, 9]), Mends),
        ("COMMUNITIES of 3 octets", offer_and(&[0xc0, 8, 3, 1, 2, 3]), Mends),
        ("COMMUNITIES of 0 octets", offer_and(&[0xc0, 8, 0]), Mends),
        ("COMMUNITIES that are well-known", offer_and(&[0x40, 8, 4, 0, 1, 0, 1]), Mends),
        ("ORIGINATOR_ID from outside", offer_and(&[0x80, 9, 3, 1, 2, 3]), Stays),
        ("CLUSTER_LIST from outside", offer_and(&[0x80, 10, 3, 1, 2, 3]), Stays),
        ("extended communities of 7 octets", offer_and(&[0xc0, 16, 7, 0, 2, 0, 1, 0, 0, 0]), Mends),
        (
            "large communities of 11 octets",
            offer_and(&[0xc0, 32, 11, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]),
            Mends,
        ),
        ("AS4_PATH from a speaker of four octets", offer_and(&[0xc0, 17, 6, 2, 1, 0, 1, 0, 0]), Stays),
        ("Only-to-Customer of 3 octets", offer_and(&[0xc0, 35, 3, 0, 1, 0]), Mends),
        ("an unknown optional attribute", offer_and(&[0xc0, 99, 3, 1, 2, 3]), Stays),
        ("an unknown attribute that is not transitive", offer_and(&[0x80, 99, 0]), Stays),
        (
            "an unknown well-known attribute",
            offer_and(&[0x40, 99, 1, 7]),
            closes_with(3, 2, &[0x40, 99, 1, 7]),
        ),
        ("attribute 0, optional", offer_and(&[0xc0, 0, 1, 0]), Stays),
        ("attribute 255, optional", offer_and(&[0xc0, 255, 1, 0]), Stays),
        ("a bad ORIGIN, and nothing announced", update(&[], &[&[0x40, 1, 1, 9]], &[]), closes(3, 6)),
        ("good attributes, and nothing announced", update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[]), Stays),
        ("MP_REACH_NLRI of IPv4", reach(&[0, 1, 1, 4, 192, 0, 2, 9, 0, 24, 203, 0, 113]), Stays),
        (
            "MP_REACH_NLRI of IPv6, not negotiated",
            reach(&[
                0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 48, 0x20, 1, 0xd,
                0xb8, 1, 0,
            ]),
            Stays,
        ),
        (
            "MP_REACH_NLRI of EVPN, not negotiated",
            reach(&[0, 25, 70, 4, 192, 0, 2, 9, 0, 99, 1, 0xaa]),
            Stays,
        ),
        ("MP_REACH_NLRI of 3 octets", reach(&[0, 1, 1]), closes(3, 9)),
        ("MP_REACH_NLRI with a next hop that overruns", reach(&[0, 1, 1, 200, 192, 0]), closes(3, 9)),
        (
            "MP_REACH_NLRI with a next hop of 5 octets",
            reach(&[0, 1, 1, 5, 192, 0, 2, 9, 0, 0, 24, 203, 0, 113]),
            closes(3, 9),
        ),
        (
            "MP_REACH_NLRI with a prefix of 33 bits",
            reach(&[0, 1, 1, 4, 192, 0, 2, 9, 0, 33, 203, 0, 113, 0, 0]),
            closes(3, 9),
        ),
        (
            "MP_REACH_NLRI with a next hop of 0.0.0.0",
            reach(&[0, 1, 1, 4, 0, 0, 0, 0, 0, 24, 203, 0, 113]),
            Mends,
        ),
        (
            "MP_REACH_NLRI that is transitive",
            update(&[], &[&[0xc0, 14, 5, 0, 2, 1, 0, 0], ORIGIN, AS_PATH], &[]),
            closes(3, 4),
        ),
        (
            "MP_REACH_NLRI twice",
            update(
                &[],
                &[&[0x80, 14, 5, 0, 25, 70, 0, 0], &[0x80, 14, 5, 0, 25, 70, 0, 0], ORIGIN, AS_PATH],
                &[],
            ),
            closes(3, 1),
        ),
        ("MP_UNREACH_NLRI of 2 octets", update(&[], &[&[0x80, 15, 2, 0, 1]], &[]), closes(3, 9)),
        (
            "MP_UNREACH_NLRI with a prefix that overruns",
            update(&[], &[&[0x80, 15, 5, 0, 1, 1, 24, 203]], &[]),
            closes(3, 9),
        ),
        (
            "MP_UNREACH_NLRI twice",
            update(&[], &[&[0x80, 15, 3, 0, 1, 1], &[0x80, 15, 3, 0, 1, 1]], &[]),
            closes(3, 1),
        ),
        ("MP_UNREACH_NLRI of another family", update(&[], &[&[0x80, 15, 3, 0, 25, 70]], &[]), Stays),
        (
            "eleven prefixes",
            update(
                &[],
                &[ORIGIN, AS_PATH, NEXT_HOP],
                &(0..11u8).flat_map(|last| [32, 203, 0, 113, last]).collect::<Vec<u8>>(),
            ),
            closes_with(6, 1, &[0, 1, 1, 0, 0, 0, 10]),
        ),
    ]
}

/// RFC 2918, RFC 7313 section 5.
fn refreshes() -> Vec<(&'static str, Vec<u8>, Reaction)> {
    vec![
        ("a refresh of IPv6, not negotiated", message(ROUTE_REFRESH, &[0, 2, 0, 1]), Stays),
        ("a refresh of an unknown family", message(ROUTE_REFRESH, &[0xff, 0xff, 0, 0xff]), Stays),
        ("a refresh of unknown subtype", message(ROUTE_REFRESH, &[0, 1, 77, 1]), Stays),
        ("EoRR without BoRR", message(ROUTE_REFRESH, &[0, 1, 2, 1]), Stays),
        ("a refresh with filters after it", message(ROUTE_REFRESH, &[0, 1, 0, 1, 1, 64, 0, 0]), Stays),
        (
            "BoRR of 5 octets",
            message(ROUTE_REFRESH, &[0, 1, 1, 1, 0]),
            closes_with(7, 1, &message(ROUTE_REFRESH, &[0, 1, 1, 1, 0])),
        ),
    ]
}

/// RFC 4271 section 8.2.2, RFC 6608: a sound message in a state where it may not come.
fn unexpected() -> Vec<Case> {
    let route = offer(&[ORIGIN, AS_PATH, NEXT_HOP]);
    let open = || good_open(PROVIDER_ASN, 30);
    let cases = [
        ("a KEEPALIVE before OPEN", OpenSent, keepalive(), closes_with(5, 1, &[KEEPALIVE])),
        ("an UPDATE before OPEN", OpenSent, route.clone(), closes_with(5, 1, &[UPDATE])),
        ("a ROUTE-REFRESH before OPEN", OpenSent, refresh(), closes_with(5, 1, &[ROUTE_REFRESH])),
        ("a second OPEN", OpenConfirm, open(), closes_with(5, 2, &[OPEN])),
        ("an UPDATE before KEEPALIVE", OpenConfirm, route, closes_with(5, 2, &[UPDATE])),
        ("a ROUTE-REFRESH before KEEPALIVE", OpenConfirm, refresh(), closes_with(5, 2, &[ROUTE_REFRESH])),
        ("an OPEN in an established session", Established, open(), closes_with(5, 3, &[OPEN])),
        (
            "a malformed OPEN in an established session",
            Established,
            open_of(&[99, 0]),
            closes_with(5, 3, &[OPEN]),
        ),
    ];
    cases.map(|(what, when, octets, demanded)| Case { what, when, octets, demanded }).into()
}

fn cases() -> Vec<Case> {
    let in_state = |when: When, cases: Vec<(&'static str, Vec<u8>, Reaction)>| {
        cases.into_iter().map(move |(what, octets, demanded)| Case { what, when, octets, demanded })
    };
    let everywhere =
        [OpenSent, OpenConfirm, Established].into_iter().flat_map(|when| in_state(when, headers()));
    everywhere
        .chain(in_state(OpenSent, opens()))
        .chain(in_state(Established, updates()))
        .chain(in_state(Established, refreshes()))
        .chain(unexpected())
        .collect()
}

/// What the speaker does, as the peer sees it.
async fn reaction(from: IpAddr, to: SocketAddr, case: &Case) -> Reaction {
    let mut peer = Peer::connect(from, to).await.unwrap();
    assert!(peer.hear_of(OPEN, PATIENCE).await.is_some(), "it opens to {}, {from}", case.what);
    if case.when != OpenSent {
        peer.say(&good_open(PROVIDER_ASN, 30)).await;
        peer.hear_of(KEEPALIVE, PATIENCE).await.expect("it agrees");
    }
    if case.when == Established {
        peer.say(&keepalive()).await;
        // Its route, and End-of-RIB.
        while peer.hear_of(UPDATE, PATIENCE).await.expect("it announces") != [0; 4] {}
    }
    // In two pieces, as TCP may bring it.
    let (start, end) = case.octets.split_at(case.octets.len() / 2);
    peer.say(start).await;
    peer.say(end).await;
    // Then what leads to an UPDATE, if the session goes on.
    peer.say(&if case.when == Established { refresh() } else { keepalive() }).await;
    loop {
        match timeout(PATIENCE, peer.hear()).await.expect("an answer or an end") {
            Some((NOTIFICATION, body)) => {
                return Reaction::Closes(body[0], body[1], Some(body[2..].to_vec()));
            }
            Some((UPDATE, _)) => return Stays,
            Some(_) => {}
            None => return Ends,
        }
    }
}

/// What is demanded, whatever the data where none are prescribed.
fn agrees(seen: &Reaction, demanded: &Reaction) -> bool {
    match (seen, demanded) {
        (Reaction::Closes(code, subcode, _), Reaction::Closes(wanted, of, None)) => {
            (code, subcode) == (wanted, of)
        }
        (Stays, Mends) => true,
        (seen, demanded) => seen == demanded,
    }
}

#[tokio::test]
async fn every_hostile_message_has_the_reaction_that_its_rfc_demands() {
    let cases = cases();
    assert!(cases.len() >= 150, "{}", cases.len());
    let port = free_port();
    let us = IpAddr::from([127, 0, 7, 255]);
    let peer_of = |number: usize| [127, 0, 7, u8::try_from(number + 1).unwrap()];
    let speaker = EmbeddedSpeaker::with_options(options(port), Arc::default());
    let numbers = 0..cases.len();
    let sessions = numbers.map(|number| {
        let session = session([127, 0, 7, 255], peer_of(number));
        (name(&format!("peer-{number}")), SessionConfig { strict_role: false, multihop: Some(64), ..session })
    });
    speaker.configure(&config(sessions)).await.unwrap();
    speaker.originate(&originate(&[("198.51.100.0/24", Announcement::Normal)])).await.unwrap();

    let reactions = cases
        .iter()
        .enumerate()
        .map(|(number, case)| reaction(peer_of(number).into(), SocketAddr::new(us, port), case));
    let mut wrong = Vec::new();
    // No more at once than a listener keeps waiting.
    let reactions: Vec<Reaction> = stream::iter(reactions).buffered(32).collect().await;
    let observed = speaker.observe().await.unwrap().sessions;
    for (number, (case, seen)) in cases.iter().zip(&reactions).enumerate() {
        let malformed = observed[&name(&format!("peer-{number}"))].updates_malformed;
        let counted = malformed == u64::from(case.demanded == Mends);
        if !agrees(seen, &case.demanded) || !counted {
            wrong.push(format!(
                "{} in {:?}: {seen:?}, {malformed} malformed; demanded {:?}",
                case.what, case.when, case.demanded
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
