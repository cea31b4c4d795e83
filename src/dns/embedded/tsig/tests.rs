use domain::tsig::ServerSequence;

use super::*;
use crate::keyring::Secret;

const ID: u16 = 0x1234;

fn apex() -> DomainName {
    "example.org".parse().unwrap()
}

fn with(name: &str, algorithm: TsigAlgorithm, secret: &[u8]) -> TsigKey {
    TsigKey { name: name.parse().unwrap(), algorithm, secret: Secret::new(secret.to_vec()) }
}

fn good() -> TsigKey {
    with("key.example", TsigAlgorithm::HmacSha256, &[7; 32])
}

fn request(key: &TsigKey) -> Request {
    Request::new(ID, &apex(), rtype::SOA, None, None, Some(key))
}

/// The server's side of a request that it accepts.
fn server(request: &Request, key: &TsigKey) -> ServerSequence<Arc<Key>> {
    let mut message = Message::from_octets(request.octets.clone()).unwrap();
    ServerSequence::request(&super::key(key), &mut message, time()).unwrap().unwrap()
}

/// A response without records.
fn response(rcode: Rcode) -> AdditionalBuilder<Vec<u8>> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(ID);
    message.header_mut().set_qr(true);
    message.header_mut().set_rcode(rcode);
    message.additional()
}

fn signed(server: &mut ServerSequence<Arc<Key>>, at: Time48) -> Vec<u8> {
    let mut message = response(Rcode::NOERROR);
    server.answer(&mut message, at).unwrap();
    message.finish()
}

/// A response with a TSIG record that says this and is not signed.
fn refusal(error: TsigRcode, other: &[u8]) -> Vec<u8> {
    let mut message = response(Rcode::NOTAUTH);
    let name = key(&good()).name().clone();
    let tsig = Tsig::new(Algorithm::Sha256.to_name(), time(), 300, &[][..], ID, error, other).unwrap();
    message.push((name, Class::ANY, 0, tsig)).unwrap();
    message.finish()
}

fn take(request: &Request, message: &[u8]) -> Result<(), TsigFault> {
    request.verifier.clone().message(message)
}

#[test]
fn every_algorithm_signs_and_verifies() {
    for algorithm in [TsigAlgorithm::HmacSha256, TsigAlgorithm::HmacSha384, TsigAlgorithm::HmacSha512] {
        let key = with("KEY.example", algorithm, b"secret");
        let request = Request::new(ID, &apex(), rtype::IXFR, Some(&[0; 22]), Some(1232), Some(&key));
        let answer = signed(&mut server(&request, &key), time());
        let mut verifier = request.verifier;
        assert_eq!(verifier.message(&answer), Ok(()), "{algorithm:?}");
        assert_eq!(verifier.done(), Ok(()));
    }
}

#[test]
fn what_is_wrong_with_an_answer_is_told_apart() {
    let asked = request(&good());
    let plain = response(Rcode::NOERROR).finish();
    assert_eq!(take(&asked, &plain), Err(TsigFault::Unsigned));
    let refused = response(Rcode::REFUSED).finish();
    assert_eq!(take(&asked, &refused), Err(TsigFault::UnsignedError("REFUSED".to_owned())));
    let late = Time48::from_u64(seconds(time()) - 301);
    assert_eq!(take(&asked, &signed(&mut server(&asked, &good()), late)), Err(TsigFault::BadTime));
    let early = Time48::from_u64(seconds(time()) - 290);
    assert_eq!(take(&asked, &signed(&mut server(&asked, &good()), early)), Ok(()));

    for (other, wanted) in [
        (with("key.example", TsigAlgorithm::HmacSha256, &[8; 32]), TsigFault::BadSig),
        (with("other.example", TsigAlgorithm::HmacSha256, &[7; 32]), TsigFault::OtherKey),
        (with("key.example", TsigAlgorithm::HmacSha512, &[7; 32]), TsigFault::OtherKey),
    ] {
        let answer = signed(&mut server(&request(&other), &other), time());
        assert_eq!(take(&asked, &answer), Err(wanted));
    }

    let whole = signed(&mut server(&asked, &good()), time());
    // The MAC ends 6 octets before the end: original id, error, other length.
    let mac = whole.len() - 6 - 32;
    for at in [2, mac, mac + 31] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert_eq!(take(&asked, &changed), Err(TsigFault::BadSig), "{at}");
    }
    for cut in 12..whole.len() {
        assert!(take(&asked, &whole[..cut]).is_err());
    }
    // A MAC of half its length, with the lengths to match.
    let mut short = [&whole[..mac + 16], &whole[mac + 32..]].concat();
    let name = "hmac-sha256".len() + 2;
    let rdlength = mac - 2 - 8 - name - 2;
    short[mac - 1] = 16;
    short[rdlength + 1] -= 16;
    assert_eq!(take(&asked, &short), Err(TsigFault::BadTrunc));
    // Two of them.
    let record = &whole[12..];
    let mut twice = [&whole[..], record].concat();
    twice[11] = 2;
    assert_eq!(take(&asked, &twice), Err(TsigFault::Malformed));

    let bare = Request::new(ID, &apex(), rtype::SOA, None, None, None);
    assert_eq!(take(&bare, &plain), Ok(()));
    assert_eq!(take(&bare, &whole), Err(TsigFault::Unexpected));
}

#[test]
fn what_a_server_says_of_our_signature_is_passed_on() {
    let asked = request(&good());
    let ahead = Time48::from_u64(seconds(time()) + 1000).into_octets();
    for (error, other, words) in [
        (TsigRcode::BADKEY, &[][..], "BADKEY: it has no key"),
        (TsigRcode::BADSIG, &[], "BADSIG: its secret"),
        (TsigRcode::BADTIME, &ahead, "BADTIME: its clock is "),
        (TsigRcode::BADTRUNC, &[], "BADTRUNC"),
    ] {
        let fault = take(&asked, &refusal(error, other)).unwrap_err().to_string();
        assert!(fault.starts_with("it refused our signature") && fault.contains(words), "{fault}");
    }
}

#[test]
fn a_stream_is_signed_first_last_and_at_least_every_hundredth_message() {
    let stream = |unsigned: usize| {
        let asked = request(&good());
        let mut server = server(&asked, &good());
        let mut verifier = asked.verifier;
        let mut taken = verifier.message(&signed(&mut server, time()));
        for _ in 0..unsigned {
            taken = taken.and_then(|()| verifier.message(&response(Rcode::NOERROR).finish()));
        }
        (taken, verifier.done())
    };
    assert_eq!(stream(0), (Ok(()), Ok(())));
    assert_eq!(stream(1), (Ok(()), Err(TsigFault::LastUnsigned)));
    assert_eq!(stream(99).0, Ok(()));
    assert_eq!(stream(100).0, Err(TsigFault::TooManyUnsigned));

    let asked = request(&good());
    let mut server = server(&asked, &good());
    let messages: Vec<Vec<u8>> = (0..3).map(|_| signed(&mut server, time())).collect();
    let mut verifier = asked.verifier.clone();
    assert!(messages.iter().all(|message| verifier.message(message).is_ok()));
    // One left out or one sent twice.
    for order in [[0, 2], [0, 0]] {
        let mut verifier = asked.verifier.clone();
        assert_eq!(verifier.message(&messages[order[0]]), Ok(()));
        assert_eq!(verifier.message(&messages[order[1]]), Err(TsigFault::BadSig));
    }
}
