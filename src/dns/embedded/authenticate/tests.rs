use std::sync::Arc;

use domain::base::iana::{Class, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::tsig::Time48;
use domain::tsig::{ClientSequence, Key, ValidationError};
use proptest::prelude::*;

use super::*;
use crate::dns::embedded::request::Request;
use crate::dns::embedded::tsig;
use crate::keyring::Secret;

const NOW: u64 = 1_700_000_000;
const ID: u16 = 0x1234;
const ALGORITHMS: [TsigAlgorithm; 3] =
    [TsigAlgorithm::HmacSha256, TsigAlgorithm::HmacSha384, TsigAlgorithm::HmacSha512];

fn key(name: &str, algorithm: TsigAlgorithm, secret: &[u8]) -> TsigKey {
    TsigKey { name: name.parse().unwrap(), algorithm, secret: Secret::new(secret.to_vec()) }
}

fn good() -> TsigKey {
    key("Key.example", TsigAlgorithm::HmacSha256, &[7; 32])
}

/// A query, and what its client verifies the answer with.
fn signed(key: &TsigKey, at: u64) -> (Vec<u8>, ClientSequence<Arc<Key>>) {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(ID);
    let mut message = message.question();
    message.push((Name::<Vec<u8>>::vec_from_str("example.org").unwrap(), Rtype::SOA, Class::IN)).unwrap();
    let mut message = message.additional();
    message
        .opt(|opt| {
            opt.set_udp_payload_size(1232);
            Ok(())
        })
        .unwrap();
    let client = ClientSequence::request(tsig::key(key), &mut message, Time48::from_u64(at)).unwrap();
    (message.finish(), client)
}

/// A response without records.
fn response(rcode: u16) -> Vec<u8> {
    [&ID.to_be_bytes()[..], &[0x84, rcode.to_be_bytes()[1]], &[0; 8]].concat()
}

/// The TSIG record of a request, and where it is.
fn tsig_of(request: &[u8]) -> (usize, Tsig) {
    let at = Request::read(request).unwrap().tsig.unwrap();
    (at, Tsig::read(request, at).unwrap())
}

fn check(request: &[u8], keys: &[TsigKey]) -> Result<Seal, Refusal> {
    match Request::read(request).map(|request| request.tsig) {
        Ok(None) => Ok(Seal::None),
        Ok(Some(at)) => {
            let named = |name: &DomainName| keys.iter().filter(|key| key.name == *name).cloned().collect();
            Seal::of(request, at, named, || NOW)
        }
        // What the handler says to it.
        Err(_) => Err(Refusal { rcode: rcode::FORM_ERR, seal: Seal::None }),
    }
}

/// The response code, and what the TSIG record of the response says.
fn refused(request: &[u8], keys: &[TsigKey]) -> (u16, Option<Tsig>) {
    let Refusal { rcode, mut seal } = check(request, keys).unwrap_err();
    let mut message = response(rcode);
    let length = message.len() + seal.length();
    seal.close(&mut message, || NOW);
    assert_eq!(message.len(), length);
    (rcode, Tsig::read(&message, response(rcode).len()))
}

#[test]
fn every_algorithm_is_verified_and_signed_with() {
    for algorithm in ALGORITHMS {
        let key = key("Key.example", algorithm, b"secret");
        let (request, mut client) = signed(&key, NOW);
        let mut seal = check(&request, &[good(), key.clone()]).unwrap();
        assert_eq!(seal.key(), Some(&key));
        for number in 0..3 {
            let mut message = response(rcode::NO_ERROR);
            let length = message.len() + seal.length();
            seal.close(&mut message, || NOW + number);
            assert_eq!(message.len(), length);
            let mut message = Message::from_octets(message).unwrap();
            client.answer(&mut message, Time48::from_u64(NOW)).unwrap();
        }
        client.done().unwrap();
    }
}

#[test]
fn what_is_not_signed_stays_so() {
    let plain = response(rcode::NO_ERROR);
    let mut seal = Seal::None;
    assert!(seal.key().is_none() && seal.length() == 0);
    let mut message = plain.clone();
    seal.close(&mut message, || panic!("the time does not matter"));
    assert_eq!(message, plain);
}

#[test]
fn unknown_keys_and_wrong_signatures_are_answered_unsigned() {
    let (request, _) = signed(&good(), NOW);
    let other_name = key("other.example", TsigAlgorithm::HmacSha256, &[7; 32]);
    let other_algorithm = key("key.example", TsigAlgorithm::HmacSha512, &[7; 32]);
    let other_secret = key("key.example", TsigAlgorithm::HmacSha256, &[8; 32]);
    for (keys, error) in
        [(vec![], BADKEY), (vec![other_name, other_algorithm], BADKEY), (vec![other_secret.clone()], BADSIG)]
    {
        let (rcode, tsig) = refused(&request, &keys);
        let tsig = tsig.unwrap();
        assert_eq!((rcode, tsig.error, tsig.mac.len(), tsig.original_id), (rcode::NOT_AUTH, error, 0, ID));
        assert_eq!((tsig.key, tsig.time), (good().name, NOW));
    }
    // Two parties that chose the same name.
    assert_eq!(check(&request, &[other_secret, good()]).unwrap().key(), Some(&good()));
    // Any octet that is signed, and the time among them.
    for at in [2, 3, 14, request.len() - 60, request.len() - 30] {
        let mut changed = request.clone();
        changed[at] ^= 1;
        let (rcode, tsig) = refused(&changed, &[good()]);
        assert_eq!(rcode, rcode::NOT_AUTH, "{at}");
        assert!(matches!(tsig.unwrap().error, BADSIG | BADKEY), "{at}");
    }
    // The id is not: a forwarder may have another.
    let mut forwarded = request.clone();
    forwarded[0] ^= 1;
    assert!(check(&forwarded, &[good()]).is_ok());
}

#[test]
fn a_wrong_time_is_answered_with_ours_and_signed() {
    for late in [NOW - 301, NOW + 301] {
        let (request, mut client) = signed(&good(), late);
        let mut seal = check(&request, &[good()]).unwrap_err().seal;
        assert_eq!(seal.key(), Some(&good()));
        let mut message = response(rcode::NOT_AUTH);
        seal.close(&mut message, || NOW);
        let at = response(rcode::NOT_AUTH).len();
        let tsig = Tsig::read(&message, at).unwrap();
        assert_eq!((tsig.error, tsig.time, tsig.fudge), (BADTIME, late, 300));
        assert_eq!(tsig.other, NOW.to_be_bytes()[2..]);
        // RFC 8945 section 4.3: the request's MAC, the message, the variables with the other data.
        let (_, asked) = tsig_of(&request);
        let mut signed = [&[0, 32], &asked.mac[..], &message[..at]].concat();
        signed[34 + 11] -= 1;
        signed.extend(b"\x03key\x07example\0\0\xff\0\0\0\0\x0bhmac-sha256\0");
        signed.extend([&late.to_be_bytes()[2..], &[1, 44, 0, 18, 0, 6], &NOW.to_be_bytes()[2..]].concat());
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), &signed, &tsig.mac).unwrap();
        let mut message = Message::from_octets(message).unwrap();
        // `domain` counts eight octets of other data.
        let fault = client.answer(&mut message, Time48::from_u64(late));
        assert!(matches!(fault, Err(ValidationError::BadSig)), "{fault:?}");
    }
    assert!(check(&signed(&good(), NOW - 300).0, &[good()]).is_ok());
}

/// The request with its MAC cut to so many octets of 32, or made longer.
fn with_mac(length: usize) -> Vec<u8> {
    let (request, _) = signed(&good(), NOW);
    let (at, mut tsig) = tsig_of(&request);
    tsig.mac.resize(length, 0);
    let mut message = request[..at].to_vec();
    message[11] -= 1;
    tsig.append_to(&mut message);
    message
}

#[test]
fn short_and_long_signatures() {
    for (length, rcode, error) in [
        (0, rcode::FORM_ERR, None),
        (15, rcode::FORM_ERR, None),
        (16, rcode::NOT_AUTH, Some(BADTRUNC)),
        (31, rcode::NOT_AUTH, Some(BADTRUNC)),
        (33, rcode::FORM_ERR, None),
    ] {
        let (said, tsig) = refused(&with_mac(length), &[good()]);
        assert_eq!((said, tsig.as_ref().map(|tsig| tsig.error)), (rcode, error), "{length}");
        assert!(tsig.is_none_or(|tsig| tsig.mac.len() == 32), "a short MAC is answered with a whole one");
    }
    assert!(check(&with_mac(32), &[good()]).is_ok());
}

#[test]
fn a_record_that_is_malformed_or_elsewhere_is_a_format_error() {
    let (request, _) = signed(&good(), NOW);
    let (at, tsig) = tsig_of(&request);
    let record = &request[at..];
    let with = |records: &[&[u8]], counts: [u8; 3]| {
        let mut message = request[..at].to_vec();
        message.extend(records.concat());
        (message[7], message[9], message[11]) = (counts[0], counts[1], counts[2]);
        message
    };
    // OPT stands before it.
    let opt: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let class = [&record[..15], &[1], &record[16..]].concat();
    let ttl = [&record[..19], &[1], &record[20..]].concat();
    let inner = tsig.key.as_wire().len() + 10 + 13;
    let mac = [&record[..inner + 8], &[0, 33], &record[inner + 10..]].concat();
    for wrong in [
        with(&[record, opt], [0, 0, 3]),
        with(&[record, record], [0, 0, 3]),
        with(&[record], [0, 2, 0]),
        with(&[&class], [0, 0, 2]),
        with(&[&ttl], [0, 0, 2]),
        with(&[&mac], [0, 0, 2]),
        [&request[..], &[0]].concat(),
    ] {
        assert_eq!(refused(&wrong, &[good()]), (rcode::FORM_ERR, None));
    }
    assert!(check(&with(&[record], [0, 0, 2]), &[good()]).is_ok());
}

proptest! {
    #[test]
    fn any_change_of_a_request_is_refused_or_leaves_it_unsigned(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (request, _) = signed(&good(), NOW);
        let mut changed = request.clone();
        for (at, octet) in changes {
            // But for the id, which is not signed.
            changed[2 + at.index(request.len() - 2)] = octet;
        }
        // Names are signed in lower case.
        let alike = changed.eq_ignore_ascii_case(&request);
        let signed = |octets: &[u8]| check(octets, &[good()]).is_ok_and(|seal| seal.key().is_some());
        prop_assert!(alike || !signed(&changed));
        prop_assert!(!signed(&request[..cut.index(request.len())]));
    }
}
