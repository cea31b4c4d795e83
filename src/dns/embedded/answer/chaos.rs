//! Class CH: which server this is (RFC 4892), and no more about it than its name.

use hickory_proto::op::ResponseCode;

use super::{Answer, CLASS_CH, Part, Question};
use crate::dns::embedded::rdata::rtype;
use crate::names::DomainName;

/// What `version.server` says: enough to know whom to ask, nothing to pick an exploit by.
const VERSION: &str = "shoestring";

pub(super) fn answer(question: &Question<'_>, name: &DomainName, identity: &str) -> Answer {
    let text = match name.as_wire() {
        b"\x02id\x06server\0" | b"\x08hostname\x04bind\0" => identity,
        b"\x07version\x06server\0" | b"\x07version\x04bind\0" => VERSION,
        _ => return Answer::empty(ResponseCode::Refused, false),
    };
    let mut answer = Answer::empty(ResponseCode::NoError, true);
    if matches!(question.qtype, rtype::TXT | rtype::ANY) {
        let text = &text.as_bytes()[..text.len().min(255)];
        let mut rdata = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
        rdata.extend(text);
        answer.answers.push(Part::made(question.name, CLASS_CH, rtype::TXT, &rdata));
    }
    answer
}
