//! FRR: bgpd alone. It does not listen, so every session is opened from its end.

use super::*;

/// RFC 6793 section 9.
const AS_TRANS: u32 = 23456;

pub(super) struct Frr;

const RUN: &str = "/usr/lib/frr/bgpd -S -Z -f DIR/bgpd.conf -i DIR/pid -z DIR/zebra --vty_socket DIR -p 0 \
                   --log file:DIR/log --log-level debug";

impl Software for Frr {
    const PROGRAMS: &'static [&'static str] = &["/usr/lib/frr/bgpd", "/usr/bin/vtysh"];
    const ROLES: bool = true;
    const EXTENDED: bool = true;
    const SAYS: &'static [&'static str] = &[
        "\"4byteAs\":\"advertisedAndReceived\"",
        "\"extendedMessage\":\"advertisedAndReceived\"",
        "\"remoteRole\":\"customer\"",
    ];
    const NARROW: u32 = AS_TRANS;

    fn files(links: &[Link]) -> (Vec<(&'static str, String)>, &'static str) {
        let mut text = format!(
            "debug bgp neighbor-events\nrouter bgp {PROVIDER_ASN}\n bgp router-id 192.0.2.254\n \
             no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n bgp log-neighbor-changes\n"
        );
        links.iter().for_each(|link| text.push_str(&neighbor(*link)));
        for (family, name) in [(Family::V4, "ipv4"), (Family::V6, "ipv6")] {
            text.push_str(&format!(" address-family {name} unicast\n"));
            for link in links.iter().filter(|link| link.family == family) {
                text.push_str(&format!("  neighbor {} activate\n", link.ours()));
            }
            text.push_str(" exit-address-family\n");
        }
        (vec![("bgpd.conf", text)], RUN)
    }

    /// Without 4-octet numbers it has no capabilities at all, and so no IPv6.
    fn speaks(link: Link) -> bool {
        link.manner != TwoOctets || link.family == Family::V4
    }

    fn is_ready(daemon: &Daemon) -> bool {
        ask(daemon, "show bgp summary json").contains("peers")
    }

    fn session(daemon: &Daemon, link: Link) -> String {
        let shown = ask(daemon, &format!("show bgp neighbors {} json", link.ours()));
        shown.split_whitespace().collect()
    }

    fn route(daemon: &Daemon, link: Link) -> Option<Route> {
        let family = if link.family == Family::V4 { "ipv4" } else { "ipv6" };
        let table = ask(daemon, &format!("show bgp {family} unicast {} json", link.prefix()));
        let table: serde_json::Value = serde_json::from_str(&table).ok()?;
        let of_link = |path: &&serde_json::Value| path["peer"]["peerId"] == link.ours().to_string();
        let path = table["paths"].as_array()?.iter().find(of_link)?;
        let texts = |name: &str| path[name]["string"].as_str().unwrap_or_default().to_owned();
        let all = [texts("community"), texts("largeCommunity"), texts("extendedCommunity")].join(" ");
        Some(Route {
            path: texts_of(&path["aspath"]["string"]).iter().map(|asn| asn.parse().unwrap()).collect(),
            communities: all.split_whitespace().map(community).collect(),
            next_hop: path["nexthops"][0]["ip"].as_str().and_then(|hop| hop.parse().ok()),
            igp: path["origin"] == "IGP",
        })
    }

    fn refresh(daemon: &Daemon, link: Link) -> bool {
        ask(daemon, &format!("clear bgp {} soft in", link.ours()));
        true
    }

    fn shut_down(daemon: &Daemon, link: Link, message: &str) {
        let lines = [
            "configure terminal".to_owned(),
            format!("router bgp {PROVIDER_ASN}"),
            format!("neighbor {} shutdown message {message}", link.ours()),
        ];
        let lines = lines.map(|line| format!("-c '{line}'")).join(" ");
        daemon.ask(&format!("vtysh --vty_socket DIR -d bgpd {lines}"));
    }
}

fn ask(daemon: &Daemon, command: &str) -> String {
    daemon.ask(&format!("vtysh --vty_socket DIR -d bgpd -c '{command}'"))
}

fn texts_of(value: &serde_json::Value) -> Vec<String> {
    value.as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn community(text: &str) -> Community {
    match text {
        "graceful-shutdown" => Community::GRACEFUL_SHUTDOWN,
        text => text.replace("RT:", "rt:").replace("SoO:", "ro:").parse().unwrap(),
    }
}

fn neighbor(link: Link) -> String {
    let theirs = link.asn();
    let address = link.ours();
    let mut lines = vec![format!("remote-as {WIDE_ASN}"), "timers connect 1".to_owned()];
    lines.push(format!("update-source {}", link.theirs()));
    match link.manner {
        Plain => lines.push("local-role provider strict-mode".to_owned()),
        OtherRole => lines.push("local-role peer".to_owned()),
        TwoOctets => {
            lines.push(format!("local-as {theirs} no-prepend replace-as"));
            lines.push("dont-capability-negotiate".to_owned());
        }
        Distant => lines.push("ebgp-multihop 2".to_owned()),
        Signed | NoRole | FewHops | OtherPassword => {}
    }
    if link.on_link() {
        lines.push("ttl-security hops 1".to_owned());
    }
    if link.manner != Distant {
        // Without zebra it does not know its own addresses.
        lines.push("disable-connected-check".to_owned());
    }
    lines.extend(link.password().map(|text| format!("password {text}")));
    lines.iter().map(|line| format!(" neighbor {address} {line}\n")).collect()
}
