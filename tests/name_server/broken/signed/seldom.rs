//! A stream that is signed as seldom as it may be, made by RFC 8945 section 5.3.1 alone.

use domain::base::iana::Rcode;

use super::{SECRET, ns, response, soa, time};

/// The answer to a signed AXFR: the first message and the last are signed, and so many between them are not, but are in
/// the digest of the last.
pub(super) fn answers(query: &[u8], unsigned: usize) -> Vec<Vec<u8>> {
    let message = |records: &[_]| response(query, Rcode::NOERROR, records).finish();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let (name, algorithm) = (&b"\x03key\x07example\0"[..], &b"\x0bhmac-sha256\0"[..]);
    let timers = [&time(0).into_octets()[..], &[1, 44]].concat();
    let sign = |prior: &[u8], messages: &[Vec<u8>], variables: &[u8]| {
        let mut digest = vec![0, prior.len() as u8];
        digest.extend([prior, &messages.concat(), variables].concat());
        let mac = ring::hmac::sign(&key, &digest).as_ref().to_vec();
        let data = [algorithm, &timers[..], &[0, 32], &mac, &query[..2], &[0; 4]].concat();
        let mut message = messages.last().unwrap().clone();
        message.extend([name, &[0, 250, 0, 255, 0, 0, 0, 0, 0, data.len() as u8], &data[..]].concat());
        message[11] += 1;
        (message, mac)
    };
    // The MAC of the query ends six octets before it does.
    let asked = &query[query.len() - 6 - 32..query.len() - 6];
    let variables = [name, &[0, 255, 0, 0, 0, 0], algorithm, &timers, &[0; 4]].concat();
    let (first, mac) = sign(asked, &[message(&[soa(2)])], &variables);
    let between = vec![message(&[ns()]); unsigned];
    let (last, _) = sign(&mac, &[&between[..], &[message(&[soa(2)])]].concat(), &timers);
    [vec![first], between, vec![last]].concat()
}
