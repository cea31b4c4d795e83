//! BIRD 2. It only accepts: sessions are opened from our end.

use super::*;

pub(super) struct Bird;

impl Software for Bird {
    const PROGRAMS: &'static [&'static str] = &["/usr/sbin/bird"];
    const ROLES: bool = true;
    const EXTENDED: bool = true;
    const SAYS: &'static [&'static str] = &[
        "Neighbor capabilities",
        "4-octet AS numbers",
        "Extended message",
        "Route refresh",
        "Enhanced refresh",
        "Role: customer",
    ];

    fn files(links: &[Link]) -> (Vec<(&'static str, String)>, &'static str) {
        let head = "log \"DIR/log\" all;\nrouter id 192.0.2.254;\nprotocol device {}\n".to_owned();
        let protocols = links.iter().map(|link| protocol(*link));
        (vec![("bird.conf", head + &protocols.collect::<String>())], "bird -f -c bird.conf -s control -P pid")
    }

    fn speaks(_: Link) -> bool {
        true
    }

    fn is_ready(daemon: &Daemon) -> bool {
        daemon.ask("birdc -r -s control show status").contains("Daemon is up")
    }

    fn session(daemon: &Daemon, link: Link) -> String {
        daemon.ask(&format!("birdc -r -s control show protocols all {}", link.label()))
    }

    fn route(daemon: &Daemon, link: Link) -> Option<Route> {
        let command =
            format!("birdc -r -s control show route all for {} protocol {}", link.prefix(), link.label());
        let answer = daemon.ask(&command);
        let value =
            |name: &str| answer.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_default();
        answer.contains("BGP.origin").then(|| Route {
            path: value("BGP.as_path: ").split_whitespace().map(|asn| asn.parse().unwrap()).collect(),
            communities: ["BGP.community: ", "BGP.ext_community: ", "BGP.large_community: "]
                .iter()
                .flat_map(|name| value(name).split_inclusive(')'))
                .map(|text| text.replace(['(', ')', ' '], "").replace(',', ":").parse().unwrap())
                .collect(),
            next_hop: value("BGP.next_hop: ").split_whitespace().next().and_then(|hop| hop.parse().ok()),
            igp: value("BGP.origin: ") == "IGP",
        })
    }

    fn refresh(daemon: &Daemon, link: Link) -> bool {
        daemon.ask(&format!("birdc -s control reload in {}", link.label()));
        true
    }

    fn shut_down(daemon: &Daemon, link: Link, message: &str) {
        daemon.ask(&format!("birdc -s control 'disable {} \"{message}\"'", link.label()));
    }
}

fn protocol(link: Link) -> String {
    let theirs = link.asn();
    let hops = match link.manner {
        Distant => "multihop 2;",
        FewHops => "direct;",
        Plain | Signed | TwoOctets | OtherRole | NoRole | OtherPassword => "direct; ttl security on;",
    };
    let more = match link.manner {
        Plain => "local role provider; require roles; enable extended messages on;",
        OtherRole => "local role peer;",
        NoRole => "",
        TwoOctets => "enable as4 off;",
        Signed | Distant | FewHops | OtherPassword => "",
    };
    // Without 4-octet numbers it cannot be told ours.
    let ours = if link.manner == TwoOctets { "external".to_owned() } else { format!("as {WIDE_ASN}") };
    let password = link.password().map(|text| format!("password \"{text}\";")).unwrap_or_default();
    let channel = if link.family == Family::V4 { "ipv4" } else { "ipv6" };
    format!(
        "protocol bgp {} {{ local {} as {theirs}; neighbor {} {ours}; passive on; error wait time 1, 1;\n\
         {hops} {more} {password} {channel} {{ import all; export none; }}; }}\n",
        link.label(),
        link.theirs(),
        link.ours()
    )
}
