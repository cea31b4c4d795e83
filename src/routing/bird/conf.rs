//! `bird.conf`: pure, from our types to BIRD's own words.
//!
//! A prefix has two static protocols, `announce.<prefix>` and `drain.<prepends>.<prefix>`, each on a line of its own and
//! disabled. To announce is to enable one of them; a session's filter sees by the name of the protocol which one it was.

use std::fmt::Write as _;

use ipnet::IpNet;

use crate::desired::model::{Import, Relation};
use crate::names::Community;
use crate::routing::external::Setup;
use crate::routing::{
    Announcement, Bfd, Family, HOLD_TIME, Origination, RoutingConfig, SessionConfig, SessionName,
};

/// What a peer may offer unless everything is imported.
const RECEIVE_LIMIT: usize = 10;
/// The one protocol that is neither a session nor a prefix, nor writes anything.
pub(super) const LINKS: &str = "links";
/// The one that writes the archive.
pub(super) const ARCHIVE: &str = "archive";
/// The one that speaks BFD for the sessions that ask for it.
pub(super) const FAILURES: &str = "failures";
/// BIRD's names have 64 octets at most.
pub(super) const LONGEST_NAME: usize = 64;

/// A static protocol's name.
pub(super) fn static_name(prefix: IpNet, how: Announcement) -> String {
    let prefix = prefix.to_string().replace('/', ".");
    match how {
        Announcement::Normal => format!("announce.{prefix}"),
        Announcement::Draining { prepend } => format!("drain.{prepend}.{prefix}"),
    }
}

/// What a static protocol of this name announces; `None` where it is none of ours.
pub(super) fn announced(name: &str) -> Option<(IpNet, Announcement)> {
    let (how, prefix) = match name.strip_prefix("announce.") {
        Some(prefix) => (Announcement::Normal, prefix),
        None => {
            let (prepend, prefix) = name.strip_prefix("drain.")?.split_once('.')?;
            (Announcement::Draining { prepend: prepend.parse().ok()? }, prefix)
        }
    };
    let (address, length) = prefix.rsplit_once('.')?;
    Some((format!("{address}/{length}").parse().ok()?, how))
}

/// Both ways to announce a prefix.
pub(super) fn ways(config: &RoutingConfig) -> [Announcement; 2] {
    [Announcement::Normal, Announcement::Draining { prepend: config.drain_prepend }]
}

/// Whether a session asks for it: it listens where it runs.
pub(super) fn speaks_bfd(config: &RoutingConfig) -> bool {
    config.sessions.values().any(|session| session.bfd.is_some())
}

/// The whole file. It announces nothing.
pub(super) fn render(setup: &Setup<'_>) -> String {
    let config = setup.config;
    let mut text = format!(
        "# Written by shoestring, and written again when it is changed.\n\
         log stderr {{ info, remote, warning, error, auth, fatal, bug }};\n\
         timeformat base \"%s.%6f\";\n\
         timeformat protocol \"%s\";\n\
         router id {};\n\
         protocol device {LINKS} {{ }}\n\n",
        config.router_id
    );
    if let Some(file) = setup.updates_open() {
        // Before the protocols, which take it as their own.
        let _ =
            write!(text, "mrtdump \"{}\";\nmrtdump protocols {{ states, messages }};\n\n", file.display());
    }
    for prefix in &config.prefixes {
        for (how, preference) in ways(config).into_iter().zip([200, 210]) {
            let _ = writeln!(
                text,
                "protocol static '{}' {{ disabled; {} {{ preference {preference}; }}; route {prefix} blackhole; }}",
                static_name(*prefix, how),
                Family::of(prefix.addr()).word(),
            );
        }
    }
    if let Some((seconds, file)) = setup.tables(".%N") {
        let _ = writeln!(
            text,
            "protocol mrt {ARCHIVE} {{ table \"master*\"; filename \"{file}\"; period {seconds}; }}"
        );
    }
    if speaks_bfd(config) {
        let _ = writeln!(text, "protocol bfd {FAILURES} {{ }}");
    }
    for family in Family::ALL {
        text.push_str(&ours(config, family));
    }
    for (name, session) in &config.sessions {
        text.push_str(&protocol(setup, name, session));
    }
    text
}

/// The same file, with what is announced enabled: what the running daemon is told, so that it goes on announcing.
pub(super) fn awake(text: &str, announced: &Origination) -> String {
    let wake = |line: &str| {
        let (name, rest) = line.strip_prefix("protocol static '")?.split_once("' { disabled; ")?;
        let (prefix, how) = self::announced(name)?;
        // A drain is one, however many prepends it had before.
        let is_drain = |how: Announcement| matches!(how, Announcement::Draining { .. });
        let awake = announced.get(&prefix).is_some_and(|present| is_drain(*present) == is_drain(how));
        awake.then(|| format!("protocol static '{name}' {{ {rest}"))
    };
    text.lines().map(|line| wake(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

/// The filter's first half: whether a route is one of our own prefixes, exactly, originated here.
fn ours(config: &RoutingConfig, family: Family) -> String {
    let mut text = format!("\nfunction ours_{family}()\n{{\n\tif source != RTS_STATIC then return false;\n");
    for prefix in config.prefixes_of(family) {
        let [normal, drain] = ways(config).map(|how| static_name(*prefix, how));
        let _ =
            writeln!(text, "\tif net = {prefix} then return proto = \"{normal}\" || proto = \"{drain}\";");
    }
    text.push_str("\treturn false;\n}\n");
    // Nobody else can tell us of these.
    let within: Vec<String> = config.prefixes_of(family).map(|prefix| format!("{prefix}+")).collect();
    let within =
        if within.is_empty() { "false".to_owned() } else { format!("net ~ [ {} ]", within.join(", ")) };
    let _ = writeln!(text, "\nfunction within_ours_{family}()\n{{\n\treturn {within};\n}}");
    // By name again, so that the second half needs no attribute of its own.
    let drains: Vec<String> = config
        .prefixes_of(family)
        .map(|prefix| format!("proto = \"{}\"", static_name(*prefix, ways(config)[1])))
        .collect();
    let drains = if drains.is_empty() { "false".to_owned() } else { drains.join(" || ") };
    let _ = writeln!(text, "\nfunction draining_{family}()\n{{\n\treturn {drains};\n}}");
    text
}

fn protocol(setup: &Setup<'_>, name: &SessionName, session: &SessionConfig) -> String {
    let config = setup.config;
    let (hold, keepalive) = (HOLD_TIME.as_secs(), HOLD_TIME.as_secs() / 3);
    let role = match session.relation {
        Relation::Provider => "customer",
        Relation::Peer => "peer",
        Relation::RouteServer => "rs_client",
    };
    let mut text = format!(
        "\nprotocol bgp '{name}' {{\n\
         \tlocal {} as {};\n\
         \tneighbor {} as {};\n",
        session.local, config.asn, session.neighbor, session.asn
    );
    match session.multihop {
        None => text.push_str("\tdirect;\n\tttl security on;\n"),
        Some(hops) => _ = writeln!(text, "\tmultihop {hops};"),
    }
    if let Some(Bfd { interval, multiplier }) = session.bfd {
        let interval = interval.as_millis();
        let _ = writeln!(text, "\tbfd {{ interval {interval} ms; multiplier {multiplier}; }};");
    }
    if let Some(password) = setup.passwords.get(name) {
        let _ = writeln!(text, "\tpassword \"{}\";", String::from_utf8_lossy(password.expose()));
    }
    let _ = write!(text, "\tlocal role {role};\n\trequire roles {};\n", on(session.strict_role));
    let _ = write!(
        text,
        "\thold time {hold};\n\
         \tstartup hold time {hold};\n\
         \tkeepalive time {keepalive};\n\
         \tconnect delay time 1;\n\
         \tconnect retry time 10;\n\
         \terror wait time 2, 60;\n\
         \tgraceful restart off;\n\
         \tlong lived graceful restart off;\n\
         \tenable extended messages on;\n\
         \t{} {{\n",
        name.family.word()
    );
    match session.import {
        // What is rejected counts towards the limit only where it is kept.
        Import::Nothing => _ = writeln!(text, "\t\timport none;\n{}", limited()),
        Import::Default => {
            let default = name.family.default_route();
            let _ = writeln!(text, "\t\timport where net = {default};\n{}", limited());
        }
        Import::Full => _ = writeln!(text, "\t\timport where ! within_ours_{}();", name.family),
    }
    let _ = write!(
        text,
        "\t\tnext hop self on;\n\
         \t\texport table on;\n\
         \t\texport limit {} action block;\n\
         \t\texport filter {{\n{}\t\t}};\n\t}};\n}}\n",
        config.prefixes_of(name.family).count(),
        export(config, name, session)
    );
    text
}

fn limited() -> String {
    format!("\t\timport table on;\n\t\treceive limit {RECEIVE_LIMIT} action restart;")
}

fn on(is: bool) -> &'static str {
    if is { "on" } else { "off" }
}

/// The filter's second half: what the peer is told of such a route.
fn export(config: &RoutingConfig, name: &SessionName, session: &SessionConfig) -> String {
    let family = name.family;
    let prepends =
        |times: u8| vec![format!("bgp_path.prepend({});", config.asn); usize::from(times)].join(" ");
    let mut lines = vec![
        format!("if ! ours_{family}() then reject;"),
        "bgp_origin = ORIGIN_IGP;".to_owned(),
        "unset(bgp_med);".to_owned(),
    ];
    lines.extend(session.communities.iter().map(|community| add(*community)));
    lines.push(prepends(session.prepend));
    lines.push(format!(
        "if draining_{family}() then {{ {} {} }}",
        add(Community::GRACEFUL_SHUTDOWN),
        prepends(config.drain_prepend)
    ));
    lines.push("accept;".to_owned());
    lines.retain(|line| !line.is_empty());
    lines.iter().map(|line| format!("\t\t\t{line}\n")).collect()
}

fn add(community: Community) -> String {
    match community {
        Community::Standard(a, b) => format!("bgp_community.add(({a}, {b}));"),
        Community::Large(a, b, c) => format!("bgp_large_community.add(({a}, {b}, {c}));"),
        Community::Extended(_) => {
            let parts = community.to_string().replace(':', ", ");
            format!("bgp_ext_community.add(({parts}));")
        }
    }
}

/// How the Adj-RIB-Out of a session is called.
pub(super) fn export_table(name: &SessionName) -> String {
    format!("'{name}'.{}", name.family.word())
}
