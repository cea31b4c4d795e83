//! UPDATE messages: ours out of routes, a peer's into what it offers (RFC 4271 section 4.3, RFC 4760, RFC 7606).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustbgpd_wire::notification::update_subcode;
use rustbgpd_wire::validate::validate_update_attributes;
use rustbgpd_wire::{
    Afi, AsPath, AsPathSegment, EncodeError, ErrorDisposition, Ipv4NlriEntry, Ipv4Prefix, Ipv4UnicastMode,
    Ipv6Prefix, LargeCommunity, MpReachNlri, MpUnreachNlri, NlriEntry, NotificationCode, NotificationMessage,
    Origin, PathAttribute, Prefix, Safi, UpdateMessage,
};

use super::export::Route;
use crate::names::Community;
use crate::routing::Family;

/// Prefixes in one UPDATE at most, so that it stays below 4,096 octets.
const PREFIXES_PER_UPDATE: usize = 100;

/// How UPDATEs are read and written on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// The one family of the session.
    pub(super) family: Family,
    /// AS numbers have four octets (RFC 6793).
    pub(super) four_octet_as: bool,
    /// The largest message, in octets (RFC 8654).
    pub(super) message_limit: u16,
}

/// What a peer says of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRoute {
    /// AS numbers, the peer's own first.
    pub as_path: Vec<u32>,
    /// Standard and large communities.
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
    /// RFC 7606: what was malformed and made good; for the log.
    pub(super) mended: Option<&'static str>,
}

/// The SAFI is always unicast.
pub(super) fn afi(family: Family) -> Afi {
    match family {
        Family::V4 => Afi::Ipv4,
        Family::V6 => Afi::Ipv6,
    }
}

/// Announces `prefixes`, all with `route`.
pub(super) fn announce(
    prefixes: &[IpNet],
    route: &Route,
    next_hop: IpAddr,
    format: Format,
) -> Result<Vec<UpdateMessage>, EncodeError> {
    let chunks = prefixes.chunks(PREFIXES_PER_UPDATE);
    chunks
        .map(|chunk| {
            let mut attributes = attributes(route);
            match next_hop {
                IpAddr::V4(next_hop) => attributes.insert(2, PathAttribute::NextHop(next_hop)),
                IpAddr::V6(_) => attributes.insert(0, reach(chunk, next_hop)),
            }
            build(&body(chunk), &[], &attributes, format)
        })
        .collect()
}

/// Withdraws `prefixes`.
pub(super) fn withdraw(prefixes: &[IpNet], format: Format) -> Result<Vec<UpdateMessage>, EncodeError> {
    let chunks = prefixes.chunks(PREFIXES_PER_UPDATE);
    chunks
        .map(|chunk| match format.family {
            Family::V4 => build(&[], &body(chunk), &[], format),
            Family::V6 => build(&[], &[], &[unreach(chunk)], format),
        })
        .collect()
}

/// RFC 4724 section 2: an UPDATE without any prefix says that the table has been sent.
pub(super) fn end_of_rib(format: Format) -> Result<UpdateMessage, EncodeError> {
    match format.family {
        Family::V4 => build(&[], &[], &[], format),
        Family::V6 => build(&[], &[], &[unreach(&[])], format),
    }
}

fn build(
    announced: &[Ipv4NlriEntry],
    withdrawn: &[Ipv4NlriEntry],
    attributes: &[PathAttribute],
    format: Format,
) -> Result<UpdateMessage, EncodeError> {
    UpdateMessage::try_build(
        announced,
        withdrawn,
        attributes,
        format.four_octet_as,
        false,
        Ipv4UnicastMode::Body,
    )
}

/// In the order of their numbers, as RFC 4271 section 5 asks; the next hop comes third.
fn attributes(route: &Route) -> Vec<PathAttribute> {
    let mut standard = Vec::new();
    let mut large = Vec::new();
    for community in &route.communities {
        match *community {
            Community::Standard(a, b) => standard.push(u32::from(a) << 16 | u32::from(b)),
            Community::Large(a, b, c) => large.push(LargeCommunity::new(a, b, c)),
        }
    }
    let as_path = AsPath { segments: vec![AsPathSegment::AsSequence(route.as_path.clone())] };
    let mut attributes = vec![PathAttribute::Origin(Origin::Igp), PathAttribute::AsPath(as_path)];
    if !standard.is_empty() {
        attributes.push(PathAttribute::Communities(standard));
    }
    if !large.is_empty() {
        attributes.push(PathAttribute::LargeCommunities(large));
    }
    attributes.extend(route.only_to_customer.map(PathAttribute::OnlyToCustomer));
    attributes
}

/// The IPv4 prefixes, for the fields of RFC 4271; those of IPv6 are in attributes.
fn body(prefixes: &[IpNet]) -> Vec<Ipv4NlriEntry> {
    let v4 = prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(net) => Some(Ipv4Prefix::new(net.network(), net.prefix_len())),
        IpNet::V6(_) => None,
    });
    v4.map(|prefix| Ipv4NlriEntry { path_id: 0, prefix }).collect()
}

fn v6_entries(prefixes: &[IpNet]) -> Vec<NlriEntry> {
    let v6 = prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(Prefix::V6(Ipv6Prefix::new(net.network(), net.prefix_len()))),
    });
    v6.map(|prefix| NlriEntry { path_id: 0, prefix }).collect()
}

/// RFC 7606 section 5.1: the first attribute, and alone with the IPv6 prefixes.
fn reach(prefixes: &[IpNet], next_hop: IpAddr) -> PathAttribute {
    PathAttribute::MpReachNlri(Box::new(MpReachNlri {
        afi: Afi::Ipv6,
        safi: Safi::Unicast,
        next_hop,
        link_local_next_hop: None,
        announced: v6_entries(prefixes),
        flowspec_announced: Vec::new(),
        evpn_announced: Vec::new(),
        bgpls_announced: Vec::new(),
        vpn_announced: Vec::new(),
        labeled_announced: Vec::new(),
        rtc_announced: Vec::new(),
    }))
}

fn unreach(prefixes: &[IpNet]) -> PathAttribute {
    PathAttribute::MpUnreachNlri(Box::new(MpUnreachNlri {
        afi: Afi::Ipv6,
        safi: Safi::Unicast,
        withdrawn: v6_entries(prefixes),
        flowspec_withdrawn: Vec::new(),
        evpn_withdrawn: Vec::new(),
        bgpls_withdrawn: Vec::new(),
        vpn_withdrawn: Vec::new(),
        labeled_withdrawn: Vec::new(),
        rtc_withdrawn: Vec::new(),
    }))
}

/// Reads a peer's UPDATE. Prefixes of another family than the session's are ignored (RFC 4760 section 6).
///
/// # Errors
/// The NOTIFICATION to close with, where RFC 7606 still asks for that.
pub(super) fn read(
    update: &UpdateMessage,
    format: Format,
    peer: IpAddr,
) -> Result<Offer, NotificationMessage> {
    let parsed = update.parse_revised(format.four_octet_as, false, false, &[]).map_err(|error| {
        let (code, subcode, data) = error.to_notification();
        NotificationMessage::new(code, subcode, data)
    })?;
    let attributes = &parsed.update.attributes;
    let (announced, mut withdrawn) = prefixes(&parsed.update, format.family);

    // RFC 7606 section 3 (h): the strongest of all dispositions counts.
    let malformed = parsed.malformed.iter().map(|malformed| {
        let (code, subcode, data) = malformed.error.to_notification();
        (malformed.disposition, NotificationMessage::new(code, subcode, data))
    });
    let invalid = invalid(attributes, !announced.is_empty(), !parsed.update.announced.is_empty(), peer);
    let worst = malformed.chain(invalid).max_by_key(|(disposition, _)| *disposition);
    let mended = match worst {
        Some((ErrorDisposition::SessionReset, notification)) => return Err(notification),
        Some((ErrorDisposition::TreatAsWithdraw, _)) => {
            withdrawn.extend(announced);
            let mended = Some(ErrorDisposition::TreatAsWithdraw.as_str());
            return Ok(Offer { withdrawn, mended, ..Offer::default() });
        }
        Some((ErrorDisposition::AttributeDiscard, _)) => Some(ErrorDisposition::AttributeDiscard.as_str()),
        None => None,
    };
    let route = if announced.is_empty() { None } else { received_route(attributes, format.family) };
    // Without a next hop there is no route: the checks above leave that only to prefixes that are not ours to read.
    let announced = if route.is_some() { announced } else { Vec::new() };
    Ok(Offer { withdrawn, announced, route, mended })
}

/// The prefixes of the session's family: announced, and withdrawn.
#[expect(clippy::wildcard_enum_match_arm, reason = "path attributes are a foreign, open enum")]
fn prefixes(update: &rustbgpd_wire::ParsedUpdate, family: Family) -> (Vec<IpNet>, Vec<IpNet>) {
    let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
    if family == Family::V4 {
        let net = |entry: &Ipv4NlriEntry| ip_net(Prefix::V4(entry.prefix));
        announced.extend(update.announced.iter().filter_map(net));
        withdrawn.extend(update.withdrawn.iter().filter_map(net));
    }
    for attribute in &update.attributes {
        let net = |entry: &NlriEntry| ip_net(entry.prefix);
        match attribute {
            PathAttribute::MpReachNlri(mp) if is_of(mp.afi, mp.safi, family) => {
                announced.extend(mp.announced.iter().filter_map(net));
            }
            PathAttribute::MpUnreachNlri(mp) if is_of(mp.afi, mp.safi, family) => {
                withdrawn.extend(mp.withdrawn.iter().filter_map(net));
            }
            _ => {}
        }
    }
    (announced, withdrawn)
}

fn is_of(afi_read: Afi, safi: Safi, family: Family) -> bool {
    afi_read == afi(family) && safi == Safi::Unicast
}

fn ip_net(prefix: Prefix) -> Option<IpNet> {
    match prefix {
        Prefix::V4(prefix) => Ipv4Net::new(prefix.addr, prefix.len).ok().map(IpNet::V4),
        Prefix::V6(prefix) => Ipv6Net::new(prefix.addr, prefix.len).ok().map(IpNet::V6),
    }
}

/// Checks of RFC 4271 section 6.3 that need all attributes together.
fn invalid(
    attributes: &[PathAttribute],
    announces: bool,
    announces_in_body: bool,
    peer: IpAddr,
) -> Option<(ErrorDisposition, NotificationMessage)> {
    let error = validate_update_attributes(attributes, announces, announces_in_body, true).err()?;
    // The peer's own address is a valid next hop whatever range it is of: we are talking to it.
    let next_hop_is_peer = || {
        let mut next_hops = attributes.iter().filter_map(next_hop);
        next_hops.all(|next_hop| next_hop == peer)
    };
    if error.subcode == update_subcode::INVALID_NEXT_HOP && next_hop_is_peer() {
        return None;
    }
    let notification =
        NotificationMessage::new(NotificationCode::UpdateMessage, error.subcode, Bytes::from(error.data));
    Some((error.disposition, notification))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "path attributes are a foreign, open enum")]
fn next_hop(attribute: &PathAttribute) -> Option<IpAddr> {
    match attribute {
        PathAttribute::NextHop(address) => Some(IpAddr::V4(*address)),
        PathAttribute::MpReachNlri(mp) => Some(mp.next_hop),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "path attributes are a foreign, open enum")]
fn received_route(attributes: &[PathAttribute], family: Family) -> Option<ReceivedRoute> {
    let mut route = ReceivedRoute {
        as_path: Vec::new(),
        communities: BTreeSet::new(),
        next_hop: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let mut hop = None;
    for attribute in attributes {
        match attribute {
            PathAttribute::AsPath(path) => route.as_path = path.asns().collect(),
            PathAttribute::NextHop(address) if family == Family::V4 => {
                hop = hop.or(Some(IpAddr::V4(*address)));
            }
            PathAttribute::MpReachNlri(mp) if is_of(mp.afi, mp.safi, family) => hop = Some(mp.next_hop),
            PathAttribute::Communities(values) | PathAttribute::CommunitiesPartial(values) => {
                let standard = values.iter().map(|value| {
                    let [a, b, c, d] = value.to_be_bytes();
                    Community::Standard(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
                });
                route.communities.extend(standard);
            }
            PathAttribute::LargeCommunities(values) | PathAttribute::LargeCommunitiesPartial(values) => {
                let large =
                    values.iter().map(|v| Community::Large(v.global_admin, v.local_data1, v.local_data2));
                route.communities.extend(large);
            }
            _ => {}
        }
    }
    route.next_hop = hop?;
    Some(route)
}

#[cfg(test)]
mod tests;
