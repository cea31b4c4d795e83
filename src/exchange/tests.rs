use super::*;

fn asn() -> Asn {
    Asn::try_from(64511).unwrap()
}

fn ports(texts: &[&str]) -> Vec<Port> {
    let mut directory = Directory::default();
    texts.iter().for_each(|text| directory.read(text.as_bytes(), asn()).unwrap());
    directory.ports(asn())
}

/// What both formats say below.
fn port() -> Port {
    Port {
        network: Some("Example Networks".to_owned()),
        exchange: Some("EX-IX".to_owned()),
        lan: vec!["203.0.113.0/27".parse().unwrap(), "2001:db8:1f0::/64".parse().unwrap()],
        v4: Some("203.0.113.20".parse().unwrap()),
        v6: Some("2001:db8:1f0::20".parse().unwrap()),
        as_set: Some("AS-EXAMPLE".to_owned()),
        max_prefixes_v4: Some(150),
        max_prefixes_v6: Some(20),
        is_route_server: false,
        is_down: false,
    }
}

#[test]
fn peeringdb_answers_are_joined_whatever_their_order() {
    let net = r#"{"data": [{"id": 7, "asn": 64511, "name": "Example Networks", "irr_as_set": "AS-EXAMPLE",
        "info_prefixes4": 150, "info_prefixes6": 20, "info_type": "Content", "netixlan_set": [99]}], "meta": {}}"#;
    let netixlan = r#"{"data": [
        {"id": 1, "net_id": 8, "ixlan_id": 3, "name": "EX-IX", "asn": 64512, "ipaddr4": "203.0.113.21", "ipaddr6": null},
        {"id": 99, "net_id": 7, "ixlan_id": 3, "name": "EX-IX", "asn": 64511, "ipaddr4": "203.0.113.20",
         "ipaddr6": "2001:db8:1f0::20", "operational": true, "is_rs_peer": true}]}"#;
    let ixpfx = r#"{"data": [{"id": 1, "ixlan_id": 3, "protocol": "IPv4", "prefix": "203.0.113.0/27"},
        {"id": 2, "ixlan_id": 3, "protocol": "IPv6", "prefix": "2001:db8:1f0::/64"}]}"#;
    let ixlan = r#"{"data": [{"id": 3, "ix_id": 3, "name": "", "ixpfx_set": [
        {"id": 1, "protocol": "IPv4", "prefix": "203.0.113.0/27"},
        {"id": 2, "protocol": "IPv6", "prefix": "2001:db8:1f0::/64"}]}]}"#;
    assert_eq!(ports(&[net, netixlan, ixpfx]), [port()]);
    assert_eq!(ports(&[ixlan, netixlan, net]), [port()]);
    // Without the LAN and the network, less is known.
    let bare = Port {
        network: None,
        lan: vec![],
        as_set: None,
        max_prefixes_v4: None,
        max_prefixes_v6: None,
        ..port()
    };
    assert_eq!(ports(&[netixlan]), [bare]);
}

#[test]
fn peeringdb_nests_ports_in_their_network() {
    let net = r#"{"data": [{"id": 7, "asn": 64511, "name": "Example Networks", "info_type": "Route Server",
        "netixlan_set": [{"id": 99, "ixlan_id": 3, "name": "EX-IX", "asn": 64511, "ipaddr4": "203.0.113.20",
        "ipaddr6": "", "operational": false}], "poc_set": [], "netfac_set": [{"id": 1}]}]}"#;
    let found = ports(&[net]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].v4, found[0].v6), (port().v4, None));
    assert!(found[0].is_route_server && found[0].is_down);
}

#[test]
fn an_ixf_export_says_the_same() {
    let text = r#"{"version": "1.0", "ixp_list": [{"ixp_id": 42, "shortname": "EX-IX", "vlan": [
            {"id": 1, "name": "Peering", "ipv4": {"prefix": "203.0.113.0", "mask_length": 27},
             "ipv6": {"prefix": "2001:db8:1f0::", "mask_length": "64"}},
            {"id": 2, "name": "Other", "ipv4": {"prefix": "198.51.100.0", "mask_length": 24}}]}],
        "member_list": [
            {"asnum": 64512, "connection_list": [{"ixp_id": 42, "vlan_list": [{"vlan_id": 1}]}]},
            {"asnum": 64511, "name": "Example Networks", "member_type": "peering", "connection_list": [
                {"ixp_id": 42, "state": "active", "if_list": [{"if_speed": 1000}], "vlan_list": [{"vlan_id": 1,
                 "ipv4": {"address": "203.0.113.20", "as_macro": "AS-EXAMPLE", "max_prefix": 150, "routeserver": true},
                 "ipv6": {"address": "2001:db8:1f0::20", "as_macro": "AS-EXAMPLE", "max_prefix": 20}}]}]}]}"#;
    assert_eq!(ports(&[text]), [port()]);
    let inactive = text.replace("\"active\"", "\"inactive\"");
    assert_eq!(ports(&[&inactive]), [Port { is_down: true, ..port() }]);
    let server = text
        .replace("\"max_prefix\": 20", "\"max_prefix\": 20, \"services\": [{\"type\": \"ixrouteserver\"}]");
    assert_eq!(ports(&[&server]), [Port { is_route_server: true, ..port() }]);
}

#[test]
fn what_is_of_neither_kind_is_refused_with_its_place() {
    for (text, place) in
        [("{}", (0, 0)), ("[]", (1, 2)), ("{\"data\": [7]}", (1, 12)), ("{\n\"data\": [", (2, 9))]
    {
        let error = Directory::default().read(text.as_bytes(), asn()).unwrap_err();
        assert_eq!((error.line(), error.column()), place, "{text}: {error}");
    }
}
