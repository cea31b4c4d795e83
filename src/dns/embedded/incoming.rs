//! Incoming: an AXFR's answer (RFC 5936), judged message by message as it arrives.
//!
//! ```text
//! Opening ── SOA ──→ Body ── the same SOA ──→ Complete
//!    └─ anything else ─→ error     └─ out of zone, another class, another SOA, too much ─→ error
//! ```
//! No sockets here: octets go in, and a zone comes out or an error that says what was met.

use hickory_proto::op::Header;
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::expand::{self, Received};
use super::zone::{Zone, ZoneBuilder};
use crate::names::{DomainName, Serial};

/// What a transfer may cost us at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransferLimits {
    /// Records in the zone.
    pub(crate) records: usize,
    /// Octets of all messages together.
    pub(crate) octets: usize,
}

/// Why an answer is not the zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IncomingError {
    #[error("it answered {0}")]
    Rcode(String),
    #[error("it sent what is not an answer to our question: {0}")]
    NotOurs(&'static str),
    #[error("it sent a malformed message: {0}")]
    Malformed(String),
    #[error("it did not begin with the zone's SOA record but with {0}")]
    NoOpeningSoa(String),
    #[error("its closing SOA record differs from the opening one: the zone changed or the stream is broken")]
    ClosingSoa,
    #[error("it sent records after the closing SOA record")]
    AfterTheEnd,
    #[error("it sent {0}, which is not in the zone")]
    OutOfZone(DomainName),
    #[error("it sent {0} with class {1}; only IN is served")]
    Class(DomainName, u16),
    #[error("it sent more than {0}: refused as too large")]
    TooLarge(String),
    #[error("the zone that it sent cannot be served: {0}")]
    Zone(String),
}

/// A transfer under way.
pub(crate) struct Incoming {
    id: u16,
    apex: DomainName,
    limits: TransferLimits,
    builder: ZoneBuilder,
    /// The opening SOA's data, once it is there.
    opening: Option<Vec<u8>>,
    records: usize,
    octets: usize,
    complete: bool,
}

impl Incoming {
    /// For the answer to the query with this id.
    pub(crate) fn new(id: u16, apex: &DomainName, limits: TransferLimits) -> Self {
        let builder = ZoneBuilder::new(apex.clone());
        Self {
            id,
            apex: apex.clone(),
            limits,
            builder,
            opening: None,
            records: 0,
            octets: 0,
            complete: false,
        }
    }

    /// Takes the next message. True when it was the last.
    pub(crate) fn message(&mut self, octets: &[u8]) -> Result<bool, IncomingError> {
        self.octets += octets.len();
        if self.octets > self.limits.octets {
            return Err(IncomingError::TooLarge(format!("{} octets", self.limits.octets)));
        }
        let mut decoder = BinDecoder::new(octets);
        let header =
            Header::read(&mut decoder).map_err(|error| IncomingError::Malformed(error.to_string()))?;
        check(&header, self.id)?;
        for _ in 0..header.counts.queries {
            self.question(&mut decoder)?;
        }
        for _ in 0..header.counts.answers {
            if self.complete {
                return Err(IncomingError::AfterTheEnd);
            }
            let record = expand::record(&mut decoder).map_err(IncomingError::Malformed)?;
            self.record(record)?;
        }
        Ok(self.complete)
    }

    /// The zone, once the last message was taken.
    pub(crate) fn finish(self) -> Result<Zone, IncomingError> {
        self.builder.finish().map_err(|faults| IncomingError::Zone(super::describe(&faults)))
    }

    /// RFC 5936 section 2.2.1: the question is copied in the first message and may be left out of the others.
    fn question(&self, decoder: &mut BinDecoder<'_>) -> Result<(), IncomingError> {
        let query = hickory_proto::op::Query::read(decoder)
            .map_err(|error| IncomingError::Malformed(error.to_string()))?;
        let name = DomainName::from_wire(&expand::wire(query.name()));
        match name.as_ref() == Some(&self.apex) && query.query_type() == RecordType::AXFR {
            true => Ok(()),
            false => Err(IncomingError::NotOurs("the question differs")),
        }
    }

    fn record(&mut self, record: Received) -> Result<(), IncomingError> {
        let Received { owner, rtype, class, ttl, rdata } = record;
        let apex_soa = rtype == u16::from(RecordType::SOA) && owner == self.apex;
        if class != 1 {
            return Err(IncomingError::Class(owner, class));
        }
        match &self.opening {
            None if apex_soa => self.opening = Some(rdata.clone()),
            None => return Err(IncomingError::NoOpeningSoa(format!("{owner} type {rtype}"))),
            Some(opening) if apex_soa => {
                // RFC 5936 section 2.2: the last record is the SOA again, and ends the transfer.
                self.complete = *opening == rdata;
                return if self.complete { Ok(()) } else { Err(IncomingError::ClosingSoa) };
            }
            Some(_) if !owner.is_within(&self.apex) => return Err(IncomingError::OutOfZone(owner)),
            Some(_) => (),
        }
        self.records += 1;
        if self.records > self.limits.records {
            return Err(IncomingError::TooLarge(format!("{} records", self.limits.records)));
        }
        self.builder.push(&owner, rtype, ttl, &rdata).map_err(|error| IncomingError::Zone(error.to_string()))
    }
}

/// The serial in a SOA record's data: the first of the five numbers at its end.
pub(crate) fn soa_serial(rdata: &[u8]) -> Option<Serial> {
    let numbers = rdata.len().checked_sub(20)?;
    let serial = rdata.get(numbers..numbers + 4)?;
    Some(Serial(u32::from_be_bytes(serial.try_into().ok()?)))
}

/// The answer to a SOA query: the zone's serial.
pub(crate) fn soa_answer(id: u16, apex: &DomainName, octets: &[u8]) -> Result<Serial, IncomingError> {
    let mut decoder = BinDecoder::new(octets);
    let malformed = |why: String| IncomingError::Malformed(why);
    let header = Header::read(&mut decoder).map_err(|error| malformed(error.to_string()))?;
    check(&header, id)?;
    for _ in 0..header.counts.queries {
        hickory_proto::op::Query::read(&mut decoder).map_err(|error| malformed(error.to_string()))?;
    }
    // An answer without AA comes from a server that has the zone in its cache at best, or has let it expire.
    if !header.authoritative {
        return Err(IncomingError::NotOurs("it is not authoritative for the zone"));
    }
    for _ in 0..header.counts.answers {
        let record = expand::record(&mut decoder).map_err(malformed)?;
        if record.rtype == u16::from(RecordType::SOA) && record.owner == *apex && record.class == 1 {
            return soa_serial(&record.rdata).ok_or_else(|| malformed("a SOA record too short".to_owned()));
        }
    }
    Err(IncomingError::NotOurs("there is no SOA record in it"))
}

fn check(header: &Header, id: u16) -> Result<(), IncomingError> {
    use hickory_proto::op::{MessageType, OpCode, ResponseCode};
    if header.id != id {
        return Err(IncomingError::NotOurs("the id differs"));
    }
    if header.message_type != MessageType::Response || header.op_code != OpCode::Query {
        return Err(IncomingError::NotOurs("it is not a response to a query"));
    }
    if header.response_code != ResponseCode::NoError {
        return Err(IncomingError::Rcode(header.response_code.to_str().to_owned()));
    }
    if header.truncation {
        return Err(IncomingError::Malformed("it is truncated".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::dns::embedded::testing;

    const LIMITS: TransferLimits = TransferLimits { records: 1000, octets: 1 << 20 };
    const ID: u16 = 0x1234;

    fn apex() -> DomainName {
        "example.org".parse().unwrap()
    }

    /// What we ourselves send of a zone with so many names.
    fn messages(names: usize) -> Vec<Vec<u8>> {
        let zone = Arc::new(testing::zone(&apex(), 7, names));
        testing::messages(&mut testing::axfr(zone, ID))
    }

    fn take(messages: &[Vec<u8>], limits: TransferLimits) -> Result<Zone, IncomingError> {
        let mut incoming = Incoming::new(ID, &apex(), limits);
        for (position, message) in messages.iter().enumerate() {
            assert_eq!(incoming.message(message)?, position + 1 == messages.len());
        }
        incoming.finish()
    }

    #[test]
    fn what_we_send_is_what_we_take() {
        let sent = messages(900);
        assert!(sent.len() > 1, "more than one message");
        assert_eq!(take(&sent, LIMITS).unwrap(), testing::zone(&apex(), 7, 900));
    }

    #[test]
    fn too_much_is_refused() {
        let sent = messages(100);
        let octets = sent.iter().map(Vec::len).sum();
        let within = |records, octets| take(&sent, TransferLimits { records, octets });
        // SOA, NS and the names.
        assert!(within(102, octets).is_ok());
        assert!(matches!(within(101, octets), Err(IncomingError::TooLarge(_))));
        assert!(matches!(within(102, octets - 1), Err(IncomingError::TooLarge(_))));
    }

    #[test]
    fn the_serial_is_read_from_an_authoritative_answer_only() {
        let zone = testing::zone(&apex(), 7, 1);
        let mut answer = crate::dns::embedded::exchange::question(&apex(), RecordType::SOA).into_response();
        answer.metadata.id = ID;
        let name = crate::dns::embedded::exchange::hickory_name(&apex());
        answer.answers.extend(crate::dns::embedded::notify::soa_record(&name, &zone));
        let read = |answer: &hickory_proto::op::Message| soa_answer(ID, &apex(), &answer.to_vec().unwrap());
        assert_eq!(read(&answer), Err(IncomingError::NotOurs("it is not authoritative for the zone")));
        answer.metadata.authoritative = true;
        assert_eq!(read(&answer), Ok(Serial(7)));
        answer.answers.clear();
        assert_eq!(read(&answer), Err(IncomingError::NotOurs("there is no SOA record in it")));
    }

    proptest! {
        #[test]
        fn changed_octets_make_an_error_or_a_zone_and_no_harm(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut sent = messages(5).concat();
            for (at, octet) in changes {
                // Past the header, or nothing but the id and the flags would be tried.
                let at = 12 + at.index(sent.len() - 12);
                sent[at] = octet;
            }
            let mut incoming = Incoming::new(ID, &apex(), LIMITS);
            if let Ok(true) = incoming.message(&sent) {
                let _ = incoming.finish();
            }
        }

        #[test]
        fn any_octets_are_taken_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let header = [0x12, 0x34, 0x84, 0, 0, 0, 0, 9, 0, 0, 0, 0];
            let _ = Incoming::new(ID, &apex(), LIMITS).message(&octets);
            let _ = Incoming::new(ID, &apex(), LIMITS).message(&[&header, &octets[..]].concat());
            let _ = soa_answer(ID, &apex(), &[&header, &octets[..]].concat());
        }
    }
}
