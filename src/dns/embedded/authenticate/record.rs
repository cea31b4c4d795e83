//! Record: a TSIG record (RFC 8945 section 4.2), found in a request, and appended to a response.

use ring::hmac;

use crate::names::DomainName;

/// The most labels that a name has.
const POINTERS: usize = 127;
/// The type.
const TSIG: u16 = 250;
/// The class, and the TTL.
const ANY: u16 = 255;

/// What a TSIG record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tsig {
    /// The key's name.
    pub(super) key: DomainName,
    /// The algorithm's name.
    pub(super) algorithm: DomainName,
    /// When it was signed: seconds since 1970, in 48 bits.
    pub(super) time: u64,
    /// How far clocks may differ, in seconds.
    pub(super) fudge: u16,
    pub(super) mac: Vec<u8>,
    /// The id that the message had when it was signed.
    pub(super) original_id: u16,
    pub(super) error: u16,
    pub(super) other: Vec<u8>,
}

impl Tsig {
    /// The record at this octet, if it is well formed and ends the message.
    pub(super) fn read(message: &[u8], at: usize) -> Option<Self> {
        Reader { message, at }.tsig()
    }

    /// How long the record is.
    pub(super) fn length(&self) -> usize {
        self.key.as_wire().len() + 10 + self.data_length()
    }

    fn data_length(&self) -> usize {
        self.algorithm.as_wire().len() + 16 + self.mac.len() + self.other.len()
    }

    /// Puts it behind a message.
    pub(super) fn append_to(&self, message: &mut Vec<u8>) {
        message.extend(self.key.as_wire());
        message.extend(TSIG.to_be_bytes());
        message.extend(ANY.to_be_bytes());
        message.extend([0; 4]);
        message.extend(short(self.data_length()));
        message.extend(self.algorithm.as_wire());
        message.extend(&self.time.to_be_bytes()[2..]);
        message.extend(self.fudge.to_be_bytes());
        message.extend(short(self.mac.len()));
        message.extend(&self.mac);
        message.extend(self.original_id.to_be_bytes());
        message.extend(self.error.to_be_bytes());
        message.extend(short(self.other.len()));
        message.extend(&self.other);
        let additional = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
        message[10..12].copy_from_slice(&additional.to_be_bytes());
    }

    /// What is signed of it beside the message (section 4.3.3).
    pub(super) fn variables_to(&self, context: &mut hmac::Context) {
        context.update(self.key.as_wire());
        context.update(&ANY.to_be_bytes());
        context.update(&[0; 4]);
        context.update(self.algorithm.as_wire());
        self.timers_to(context);
        context.update(&self.error.to_be_bytes());
        context.update(&short(self.other.len()));
        context.update(&self.other);
    }

    /// The same from the second message of a transfer on (section 5.3.1).
    pub(super) fn timers_to(&self, context: &mut hmac::Context) {
        context.update(&self.time.to_be_bytes()[2..]);
        context.update(&self.fudge.to_be_bytes());
    }
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("it came in 16 bits, or is ours and short").to_be_bytes()
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let octets = self.message.get(self.at..self.at + count)?;
        self.at += count;
        Some(octets)
    }

    fn number(&mut self) -> Option<u16> {
        self.octets(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Octets that follow their number.
    fn counted(&mut self) -> Option<Vec<u8>> {
        let length = self.number()?;
        self.octets(usize::from(length)).map(<[u8]>::to_vec)
    }

    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.octets(1)?[0] {
                0 => return Some(()),
                0xc0.. => return self.octets(1).map(|_| ()),
                0x40.. => return None,
                length => self.octets(usize::from(length))?,
            };
        }
    }

    /// A name, and where it leads if it is compressed: always back, so it ends, and by no more pointers than labels.
    fn name(&mut self) -> Option<DomainName> {
        let start = self.at;
        self.skip_name()?;
        let (mut at, mut limit, mut pointers, mut name) = (start, start, 0, Vec::new());
        loop {
            let length = *self.message.get(at)?;
            if length >= 0xc0 {
                at = usize::from(length & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                pointers += 1;
                if at >= limit || pointers > POINTERS {
                    return None;
                }
                limit = at;
                continue;
            }
            name.extend(self.message.get(at..=at + usize::from(length))?);
            if length == 0 || name.len() > 255 {
                return DomainName::from_wire(&name);
            }
            at += 1 + usize::from(length);
        }
    }

    fn tsig(&mut self) -> Option<Tsig> {
        let key = self.name()?;
        self.number()?;
        // Section 4.2: class ANY and a TTL of 0.
        if self.number()? != ANY || self.octets(4)? != [0; 4] {
            return None;
        }
        let end = usize::from(self.number()?) + self.at;
        let algorithm = self.name()?;
        let time = self.octets(6)?.iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
        let fudge = self.number()?;
        let mac = self.counted()?;
        let (original_id, error) = (self.number()?, self.number()?);
        let other = self.counted()?;
        (self.at == end && end == self.message.len()).then_some(Tsig {
            key,
            algorithm,
            time,
            fudge,
            mac,
            original_id,
            error,
            other,
        })
    }
}
