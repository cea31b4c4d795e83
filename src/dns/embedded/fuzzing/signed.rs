//! Streams of signed messages, and what may happen to them on their way.

use super::{APEX, EARLIER, LIMITS, framed, key, name};
use crate::dns::embedded::authenticate::{self, Seal};
use crate::dns::embedded::expand::Reader;
use crate::dns::embedded::incoming::Incoming;
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::request::{HEADER, Request};
use crate::dns::embedded::transfer::{self, Transferred};
use crate::dns::embedded::tsig;

/// Answers to a signed IXFR query: each with one octet before its length that says what is done to it on its way.
///
/// Messages that were not all signed by the server, or were changed, left out or sent twice after that, are not taken for
/// its answer. Those that were are.
pub fn signed(octets: &[u8]) {
    believed(octets);
}

/// Whether the messages were taken for an answer, and a zone came of it.
pub(super) fn believed(octets: &[u8]) -> (bool, Option<Transferred>) {
    let (key, apex, have) = (key(&name("key")), name(APEX), &*EARLIER);
    let id = octets.get(3..5).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
    let soa = have.soa_set().rdatas().next();
    let tsig::Request { octets: asked, mut verifier } =
        tsig::Request::new(id, &apex, rtype::IXFR, soa, None, Some(&key));
    let at = Request::read(&asked).ok().and_then(|request| request.tsig).expect("it is signed");
    let mut seal =
        Seal::of(&asked, at, |_| vec![key.clone()], authenticate::time).expect("it is signed well");
    let mut incoming = Incoming::new(id, &apex, Some(have.serial()), LIMITS);
    let (mut genuine, mut lost, mut complete, mut last) = (true, false, false, Vec::new());
    let mut rest = octets;
    while let (false, Some((how, after))) = (complete, rest.split_first()) {
        let Some(message) = framed(after).next() else { break };
        rest = &after[(2 + message.len()).min(after.len())..];
        let mut sent = message.to_vec();
        let change = usize::from(how >> 3);
        match how & 7 {
            // Left as it is.
            4 => genuine = false,
            // The last one again.
            5 => {
                sent.clone_from(&last);
                genuine = false;
            }
            _ if sent.len() < HEADER => genuine = false,
            _ => {
                let length = sent.len();
                seal.close(&mut sent, authenticate::time);
                // In what is signed but for the id, which is not, since it may change on the way.
                if how & 7 == 6 {
                    let changed = 2 + change * 7 % (length - 2);
                    sent[changed] ^= 1 << (change % 8);
                    genuine = false;
                }
                // It does not arrive. At the end, only the SOA record shows that.
                if how & 7 == 7 {
                    lost = true;
                    continue;
                }
            }
        }
        genuine &= !lost;
        last.clone_from(&sent);
        if verifier.message(&sent).is_err() {
            // Of what cannot be read, the signature cannot be found.
            assert!(!genuine || !readable(message), "what was signed well is not believed");
            return (false, None);
        }
        match incoming.message(&sent) {
            Ok(done) => complete = done,
            Err(_) => break,
        }
    }
    let done = verifier.done().is_ok() && !last.is_empty();
    assert!(genuine || !done, "what the server did not send was believed");
    let taken = if done { transfer::finish(incoming, Some(have), LIMITS).ok() } else { None };
    (done, taken)
}

/// Whether every record of a message can be told, and none is a TSIG record already.
fn readable(message: &[u8]) -> bool {
    let mut reader = Reader::new(message);
    let Some(head) = reader.head() else { return false };
    let [questions, records @ ..] = head.counts;
    (0..questions).all(|_| reader.question().is_ok())
        && (0..records.map(u32::from).iter().sum())
            .all(|_| reader.record().is_ok_and(|record| record.rtype != rtype::TSIG))
        && reader.is_at_end()
}
