//! OpenBGPD. It only accepts, but for signed sessions: its listener has no keys when it starts on Linux.

use super::*;

pub(super) struct OpenBgpd;

impl Software for OpenBgpd {
    const PROGRAMS: &'static [&'static str] = &["/usr/sbin/bgpd", "/usr/sbin/bgpctl"];
    const ROLES: bool = true;
    const EXTENDED: bool = false;
    const SAYS: &'static [&'static str] = &["4-byte AS numbers", "Route Refresh", "role customer"];

    fn files(links: &[Link]) -> (Vec<(&'static str, String)>, &'static str) {
        let head = format!(
            "AS {PROVIDER_ASN}\nrouter-id 192.0.2.254\nsocket \"DIR/control\"\nfib-update no\nconnect-retry 1\n\
             listen on 192.0.2.254\nlisten on 2001:db8:0:1::fe\n"
        );
        let neighbors: String = links.iter().map(|link| neighbor(*link)).collect();
        let text = head + &neighbors + "allow from any\ndeny to any\n";
        (vec![("bgpd.conf", text)], "/usr/sbin/bgpd -d -v -f DIR/bgpd.conf")
    }

    fn speaks(_: Link) -> bool {
        true
    }

    fn is_ready(daemon: &Daemon) -> bool {
        daemon.ask("bgpctl -s DIR/control show").contains("192.0.2.1")
    }

    fn session(daemon: &Daemon, link: Link) -> String {
        daemon.ask(&format!("bgpctl -s DIR/control show neighbor {}", link.ours()))
    }

    fn route(daemon: &Daemon, link: Link) -> Option<Route> {
        let ours = link.ours();
        let table = daemon.ask_json(&format!("bgpctl -s DIR/control -j show rib neighbor {ours} in detail"));
        let is_prefix = |route: &&serde_json::Value| route["prefix"] == link.prefix();
        let route = table["rib"].as_array()?.iter().find(is_prefix)?;
        let texts = |name: &str| {
            let all = route[name].as_array().cloned().unwrap_or_default();
            all.iter().map(|text| community(text.as_str().unwrap())).collect::<Vec<_>>()
        };
        Some(Route {
            path: route["aspath"].as_str()?.split_whitespace().map(|asn| asn.parse().unwrap()).collect(),
            communities: ["communities", "large_communities", "extended_communities"]
                .into_iter()
                .flat_map(texts)
                .collect(),
            next_hop: route["exit_nexthop"].as_str().and_then(|hop| hop.parse().ok()),
            igp: route["origin"] == "IGP",
        })
    }

    fn refresh(daemon: &Daemon, link: Link) -> bool {
        daemon.ask(&format!("bgpctl -s DIR/control neighbor {} refresh", link.ours()));
        true
    }

    fn shut_down(daemon: &Daemon, link: Link, message: &str) {
        daemon.ask(&format!("bgpctl -s DIR/control neighbor {} down '{message}'", link.ours()));
    }
}

fn community(text: &str) -> Community {
    match text {
        "GRACEFUL_SHUTDOWN" => Community::GRACEFUL_SHUTDOWN,
        text => text.replace("rt ", "rt:").replace("soo ", "ro:").parse().unwrap(),
    }
}

fn neighbor(link: Link) -> String {
    let theirs = link.asn();
    let mut lines = vec![format!("remote-as {WIDE_ASN}"), format!("local-address {}", link.theirs())];
    if link.password().is_none() {
        lines.push("passive".to_owned());
    }
    match link.manner {
        Plain => lines.push("announce policy provider enforce".to_owned()),
        OtherRole => lines.push("announce policy peer".to_owned()),
        TwoOctets => {
            lines.push("announce as-4byte no".to_owned());
            lines.push(format!("local-as {theirs}"));
        }
        Distant => lines.push("multihop 2".to_owned()),
        Signed | NoRole | FewHops | OtherPassword => {}
    }
    if link.on_link() {
        lines.push("ttl-security yes".to_owned());
    }
    lines.extend(link.password().map(|text| format!("tcp md5sig password \"{text}\"")));
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("neighbor {} {{\n{lines}}}\n", link.ours())
}
