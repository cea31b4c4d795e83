//! GoBGP 3. It does not listen, so every session is opened from its end.

use super::*;

pub(super) struct GoBgp;

impl Software for GoBgp {
    const PROGRAMS: &'static [&'static str] = &["/usr/bin/gobgpd", "/usr/bin/gobgp"];
    const ROLES: bool = false;
    const EXTENDED: bool = false;
    const SAYS: &'static [&'static str] =
        &["4-octet-as:\tadvertised and received", "route-refresh:\tadvertised and received"];

    fn files(links: &[Link]) -> (Vec<(&'static str, String)>, &'static str) {
        let head =
            format!("[global.config]\n  as = {PROVIDER_ASN}\n  router-id = \"192.0.2.254\"\n  port = -1\n");
        let neighbors = links.iter().map(|link| neighbor(*link));
        let run = "gobgpd -f gobgpd.toml --api-hosts unix://DIR/api --log-plain";
        (vec![("gobgpd.toml", head + &neighbors.collect::<String>())], run)
    }

    /// It always has numbers of four octets, and no roles.
    fn speaks(link: Link) -> bool {
        !matches!(link.manner, TwoOctets | OtherRole)
    }

    fn is_ready(daemon: &Daemon) -> bool {
        ask(daemon, "neighbor").contains("192.0.2.1")
    }

    fn session(daemon: &Daemon, link: Link) -> String {
        ask(daemon, &format!("neighbor {}", link.ours()))
    }

    fn route(daemon: &Daemon, link: Link) -> Option<Route> {
        let family = if link.family == Family::V4 { "ipv4" } else { "ipv6" };
        let command = format!("gobgp --target unix://DIR/api -j neighbor {} adj-in -a {family}", link.ours());
        let table = daemon.ask_json(&command);
        let path = table.get(link.prefix())?.get(0)?;
        let mut route = Route::default();
        for attribute in path["attrs"].as_array()? {
            let number = |value: &serde_json::Value| value.as_u64().unwrap();
            match number(&attribute["type"]) {
                1 => route.igp = attribute["value"] == 0,
                2 => {
                    let asns = attribute["as_paths"][0]["asns"].as_array()?.iter();
                    route.path = asns.map(|asn| u32::try_from(number(asn)).unwrap()).collect();
                }
                3 | 14 => route.next_hop = attribute["nexthop"].as_str().and_then(|hop| hop.parse().ok()),
                8 => {
                    let all = attribute["communities"].as_array()?.iter().map(number);
                    let read =
                        |value: u64| format!("{}:{}", value >> 16, value & 0xffff).parse::<Community>();
                    route.communities.extend(all.map(|value| read(value).unwrap()));
                }
                16 => {
                    let kinds = |value: &serde_json::Value| if value["subtype"] == 2 { "rt" } else { "ro" };
                    let all = attribute["value"].as_array()?.iter();
                    let texts =
                        all.map(|value| format!("{}:{}", kinds(value), value["value"].as_str().unwrap()));
                    route.communities.extend(texts.map(|text| text.parse::<Community>().unwrap()));
                }
                32 => {
                    let part =
                        |value: &serde_json::Value, name: &str| u32::try_from(number(&value[name])).unwrap();
                    let all = attribute["value"].as_array()?.iter();
                    route.communities.extend(all.map(|value| {
                        Community::Large(
                            part(value, "ASN"),
                            part(value, "LocalData1"),
                            part(value, "LocalData2"),
                        )
                    }));
                }
                _ => {}
            }
        }
        Some(route)
    }

    /// A soft reset reads what it kept.
    fn refresh(_: &Daemon, _: Link) -> bool {
        false
    }

    fn shut_down(daemon: &Daemon, link: Link, message: &str) {
        ask(daemon, &format!("neighbor {} shutdown --reason '{message}'", link.ours()));
    }
}

fn ask(daemon: &Daemon, command: &str) -> String {
    daemon.ask(&format!("gobgp --target unix://DIR/api {command}"))
}

fn neighbor(link: Link) -> String {
    let password =
        link.password().map(|text| format!("    auth-password = \"{text}\"\n")).unwrap_or_default();
    let hops = match link.manner {
        Distant => "  [neighbors.ebgp-multihop.config]\n    enabled = true\n    multihop-ttl = 2\n",
        FewHops => "",
        Plain | Signed | TwoOctets | OtherRole | NoRole | OtherPassword => {
            "  [neighbors.ttl-security.config]\n    enabled = true\n    ttl-min = 255\n"
        }
    };
    let family = if link.family == Family::V4 { "ipv4-unicast" } else { "ipv6-unicast" };
    format!(
        "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{}\"\n    peer-as = {WIDE_ASN}\n{password}\
         \x20 [neighbors.timers.config]\n    connect-retry = 1\n    idle-hold-time-after-reset = 1\n\
         \x20 [neighbors.transport.config]\n    local-address = \"{}\"\n{hops}\
         \x20 [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{family}\"\n",
        link.ours(),
        link.theirs(),
    )
}
