//! Path attributes of a peer, with what RFC 7606 makes of each mistake.
//!
//! Whatever is wrong has a *disposition*: the attribute is discarded, the routes are treated as withdrawn, or the
//! session is reset; of several the strongest counts (section 3 h).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::super::wire::Fields;
use super::super::wire::notification::Notification;
use super::{Format, UNICAST, afi, as_path, prefixes};
use crate::names::Community;
use crate::routing::Family;

// Flags of RFC 4271 section 4.3.
const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const EXTENDED_LENGTH: u8 = 0x10;

// IANA's numbers of attributes.
pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
const MULTI_EXIT_DISC: u8 = 4;
const LOCAL_PREF: u8 = 5;
const ATOMIC_AGGREGATE: u8 = 6;
const AGGREGATOR: u8 = 7;
pub(super) const COMMUNITIES: u8 = 8;
const ORIGINATOR_ID: u8 = 9;
const CLUSTER_LIST: u8 = 10;
pub(super) const MP_REACH_NLRI: u8 = 14;
pub(super) const MP_UNREACH_NLRI: u8 = 15;
pub(super) const EXTENDED_COMMUNITIES: u8 = 16;
pub(super) const AS4_PATH: u8 = 17;
const AS4_AGGREGATOR: u8 = 18;
pub(super) const LARGE_COMMUNITIES: u8 = 32;
pub(super) const ONLY_TO_CUSTOMER: u8 = 35;

// Subcodes of RFC 4271 section 6.3.
const MALFORMED_LIST: u8 = 1;
const UNRECOGNIZED_WELL_KNOWN: u8 = 2;
const MISSING_WELL_KNOWN: u8 = 3;
const FLAGS_ERROR: u8 = 4;
const LENGTH_ERROR: u8 = 5;
const INVALID_ORIGIN: u8 = 6;
const INVALID_NEXT_HOP: u8 = 8;
const OPTIONAL_ATTRIBUTE: u8 = 9;
const MALFORMED_AS_PATH: u8 = 11;

/// RFC 7606 section 2, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disposition {
    /// The attribute is discarded, the rest counts.
    Discard,
    /// The routes are treated as withdrawn.
    Withdraw,
    /// The session is closed.
    Reset,
}

use Disposition::{Discard, Reset, Withdraw};

/// The attributes of one UPDATE.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Prefixes of the session's family in MP_REACH_NLRI, and their next hop.
    pub(super) reach: Option<(IpAddr, Vec<IpNet>)>,
    /// Those in MP_UNREACH_NLRI.
    pub(super) unreach: Vec<IpNet>,
    /// NEXT_HOP.
    pub(super) next_hop: Option<Ipv4Addr>,
    /// AS_PATH, with AS4_PATH merged into it.
    pub(super) as_path: Vec<u32>,
    pub(super) communities: BTreeSet<Community>,
    /// The strongest of everything that was wrong, and the NOTIFICATION that says it.
    pub(super) fault: Option<(Disposition, Notification)>,
}

/// What is wrong with a value: how bad, and the subcode.
type Fault = (Disposition, u8);

/// Reads the path attributes field. `in_body`: prefixes follow it.
pub(super) fn read(octets: &[u8], format: Format, peer: IpAddr, in_body: bool) -> Attributes {
    let mut reader = Reader {
        format,
        peer,
        seen: [false; 256],
        announces: false,
        as4_path: None,
        aggregated: None,
        found: Attributes::default(),
    };
    let mut fields = Fields(octets);
    while !fields.is_empty() {
        match split(&mut fields) {
            Ok(attribute) => reader.attribute(&attribute),
            Err(kind) => {
                // RFC 7606 section 4: where the list ends is known all the same, unless prefixes are lost with it.
                let lost = matches!(kind, Some(MP_REACH_NLRI | MP_UNREACH_NLRI));
                reader.fault((if lost { Reset } else { Withdraw }, MALFORMED_LIST), &[]);
                break;
            }
        }
    }
    reader.finish(in_body)
}

/// One attribute, split off.
struct Attribute<'a> {
    flags: u8,
    kind: u8,
    value: &'a [u8],
    /// All of it, for NOTIFICATIONs.
    whole: &'a [u8],
}

/// Splits one attribute off; its type, if known, when it overruns the list.
fn split<'a>(fields: &mut Fields<'a>) -> Result<Attribute<'a>, Option<u8>> {
    let start = fields.0;
    let flags = fields.octet().ok_or(None)?;
    let kind = fields.octet().ok_or(None)?;
    let length = if flags & EXTENDED_LENGTH == 0 { fields.octet().map(u16::from) } else { fields.short() };
    let length = length.ok_or(Some(kind))?;
    let value = fields.take(length.into()).ok_or(Some(kind))?;
    Ok(Attribute { flags, kind, value, whole: &start[..start.len() - fields.0.len()] })
}

/// What the flags of an attribute must be; `None` for those that we do not know.
fn flags_of(kind: u8) -> Option<u8> {
    match kind {
        ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF | ATOMIC_AGGREGATE => Some(TRANSITIVE),
        MULTI_EXIT_DISC | ORIGINATOR_ID | CLUSTER_LIST | MP_REACH_NLRI | MP_UNREACH_NLRI => Some(OPTIONAL),
        AGGREGATOR | COMMUNITIES | EXTENDED_COMMUNITIES | AS4_PATH | AS4_AGGREGATOR | LARGE_COMMUNITIES
        | ONLY_TO_CUSTOMER => Some(OPTIONAL | TRANSITIVE),
        _ => None,
    }
}

struct Reader {
    format: Format,
    peer: IpAddr,
    seen: [bool; 256],
    /// MP_REACH_NLRI has prefixes, of whatever family.
    announces: bool,
    as4_path: Option<Vec<u32>>,
    /// The AS number in AGGREGATOR.
    aggregated: Option<u32>,
    found: Attributes,
}

impl Reader {
    fn attribute(&mut self, attribute: &Attribute<'_>) {
        let kind = attribute.kind;
        if std::mem::replace(&mut self.seen[usize::from(kind)], true) {
            // RFC 7606 section 3 (g): prefixes twice are a reset, of any other the first counts.
            let twice = matches!(kind, MP_REACH_NLRI | MP_UNREACH_NLRI);
            return self.fault((if twice { Reset } else { Discard }, MALFORMED_LIST), &[]);
        }
        let judged = match flags_of(kind) {
            // RFC 7606 sections 7.5, 7.9 and 7.10: not for external peers to send, in whatever shape.
            Some(_) if matches!(kind, LOCAL_PREF | ORIGINATOR_ID | CLUSTER_LIST) => Ok(()),
            // RFC 7606 section 3 (c); prefixes that cannot be relied upon are a reset (section 5.3).
            Some(flags) if attribute.flags & (OPTIONAL | TRANSITIVE) != flags => {
                let prefixes = matches!(kind, MP_REACH_NLRI | MP_UNREACH_NLRI);
                Err((if prefixes { Reset } else { Withdraw }, FLAGS_ERROR))
            }
            Some(_) => self.value(kind, attribute.value),
            None if attribute.flags & OPTIONAL != 0 => Ok(()),
            // RFC 4271 section 6.3, which RFC 7606 left as it was.
            None => Err((Reset, UNRECOGNIZED_WELL_KNOWN)),
        };
        if let Err(fault) = judged {
            // RFC 4271 section 6: data go only where they are prescribed.
            let data = if fault.1 == MALFORMED_AS_PATH { &[] } else { attribute.whole };
            self.fault(fault, data);
        }
    }

    fn value(&mut self, kind: u8, value: &[u8]) -> Result<(), Fault> {
        match (kind, value) {
            (ORIGIN, [0..=2]) => {}
            (ORIGIN, [_]) => return Err((Withdraw, INVALID_ORIGIN)),
            (AS_PATH, value) => {
                let path = as_path::read(value, self.format.four_octet_as);
                self.found.as_path = path.ok_or((Withdraw, MALFORMED_AS_PATH))?;
            }
            (NEXT_HOP, &[a, b, c, d]) => self.next_hop([a, b, c, d].into())?,
            (MULTI_EXIT_DISC, [_, _, _, _]) => {}
            (ATOMIC_AGGREGATE, []) => {}
            (ATOMIC_AGGREGATE, _) => return Err((Discard, LENGTH_ERROR)),
            (AGGREGATOR, value) => self.aggregator(value)?,
            (COMMUNITIES, value) => self.standard(value).ok_or((Withdraw, LENGTH_ERROR))?,
            (EXTENDED_COMMUNITIES, value) => self.extended(value).ok_or((Withdraw, LENGTH_ERROR))?,
            (LARGE_COMMUNITIES, value) => self.large(value).ok_or((Withdraw, LENGTH_ERROR))?,
            (MP_REACH_NLRI, value) => self.reach(value)?,
            (MP_UNREACH_NLRI, value) => self.unreach(value).ok_or((Reset, OPTIONAL_ATTRIBUTE))?,
            // RFC 6793 section 6: of no use to a speaker of four octets; else the attribute alone is at stake.
            (AS4_PATH | AS4_AGGREGATOR, _) if self.format.four_octet_as => {}
            (AS4_PATH, value) => {
                let path = as_path::read(value, true).filter(|path| !path.is_empty());
                self.as4_path = Some(path.ok_or((Discard, OPTIONAL_ATTRIBUTE))?);
            }
            // RFC 7607 section 2: nobody is AS 0.
            (AS4_AGGREGATOR, [asn @ .., _, _, _, _]) if asn.len() == 4 && asn != [0; 4] => {}
            (AS4_AGGREGATOR, _) => return Err((Discard, OPTIONAL_ATTRIBUTE)),
            // RFC 9234 section 5.
            (ONLY_TO_CUSTOMER, [_, _, _, _]) => {}
            _ => return Err((Withdraw, LENGTH_ERROR)),
        }
        Ok(())
    }

    /// RFC 7606 section 7.3: one that no host can have. The peer's own is good whatever range it is of: we are talking
    /// to it.
    fn next_hop(&mut self, address: Ipv4Addr) -> Result<(), Fault> {
        let impossible = address.octets()[0] == 0 || address.octets()[0] >= 224 || address.is_loopback();
        if impossible && self.peer != address {
            return Err((Withdraw, INVALID_NEXT_HOP));
        }
        self.found.next_hop = Some(address);
        Ok(())
    }

    /// RFC 7606 section 7.7.
    fn aggregator(&mut self, value: &[u8]) -> Result<(), Fault> {
        let mut fields = Fields(value);
        let asn = if self.format.four_octet_as { fields.long() } else { fields.short().map(u32::from) };
        // RFC 7607 section 2: nobody is AS 0.
        let asn = asn.filter(|asn| *asn != 0 && fields.0.len() == 4).ok_or((Discard, OPTIONAL_ATTRIBUTE))?;
        self.aggregated = Some(asn);
        Ok(())
    }

    fn standard(&mut self, value: &[u8]) -> Option<()> {
        let read = |&[a, b, c, d]: &[u8; 4]| {
            Community::Standard(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        };
        self.found.communities.extend(pieces(value)?.iter().map(read));
        Some(())
    }

    fn extended(&mut self, value: &[u8]) -> Option<()> {
        let read = |octets: &[u8; 8]| Community::Extended(u64::from_be_bytes(*octets));
        self.found.communities.extend(pieces(value)?.iter().map(read));
        Some(())
    }

    /// RFC 8092 section 5.
    fn large(&mut self, value: &[u8]) -> Option<()> {
        let numbers = pieces(value)?;
        let numbers: Vec<u32> = numbers.iter().map(|octets| u32::from_be_bytes(*octets)).collect();
        let (large, []) = numbers.as_chunks::<3>() else { return None };
        self.found.communities.extend(large.iter().map(|&[a, b, c]| Community::Large(a, b, c)));
        Some(())
    }

    /// RFC 4760 section 3. RFC 7606 section 7.11: with a next hop of the wrong length the prefixes are lost.
    fn reach(&mut self, value: &[u8]) -> Result<(), Fault> {
        let broken = (Reset, OPTIONAL_ATTRIBUTE);
        let mut fields = Fields(value);
        let (family, safi) = fields.short().zip(fields.octet()).ok_or(broken)?;
        let length = fields.octet().ok_or(broken)?;
        let hop = fields.take(length.into()).ok_or(broken)?;
        let _reserved = fields.octet().ok_or(broken)?;
        self.announces |= !fields.is_empty();
        if !self.is_ours(family, safi) {
            return Ok(());
        }
        let read = prefixes(fields.0, self.format.family).ok_or(broken)?;
        let (hop, impossible) = match self.format.family {
            Family::V4 => {
                let hop = Ipv4Addr::from(<[u8; 4]>::try_from(hop).map_err(|_| broken)?);
                (IpAddr::V4(hop), hop.is_unspecified() || hop.is_multicast())
            }
            // RFC 2545 section 3: a link-local one may follow.
            Family::V6 if hop.len() == 16 || hop.len() == 32 => {
                let hop = Ipv6Addr::from(hop.first_chunk::<16>().copied().ok_or(broken)?);
                (IpAddr::V6(hop), hop.is_unspecified() || hop.is_multicast() || hop.is_loopback())
            }
            Family::V6 => return Err(broken),
        };
        self.found.reach = Some((hop, read));
        if impossible && self.peer != hop { Err((Withdraw, INVALID_NEXT_HOP)) } else { Ok(()) }
    }

    /// RFC 4760 section 4.
    fn unreach(&mut self, value: &[u8]) -> Option<()> {
        let mut fields = Fields(value);
        let (family, safi) = (fields.short()?, fields.octet()?);
        if self.is_ours(family, safi) {
            self.found.unreach = prefixes(fields.0, self.format.family)?;
        }
        Some(())
    }

    fn is_ours(&self, family: u16, safi: u8) -> bool {
        (family, safi) == (afi(self.format.family), UNICAST)
    }

    fn fault(&mut self, (disposition, subcode): Fault, data: &[u8]) {
        if self.found.fault.as_ref().is_none_or(|(worst, _)| *worst < disposition) {
            self.found.fault = Some((disposition, Notification::update(subcode, data)));
        }
    }

    /// What can be judged only when all attributes are there.
    fn finish(mut self, in_body: bool) -> Attributes {
        let has = |kind: u8| self.seen[usize::from(kind)];
        let either = in_body || has(MP_REACH_NLRI);
        let mandatory = [(ORIGIN, either), (AS_PATH, either), (NEXT_HOP, in_body)];
        // RFC 7606 section 3 (d).
        if let Some((kind, _)) = mandatory.into_iter().find(|(kind, needed)| *needed && !has(*kind)) {
            self.fault((Withdraw, MISSING_WELL_KNOWN), &[kind]);
        }
        // RFC 7606 section 5.2: with nothing announced there is nothing to withdraw instead.
        if !(in_body || self.announces)
            && let Some((disposition @ Withdraw, _)) = &mut self.found.fault
        {
            *disposition = Reset;
        }
        // RFC 6793 section 4.2.3: an aggregator that shortened nothing has made AS4_PATH stale.
        if self.aggregated.is_none_or(|asn| asn == u32::from(super::super::wire::open::AS_TRANS)) {
            self.found.as_path = as_path::merged(self.found.as_path, self.as4_path);
        }
        self.found
    }
}

/// Pieces of `N` octets; `None` if there is none, or something is left over.
fn pieces<const N: usize>(value: &[u8]) -> Option<&[[u8; N]]> {
    match value.as_chunks() {
        (pieces, []) if !pieces.is_empty() => Some(pieces),
        _ => None,
    }
}
