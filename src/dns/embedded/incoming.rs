//! Incoming: the answer to a zone transfer, AXFR (RFC 5936) or IXFR (RFC 1995), judged message by message.
//!
//! ```text
//!            SOA                          ┌── any record ──┐
//! Opening ───────→ Whole (AXFR) ──────────┴→ Whole ── the same SOA ──→ Complete
//!    │             ↑ anything else
//!    ├── newer ──→ Form (IXFR) ── our SOA ─→ Removing ─ a newer SOA ─→ Adding ── the opening SOA ──→ Complete
//!    │                                          ↑ ── the SOA that it led to ─┘
//!    └── not newer (IXFR) ──→ Current
//! ```
//! No sockets here: octets go in; and records of a whole zone, the steps to one, or an error that says what was met come
//! out. Nothing that comes in is served before `Complete`. A sender that is lenient where the RFCs are strict is treated
//! as BIND, NSD and Knot treat it where they agree: AA may be missing in a transfer, since none of them looks at it.

use domain::base::iana::Rcode;

use super::delta::{Delta, DeltaBuilder, DeltaFault};
use super::expand::{Head, Reader, Record};
use super::rdata::{self, rtype, type_name};
use super::zone::{ZoneBuilder, ZoneFault};
use crate::dns::TransferLimits;
use crate::names::{DomainName, Serial};

/// Why an answer is not the zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IncomingError {
    #[error("it answered {0}")]
    Rcode(Rcode),
    #[error("it sent what is not an answer to our question: {0}")]
    NotOurs(&'static str),
    #[error("it sent a malformed message: {0}")]
    Malformed(String),
    #[error("it sent a message without records")]
    NoRecords,
    #[error("it did not begin with the zone's SOA record but with {0}")]
    NoOpeningSoa(String),
    #[error("its closing SOA record differs from the opening one: the zone changed or the stream is broken")]
    ClosingSoa,
    #[error("it sent records after the closing SOA record")]
    AfterTheEnd,
    #[error("it sent {0} with class {1}; only IN is served")]
    Class(DomainName, u16),
    #[error("it sent more than {0}, the most that network.yaml allows: refused as too large")]
    TooLarge(String),
    #[error("it sent what cannot be served: {0}")]
    Record(ZoneFault),
    #[error("a difference leads from serial {from} to {to}, which is not newer")]
    Backwards { from: Serial, to: Serial },
    #[error("a difference leads to serial {to}, beyond {announced}, which it announced")]
    Beyond { to: Serial, announced: Serial },
    #[error("a difference that leads to serial {to} is followed by one from {from}")]
    OutOfStep { to: Serial, from: Serial },
    #[error("{0}")]
    Delta(DeltaFault),
}

impl From<ZoneFault> for IncomingError {
    fn from(fault: ZoneFault) -> Self {
        Self::Record(fault)
    }
}

impl From<DeltaFault> for IncomingError {
    fn from(fault: DeltaFault) -> Self {
        if let DeltaFault::Record(fault) = fault { Self::Record(fault) } else { Self::Delta(fault) }
    }
}

/// What was received.
#[derive(Debug)]
pub(crate) enum Received {
    /// All records of a zone.
    Whole(ZoneBuilder),
    /// What leads from our version to a newer one.
    Steps(Vec<Delta>),
    /// The sender has this version, and it is not newer than ours.
    Current(Serial),
}

/// What a record takes in memory besides its octets.
const RECORD: usize = 40;

/// The size of the largest transfer within these limits.
pub(crate) fn largest(limits: TransferLimits) -> usize {
    limits.octets.saturating_add(limits.records.saturating_mul(RECORD))
}

/// A transfer under way.
pub(crate) struct Incoming {
    id: u16,
    apex: DomainName,
    /// What we have, if differences were asked for.
    since: Option<Serial>,
    limits: TransferLimits,
    state: State,
    /// The opening SOA record, once it is there.
    opening: Option<Soa>,
    steps: Vec<Delta>,
    messages: usize,
    records: usize,
    octets: usize,
}

struct Soa {
    serial: Serial,
    ttl: u32,
    rdata: Vec<u8>,
}

impl Soa {
    /// Whether this data is the same SOA record's.
    fn is(&self, rdata: &[u8]) -> bool {
        rdata::folded(rtype::SOA, &self.rdata) == rdata::folded(rtype::SOA, rdata)
    }
}

enum State {
    Opening,
    /// The next record tells the form of the answer.
    Form,
    Whole(ZoneBuilder),
    Removing(DeltaBuilder, Serial),
    /// With the serial that it leads to.
    Adding(DeltaBuilder, Serial),
    Complete(Option<ZoneBuilder>),
    Current(Serial),
}

impl Incoming {
    /// For the answer to the query with this id: for differences from `since`, else for the whole zone.
    pub(crate) fn new(id: u16, apex: &DomainName, since: Option<Serial>, limits: TransferLimits) -> Self {
        Self {
            id,
            apex: apex.clone(),
            since,
            limits,
            state: State::Opening,
            opening: None,
            steps: Vec::new(),
            messages: 0,
            records: 0,
            octets: 0,
        }
    }

    /// Takes the next message. True when it was the last. After an error nothing comes of the transfer.
    pub(crate) fn message(&mut self, octets: &[u8]) -> Result<bool, IncomingError> {
        let taken = self.take(octets);
        if taken.is_err() {
            self.state = State::Opening;
        }
        taken
    }

    fn take(&mut self, octets: &[u8]) -> Result<bool, IncomingError> {
        let mut reader = Reader::new(octets);
        let head = self.begin(&mut reader)?;
        let [_, answers, authority, additional] = head.counts;
        if answers == 0 {
            return Err(IncomingError::NoRecords);
        }
        for _ in 0..answers {
            let record = reader.record().map_err(IncomingError::Malformed)?;
            self.count(&record)?;
            self.record(record)?;
        }
        // What else there is has to be readable, and is not used: OPT, TSIG (which was verified before).
        for _ in 0..u32::from(authority) + u32::from(additional) {
            let record = reader.record().map_err(IncomingError::Malformed)?;
            self.count(&record)?;
        }
        if !reader.is_at_end() {
            return Err(IncomingError::Malformed("there are octets after its last record".to_owned()));
        }
        Ok(matches!(self.state, State::Complete(_) | State::Current(_)))
    }

    /// How much of it is kept in memory, in octets.
    pub(crate) fn size(&self) -> usize {
        self.octets + self.records * RECORD
    }

    /// What was received, once the last message was taken; `None` before.
    pub(crate) fn finish(self) -> Option<Received> {
        match self.state {
            State::Complete(Some(builder)) => Some(Received::Whole(builder)),
            State::Complete(None) => Some(Received::Steps(self.steps)),
            State::Current(serial) => Some(Received::Current(serial)),
            State::Opening | State::Form | State::Whole(_) | State::Removing(..) | State::Adding(..) => None,
        }
    }

    /// Header and question.
    fn begin(&mut self, reader: &mut Reader<'_>) -> Result<Head, IncomingError> {
        let qtype = if self.since.is_some() { rtype::IXFR } else { rtype::AXFR };
        let head = head(reader, self.id)?;
        // RFC 5936 section 2.2.1: the question is copied in the first message and may be left out of the others.
        if head.counts[0] > 0 || self.messages == 0 {
            question(reader, head, &self.apex, qtype)?;
        }
        self.messages += 1;
        Ok(head)
    }

    /// Counts as much as the record takes without compression, which is what it takes in memory.
    fn count(&mut self, record: &Record) -> Result<(), IncomingError> {
        self.records += 1;
        self.octets += record.owner.as_wire().len() + 10 + record.rdata.len();
        if self.records > self.limits.records {
            return Err(IncomingError::TooLarge(format!("{} records", self.limits.records)));
        }
        if self.octets > self.limits.octets {
            return Err(IncomingError::TooLarge(format!("{} octets", self.limits.octets)));
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), IncomingError> {
        if record.class != 1 {
            return Err(IncomingError::Class(record.owner, record.class));
        }
        let soa = match record.rtype {
            rtype::SOA if record.owner != self.apex => {
                return Err(ZoneFault::SoaBelowApex(record.owner).into());
            }
            rtype::SOA => Some(
                soa_serial(&record.rdata)
                    .ok_or_else(|| ZoneFault::Malformed { owner: record.owner.clone(), rtype: rtype::SOA })?,
            ),
            _ => None,
        };
        self.state = self.next(record, soa)?;
        Ok(())
    }

    /// The state after a record; `soa` is its serial if it is a SOA record.
    fn next(&mut self, record: Record, soa: Option<Serial>) -> Result<State, IncomingError> {
        let state = std::mem::replace(&mut self.state, State::Opening);
        let Some(opening) = &self.opening else {
            return self.open(record, soa);
        };
        // RFC 1995 section 4: our own SOA record second means differences, and anything else the whole zone.
        let state = if !matches!(state, State::Form) {
            state
        } else if soa.is_some() && soa == self.since {
            return self.step(record, soa);
        } else {
            State::Whole(self.whole(opening)?)
        };
        let Record { owner, rtype, ttl, rdata, class: _ } = &record;
        match (state, soa) {
            (State::Whole(mut builder), None) => {
                builder.push(owner, *rtype, *ttl, rdata)?;
                Ok(State::Whole(builder))
            }
            (State::Whole(builder), Some(_)) if opening.is(rdata) => Ok(State::Complete(Some(builder))),
            (State::Whole(_), Some(_)) => Err(IncomingError::ClosingSoa),
            (State::Removing(mut builder, from), soa) => {
                builder.push(owner, *rtype, *ttl, rdata)?;
                match soa {
                    None => Ok(State::Removing(builder, from)),
                    Some(to) if !to.is_newer_than(from) => Err(IncomingError::Backwards { from, to }),
                    // The last difference leads to the version that the opening SOA record announced.
                    Some(to) if to == opening.serial && !opening.is(rdata) => Err(IncomingError::ClosingSoa),
                    Some(to) if to.is_newer_than(opening.serial) => {
                        Err(IncomingError::Beyond { to, announced: opening.serial })
                    }
                    Some(to) => Ok(State::Adding(builder, to)),
                }
            }
            (State::Adding(mut builder, to), None) => {
                builder.push(owner, *rtype, *ttl, rdata)?;
                Ok(State::Adding(builder, to))
            }
            (State::Adding(builder, to), Some(serial)) => {
                self.steps.push(builder.finish()?);
                match to == opening.serial {
                    true if opening.is(rdata) => Ok(State::Complete(None)),
                    true => Err(IncomingError::ClosingSoa),
                    false if serial == to => self.step(record, soa),
                    false => Err(IncomingError::OutOfStep { to, from: serial }),
                }
            }
            (State::Opening | State::Form | State::Complete(_) | State::Current(_), _) => {
                Err(IncomingError::AfterTheEnd)
            }
        }
    }

    /// The start of a difference: the SOA record of the version that it leads from.
    fn step(&self, soa: Record, serial: Option<Serial>) -> Result<State, IncomingError> {
        let mut builder = DeltaBuilder::new(self.apex.clone());
        builder.push(&soa.owner, soa.rtype, soa.ttl, &soa.rdata)?;
        serial.map(|from| State::Removing(builder, from)).ok_or(IncomingError::AfterTheEnd)
    }

    /// The first record.
    fn open(&mut self, record: Record, soa: Option<Serial>) -> Result<State, IncomingError> {
        let Some(serial) = soa else {
            return Err(IncomingError::NoOpeningSoa(format!("{} {}", record.owner, type_name(record.rtype))));
        };
        let opening = Soa { serial, ttl: record.ttl, rdata: record.rdata };
        let state = match self.since {
            None => State::Whole(self.whole(&opening)?),
            Some(since) if serial.is_newer_than(since) => State::Form,
            Some(_) => State::Current(serial),
        };
        self.opening = Some(opening);
        Ok(state)
    }

    fn whole(&self, opening: &Soa) -> Result<ZoneBuilder, ZoneFault> {
        let mut builder = ZoneBuilder::new(self.apex.clone());
        builder.push(&self.apex, rtype::SOA, opening.ttl, &opening.rdata)?;
        Ok(builder)
    }
}

/// The serial in a SOA record's data: the first of the five numbers at its end.
pub(crate) fn soa_serial(rdata: &[u8]) -> Option<Serial> {
    let numbers = rdata.len().checked_sub(20)?;
    let serial = rdata.get(numbers..numbers + 4)?;
    Some(Serial(u32::from_be_bytes(serial.try_into().ok()?)))
}

/// The answer to a SOA query: the zone's serial. All of it is read, since what is malformed further on may have been
/// mangled before as well.
pub(crate) fn soa_answer(id: u16, apex: &DomainName, octets: &[u8]) -> Result<Serial, IncomingError> {
    let mut reader = Reader::new(octets);
    let head = head(&mut reader, id)?;
    question(&mut reader, head, apex, rtype::SOA)?;
    // An answer without AA comes from a server that has the zone in its cache at best, or has let it expire.
    if !head.is_authoritative() {
        return Err(IncomingError::NotOurs("it is not authoritative for the zone"));
    }
    let mut serial = None;
    for _ in 0..head.counts[1] {
        let record = reader.record().map_err(IncomingError::Malformed)?;
        match record.rtype {
            _ if record.owner != *apex || record.class != 1 => (),
            rtype::CNAME => return Err(IncomingError::NotOurs("it has a CNAME record at the apex")),
            rtype::SOA if serial.is_some() => {
                return Err(IncomingError::NotOurs("it has more than one SOA record"));
            }
            rtype::SOA => {
                let well_formed = rdata::is_well_formed(rtype::SOA, &record.rdata);
                serial = soa_serial(&record.rdata).filter(|_| well_formed);
                if serial.is_none() {
                    return Err(IncomingError::Malformed("its SOA record is malformed".to_owned()));
                }
            }
            _ => (),
        }
    }
    serial.ok_or(IncomingError::NotOurs("there is no SOA record in it"))
}

/// The header of a response that has what was asked for.
fn head(reader: &mut Reader<'_>, id: u16) -> Result<Head, IncomingError> {
    let malformed = |why: &str| IncomingError::Malformed(why.to_owned());
    let head = reader.head().ok_or_else(|| malformed("it is shorter than a header"))?;
    if head.id != id {
        return Err(IncomingError::NotOurs("the id differs"));
    }
    if !head.is_response() || head.opcode() != 0 {
        return Err(IncomingError::NotOurs("it is not a response to a query"));
    }
    match Rcode::masked_from_int(head.rcode()) {
        Rcode::NOERROR => (),
        rcode => return Err(IncomingError::Rcode(rcode)),
    }
    match head.is_truncated() {
        true => Err(malformed("it is truncated")),
        false => Ok(head),
    }
}

/// Exactly our question.
fn question(reader: &mut Reader<'_>, head: Head, apex: &DomainName, qtype: u16) -> Result<(), IncomingError> {
    if head.counts[0] != 1 {
        return Err(IncomingError::NotOurs("it does not have one question"));
    }
    let asked = reader.question().map_err(IncomingError::Malformed)?;
    match asked == (apex.clone(), qtype, 1) {
        true => Ok(()),
        false => Err(IncomingError::NotOurs("the question differs")),
    }
}

#[cfg(test)]
mod tests;
