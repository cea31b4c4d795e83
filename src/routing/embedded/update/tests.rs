//! UPDATEs octet by octet: ours as the RFCs write them, a peer's with each kind of mistake.

use std::net::Ipv4Addr;

use super::super::export::Route;
use super::*;

const V4: Format = Format { family: Family::V4, four_octet_as: true, message_limit: 4096 };
const V6: Format = Format { family: Family::V6, four_octet_as: true, message_limit: 4096 };
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn route(communities: &[&str]) -> Route {
    Route {
        as_path: vec![65536, 65536],
        communities: communities.iter().map(|text| text.parse().unwrap()).collect(),
        only_to_customer: None,
    }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The only message, in its three fields.
fn one(messages: Vec<Vec<u8>>) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let [message]: [Vec<u8>; 1] = messages.try_into().unwrap();
    let (withdrawn, attributes, nlri) = split(&message).unwrap();
    (withdrawn.to_vec(), attributes.to_vec(), nlri.to_vec())
}

const ORIGIN_IGP: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 10, 2, 2, 0, 1, 0, 0, 0, 1, 0, 0];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];

#[test]
fn an_ipv4_announcement_is_as_in_rfc_4271() {
    let route =
        Route { only_to_customer: Some(65536), ..route(&["64500:7", "65535:0", "65536:1:2", "rt:64500:9"]) };
    let (withdrawn, attributes, nlri) =
        one(announce(&nets(&["198.51.100.0/24"]), &route, "192.0.2.1".parse().unwrap(), V4));
    let communities: &[u8] = &[0xc0, 8, 8, 0xfb, 0xf4, 0, 7, 0xff, 0xff, 0, 0];
    let extended: &[u8] = &[0xc0, 16, 8, 0, 2, 0xfb, 0xf4, 0, 0, 0, 9];
    let large: &[u8] = &[0xc0, 32, 12, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let only_to_customer: &[u8] = &[0xc0, 35, 4, 0, 1, 0, 0];
    let expected = [ORIGIN_IGP, AS_PATH, NEXT_HOP, communities, extended, large, only_to_customer].concat();
    assert_eq!(attributes, expected);
    assert_eq!(nlri, [24, 198, 51, 100]);
    assert!(withdrawn.is_empty());
}

#[test]
fn an_ipv6_announcement_is_as_in_rfc_4760() {
    let next_hop = "2001:db8::1".parse().unwrap();
    let (withdrawn, attributes, nlri) =
        one(announce(&nets(&["2001:db8:100::/48"]), &route(&[]), next_hop, V6));
    let reach: &[u8] = &[
        0x80, 14, 28, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 48, 0x20, 1,
        0xd, 0xb8, 1, 0,
    ];
    assert_eq!(attributes, [reach, ORIGIN_IGP, AS_PATH].concat());
    assert!(nlri.is_empty() && withdrawn.is_empty());
}

#[test]
fn withdrawals_and_the_end_of_the_table() {
    let v4 = one(withdraw(&nets(&["198.51.100.0/24"]), V4));
    assert_eq!(v4, (vec![24, 198, 51, 100], vec![], vec![]));
    let v6 = one(withdraw(&nets(&["2001:db8:100::/48"]), V6));
    assert_eq!(v6.1, [0x80, 15, 10, 0, 2, 1, 48, 0x20, 1, 0xd, 0xb8, 1, 0]);
    assert_eq!(end_of_rib(V4), [0, 0, 0, 0]);
    assert_eq!(end_of_rib(V6), [0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]);
}

#[test]
fn a_peer_with_two_octet_as_numbers_gets_both_paths() {
    let format = Format { four_octet_as: false, ..V4 };
    let messages = announce(&nets(&["198.51.100.0/24"]), &route(&[]), "192.0.2.1".parse().unwrap(), format);
    let (_, attributes, _) = one(messages.clone());
    // RFC 6793 section 4.2.2: AS_TRANS twice, and the truth in AS4_PATH.
    let trans: &[u8] = &[0x40, 2, 6, 2, 2, 0x5b, 0xa0, 0x5b, 0xa0];
    let four: &[u8] = &[0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 1, 0, 0];
    for attribute in [trans, four] {
        assert!(
            attributes.windows(attribute.len()).any(|window| window == attribute),
            "{attribute:x?} in {attributes:x?}"
        );
    }
    let offer = read(&messages[0], format, "192.0.2.1".parse().unwrap()).unwrap();
    assert_eq!(offer.route.unwrap().as_path, [65536, 65536]);
}

#[test]
fn many_prefixes_fit_into_messages() {
    let prefixes: Vec<IpNet> =
        (0..=255).map(|third| format!("2001:db8:{third:x}::/48").parse().unwrap()).collect();
    let next_hop = "2001:db8::1".parse().unwrap();
    let read_back = |messages: Vec<Vec<u8>>| {
        assert!(messages.iter().all(|message| message.len() <= 4096 - 19));
        let offers = messages.iter().map(|message| read(message, V6, next_hop).unwrap());
        offers.flat_map(|offer| [offer.announced, offer.withdrawn].concat()).collect::<Vec<_>>()
    };
    let mut long = route(&["64500:7"]);
    long.as_path = vec![65536; 600];
    assert_eq!(read_back(announce(&prefixes, &long, next_hop, V6)), prefixes);
    assert_eq!(read_back(withdraw(&prefixes, V6)), prefixes);
}

fn body(attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    [&[0, 0], &length[..], &attributes, nlri].concat()
}

const NLRI: &[u8] = &[24, 203, 0, 113];

#[test]
fn a_good_offer_is_read_whole() {
    let communities: &[u8] = &[0xe0, 8, 4, 0xfb, 0xf4, 0, 7];
    let offer = read(&body(&[ORIGIN_IGP, AS_PATH, NEXT_HOP, communities], NLRI), V4, PEER).unwrap();
    assert_eq!(offer.announced, nets(&["203.0.113.0/24"]));
    assert_eq!(
        offer.route,
        Some(ReceivedRoute {
            as_path: vec![65536, 65536],
            communities: BTreeSet::from([Community::Standard(64500, 7)]),
            next_hop: "192.0.2.1".parse().unwrap(),
        })
    );
    assert_eq!((offer.withdrawn, offer.mended), (vec![], None));
}

#[test]
fn what_rfc_7606_withdraws_is_withdrawn() {
    let bad_origin: &[u8] = &[0x40, 1, 1, 9];
    let zero_segment: &[u8] = &[0x40, 2, 2, 2, 0];
    let multicast_hop: &[u8] = &[0x40, 3, 4, 224, 0, 0, 1];
    let short_communities: &[u8] = &[0xc0, 8, 3, 1, 2, 3];
    let cases: [(&str, &[&[u8]]); 6] = [
        ("ORIGIN is not 0, 1 or 2", &[bad_origin, AS_PATH, NEXT_HOP]),
        ("an AS_PATH segment without numbers", &[ORIGIN_IGP, zero_segment, NEXT_HOP]),
        ("no AS_PATH", &[ORIGIN_IGP, NEXT_HOP]),
        ("no NEXT_HOP", &[ORIGIN_IGP, AS_PATH]),
        ("a next hop that cannot be", &[ORIGIN_IGP, AS_PATH, multicast_hop]),
        ("a broken length", &[ORIGIN_IGP, AS_PATH, NEXT_HOP, short_communities]),
    ];
    for (what, attributes) in cases {
        let offer = read(&body(attributes, NLRI), V4, PEER).unwrap();
        assert_eq!((offer.announced, offer.route), (vec![], None), "{what}");
        assert_eq!(offer.withdrawn, nets(&["203.0.113.0/24"]), "{what}");
        assert!(offer.mended.is_some(), "{what}");
    }
}

#[test]
fn what_cannot_be_located_closes_the_session() {
    let reach: &[u8] = &[0x80, 14, 5, 0, 2, 1, 16, 0];
    let cases: [(&str, Vec<u8>); 2] = [
        ("prefixes that overrun", body(&[ORIGIN_IGP, AS_PATH, NEXT_HOP], &[33, 203, 0, 113])),
        ("a broken MP_REACH_NLRI", body(&[reach, ORIGIN_IGP, AS_PATH], &[])),
    ];
    for (what, message) in cases {
        let notification = read(&message, V4, PEER).unwrap_err();
        assert_eq!(notification.code, 3, "{what}");
    }
}

#[test]
fn the_other_family_is_ignored() {
    let next_hop = "2001:db8::1".parse().unwrap();
    let v6 = announce(&nets(&["2001:db8:100::/48"]), &route(&[]), next_hop, V6);
    assert_eq!(read(&v6[0], V4, PEER).unwrap(), Offer::default());
    let v4 = body(&[ORIGIN_IGP, AS_PATH, NEXT_HOP], NLRI);
    assert_eq!(read(&v4, V6, PEER).unwrap(), Offer::default());
}

#[test]
fn the_peer_itself_is_a_next_hop_wherever_it_is() {
    let loopback: &[u8] = &[0x40, 3, 4, 127, 0, 0, 2];
    let message = body(&[ORIGIN_IGP, AS_PATH, loopback], NLRI);
    assert_eq!(read(&message, V4, "127.0.0.2".parse().unwrap()).unwrap().announced.len(), 1);
    assert_eq!(read(&message, V4, PEER).unwrap().announced.len(), 0);
}
