//! UPDATE: what a peer offers, read out of a message (RFC 4271 section 4.3, RFC 4760, RFC 7606).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::wire::Fields;
use super::wire::notification::Notification;
use crate::names::Community;
use crate::routing::Family;

mod as_path;
mod attributes;
mod write;

pub(super) use write::{announce, end_of_rib, withdraw};

use attributes::{Attributes, Disposition};

/// The SAFI is always unicast.
pub(super) const UNICAST: u8 = 1;

// Subcodes of RFC 4271 section 6.3.
const MALFORMED_ATTRIBUTE_LIST: u8 = 1;
const INVALID_NETWORK_FIELD: u8 = 10;

/// How UPDATEs are read and written on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// The one family of the session.
    pub(super) family: Family,
    /// AS numbers have four octets (RFC 6793).
    pub(super) four_octet_as: bool,
    /// The largest message, in octets (RFC 8654).
    pub(super) message_limit: usize,
}

/// What a peer says of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRoute {
    /// AS numbers, the peer's own first.
    pub as_path: Vec<u32>,
    /// Standard, large and extended communities.
    pub communities: BTreeSet<Community>,
    /// Where the traffic goes.
    pub next_hop: IpAddr,
}

/// What one UPDATE changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Offer {
    /// No longer offered.
    pub(super) withdrawn: Vec<IpNet>,
    /// Offered, with one set of attributes.
    pub(super) announced: Vec<IpNet>,
    /// The attributes; there if anything is announced.
    pub(super) route: Option<ReceivedRoute>,
    /// RFC 7606: what was malformed and made good.
    pub(super) mended: Option<Mended>,
}

/// What RFC 7606 did with an UPDATE that was malformed, instead of closing the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mended {
    /// The routes were withdrawn, not only an attribute discarded.
    pub(super) withdrawn: bool,
    /// What the session would have been closed with before RFC 7606.
    pub(super) fault: Notification,
    /// The UPDATE without its header, for whoever has to find out what is wrong with it (section 6).
    pub(super) body: Vec<u8>,
}

/// IANA's number of a family.
pub(super) fn afi(family: Family) -> u16 {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

/// Reads a peer's UPDATE. Prefixes of another family than the session's are ignored (RFC 4760 section 6).
///
/// # Errors
/// The NOTIFICATION to close with, where RFC 7606 still asks for that.
pub(super) fn read(body: &[u8], format: Format, peer: IpAddr) -> Result<Offer, Notification> {
    let (withdrawn, attributes, nlri) =
        split(body).ok_or_else(|| Notification::update(MALFORMED_ATTRIBUTE_LIST, &[]))?;
    // RFC 7606 section 5.3: without the prefixes there is nothing that could be treated as withdrawn.
    let unreadable = || Notification::update(INVALID_NETWORK_FIELD, &[]);
    let mut withdrawn = prefixes(withdrawn, Family::V4).ok_or_else(unreadable)?;
    let mut announced = prefixes(nlri, Family::V4).ok_or_else(unreadable)?;
    let Attributes { reach, unreach, next_hop, as_path, communities, fault } =
        attributes::read(attributes, format, peer, !nlri.is_empty());

    let mut next_hop = next_hop.map(IpAddr::V4);
    if format.family == Family::V6 {
        // Not negotiated: as if it were not there.
        (withdrawn, announced, next_hop) = (Vec::new(), Vec::new(), None);
    }
    withdrawn.extend(unreach);
    if let Some((hop, prefixes)) = reach {
        announced.extend(prefixes);
        next_hop = Some(hop);
    }
    let mended = |withdrawn, fault| Some(Mended { withdrawn, fault, body: body.to_vec() });
    let mended = match fault {
        Some((Disposition::Reset, notification)) => return Err(notification),
        Some((Disposition::Withdraw, fault)) => {
            withdrawn.extend(announced);
            return Ok(Offer { withdrawn, mended: mended(true, fault), ..Offer::default() });
        }
        Some((Disposition::Discard, fault)) => mended(false, fault),
        None => None,
    };
    // RFC 4271 section 4.3: what is in both is announced.
    if !withdrawn.is_empty() && !announced.is_empty() {
        let announced: BTreeSet<&IpNet> = announced.iter().collect();
        withdrawn.retain(|prefix| !announced.contains(prefix));
    }
    let route = next_hop.filter(|_| !announced.is_empty()).map(|next_hop| ReceivedRoute {
        as_path,
        communities,
        next_hop,
    });
    Ok(Offer { withdrawn, announced, route, mended })
}

/// The three fields: withdrawn routes, path attributes, and the prefixes that these belong to.
fn split(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut fields = Fields(body);
    let length = fields.short()?;
    let withdrawn = fields.take(length.into())?;
    let length = fields.short()?;
    let attributes = fields.take(length.into())?;
    Some((withdrawn, attributes, fields.0))
}

/// RFC 4271 section 4.3: a length in bits, and as many octets as hold them; `None` if that does not come out even.
fn prefixes(octets: &[u8], family: Family) -> Option<Vec<IpNet>> {
    let mut fields = Fields(octets);
    let mut prefixes = Vec::new();
    while let Some(bits) = fields.octet() {
        let octets = fields.take(usize::from(bits).div_ceil(8))?;
        prefixes.push(match family {
            Family::V4 => IpNet::V4(Ipv4Net::new(padded(octets)?.into(), bits).ok()?.trunc()),
            Family::V6 => IpNet::V6(Ipv6Net::new(padded::<16>(octets)?.into(), bits).ok()?.trunc()),
        });
    }
    Some(prefixes)
}

fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut all = [0; N];
    all.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(all)
}

#[cfg(test)]
mod tests;
