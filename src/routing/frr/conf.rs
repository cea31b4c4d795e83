//! `frr.conf`: pure, from our types to FRR's own words, each line as FRR itself would write it.
//!
//! To announce a prefix is to give the running daemon a line `network <prefix> route-map announce`, or `drain-<prepends>`.
//! Such a route has a tag by which a session's own route-map knows it, beside the list of our prefixes.
//!
//! Lists and route-maps of a session are called by what is in them, so one that changes is another one: it is made, the
//! session turns to it at once, and the old one goes. So it is with what bfdd is told of how soon it finds a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::desired::model::{Import, Relation};
use crate::fingerprint::Fingerprint;
use crate::names::Community;
use crate::routing::external::Setup;
use crate::routing::{Announcement, Bfd, Family, HOLD_TIME, RoutingConfig, SessionConfig, SessionName};

/// What the names of lists of our prefixes begin with.
pub(super) const OURS: &str = "ours-";
/// What the names of route-maps that take everything begin with.
pub(super) const OTHERS: &str = "others-";

/// The route-map of what is announced so.
pub(super) fn way(how: Announcement) -> String {
    match how {
        Announcement::Normal => "announce".to_owned(),
        Announcement::Draining { prepend } => format!("drain-{prepend}"),
    }
}

/// How a route-map of this name announces; `None` where it is none of these.
pub(super) fn announcement(route_map: &str) -> Option<Announcement> {
    match route_map.strip_prefix("drain-") {
        Some(prepend) => Some(Announcement::Draining { prepend: prepend.parse().ok()? }),
        None => (route_map == "announce").then_some(Announcement::Normal),
    }
}

/// How lists of a family's prefixes begin.
fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ipv6",
    }
}

/// The whole file. It announces nothing.
pub(super) fn render(setup: &Setup<'_>) -> String {
    let config = setup.config;
    let mut text = "! Written by shoestring, and written again when it is changed.\n\
                    frr defaults traditional\n\
                    log stdout informational\n!\n\
                    ip prefix-list default-v4 seq 5 permit 0.0.0.0/0\n\
                    ipv6 prefix-list default-v6 seq 5 permit ::/0\n!\n\
                    route-map nothing deny 10\nexit\n!\n\
                    route-map default-v4 permit 10\n match ip address prefix-list default-v4\nexit\n!\n\
                    route-map default-v6 permit 10\n match ipv6 address prefix-list default-v6\nexit\n!\n\
                    route-map announce permit 10\n set tag 1\nexit\n!\n"
        .to_owned();
    let drain = Announcement::Draining { prepend: config.drain_prepend };
    let _ = write!(text, "route-map {} permit 10\n set tag 1\n", way(drain));
    prepend(&mut text, config, config.drain_prepend);
    text.push_str(" set community graceful-shutdown\nexit\n!\n");

    if let Some((seconds, file)) = setup.tables("") {
        let _ = write!(text, "dump bgp routes-mrt {file} {seconds}\n!\n");
    }
    if let Some((seconds, file)) = setup.updates() {
        // `updates-et` would leave out how sessions came and went.
        let _ = write!(text, "dump bgp all-et {file} {seconds}\n!\n");
    }
    let mut lists = BTreeMap::new();
    for family in Family::ALL {
        let (name, list) = ours(config, family);
        text.push_str(&list);
        lists.insert(family, name);
    }
    let mut others = BTreeMap::new();
    for family in Family::ALL {
        let (map, lines) = others_routes(config, family);
        text.push_str(&lines);
        others.insert(family, map);
    }
    let mut exports = BTreeMap::new();
    for (name, session) in &config.sessions {
        let (map, lines) = export(config, &lists[&name.family], name, session);
        let _ = write!(text, "route-map {map} permit 10\n{lines}exit\n!\n");
        exports.insert(name, map);
    }

    let _ = write!(
        text,
        "router bgp {}\n \
         bgp router-id {}\n \
         bgp log-neighbor-changes\n \
         no bgp default ipv4-unicast\n \
         bgp graceful-restart-disable\n \
         no bgp network import-check\n",
        config.asn, config.router_id
    );
    for (name, session) in &config.sessions {
        text.push_str(&neighbor(setup, name, session));
    }
    for family in Family::ALL {
        let _ = write!(text, " !\n address-family {} unicast\n", family.word());
        for (name, session) in config.sessions.iter().filter(|(name, _)| name.family == family) {
            let import = match session.import {
                Import::Nothing => "nothing".to_owned(),
                Import::Default => format!("default-{family}"),
                Import::Full => others[&family].clone(),
            };
            // Active last: then it never has no policy.
            for line in [
                format!("route-map {import} in"),
                format!("route-map {} out", exports[name]),
                "activate".to_owned(),
            ] {
                let _ = writeln!(text, "  neighbor {} {line}", session.neighbor);
            }
        }
        text.push_str(" exit-address-family\n");
    }
    text.push_str("exit\n");
    text
}

fn named(name: &str, what: &str) -> String {
    let mark = Fingerprint::of(&[what.as_bytes()]).to_string();
    format!("{name}-{}", &mark[..8])
}

/// The name of the list of our prefixes of a family, and the list. One without prefixes does not exist, and matches nothing.
fn ours(config: &RoutingConfig, family: Family) -> (String, String) {
    let prefixes = config.prefixes.iter().filter(|prefix| Family::of(prefix.addr()) == family);
    let entries: Vec<String> =
        prefixes.enumerate().map(|(at, prefix)| format!("seq {} permit {prefix}", 5 * (at + 1))).collect();
    let name = named(&format!("{OURS}{family}"), &entries.join("\n"));
    let lines = entries.iter().map(|entry| format!("{} prefix-list {name} {entry}\n", ip(family)));
    let list = lines.chain([String::from("!\n")]).collect();
    (name, list)
}

/// The name of the route-map that takes everything but what lies in our own prefixes, and its lines with those of its list.
fn others_routes(config: &RoutingConfig, family: Family) -> (String, String) {
    let longest = match family {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    let entries: Vec<String> =
        config.prefixes_of(family).map(|prefix| format!("{prefix} le {longest}")).collect();
    let list = named(&format!("within-{family}"), &entries.join("\n"));
    let map = named(&format!("{OTHERS}{family}"), &list);
    let mut text = String::new();
    for (at, entry) in entries.iter().enumerate() {
        let _ = writeln!(text, "{} prefix-list {list} seq {} permit {entry}", ip(family), 5 * (at + 1));
    }
    let _ = write!(
        text,
        "!\nroute-map {map} deny 10\n match {} address prefix-list {list}\nexit\n!\n\
         route-map {map} permit 20\nexit\n!\n",
        ip(family)
    );
    (map, text)
}

/// The name of the route-map that says what a peer is told, and its lines.
fn export(
    config: &RoutingConfig,
    list: &str,
    name: &SessionName,
    session: &SessionConfig,
) -> (String, String) {
    let mut lines = format!(" match {} address prefix-list {list}\n match tag 1\n", ip(name.family));
    prepend(&mut lines, config, session.prepend);
    let told: Vec<(Kind, String)> = session.communities.iter().filter_map(|one| told(*one)).collect();
    for kind in [Kind::Standard, Kind::Target, Kind::Origin, Kind::Large] {
        let communities: Vec<&str> =
            told.iter().filter(|(of, _)| *of == kind).map(|(_, text)| text.as_str()).collect();
        if !communities.is_empty() {
            let (what, how) = kind.words();
            let _ = writeln!(lines, " set {what} {}{how}", communities.join(" "));
        }
    }
    lines.push_str(" set origin igp\n");
    (named(&format!("to-{name}"), &lines), lines)
}

fn prepend(lines: &mut String, config: &RoutingConfig, times: u8) {
    if times > 0 {
        let path = vec![config.asn.to_string(); usize::from(times)].join(" ");
        let _ = writeln!(lines, " set as-path prepend {path}");
    }
}

/// zebra's file: a neighbour beyond the link is reached by a default route, mostly, which counts for nothing unless it is told.
pub(super) fn zebra() -> String {
    "! Written by shoestring, and written again when it is changed.\n\
     log stdout informational\n\
     no zebra nexthop kernel enable\n\
     ip nht resolve-via-default\n\
     ipv6 nht resolve-via-default\n"
        .to_owned()
}

/// What bfdd calls it.
fn profile(Bfd { interval, multiplier }: Bfd) -> String {
    format!("every-{}-ms-times-{multiplier}", interval.as_millis())
}

/// bfdd's file. Which sessions there are, it hears from bgpd.
pub(super) fn bfdd(config: &RoutingConfig) -> String {
    let profiles: BTreeMap<String, Bfd> =
        config.sessions.values().filter_map(|session| session.bfd).map(|bfd| (profile(bfd), bfd)).collect();
    let mut text = "! Written by shoestring, and written again when it is changed.\n\
                    log stdout informational\n\
                    bfd\n"
        .to_owned();
    for (name, Bfd { interval, multiplier }) in profiles {
        let interval = interval.as_millis();
        // Beyond a link BIRD sends it with a TTL of 64, and FRR takes it from 254 on unless it is told.
        let _ = write!(
            text,
            " profile {name}\n  detect-multiplier {multiplier}\n  receive-interval {interval}\n  \
             transmit-interval {interval}\n  minimum-ttl 1\n exit\n"
        );
    }
    text + "exit\n"
}

/// Of a neighbour on the link.
pub(super) const GTSM: &str = "ttl-security hops 1";
/// After GTSM: FRR takes such a neighbour for one over many hops, and so does its BFD, unless that is taken back.
pub(super) const NEAR: &str = "no ebgp-multihop";

fn neighbor(setup: &Setup<'_>, name: &SessionName, session: &SessionConfig) -> String {
    let (hold, keepalive) = (HOLD_TIME.as_secs(), HOLD_TIME.as_secs() / 3);
    let role = match session.relation {
        Relation::Provider => "customer",
        Relation::Peer => "peer",
        Relation::RouteServer => "rs-client",
    };
    let strict = if session.strict_role { " strict-mode" } else { "" };
    let mut lines = vec![format!("remote-as {}", session.asn), format!("description {name}")];
    if let Some(password) = setup.passwords.get(name) {
        lines.push(format!("password {}", String::from_utf8_lossy(password.expose())));
    }
    lines.push(format!("local-role {role}{strict}"));
    match session.multihop {
        None => lines.extend([GTSM.to_owned(), NEAR.to_owned()]),
        // It is what it does anyway, and does not write.
        Some(1) => {}
        Some(hops) => lines.push(format!("ebgp-multihop {hops}")),
    }
    if matches!(session.multihop, None | Some(1)) {
        // Without zebra it does not know what is on the link.
        lines.push("disable-connected-check".to_owned());
    }
    lines.push(format!("update-source {}", session.local));
    lines.push(format!("timers {keepalive} {hold}"));
    lines.push("timers connect 10".to_owned());
    if let Some(bfd) = session.bfd {
        lines.extend(["bfd".to_owned(), format!("bfd profile {}", profile(bfd))]);
    }
    let written = |line: &String| match line.strip_prefix("no ") {
        Some(line) => format!(" no neighbor {} {line}\n", session.neighbor),
        None => format!(" neighbor {} {line}\n", session.neighbor),
    };
    lines.iter().map(written).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Standard,
    Target,
    Origin,
    Large,
}

impl Kind {
    /// What is set, and how it joins what is there already. A line that sets extended ones of a kind adds them.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Standard => ("community", " additive"),
            Self::Target => ("extcommunity rt", ""),
            Self::Origin => ("extcommunity soo", ""),
            Self::Large => ("large-community", " additive"),
        }
    }
}

/// Those of RFC 1997 and after that FRR writes by name.
const WELL_KNOWN: [((u16, u16), &str); 14] = [
    ((0, 0), "internet"),
    ((65535, 0), "graceful-shutdown"),
    ((65535, 1), "accept-own"),
    ((65535, 2), "route-filter-translated-v4"),
    ((65535, 3), "route-filter-v4"),
    ((65535, 4), "route-filter-translated-v6"),
    ((65535, 5), "route-filter-v6"),
    ((65535, 6), "llgr-stale"),
    ((65535, 7), "no-llgr"),
    ((65535, 8), "accept-own-nexthop"),
    ((65535, 65281), "no-export"),
    ((65535, 65282), "no-advertise"),
    ((65535, 65283), "local-AS"),
    ((65535, 65284), "no-peer"),
];

/// How FRR is told of a community; `None` where it cannot be.
fn told(community: Community) -> Option<(Kind, String)> {
    let text = community.to_string();
    match community {
        Community::Standard(a, b) => {
            let name = WELL_KNOWN.iter().find(|(number, _)| *number == (a, b)).map(|(_, name)| *name);
            Some((Kind::Standard, name.map_or(text, str::to_owned)))
        }
        Community::Large(..) => Some((Kind::Large, text)),
        Community::Extended(_) => {
            let (kind, value) = text.split_once(':')?;
            let kind = match kind {
                "rt" => Kind::Target,
                "ro" => Kind::Origin,
                _ => return None,
            };
            Some((kind, value.to_owned()))
        }
    }
}

/// A community that FRR cannot be told of.
pub(super) fn untold(session: &SessionConfig) -> Option<Community> {
    session.communities.iter().copied().find(|community| told(*community).is_none())
}
