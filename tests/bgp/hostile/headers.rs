//! Message headers: RFC 4271 section 6.1, RFC 8654.

use super::*;

/// A header by hand.
fn header(marker: u8, length: u16, kind: u8, body: &[u8]) -> Vec<u8> {
    [&[marker; 16], &length.to_be_bytes()[..], &[kind], body].concat()
}

/// The same in every state.
pub(super) fn everywhere() -> Vec<Demand> {
    let mut last_of_marker = keepalive();
    last_of_marker[15] = 0xfe;
    vec![
        ("a marker of zeros", header(0, 19, KEEPALIVE, &[]), closes_with(1, 1, &[])),
        ("a marker whose last octet is wrong", last_of_marker, closes_with(1, 1, &[])),
        ("nothing right in it", header(0, 5, 77, &[]), closes_with(1, 1, &[])),
        ("text", b"GET / HTTP/1.1\r\nHost: bgp\r\n\r\n".to_vec(), closes_with(1, 1, &[])),
        ("one octet that no marker has", vec![0xfe], closes_with(1, 1, &[])),
        ("a length of 0", header(0xff, 0, KEEPALIVE, &[]), closes_with(1, 2, &[0, 0])),
        ("a length of 18", header(0xff, 18, KEEPALIVE, &[]), closes_with(1, 2, &[0, 18])),
        ("a length of 18, and an unknown type", header(0xff, 18, 77, &[]), closes_with(1, 2, &[0, 18])),
        ("a length of 65535", header(0xff, 65535, UPDATE, &[]), closes_with(1, 2, &[255, 255])),
        ("a length of 4097", header(0xff, 4097, UPDATE, &[]), closes_with(1, 2, &[16, 1])),
        ("type 0", header(0xff, 19, 0, &[]), closes_with(1, 3, &[0])),
        ("type 6", header(0xff, 23, 6, &[0; 4]), closes_with(1, 3, &[6])),
        ("type 128, once a refresh", header(0xff, 23, 128, &[0, 1, 0, 1]), closes_with(1, 3, &[128])),
        ("type 255", header(0xff, 19, 255, &[]), closes_with(1, 3, &[255])),
        ("a KEEPALIVE with a body", header(0xff, 20, KEEPALIVE, &[0]), closes_with(1, 2, &[0, 20])),
        (
            "a KEEPALIVE of 4096 octets",
            header(0xff, 4096, KEEPALIVE, &[0; 4077]),
            closes_with(1, 2, &[16, 0]),
        ),
        ("an OPEN of 28 octets", header(0xff, 28, OPEN, &[4; 9]), closes_with(1, 2, &[0, 28])),
        ("an OPEN of 4097 octets", header(0xff, 4097, OPEN, &[4; 10]), closes_with(1, 2, &[16, 1])),
        ("an UPDATE of 22 octets", header(0xff, 22, UPDATE, &[0; 3]), closes_with(1, 2, &[0, 22])),
        ("a NOTIFICATION of 20 octets", header(0xff, 20, NOTIFICATION, &[6]), closes_with(1, 2, &[0, 20])),
        // RFC 4271 section 6.4: whatever it says, there is no answer to it.
        ("a NOTIFICATION", message(NOTIFICATION, &[6, 2]), Ends),
        ("a NOTIFICATION of a wrong version", message(NOTIFICATION, &[2, 1, 0, 3]), Ends),
        ("a NOTIFICATION of unknown code", message(NOTIFICATION, &[99, 99, 1, 2, 3]), Ends),
        ("a NOTIFICATION of 4096 octets", message(NOTIFICATION, &[0xaa; 4077]), Ends),
        ("a shutdown message", message(NOTIFICATION, &[6, 2, 4, b'b', b'y', b'e', b'!']), Ends),
        ("a shutdown message that overruns", message(NOTIFICATION, &[6, 2, 200, b'x']), Ends),
        ("a shutdown message that is no UTF-8", message(NOTIFICATION, &[6, 4, 2, 0xff, 0xfe]), Ends),
        ("a hard reset (RFC 8538)", message(NOTIFICATION, &[6, 9, 6, 2]), Ends),
    ]
}

/// Once both sides can.
pub(super) fn extended() -> Vec<Demand> {
    let unknown = |flags: u8, length: usize| attribute(flags, 99, &vec![7; length]);
    // 23 octets around the attributes, 4 of the route, the good attributes, and 4 before the value.
    let around = 23 + ROUTE.len() + ORIGIN.len() + AS_PATH.len() + NEXT_HOP.len() + 4;
    let well_known = unknown(0x40, 5000);
    vec![
        ("an UPDATE of 4097 octets", offer_and(&unknown(0xc0, 4097 - around)), Stays),
        ("an UPDATE of 65535 octets", offer_and(&unknown(0xc0, 65535 - around)), Stays),
        (
            "an unknown well-known attribute of 5000 octets, all of which come back",
            offer_and(&well_known),
            closes_with(3, 2, &well_known),
        ),
        ("an OPEN of 4097 octets", header(0xff, 4097, OPEN, &[4; 4078]), closes_with(1, 2, &[16, 1])),
        (
            "a KEEPALIVE of 4097 octets",
            header(0xff, 4097, KEEPALIVE, &[0; 4078]),
            closes_with(1, 2, &[16, 1]),
        ),
        ("a NOTIFICATION of 5000 octets", message(NOTIFICATION, &[6; 4981]), Ends),
    ]
}
