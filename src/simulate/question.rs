//! Question: what clients and probes ask, and what they make of the answer.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{RData, RecordType};

use crate::names::{DomainName, NodeName, Serial};

/// The largest datagram that is read; nothing here is longer than the EDNS size that is asked for.
pub(crate) const DATAGRAM: usize = 1232;

/// A query with this id (RFC 1035 section 4.1), asking for the answering node's name too (NSID, RFC 5001).
pub(crate) fn question(id: u16, name: &DomainName, rtype: RecordType) -> Vec<u8> {
    let mut octets = Vec::with_capacity(64);
    octets.extend(id.to_be_bytes());
    // Flags: none, not even RD. Counts: one question, one additional record.
    octets.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    octets.extend(name.as_wire());
    octets.extend(u16::from(rtype).to_be_bytes());
    octets.extend([0, 1]);
    // RFC 6891 section 6.1.2: root, OPT, size, extended code and flags, then four octets of options.
    octets.extend([0, 0, 41]);
    octets.extend((DATAGRAM as u16).to_be_bytes());
    octets.extend([0, 0, 0, 0, 0, 4]);
    // RFC 5001 section 2.1: an empty NSID option.
    octets.extend([0, 3, 0, 0]);
    octets
}

/// What matters of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Of the query.
    pub(crate) id: u16,
    /// Who answered.
    pub(crate) node: Option<NodeName>,
    /// NOERROR, with the AA bit.
    pub(crate) authoritative: bool,
    /// SERVFAIL.
    pub(crate) failed: bool,
    /// REFUSED.
    pub(crate) refused: bool,
    /// Records in the answer section.
    pub(crate) records: usize,
    /// Of the SOA in the answer section, if one is there.
    pub(crate) serial: Option<u32>,
}

impl Answer {
    /// Whether it is of the zone with this serial, or of a newer one.
    pub(crate) fn has_reached(&self, serial: Serial) -> bool {
        self.serial.map(Serial).is_some_and(|seen| seen == serial || seen.is_newer_than(serial))
    }
}

/// Reads an answer; `None` for anything that is none.
pub(crate) fn read(octets: &[u8]) -> Option<Answer> {
    let message = Message::from_vec(octets).ok()?;
    let nsid = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::NSID));
    let node = match nsid {
        Some(EdnsOption::NSID(payload)) => std::str::from_utf8(payload.as_ref()).ok()?.parse().ok(),
        _ => None,
    };
    let serial = message.answers.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(soa.serial)
    });
    Some(Answer {
        id: message.metadata.id,
        node,
        authoritative: message.metadata.response_code == ResponseCode::NoError
            && message.metadata.authoritative,
        failed: message.metadata.response_code == ResponseCode::ServFail,
        refused: message.metadata.response_code == ResponseCode::Refused,
        records: message.answers.len(),
        serial,
    })
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Edns, MessageType, OpCode};
    use hickory_proto::rr::rdata::opt::NSIDPayload;

    use super::*;

    #[test]
    fn a_question_is_one_that_the_codec_reads() {
        let octets = question(7, &"example.net".parse().unwrap(), RecordType::SOA);
        let message = Message::from_vec(&octets).unwrap();
        assert_eq!(message.metadata.id, 7);
        assert_eq!(message.queries[0].query_type(), RecordType::SOA);
        assert_eq!(message.queries[0].name().to_ascii(), "example.net.");
        let edns = message.edns.unwrap();
        assert_eq!(edns.max_payload(), 1232);
        assert!(edns.option(EdnsCode::NSID).is_some());
    }

    #[test]
    fn an_answer_says_who_gave_it() {
        let mut message = Message::new(9, MessageType::Response, OpCode::Query);
        message.metadata.authoritative = true;
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new("pune").unwrap()));
        message.set_edns(edns);
        let answer = read(&message.to_vec().unwrap()).unwrap();
        assert_eq!(answer.node, Some("pune".parse().unwrap()));
        assert!(answer.authoritative && answer.id == 9 && answer.records == 0);
        message.metadata.response_code = ResponseCode::ServFail;
        let answer = read(&message.to_vec().unwrap()).unwrap();
        assert!(answer.failed && !answer.authoritative);
        assert_eq!(read(b"no"), None);
    }
}
