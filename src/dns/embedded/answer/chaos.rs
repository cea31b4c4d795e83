//! Class CH: which server this is (RFC 4892), and no more about it than its name.

use super::CLASS_CH;
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::request::Question;
use crate::dns::embedded::response::{Kind, Owner, Response, Section, rcode};

/// What `version.server` says: enough to know whom to ask, nothing to pick an exploit by.
const VERSION: &str = "shoestring";

/// Answers a question of class CH. `identity` is what `id.server` says.
pub(crate) fn answer(question: &Question<'_>, identity: &str, response: &mut Response<'_>) {
    let is = |name: &[u8]| question.name.eq_ignore_ascii_case(name);
    let text = if is(b"\x02id\x06server\0") || is(b"\x08hostname\x04bind\0") {
        identity
    } else if is(b"\x07version\x06server\0") || is(b"\x07version\x04bind\0") {
        VERSION
    } else {
        response.rcode = rcode::REFUSED;
        return;
    };
    if !matches!(question.qtype, rtype::TXT | rtype::ANY) {
        response.rcode = rcode::REFUSED;
        return;
    }
    let text = &text.as_bytes()[..text.len().min(255)];
    let mut data = [0; 256];
    data[0] = u8::try_from(text.len()).unwrap_or(u8::MAX);
    data[1..=text.len()].copy_from_slice(text);
    let kind = Kind { rtype: rtype::TXT, class: CLASS_CH, ttl: 0 };
    let put = response.put_made(Section::Answer, Owner::QUESTION, kind, &data[..=text.len()]);
    response.truncated = put.is_err();
}
