//! Expand: what a message from outside holds, its compressed names (RFC 1035 section 4.1.4) written out.
//!
//! In the data of records only the names are decoded. The other octets are taken as they stand, so that a type that nobody
//! here has heard of passes through unchanged (RFC 3597).
//!
//! No step is taken back: a pointer has to lead to before the name that it stands in, and before the pointer that led
//! to it, so every name ends; and none may have more than 255 octets, or more pointers than labels, so none takes long.

use super::request::HEADER;
use crate::names::DomainName;

/// The most labels that a name has, and so the most pointers that make sense in one: a chain of thousands that each lead
/// to the next would cost a thousand times what its octets do.
const POINTERS: usize = 127;

/// A record as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Whose it is.
    pub(crate) owner: DomainName,
    /// Its type.
    pub(crate) rtype: u16,
    /// Its class.
    pub(crate) class: u16,
    /// Its time to live, in seconds.
    pub(crate) ttl: u32,
    /// Its data, without compression.
    pub(crate) rdata: Vec<u8>,
}

/// One part of a record's data.
enum Part {
    Name,
    /// So many octets.
    Octets(usize),
    /// A length octet, and so many octets.
    Text,
}

/// The parts up to the last name that a sender may have compressed: RFC 3597 section 4 lists the types.
fn layout(rtype: u16) -> &'static [Part] {
    use Part::{Name, Octets, Text};
    match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME.
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        // SOA, MINFO, RP.
        6 | 14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // SIG.
        24 => &[Octets(18), Name],
        // PX.
        26 => &[Octets(2), Name, Name],
        // NXT.
        30 => &[Name],
        // SRV.
        33 => &[Octets(6), Name],
        // NAPTR.
        35 => &[Octets(4), Text, Text, Text, Name],
        _ => &[],
    }
}

/// The header of a message (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// Questions, answers, authority records, additional records.
    pub(crate) counts: [u16; 4],
}

impl Head {
    pub(crate) fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(crate) fn opcode(self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    pub(crate) fn is_authoritative(self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub(crate) fn is_truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(crate) fn rcode(self) -> u8 {
        (self.flags & 0xf) as u8
    }
}

/// Reads a message from its start to its end. The errors say what is wrong with it.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Of this message.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self::at(message, 0)
    }

    /// Of this message, from this octet on.
    pub(crate) fn at(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// Whether everything has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.message.len()
    }

    /// The header.
    pub(crate) fn head(&mut self) -> Option<Head> {
        let numbers = [self.u16()?, self.u16()?, self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let [id, flags, counts @ ..] = numbers;
        Some(Head { id, flags, counts })
    }

    /// A question: name, type and class.
    pub(crate) fn question(&mut self) -> Result<(DomainName, u16, u16), String> {
        let name = self.domain_name("the name in the question")?;
        let fixed = || "the question is cut off".to_owned();
        Ok((name, self.u16().ok_or_else(fixed)?, self.u16().ok_or_else(fixed)?))
    }

    /// A record.
    pub(crate) fn record(&mut self) -> Result<Record, String> {
        let owner = self.domain_name("an owner name")?;
        let fixed: [u8; 10] = self
            .octets(10)
            .and_then(|fixed| fixed.try_into().ok())
            .ok_or_else(|| format!("the record of {owner} is cut off"))?;
        let [t0, t1, c0, c1, ttl @ .., l0, l1] = fixed;
        let rtype = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let bad = |why: &str| format!("the data of {owner} type {rtype} is malformed: {why}");
        let end = self.at + length;
        if end > self.message.len() {
            return Err(bad("it is cut off"));
        }
        let mut rdata = Vec::with_capacity(length);
        for part in layout(rtype) {
            match part {
                Part::Name => self.name(&mut rdata).map_err(bad)?,
                Part::Octets(count) => rdata.extend(self.octets(*count).ok_or_else(|| bad(SHORT))?),
                Part::Text => {
                    let text = self.octets(1).ok_or_else(|| bad(SHORT))?;
                    rdata.extend(text);
                    rdata.extend(self.octets(usize::from(text[0])).ok_or_else(|| bad(SHORT))?);
                }
            }
        }
        let rest = end.checked_sub(self.at).ok_or_else(|| bad(SHORT))?;
        rdata.extend(self.octets(rest).ok_or_else(|| bad(SHORT))?);
        // A name may grow by being written out, and the whole is counted in 16 bits wherever it goes next.
        if rdata.len() > usize::from(u16::MAX) {
            return Err(bad("it is too long when its names are written out"));
        }
        Ok(Record {
            owner,
            rtype,
            class: u16::from_be_bytes([c0, c1]),
            // RFC 2181 section 8: a TTL with the highest bit set counts as zero.
            ttl: Some(u32::from_be_bytes(ttl)).filter(|ttl| *ttl <= i32::MAX as u32).unwrap_or(0),
            rdata,
        })
    }

    fn domain_name(&mut self, what: &str) -> Result<DomainName, String> {
        let mut wire = Vec::with_capacity(64);
        self.name(&mut wire).map_err(|why| format!("{what} cannot be read: {why}"))?;
        DomainName::from_wire(&wire).ok_or_else(|| format!("{what} cannot be read"))
    }

    /// Appends a name's uncompressed wire form, as it was written.
    fn name(&mut self, wire: &mut Vec<u8>) -> Result<(), &'static str> {
        let start = wire.len();
        let mut at = self.at;
        // Where the first pointer ends, which is where the message goes on.
        let mut after = None;
        let mut lowest = at;
        let mut pointers = 0;
        loop {
            let length = *self.message.get(at).ok_or("it is cut off")?;
            match length {
                0 => break,
                1..=63 => {
                    let next = at + 1 + usize::from(length);
                    wire.extend(self.message.get(at..next).ok_or("it is cut off")?);
                    // With the root's, 255 octets are the most (RFC 1035 section 2.3.4).
                    if wire.len() - start > 254 {
                        return Err("it is longer than 255 octets");
                    }
                    at = next;
                }
                64..=191 => return Err("a label is of no type that there is"),
                192.. => {
                    let low = *self.message.get(at + 1).ok_or("it is cut off")?;
                    let to = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if to >= lowest {
                        return Err("a compression pointer does not lead backwards");
                    }
                    if to < HEADER {
                        return Err("a compression pointer leads into the header");
                    }
                    pointers += 1;
                    if pointers > POINTERS {
                        return Err("it has more pointers than a name has labels");
                    }
                    after.get_or_insert(at + 2);
                    (at, lowest) = (to, to);
                }
            }
        }
        wire.push(0);
        self.at = after.unwrap_or(at + 1);
        Ok(())
    }

    fn u16(&mut self) -> Option<u16> {
        self.octets(2).and_then(|octets| octets.try_into().ok()).map(u16::from_be_bytes)
    }

    fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let octets = self.message.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(octets)
    }
}

const SHORT: &str = "it is shorter than its fields";

#[cfg(test)]
mod tests {
    use super::*;

    /// A message's worth of octets: a name behind the header to point at, then `rest`, read from there.
    fn read(rest: &[u8]) -> Result<Record, String> {
        let start = b"\0\0\0\0\0\0\0\0\0\0\0\0\x07example\0";
        let message = [start, rest].concat();
        Reader::at(&message, start.len()).record()
    }

    #[test]
    fn compressed_names_are_written_out() {
        let mx =
            read(b"\x03WWW\xc0\x0c\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x09\x00\x0a\x04Mail\xc0\x0c").unwrap();
        assert_eq!(mx.owner, "www.example".parse().unwrap());
        assert_eq!((mx.rtype, mx.class, mx.ttl), (15, 1, 3600));
        assert_eq!(mx.rdata, b"\x00\x0a\x04Mail\x07example\0");
        let naptr = read(b"\0\0\x23\0\x01\0\0\0\0\0\x0b\0\x01\0\x02\x01u\0\x01r\xc0\x0c").unwrap();
        assert_eq!(naptr.rdata, b"\0\x01\0\x02\x01u\0\x01r\x07example\0");
    }

    #[test]
    fn where_names_are_expanded_nothing_else_is_taken_for_data() {
        // Or data that comes from elsewhere would be another after a transfer.
        for rtype in 0..=u16::MAX {
            assert!(layout(rtype).is_empty() || super::super::rdata::fields(rtype).is_some(), "{rtype}");
        }
    }

    #[test]
    fn what_is_unknown_passes_unchanged() {
        let unknown = read(b"\xc0\x0c\xff\x01\x00\x01\xff\xff\xff\xff\x00\x03\xc0\x0c\xc0").unwrap();
        assert_eq!((unknown.ttl, unknown.rdata), (0, b"\xc0\x0c\xc0".to_vec()));
    }

    #[test]
    fn what_is_cut_or_loops_is_refused() {
        let whole: &[u8] = b"\x03www\xc0\x0c\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x09\x00\x0a\x04mail\xc0\x0c";
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        // Pointers to themselves, forward, and back to where they come from; a label of another type.
        for name in [&b"\xc0\x15"[..], b"\xc0\x17", b"\x01a\xc0\x15", b"\x40a\0", b"\x80a\0"] {
            let rest = [name, b"\x00\x01\x00\x01\0\0\0\0\0\0"].concat();
            assert!(read(&rest).unwrap_err().contains("an owner name"), "{name:?}");
        }
        assert!(read(b"\x01a\xc0\x04\0\x01\0\x01\0\0\0\0\0\0").unwrap_err().contains("into the header"));
        // Data shorter and longer than its names.
        assert!(read(b"\0\0\x02\0\x01\0\0\0\0\0\x01\xc0\x0c").is_err());
        assert!(read(b"\0\0\x02\0\x01\0\0\0\0\0\x05\xc0\x0c").is_err());
    }

    #[test]
    fn a_name_has_no_more_pointers_than_labels() {
        let of = |count: usize| {
            // Each points to the one before, and the first to the name.
            let to = |n: usize| if n == 0 { 12 } else { 21 + 2 * (n - 1) };
            let pointers = (0..count).flat_map(|n| (0xc000 | to(n) as u16).to_be_bytes());
            let start = [&[0; 12][..], b"\x07example\0"].concat();
            let message: Vec<u8> =
                start.into_iter().chain(pointers).chain(*b"\0\x01\0\x01\0\0\0\0\0\0").collect();
            Reader::at(&message, to(count)).record().map(|record| record.owner)
        };
        assert_eq!(of(POINTERS), Ok("example".parse().unwrap()));
        assert!(of(POINTERS + 1).unwrap_err().contains("more pointers"));
    }

    #[test]
    fn a_name_of_255_octets_is_the_longest() {
        let labels = [&[63][..], &[b'x'; 63]].concat().repeat(3);
        let fixed = b"\0\x01\0\x01\0\0\0\0\0\0";
        let of = |last: usize| [&labels[..], &[last as u8], &vec![b'y'; last], b"\0", fixed].concat();
        assert_eq!(read(&of(61)).unwrap().owner.as_wire().len(), 255);
        assert!(read(&of(62)).unwrap_err().contains("longer than 255"));
        // The same by a pointer to nine octets.
        let by = |last: usize| [&labels[..], &[last as u8], &vec![b'y'; last], b"\xc0\x0c", fixed].concat();
        assert_eq!(read(&by(53)).unwrap().owner.as_wire().len(), 255);
        assert!(read(&by(54)).is_err());
    }
}
