//! Request: a message that is asked of us, read where it lies.
//!
//! Strict where a careless reader could be led astray (names, counts, OPT, TSIG, the data of records that a query has no
//! use for), and tolerant of what changes nothing: octets after the last record, unknown flags and options, and such
//! records where they are well formed.

use super::expand;
use super::rdata::{is_well_formed, name_length, rtype};
use crate::names::Serial;

/// The length of a message's header (RFC 1035 section 4.1.1).
pub(crate) const HEADER: usize = 12;
/// The DO bit among EDNS's flags (RFC 3225 section 3).
const DO: u16 = 0x8000;
/// EDNS option codes: NSID (RFC 5001), COOKIE (RFC 7873).
pub(crate) const NSID: u16 = 3;
pub(crate) const COOKIE: u16 = 10;

/// OPCODEs.
pub(crate) mod opcode {
    /// A standard query.
    pub(crate) const QUERY: u8 = 0;
    /// RFC 1996.
    pub(crate) const NOTIFY: u8 = 4;
    /// RFC 2136.
    pub(crate) const UPDATE: u8 = 5;
}

/// What of a header a response repeats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: [u8; 2],
    /// QR, OPCODE, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub(crate) flags: u16,
}

impl Header {
    pub(crate) fn recursion_desired(self) -> bool {
        self.flags & 0x0100 != 0
    }

    pub(crate) fn opcode(self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The name's wire form in the case that it was asked in.
    pub(crate) name: &'a [u8],
    pub(crate) qtype: u16,
    pub(crate) qclass: u16,
}

/// OPT (RFC 6891 section 6.1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Edns<'a> {
    /// The largest datagram that the requestor takes.
    pub(crate) size: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) nsid: bool,
    /// What the COOKIE option holds: 8 octets, or 16 to 40.
    pub(crate) cookie: Option<&'a [u8]>,
}

/// A request that could be read.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) header: Header,
    /// `None` for a request without a question.
    pub(crate) question: Option<Question<'a>>,
    pub(crate) edns: Option<Edns<'a>>,
    /// Where the TSIG record starts: the last of the message (RFC 8945 section 5.1).
    pub(crate) tsig: Option<usize>,
    /// The serial of a SOA record in the authority section (RFC 1995 section 3).
    pub(crate) held: Option<Serial>,
    /// The serial of a SOA record in the answer section (RFC 1996 section 3.7).
    pub(crate) told: Option<Serial>,
}

/// A request that could not be read.
#[derive(Debug)]
pub(crate) enum Unreadable<'a> {
    /// No header, or a response: two servers that answered each other's would never stop.
    NoRequest,
    /// FORMERR. The question, where it was the rest that could not be read.
    Malformed(Header, Option<Question<'a>>),
}

impl<'a> Request<'a> {
    /// Reads a request.
    pub(crate) fn read(octets: &'a [u8]) -> Result<Self, Unreadable<'a>> {
        let Some((head, _)) = octets.split_first_chunk::<HEADER>() else { return Err(Unreadable::NoRequest) };
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let header = Header { id: [head[0], head[1]], flags: word(2) };
        if header.flags & 0x8000 != 0 {
            return Err(Unreadable::NoRequest);
        }
        let mut reader = Reader { octets, at: HEADER };
        // RFC 9619: one question at most.
        let question = match word(4) {
            0 => None,
            1 => Some(reader.question().ok_or(Unreadable::Malformed(header, None))?),
            _ => return Err(Unreadable::Malformed(header, None)),
        };
        let mut request = Self { header, question, edns: None, tsig: None, held: None, told: None };
        let counts = [word(6), word(8), word(10)];
        reader.records(counts, &mut request).ok_or(Unreadable::Malformed(header, question))?;
        Ok(request)
    }
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.octets.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    fn question(&mut self) -> Option<Question<'a>> {
        let name = self.take(name_length(self.octets.get(self.at..)?)?)?;
        let &[t0, t1, c0, c1] = self.take(4)?.first_chunk()?;
        Some(Question { name, qtype: u16::from_be_bytes([t0, t1]), qclass: u16::from_be_bytes([c0, c1]) })
    }

    /// Passes a name that may end in a pointer; whether it is the root.
    fn skip_name(&mut self) -> Option<bool> {
        let start = self.at;
        loop {
            let length = *self.octets.get(self.at)?;
            self.at += 1;
            match length {
                0 => break,
                1..=63 => {
                    self.take(usize::from(length))?;
                }
                0xc0.. => {
                    self.take(1)?;
                    break;
                }
                // RFC 1035 section 4.1.4: reserved.
                64..0xc0 => return None,
            }
        }
        Some(self.at == start + 1)
    }

    /// Reads the records after the question, each at least 11 octets, so their number is bounded by the message.
    fn records(&mut self, counts: [u16; 3], request: &mut Request<'a>) -> Option<()> {
        const ANSWER: usize = 0;
        const AUTHORITY: usize = 1;
        const ADDITIONAL: usize = 2;
        let is_query = request.header.opcode() == opcode::QUERY;
        let class_asked = request.question.filter(|_| is_query).map(|question| question.qclass);
        for (section, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                // RFC 8945 section 5.1: TSIG is the last.
                if request.tsig.is_some() {
                    return None;
                }
                let start = self.at;
                let root = self.skip_name()?;
                let &[t0, t1, class @ .., l0, l1] = self.take(10)?.first_chunk::<10>()?;
                let data = self.take(usize::from(u16::from_be_bytes([l0, l1])))?;
                match (u16::from_be_bytes([t0, t1]), section) {
                    // RFC 6891 section 6.1.1: one, in the additional section, owned by the root.
                    (rtype::OPT, ADDITIONAL) if root && request.edns.is_none() => {
                        request.edns = Some(edns(class, data)?);
                    }
                    (rtype::OPT, _) => return None,
                    (rtype::TSIG, ADDITIONAL) => request.tsig = Some(start),
                    (rtype::TSIG, _) => return None,
                    // What is there stands for what is not, with other classes and without data (RFC 2136 section 2.4).
                    _ if request.header.opcode() == opcode::UPDATE => (),
                    (rtype, section) => {
                        let data = known(self.octets, start, class_asked)?;
                        match (rtype, section) {
                            (rtype::SOA, ANSWER) => request.told = serial(&data),
                            (rtype::SOA, AUTHORITY) => request.held = serial(&data),
                            _ => (),
                        }
                    }
                }
            }
        }
        Some(())
    }
}

/// The data of a record that starts here and could be one of a zone, of the class that a query asks for: NSD takes none in
/// a query, Knot and BIND these.
fn known(octets: &[u8], start: usize, class_asked: Option<u16>) -> Option<Vec<u8>> {
    let record = expand::Reader::at(octets, start).record().ok()?;
    // RFC 2931 section 3: SIG of a transaction has class ANY. Otherwise that and NONE are no classes of records.
    let fits = record.rtype == rtype::SIG
        || class_asked.is_none_or(|asked| asked == record.class && !matches!(asked, 0 | 254 | 255));
    let is_meta = matches!(record.rtype, 0 | rtype::TKEY..=rtype::ANY);
    (fits && !is_meta && is_well_formed(record.rtype, &record.rdata)).then_some(record.rdata)
}

/// The serial of a SOA record, which stands 20 octets before its end, behind two names.
fn serial(data: &[u8]) -> Option<Serial> {
    let (_, numbers) = data.split_last_chunk::<20>()?;
    numbers.first_chunk().map(|octets| Serial(u32::from_be_bytes(*octets)))
}

/// OPT's class, TTL and data.
fn edns(class_and_ttl: [u8; 6], mut data: &[u8]) -> Option<Edns<'_>> {
    let [s0, s1, _, version, f0, f1] = class_and_ttl;
    let dnssec_ok = u16::from_be_bytes([f0, f1]) & DO != 0;
    let mut edns = Edns { size: u16::from_be_bytes([s0, s1]), version, dnssec_ok, nsid: false, cookie: None };
    while !data.is_empty() {
        let (&[c0, c1, l0, l1], rest) = data.split_first_chunk()?;
        let (option, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        data = rest;
        match u16::from_be_bytes([c0, c1]) {
            // What they mean in another version is not known.
            _ if version > 0 => (),
            NSID => edns.nsid = true,
            // RFC 7873 section 5.2.2: other lengths are malformed; of several, the first counts.
            COOKIE => {
                if !matches!(option.len(), 8 | 16..=40) {
                    return None;
                }
                edns.cookie = edns.cookie.or(Some(option));
            }
            _ => (),
        }
    }
    Some(edns)
}

#[cfg(test)]
mod tests;
