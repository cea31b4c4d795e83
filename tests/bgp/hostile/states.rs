//! Sound messages in a state where they may not come (RFC 4271 section 8.2.2, RFC 6608), and ROUTE-REFRESH (RFC 2918,
//! RFC 7313).

use super::*;

pub(super) fn open_sent() -> Vec<Demand> {
    vec![
        ("a KEEPALIVE before OPEN", keepalive(), closes_with(5, 1, &[KEEPALIVE])),
        ("an UPDATE before OPEN", offer(&[ORIGIN, AS_PATH, NEXT_HOP]), closes_with(5, 1, &[UPDATE])),
        ("a malformed UPDATE before OPEN", message(UPDATE, &[0xff; 9]), closes_with(5, 1, &[UPDATE])),
        ("a ROUTE-REFRESH before OPEN", refresh(), closes_with(5, 1, &[ROUTE_REFRESH])),
    ]
}

pub(super) fn open_confirm() -> Vec<Demand> {
    vec![
        ("a second OPEN", Plain.open(), closes_with(5, 2, &[OPEN])),
        ("an UPDATE before KEEPALIVE", offer(&[ORIGIN, AS_PATH, NEXT_HOP]), closes_with(5, 2, &[UPDATE])),
        ("End-of-RIB before KEEPALIVE", update(&[], &[], &[]), closes_with(5, 2, &[UPDATE])),
        ("a ROUTE-REFRESH before KEEPALIVE", refresh(), closes_with(5, 2, &[ROUTE_REFRESH])),
    ]
}

pub(super) fn established() -> Vec<Demand> {
    vec![
        ("an OPEN in an established session", Plain.open(), closes_with(5, 3, &[OPEN])),
        (
            "a malformed OPEN in an established session",
            peer::open(23456, 90, IDENTIFIER, &[99, 0]),
            closes_with(5, 3, &[OPEN]),
        ),
        ("a hundred KEEPALIVEs", keepalive().repeat(100), Stays),
    ]
}

/// From a peer without enhanced refresh, the third octet says nothing.
pub(super) fn refreshes() -> Vec<Demand> {
    vec![
        ("a ROUTE-REFRESH of 22 octets", message(ROUTE_REFRESH, &[0, 1, 1]), closes_with(1, 2, &[0, 22])),
        ("a ROUTE-REFRESH of 19 octets", message(ROUTE_REFRESH, &[]), closes_with(1, 2, &[0, 19])),
        ("a refresh of IPv6, not negotiated", message(ROUTE_REFRESH, &[0, 2, 0, 1]), Stays),
        ("a refresh of an unknown family", message(ROUTE_REFRESH, &[0xff, 0xff, 0, 0xff]), Stays),
        ("a refresh whose reserved octet is set", message(ROUTE_REFRESH, &[0, 1, 77, 1]), Stays),
        ("what would be BoRR of 5 octets", message(ROUTE_REFRESH, &[0, 1, 1, 1, 0]), Stays),
        ("a refresh with filters after it", message(ROUTE_REFRESH, &[0, 1, 0, 1, 1, 64, 0, 0]), Stays),
    ]
}

pub(super) fn enhanced_refreshes() -> Vec<Demand> {
    let whole =
        |body: &[u8]| (message(ROUTE_REFRESH, body), closes_with(7, 1, &message(ROUTE_REFRESH, body)));
    let (long_begin, long_begin_demands) = whole(&[0, 1, 1, 1, 0]);
    let (short_begin, short_begin_demands) = whole(&[0, 1, 1]);
    let (long_end, long_end_demands) = whole(&[0, 1, 2, 1, 9, 9, 9]);
    vec![
        (
            "BoRR and EoRR",
            [[0, 1, 1, 1], [0, 1, 2, 1]].map(|body| message(ROUTE_REFRESH, &body)).concat(),
            Stays,
        ),
        ("EoRR without BoRR", message(ROUTE_REFRESH, &[0, 1, 2, 1]), Stays),
        ("BoRR of another family", message(ROUTE_REFRESH, &[0, 2, 1, 1]), Stays),
        ("a refresh of unknown subtype", message(ROUTE_REFRESH, &[0, 1, 77, 1]), Stays),
        ("a refresh of unknown subtype, and more", message(ROUTE_REFRESH, &[0, 1, 77, 1, 2, 3]), Stays),
        ("a refresh of subtype 255", message(ROUTE_REFRESH, &[0, 1, 255, 1]), Stays),
        ("BoRR of 5 octets", long_begin, long_begin_demands),
        ("BoRR of 3 octets", short_begin, short_begin_demands),
        ("EoRR of 7 octets", long_end, long_end_demands),
        ("a request of 3 octets", message(ROUTE_REFRESH, &[0, 1, 0]), closes_with(1, 2, &[0, 22])),
    ]
}
