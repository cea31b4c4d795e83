//! Reading and writing zone files (RFC 1035 section 5, RFC 2308 section 4, RFC 3597 section 5).
//!
//! ```text
//! text ─lexer→ entries of tokens ─entry→ owner, TTL, type ─fields→ data ─→ ZoneBuilder ─integrity→ Zone
//! ```
//!
//! An entry that is at fault is skipped, and reading goes on with the next one, so that all faults come out together,
//! each with its place. A reader of our own because the available scanners stop at the first fault and do not say
//! what they expected there. The text is hostile: nothing here recurses, and memory is bounded by the text's length.

use std::collections::HashMap;

use super::rdata::{self, rtype, type_number};
use super::zone::{Zone, ZoneBuilder, ZoneFault};
use crate::finding::{Finding, Position};
use crate::names::{DomainName, Serial};
use fields::Cursor;
use lexer::{Entry, Lexer, Token};

mod fields;
mod generate;
mod grammar;
mod integrity;
mod lexer;
mod mnemonic;
mod params;
mod spelling;
mod text;
mod write;

pub(crate) use spelling::text_of;
pub(crate) use write::generic;
pub use write::write;

/// The longest text that is read, in octets.
const MAX_TEXT: usize = 256 << 20;
/// After so many faults the rest is not looked at.
const MAX_FAULTS: usize = 50;

/// Something wrong at a place of the text.
#[derive(Debug)]
struct Fault {
    /// Octets from the start; `None` for a fault of the whole.
    at: Option<usize>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Reads a zone file. `path` is for messages only; `apex` is the first origin; `serial` replaces the SOA's serial, unless
/// the zone is sealed: a signature over its SOA record, or a digest over all of it (ZONEMD), would break with it.
///
/// Either the zone or everything that is wrong with it, in the order of the text.
pub fn read(path: &str, text: &str, apex: &DomainName, serial: Option<Serial>) -> Result<Zone, Vec<Finding>> {
    if text.len() > MAX_TEXT {
        let message =
            format!("the zone file has {} octets, more than the {MAX_TEXT} that are read", text.len());
        let hint = Some("serve so large a zone as a secondary zone".to_owned());
        return Err(vec![Finding { path: path.to_owned(), position: None, message, hint }]);
    }
    let mut reader = Reader::new(apex);
    let mut lexer = Lexer::new(text);
    let mut faults = Vec::new();
    while let Some(entry) = lexer.next_entry() {
        if let Err(fault) = entry.and_then(|entry| reader.entry(&entry)) {
            faults.push(fault);
            if faults.len() == MAX_FAULTS {
                let rest = format!("after {MAX_FAULTS} faults, what follows was not looked at");
                faults.push(Fault::at(text.len(), rest));
                break;
            }
        }
    }
    match reader.finish(faults.is_empty(), serial) {
        Ok(zone) if faults.is_empty() => return Ok(zone),
        Ok(_) => (),
        Err(more) => faults.extend(more),
    }
    faults.sort_by_key(|fault| fault.at);
    let lines = Lines::of(text);
    let found = |fault: Fault| Finding {
        path: path.to_owned(),
        position: fault.at.map(|at| lines.position(at)),
        message: fault.message,
        hint: fault.hint,
    };
    Err(faults.into_iter().map(found).collect())
}

/// Where the lines of a text start.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn position(&self, at: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        let before = self.text.get(self.starts[line]..at).unwrap_or_default();
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Position { line: number(line), column: number(before.chars().count()) }
    }
}

/// Whose record an indented entry is.
enum Owner {
    None,
    Misread,
    Known(DomainName),
}

/// What earlier entries left for later ones, and the zone so far.
struct Reader<'a> {
    apex: &'a DomainName,
    origin: DomainName,
    owner: Owner,
    /// `$TTL`.
    default_ttl: Option<u32>,
    /// The last TTL that a record had written out.
    last_ttl: Option<u32>,
    builder: ZoneBuilder,
    /// Where each owner first stands.
    owners: HashMap<DomainName, usize>,
    /// Whether the SOA record must stay as it is written.
    sealed: bool,
    /// How much text `$GENERATE` made, in octets.
    generated: usize,
}

impl<'a> Reader<'a> {
    fn new(apex: &'a DomainName) -> Self {
        Self {
            apex,
            origin: apex.clone(),
            owner: Owner::None,
            default_ttl: None,
            last_ttl: None,
            builder: ZoneBuilder::new(apex.clone()),
            owners: HashMap::new(),
            sealed: false,
            generated: 0,
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        if entry.tokens.first().is_some_and(|first| !first.quoted && first.raw.starts_with('$')) {
            return self.directive(entry);
        }
        let origin = self.origin.clone();
        let mut cursor = Cursor::new(entry, &origin);
        if !entry.indented {
            self.owner = Owner::Misread;
            self.owner = Owner::Known(cursor.domain_name()?);
        }
        let owner = match &self.owner {
            Owner::Known(owner) => owner.clone(),
            // That was a fault of its own already.
            Owner::Misread => return Ok(()),
            Owner::None => {
                return Err(Fault::at(entry.at, "this record has no owner, and none stands before it")
                    .hint("start the line with a name, or with @ for the zone itself"));
            }
        };
        self.record(entry.at, &owner, &mut cursor)
    }

    fn directive(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        let origin = self.origin.clone();
        let mut cursor = Cursor::new(entry, &origin);
        let name = cursor.next("a directive")?;
        match name.raw.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.origin = cursor.domain_name()?,
            "$TTL" => self.default_ttl = Some(fields::ttl(cursor.next("a TTL")?)?),
            "$GENERATE" => return self.generate(entry.at, &mut cursor),
            // What a commit changes must be seen in the file that it changes.
            "$INCLUDE" => {
                return Err(Fault::at(name.at, "$INCLUDE is not supported: a zone is one file")
                    .hint("put the records here"));
            }
            _ => {
                return Err(Fault::at(name.at, format!("{} is not a directive", text::shown(name.raw)))
                    .hint("$ORIGIN, $TTL and $GENERATE are"));
            }
        }
        cursor.end()
    }

    fn record(&mut self, at: usize, owner: &DomainName, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let (ttl, rtype) = Self::ttl_and_type(cursor)?;
        let data = fields::data(rtype, cursor)?;
        self.add(at, owner, ttl, rtype, &data)
    }

    /// Adds a record; without a TTL of its own it takes the one that counts here.
    fn add(
        &mut self,
        at: usize,
        owner: &DomainName,
        ttl: Option<u32>,
        rtype: u16,
        data: &[u8],
    ) -> Result<(), Fault> {
        if !owner.is_within(self.apex) {
            return Err(Fault::at(at, format!("{owner} is not in the zone {}", self.apex))
                .hint("a name without a final dot is relative to the zone, or to $ORIGIN"));
        }
        self.last_ttl = ttl.or(self.last_ttl);
        let ttl = match ttl.or(self.default_ttl).or(self.last_ttl) {
            Some(ttl) => ttl,
            // RFC 1035 had no $TTL: what comes without a TTL takes the SOA's minimum.
            None if rtype == rtype::SOA => {
                let minimum = data.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
                self.last_ttl = Some(minimum);
                minimum
            }
            None => {
                return Err(Fault::at(at, "this record has no TTL, and no $TTL stands before it")
                    .hint("write `$TTL 3600` as the first line"));
            }
        };
        self.builder
            .push(owner, rtype, ttl, data)
            .map_err(|fault| Fault { at: Some(at), ..Fault::of_zone(&fault) })?;
        let signs_soa = rtype == rtype::RRSIG && data.starts_with(&rtype::SOA.to_be_bytes());
        self.sealed |= (signs_soa || rtype == rtype::ZONEMD) && owner == self.apex;
        if !self.owners.contains_key(owner) {
            self.owners.insert(owner.clone(), at);
        }
        Ok(())
    }

    /// TTL and class in either order, if at all, then the type.
    fn ttl_and_type(cursor: &mut Cursor<'_>) -> Result<(Option<u32>, u16), Fault> {
        let (mut ttl, mut class) = (None, false);
        loop {
            let token = cursor.next("a record type")?;
            if token.quoted {
                return Err(Fault::at(token.at, "expected a record type, not a string"));
            }
            if ttl.is_none() && token.raw.starts_with(|first: char| first.is_ascii_digit()) {
                ttl = Some(fields::ttl(token)?);
            } else if !class && is_class(token) {
                class = true;
                if !token.raw.eq_ignore_ascii_case("IN") && !token.raw.eq_ignore_ascii_case("CLASS1") {
                    return Err(Fault::at(token.at, format!("class {} is not served, only IN", token.raw)));
                }
            } else if let Some(rtype) = type_number(token.raw) {
                if rdata::is_meta(rtype) {
                    return Err(Fault::at(token.at, format!("{} is not a type for a zone", token.raw)));
                }
                return Ok((ttl, rtype));
            } else {
                let shown = text::shown(token.raw);
                return Err(Fault::at(token.at, format!("expected a record type, not {shown}")).hint(
                    "a type without a name here is written TYPE65280 \\# 2 abcd: its number, the length, the octets",
                ));
            }
        }
    }

    /// The zone, if it can be one. `whole` says that no entry was left out: else what is missing is no fault.
    fn finish(mut self, whole: bool, serial: Option<Serial>) -> Result<Zone, Vec<Fault>> {
        if let Some(serial) = serial.filter(|_| !self.sealed) {
            self.builder.set_serial(serial);
        }
        let owners = self.owners;
        let place =
            |fault: &ZoneFault| Fault { at: owners.get(fault.owner()).copied(), ..Fault::of_zone(fault) };
        let zone = match self.builder.finish() {
            Ok(zone) => zone,
            Err(faults) => {
                let missing = |fault: &ZoneFault| matches!(fault, ZoneFault::NoSoa(_) | ZoneFault::NoNs(_));
                let faults = faults.iter().filter(|fault| whole || !missing(fault));
                return Err(faults.take(MAX_FAULTS).map(place).collect());
            }
        };
        if whole {
            let faults = integrity::faults(&zone, |owner| owners.get(owner).copied());
            if !faults.is_empty() {
                return Err(faults);
            }
        }
        Ok(zone)
    }
}

fn is_class(token: &Token<'_>) -> bool {
    let known = ["IN", "CH", "HS", "CS", "ANY", "NONE"];
    let numbered = |raw: &str| {
        raw.split_at_checked(5).is_some_and(|(prefix, digits)| {
            prefix.eq_ignore_ascii_case("CLASS") && digits.bytes().all(|octet| octet.is_ascii_digit())
        })
    };
    known.iter().any(|class| token.raw.eq_ignore_ascii_case(class)) || numbered(token.raw)
}

impl Fault {
    /// A fault of the records together; the caller knows where it stands.
    fn of_zone(fault: &ZoneFault) -> Self {
        let hint = match fault {
            ZoneFault::NoSoa(_) => Some("add `@ SOA ns1 hostmaster 1 2h 30m 30d 1h`"),
            ZoneFault::NoNs(_) => Some("add `@ NS` with the name of each name server"),
            ZoneFault::CnameAndOther(_) => Some("an alias has no data of its own: remove one or the other"),
            ZoneFault::SoaBelowApex(_) => {
                Some("a name with a SOA is a zone of its own, in a file of its own")
            }
            ZoneFault::ManySoa(_) | ZoneFault::ManyCname(_) | ZoneFault::ManyDname(_) => Some("keep one"),
            ZoneFault::OutOfZone { .. }
            | ZoneFault::Malformed { .. }
            | ZoneFault::NotForZones { .. }
            | ZoneFault::SetTooLarge { .. }
            | ZoneFault::ZoneTooLarge(_) => None,
        };
        Self { at: None, message: fault.to_string(), hint: hint.map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests;
