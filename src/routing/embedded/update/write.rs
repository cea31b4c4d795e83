//! UPDATEs of ours (RFC 4271 section 4.3, RFC 4760): bodies, ready for a header.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::export::Route;
use super::super::wire::{HEADER, MAX_MESSAGE};
use super::attributes::{
    AS_PATH, AS4_PATH, COMMUNITIES, EXTENDED_COMMUNITIES, LARGE_COMMUNITIES, MP_REACH_NLRI, MP_UNREACH_NLRI,
    NEXT_HOP, ONLY_TO_CUSTOMER, ORIGIN,
};
use super::{Format, UNICAST, afi, as_path};
use crate::names::Community;
use crate::routing::Family;

// Flags of RFC 4271 section 4.3.
const WELL_KNOWN: u8 = 0x40;
const OPTIONAL: u8 = 0x80;
const OPTIONAL_TRANSITIVE: u8 = 0xc0;
const EXTENDED_LENGTH: u8 = 0x10;

const IGP: u8 = 0;

/// Octets that a prefix needs at most: its length, and an address.
const PREFIX: usize = 17;

/// What prefixes need around them: the three length fields, and the head of MP_REACH_NLRI.
const AROUND: usize = HEADER + 4 + 4 + 21;

/// Announces `prefixes`, all with `route`.
pub(in super::super) fn announce(
    prefixes: &[IpNet],
    route: &Route,
    next_hop: IpAddr,
    format: Format,
) -> Vec<Vec<u8>> {
    let (before, after) = attributes(route, next_hop, format);
    // `refuse::check_config` bounds the attributes, so that there always is room.
    let room = (MAX_MESSAGE - AROUND).saturating_sub(before.len() + after.len());
    let chunks = prefixes.chunks((room / PREFIX).max(1));
    chunks
        .map(|chunk| match next_hop {
            IpAddr::V4(_) => body(&[], &[before.as_slice(), &after].concat(), &nlri(chunk)),
            IpAddr::V6(hop) => {
                // RFC 7606 section 5.1: the first attribute, and alone with the prefixes.
                let head = [&[0, 2, UNICAST, 16][..], &hop.octets(), &[0]].concat();
                let reach = attribute(OPTIONAL, MP_REACH_NLRI, &[head, nlri(chunk)].concat());
                body(&[], &[reach.as_slice(), &before, &after].concat(), &[])
            }
        })
        .collect()
}

/// Withdraws `prefixes`.
pub(in super::super) fn withdraw(prefixes: &[IpNet], format: Format) -> Vec<Vec<u8>> {
    let chunks = prefixes.chunks((MAX_MESSAGE - AROUND) / PREFIX);
    chunks
        .map(|chunk| match format.family {
            Family::V4 => body(&nlri(chunk), &[], &[]),
            Family::V6 => body(&[], &unreach(&nlri(chunk), format), &[]),
        })
        .collect()
}

/// RFC 4724 section 2: an UPDATE without any prefix says that the table has been sent.
pub(in super::super) fn end_of_rib(format: Format) -> Vec<u8> {
    match format.family {
        Family::V4 => body(&[], &[], &[]),
        Family::V6 => body(&[], &unreach(&[], format), &[]),
    }
}

fn body(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |field: &[u8]| u16::try_from(field.len()).expect("a message is bounded").to_be_bytes();
    [&length(withdrawn), withdrawn, &length(attributes), attributes, nlri].concat()
}

/// In the order of their numbers, as RFC 4271 section 5 asks: those before where the prefixes of IPv6 would be, and
/// those after.
fn attributes(route: &Route, next_hop: IpAddr, format: Format) -> (Vec<u8>, Vec<u8>) {
    let (mut standard, mut extended, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for community in &route.communities {
        match *community {
            Community::Standard(a, b) => standard.extend([a.to_be_bytes(), b.to_be_bytes()].concat()),
            Community::Extended(octets) => extended.extend(octets.to_be_bytes()),
            Community::Large(a, b, c) => large.extend([a, b, c].map(u32::to_be_bytes).concat()),
        }
    }
    let mut before = attribute(WELL_KNOWN, ORIGIN, &[IGP]);
    before.extend(attribute(WELL_KNOWN, AS_PATH, &as_path::write(&route.as_path, format.four_octet_as)));
    if let IpAddr::V4(next_hop) = next_hop {
        before.extend(attribute(WELL_KNOWN, NEXT_HOP, &next_hop.octets()));
    }
    // RFC 6793 section 4.2.2: the truth goes beside what was shortened.
    let shortened = !format.four_octet_as && route.as_path.iter().any(|asn| *asn > u16::MAX.into());
    let as4_path = if shortened { as_path::write(&route.as_path, true) } else { Vec::new() };
    let only_to_customer = route.only_to_customer.map(u32::to_be_bytes);
    let optional = [
        (COMMUNITIES, standard.as_slice()),
        (EXTENDED_COMMUNITIES, &extended),
        (AS4_PATH, &as4_path),
        (LARGE_COMMUNITIES, &large),
        (ONLY_TO_CUSTOMER, only_to_customer.as_ref().map_or(&[][..], |asn| asn)),
    ];
    let after = optional
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .flat_map(|(kind, value)| attribute(OPTIONAL_TRANSITIVE, kind, value))
        .collect();
    (before, after)
}

fn attribute(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) => [&[flags, kind, length], value].concat(),
        Err(_) => {
            let length = u16::try_from(value.len()).expect("a message is bounded").to_be_bytes();
            [&[flags | EXTENDED_LENGTH, kind], &length[..], value].concat()
        }
    }
}

fn unreach(nlri: &[u8], format: Format) -> Vec<u8> {
    let [high, low] = afi(format.family).to_be_bytes();
    attribute(OPTIONAL, MP_UNREACH_NLRI, &[&[high, low, UNICAST], nlri].concat())
}

/// RFC 4271 section 4.3: each prefix as its length and the octets that it needs.
fn nlri(prefixes: &[IpNet]) -> Vec<u8> {
    let mut octets = Vec::new();
    for prefix in prefixes {
        octets.push(prefix.prefix_len());
        let needed = usize::from(prefix.prefix_len()).div_ceil(8);
        match prefix {
            IpNet::V4(net) => octets.extend(&net.network().octets()[..needed]),
            IpNet::V6(net) => octets.extend(&net.network().octets()[..needed]),
        }
    }
    octets
}
