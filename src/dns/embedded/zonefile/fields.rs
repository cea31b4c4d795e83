//! The fields of a record, from its tokens to its data.

use super::lexer::{Entry, Token};
use super::{Fault, grammar, mnemonic, params, text};
use crate::dns::embedded::rdata::{self, Field, type_name, type_number};
use crate::names::DomainName;

/// The tokens of an entry that are not read yet.
pub(super) struct Cursor<'e> {
    tokens: std::slice::Iter<'e, Token<'e>>,
    /// What relative names end in.
    pub(super) origin: &'e DomainName,
    end: usize,
}

impl<'e> Cursor<'e> {
    pub(super) fn new(entry: &'e Entry<'e>, origin: &'e DomainName) -> Self {
        Self { tokens: entry.tokens.iter(), origin, end: entry.end }
    }

    /// The next token; `expected` is for the message if there is none.
    pub(super) fn next(&mut self, expected: &str) -> Result<&'e Token<'e>, Fault> {
        self.tokens
            .next()
            .ok_or_else(|| Fault::at(self.end, format!("expected {expected}, but the record ends here")))
    }

    /// The tokens that are left.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = &'e Token<'e>> + use<'e> {
        std::mem::take(&mut self.tokens)
    }

    /// The next token, read by `read`.
    pub(super) fn read<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        let token = self.next(expected)?;
        let value = if token.quoted { None } else { read(token.raw) };
        value.ok_or_else(|| wrong(token, expected))
    }

    /// The next token as a name, in the case that it is written in.
    pub(super) fn name(&mut self) -> Result<Vec<u8>, Fault> {
        let token = self.next("a domain name")?;
        if token.quoted {
            return Err(wrong(token, "a domain name"));
        }
        text::name(token.raw, self.origin.as_wire()).map_err(|why| {
            Fault::at(token.at, format!("{} is not a domain name: {why}", text::shown(token.raw)))
        })
    }

    /// The next token as a name.
    pub(super) fn domain_name(&mut self) -> Result<DomainName, Fault> {
        let at = self.tokens.as_slice().first().map_or(self.end, |token| token.at);
        DomainName::from_wire(&self.name()?).ok_or_else(|| Fault::at(at, "expected a domain name"))
    }

    /// The next token as a duration.
    fn duration(&mut self) -> Result<u32, Fault> {
        duration(self.next("a duration")?)
    }

    /// Refuses what is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.tokens.next() {
            None => Ok(()),
            Some(token) => {
                let message = format!("expected the end of the record, not {}", text::shown(token.raw));
                Err(Fault::at(token.at, message).hint("put text with spaces in quotes, comments after ;"))
            }
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.tokens.as_slice().is_empty()
    }

    /// Where the entry ends.
    pub(super) fn end_at(&self) -> usize {
        self.end
    }

    /// What is left, joined: hexadecimal and base64 may be broken by white space.
    pub(super) fn joined(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Fault> {
        let first = self.next(expected)?;
        let mut joined = first.raw.to_owned();
        joined.extend(self.rest().map(|token| token.raw));
        read(&joined).filter(|octets| !octets.is_empty()).ok_or_else(|| wrong(first, expected))
    }
}

/// A fault of a token that is not what it should be.
pub(super) fn wrong(token: &Token<'_>, expected: &str) -> Fault {
    Fault::at(token.at, format!("expected {expected}, not {}", text::shown(token.raw)))
}

/// A token as seconds.
pub(super) fn duration(token: &Token<'_>) -> Result<u32, Fault> {
    text::duration(token.raw)
        .filter(|_| !token.quoted)
        .ok_or_else(|| wrong(token, "seconds up to 4294967295").hint("units may follow: 1w2d3h4m5s"))
}

/// A token as a TTL. More than 31 bits count as none when it is stored (RFC 2181 section 8), as with BIND, NSD and Knot.
pub(super) fn ttl(token: &Token<'_>) -> Result<u32, Fault> {
    duration(token)
}

/// A plain decimal number.
pub(super) fn number<T: std::str::FromStr>(raw: &str) -> Option<T> {
    raw.bytes().all(|octet| octet.is_ascii_digit()).then(|| raw.parse().ok())?
}

/// The data of a record of a type, in wire form, from all the tokens that are left.
pub(super) fn data(rtype: u16, cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Fault> {
    let first = cursor.tokens.as_slice().first();
    if let Some(marker) = first.filter(|token| !token.quoted && token.raw == "\\#") {
        return generic(rtype, marker.at, cursor);
    }
    let Some(fields) = rdata::fields(rtype) else {
        let at = first.map_or(cursor.end, |token| token.at);
        return Err(generic_only(at));
    };
    let start = first.map_or(cursor.end, |token| token.at);
    let mut data = Vec::new();
    for &field in fields {
        octets_of(field, cursor, &mut data)?;
    }
    cursor.end()?;
    if !rdata::is_well_formed(rtype, &data) {
        let message = format!("this is more than one {} record can hold", type_name(rtype));
        return Err(Fault::at(start, message));
    }
    Ok(data)
}

/// RFC 3597 section 5: `\#`, the length, the octets.
fn generic(rtype: u16, at: usize, cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Fault> {
    cursor.next("\\#")?;
    let length: u16 = cursor.read("the length, up to 65535", number)?;
    let digits: String = cursor.rest().map(|token| token.raw).collect();
    let data = text::hex(&digits)
        .ok_or_else(|| Fault::at(at, "expected octets in hexadecimal after \\# and the length"))?;
    if data.len() != usize::from(length) {
        return Err(Fault::at(at, format!("{length} octets are announced, but {} follow", data.len())));
    }
    if !rdata::is_well_formed(rtype, &data) {
        return Err(Fault::at(at, format!("these octets are not the data of a {} record", type_name(rtype))));
    }
    Ok(data)
}

fn generic_only(at: usize) -> Fault {
    Fault::at(at, "the data of this type is only read in its generic form")
        .hint("write \\#, the length, and the octets in hexadecimal (RFC 3597)")
}

fn octets_of(field: Field, cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    match field {
        Field::U8 => data.push(cursor.read("a number up to 255", number)?),
        Field::U16 => data.extend(cursor.read("a number up to 65535", number::<u16>)?.to_be_bytes()),
        Field::U32 => data.extend(cursor.read("a number up to 4294967295", number::<u32>)?.to_be_bytes()),
        Field::Duration => data.extend(cursor.duration()?.to_be_bytes()),
        Field::Time => {
            let time = cursor.read("a time as YYYYMMDDHHmmSS, or seconds since 1970", text::time)?;
            data.extend(time.to_be_bytes());
        }
        Field::Type => data.extend(cursor.read("a record type", type_number)?.to_be_bytes()),
        Field::Ipv4 => {
            let address: std::net::Ipv4Addr = cursor.read("an IPv4 address", |raw| raw.parse().ok())?;
            data.extend(address.octets());
        }
        Field::Ipv6 => {
            let address: std::net::Ipv6Addr = cursor.read("an IPv6 address", |raw| raw.parse().ok())?;
            data.extend(address.octets());
        }
        Field::Name => data.extend(cursor.name()?),
        Field::Text => {
            let token = cursor.next("a text")?;
            text_of(token, data)?;
        }
        Field::Texts => {
            text_of(cursor.next("a text")?, data)?;
            for token in cursor.rest() {
                text_of(token, data)?;
            }
        }
        Field::TextToEnd => {
            let token = cursor.next("a text")?;
            data.extend(string_of(token)?);
        }
        Field::Hex => data.extend(cursor.joined("octets in hexadecimal", text::hex)?),
        Field::Base64 => data.extend(cursor.joined("octets in base64", text::base64)?),
        Field::Salt => {
            let salt = |raw: &str| if raw == "-" { Some(Vec::new()) } else { text::hex(raw) };
            counted(
                cursor.read("a salt in hexadecimal, or -", |raw| salt(raw).filter(|salt| short(salt)))?,
                data,
            );
        }
        Field::Hash => {
            counted(
                cursor.read("a hash in base32hex", |raw| text::base32hex(raw).filter(|hash| short(hash)))?,
                data,
            );
        }
        Field::Types => bitmap(cursor, data)?,
        Field::Params => params::data(cursor, data)?,
        Field::Algorithm => {
            let read = |raw: &str| number(raw).or_else(|| mnemonic::algorithm(raw));
            data.push(cursor.read("an algorithm: a number up to 255, or its name", read)?);
        }
        Field::Certificate => {
            let read = |raw: &str| number(raw).or_else(|| mnemonic::certificate(raw));
            let kind: u16 = cursor.read("a kind of certificate: a number up to 65535, or its name", read)?;
            data.extend(kind.to_be_bytes());
        }
        Field::Groups => {
            let groups = |raw: &str| text::grouped(raw, ':', 4).filter(|octets| octets.len() == 8);
            data.extend(
                cursor.read("four groups of up to four hexadecimal digits, with : between them", groups)?,
            );
        }
        Field::Pairs(count) => {
            let pairs = |raw: &str| text::grouped(raw, '-', 2).filter(|octets| octets.len() == count);
            data.extend(cursor.read("pairs of hexadecimal digits, with - between them", pairs)?);
        }
        Field::Base64OrNone if cursor.is_at_end() => (),
        Field::Base64OrNone => data.extend(cursor.joined("octets in base64", text::base64)?),
        Field::TextOrNone if cursor.is_at_end() => (),
        Field::TextOrNone => text_of(cursor.next("a text")?, data)?,
        Field::Dotted => {
            let dotted = |raw: &str| {
                let digits = raw.strip_prefix("0x").or_else(|| raw.strip_prefix("0X"))?;
                text::hex(&digits.replace('.', "")).filter(|octets| !octets.is_empty())
            };
            data.extend(cursor.read("0x and octets in hexadecimal", dotted)?);
        }
        Field::Location => grammar::location(cursor, data)?,
        Field::Prefixes => grammar::prefixes(cursor, data)?,
        Field::HostIdentity => grammar::host_identity(cursor, data)?,
        Field::Gateway => grammar::gateway(cursor, data)?,
        Field::Relay => grammar::relay(cursor, data)?,
        Field::Opaque => return Err(generic_only(cursor.end)),
    }
    Ok(())
}

fn short(octets: &[u8]) -> bool {
    octets.len() <= 255
}

fn counted(octets: Vec<u8>, data: &mut Vec<u8>) {
    data.push(u8::try_from(octets.len()).unwrap_or(u8::MAX));
    data.extend(octets);
}

pub(super) fn string_of(token: &Token<'_>) -> Result<Vec<u8>, Fault> {
    text::string(token.raw)
        .map_err(|why| Fault::at(token.at, format!("{} is not a text: {why}", text::shown(token.raw))))
}

fn text_of(token: &Token<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let octets = string_of(token)?;
    if !short(&octets) {
        return Err(Fault::at(
            token.at,
            format!("a text has at most 255 octets, this one has {}", octets.len()),
        )
        .hint("split it: \"…\" \"…\" are joined by those who read TXT"));
    }
    counted(octets, data);
    Ok(())
}

/// RFC 4034 section 4.1.2: windows of 256 types, each a bitmap without its trailing zero octets.
fn bitmap(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let mut types = std::collections::BTreeSet::new();
    for token in cursor.rest() {
        types.insert(type_number(token.raw).ok_or_else(|| wrong(token, "a record type"))?);
    }
    let types: Vec<u16> = types.into_iter().collect();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0_u8; 32];
        for rtype in window {
            bits[usize::from(rtype & 0xff) / 8] |= 0x80 >> (rtype % 8);
        }
        let length = bits.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        data.push(u8::try_from(window[0] >> 8).unwrap_or(u8::MAX));
        counted(bits[..length].to_vec(), data);
    }
    Ok(())
}
