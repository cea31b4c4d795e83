//! A response in a form in which two can be compared: names whole and in lower case, sections sorted.
//!
//! A decoder of its own, since a test that shared one with what it tests would share its faults.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A part of a response that is compared by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// Whether there is a response, and one that can be read.
    Reply,
    Rcode,
    /// Opcode and the bits that are copied or fixed: QR, RD, RA, Z, CD.
    Header,
    Aa,
    Tc,
    Ad,
    Question,
    Answer,
    Authority,
    Additional,
    /// Presence, version, size, flags.
    Edns,
    /// NSID, cookie and other options.
    Options,
}

impl Aspect {
    pub const ALL: &[Self] = &[
        Self::Reply,
        Self::Rcode,
        Self::Header,
        Self::Aa,
        Self::Tc,
        Self::Ad,
        Self::Question,
        Self::Answer,
        Self::Authority,
        Self::Additional,
        Self::Edns,
        Self::Options,
    ];
}

/// What a server said: each aspect as text. Silence has only the aspect `Reply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub aspects: BTreeMap<Aspect, String>,
    pub octets: Vec<u8>,
}

impl Seen {
    pub fn silence() -> Self {
        Self { aspects: BTreeMap::from([(Aspect::Reply, "silence".to_owned())]), octets: Vec::new() }
    }

    pub fn read(octets: Vec<u8>) -> Self {
        let aspects = read(&octets)
            .unwrap_or_else(|| BTreeMap::from([(Aspect::Reply, "a message that cannot be read".to_owned())]));
        Self { aspects, octets }
    }

    pub fn get(&self, aspect: Aspect) -> &str {
        self.aspects.get(&aspect).map_or("", String::as_str)
    }

    /// The records of a section, as text.
    pub fn section(&self, aspect: Aspect) -> Vec<&str> {
        self.get(aspect).lines().collect()
    }

    pub fn truncated(&self) -> bool {
        self.get(Aspect::Tc) == "1"
    }
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.octets.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// A name's wire form, decompressed.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut at = self.at;
        let mut end = None;
        loop {
            let length = usize::from(*self.octets.get(at)?);
            match length {
                0 => {
                    name.push(0);
                    self.at = end.unwrap_or(at + 1);
                    return (name.len() <= 255).then_some(name);
                }
                1..64 => {
                    name.extend(self.octets.get(at..=at + length)?);
                    at += 1 + length;
                }
                192.. => {
                    end = end.or(Some(at + 2));
                    let target = (length & 63) << 8 | usize::from(*self.octets.get(at + 1)?);
                    // Pointers lead back (RFC 1035 section 4.1.4), so this ends.
                    if target >= at {
                        return None;
                    }
                    at = target;
                }
                _ => return None,
            }
        }
    }
}

/// How the data of types with names in it is made: `n` a name, `s` a character string, a digit so many octets, `*` the
/// rest.
fn form(rtype: u16) -> &'static str {
    match rtype {
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => "n",
        6 => "nn*",
        14 | 17 => "nn",
        15 | 18 | 21 | 36 | 107 => "2n",
        26 => "2nn",
        33 => "6n",
        35 => "4sssn",
        46 => "99n*",
        47 => "n*",
        58 => "nn",
        64 | 65 => "2n*",
        _ => "*",
    }
}

fn data(reader: &mut Reader<'_>, rtype: u16, length: usize) -> Option<String> {
    let end = reader.at.checked_add(length).filter(|end| *end <= reader.octets.len())?;
    let mut text = String::new();
    let hex = |text: &mut String, octets: &[u8]| {
        octets.iter().for_each(|octet| write!(text, "{octet:02x}").expect("a string takes it"));
        text.push(' ');
    };
    for part in form(rtype).chars() {
        match part {
            'n' => text += &format!("{} ", shown(&reader.name()?)),
            's' => {
                let length = usize::from(*reader.octets.get(reader.at)?);
                hex(&mut text, reader.take(1 + length)?);
            }
            '*' => hex(&mut text, reader.take(end.checked_sub(reader.at)?)?),
            digit => hex(&mut text, reader.take(digit.to_digit(10)? as usize)?),
        }
    }
    (reader.at == end).then_some(text)
}

/// A name as text, in lower case.
pub fn shown(wire: &[u8]) -> String {
    written(&wire.to_ascii_lowercase())
}

/// A name as text.
fn written(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while wire[at] != 0 {
        let label = &wire[at + 1..at + 1 + usize::from(wire[at])];
        for octet in label {
            match octet {
                b'.' | b'\\' => write!(text, "\\{}", char::from(*octet)).expect("a string takes it"),
                b'!'..=b'~' => text.push(char::from(*octet)),
                _ => write!(text, "\\{octet:03}").expect("a string takes it"),
            }
        }
        text.push('.');
        at += 1 + label.len();
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn options(octets: &[u8]) -> Option<String> {
    let mut reader = Reader { octets, at: 0 };
    let mut options = Vec::new();
    while reader.at < octets.len() {
        let (code, length) = (reader.u16()?, reader.u16()?);
        let value = reader.take(length.into())?;
        options.push(match code {
            3 => format!("NSID {}", String::from_utf8_lossy(value)),
            // Each server has a secret of its own.
            10 => format!(
                "COOKIE of {} octets, of RFC 9018: {}",
                value.len(),
                value.get(8..12) == Some(&[1, 0, 0, 0])
            ),
            _ => format!("option {code} {value:?}"),
        });
    }
    options.sort();
    Some(options.join("\n"))
}

fn read(octets: &[u8]) -> Option<BTreeMap<Aspect, String>> {
    let mut reader = Reader { octets, at: 2 };
    let flags = reader.u16()?;
    let bit = |position: u16| (flags >> position & 1).to_string();
    let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let mut question = String::new();
    for _ in 0..counts[0] {
        let (name, rtype, class) = (reader.name()?, reader.u16()?, reader.u16()?);
        question += &format!("{} {class} {rtype}\n", written(&name));
    }
    let mut rcode = flags & 15;
    let (mut edns, mut carried) = ("none".to_owned(), String::new());
    let mut sections = [const { Vec::new() }; 3];
    for (position, count) in counts[1..].iter().enumerate() {
        for _ in 0..*count {
            let (name, rtype, class, ttl) = (reader.name()?, reader.u16()?, reader.u16()?, reader.u32()?);
            let length = usize::from(reader.u16()?);
            if rtype == 41 && position == 2 {
                rcode |= (ttl >> 24 << 4) as u16;
                edns = format!(
                    "{} version {} flags {:04x} size {class}",
                    shown(&name),
                    ttl >> 16 & 255,
                    ttl & 0xffff
                );
                carried = options(reader.take(length)?)?;
                continue;
            }
            let data = data(&mut reader, rtype, length)?;
            sections[position].push(format!("{} {ttl} {class} {rtype} {data}", shown(&name)));
        }
    }
    if reader.at != octets.len() {
        return None;
    }
    let [answer, authority, additional] = sections.map(|mut records| {
        records.sort();
        records.join("\n")
    });
    let header = format!(
        "QR {} opcode {} RD {} RA {} Z {} CD {}",
        bit(15),
        flags >> 11 & 15,
        bit(8),
        bit(7),
        bit(6),
        bit(4)
    );
    Some(BTreeMap::from([
        (Aspect::Reply, "a message".to_owned()),
        (Aspect::Rcode, rcode.to_string()),
        (Aspect::Header, header),
        (Aspect::Aa, bit(10)),
        (Aspect::Tc, bit(9)),
        (Aspect::Ad, bit(5)),
        (Aspect::Question, question),
        (Aspect::Answer, answer),
        (Aspect::Authority, authority),
        (Aspect::Additional, additional),
        (Aspect::Edns, edns),
        (Aspect::Options, carried),
    ]))
}
