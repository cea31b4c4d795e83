//! `bgpd.conf`: pure, from our types to OpenBGPD's own words.
//!
//! It names no network, so it announces nothing. Networks are added to the running daemon; filters let exactly our own
//! prefixes out, and only where they come from here. An AS set that nothing uses has the fingerprint of the file in its
//! name: the one thing by which the running daemon tells what it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipnet::IpNet;

use crate::desired::model::{Import, Relation};
use crate::fingerprint::Fingerprint;
use crate::keyring::Secret;
use crate::names::Community;
use crate::process::Version;
use crate::routing::external::Setup;
use crate::routing::{Family, HOLD_TIME, RoutingConfig, SessionConfig, SessionName};

/// What a peer may offer unless everything is imported.
const RECEIVE_LIMIT: usize = 10;
/// What the AS set with the fingerprint is called, up to that.
pub(super) const MARK: &str = "shoestring-";
/// Has what peers say written to a file, which is begun at each interval and at each reading of the configuration. One that
/// is begun in the same second as another takes its place.
const UPDATES: &str = "dump all in ";
/// The first version that takes roles apart from the policy capability.
const ROLES_APART: Version = Version(7, 8, 0);

/// The whole file.
pub(super) fn render(setup: &Setup<'_>, socket: &str, version: Version) -> String {
    let secret = |password: &Secret| quoted(&String::from_utf8_lossy(password.expose()));
    let passwords = setup.passwords.iter().map(|(name, password)| (name.clone(), secret(password)));
    format!(
        "# Written by shoestring, and written again when it is changed.\nas-set \"{MARK}{}\" {{ {} }}\n{}",
        fingerprint(setup, socket, version),
        setup.config.asn,
        body(setup, &passwords.collect(), socket, version)
    )
}

/// What tells files apart. It can be looked up in the daemon by others, so it is not taken over passwords, but over what
/// they are kept sealed as.
fn fingerprint(setup: &Setup<'_>, socket: &str, version: Version) -> Fingerprint {
    let sealed = setup.config.sessions.iter().filter_map(|(name, session)| {
        let password = session.password.as_ref()?;
        Some((name.clone(), format!("{} {}", password.name, password.sealed)))
    });
    Fingerprint::of(&[body(setup, &sealed.collect(), socket, version).as_bytes()])
}

fn body(
    setup: &Setup<'_>,
    passwords: &BTreeMap<SessionName, String>,
    socket: &str,
    version: Version,
) -> String {
    let config = setup.config;
    let mut text = format!(
        "AS {}\n\
         router-id {}\n\
         socket {}\n\
         fib-update no\n\
         nexthop qualify via default\n\
         connect-retry 10\n",
        config.asn,
        config.router_id,
        quoted(socket),
    );
    if let Some((seconds, file)) = setup.tables("") {
        let _ = writeln!(text, "dump table-v2 {} {seconds}", quoted(&file));
    }
    if let Some((seconds, file)) = setup.updates() {
        // `updates in` would leave out how sessions came and went.
        let _ = writeln!(text, "{UPDATES}{} {seconds}", quoted(&file));
    }
    for family in Family::ALL {
        let prefixes: Vec<String> = config.prefixes_of(family).map(ToString::to_string).collect();
        if !prefixes.is_empty() {
            let _ = writeln!(text, "prefix-set \"ours-{family}\" {{ {} }}", prefixes.join(", "));
        }
    }
    for (name, session) in &config.sessions {
        text.push_str(&neighbor(config, passwords.get(name), name, session, version));
    }
    text.push_str("\ndeny from any\ndeny to any\n");
    for family in config.families() {
        let _ = writeln!(text, "deny quick from any prefix-set \"ours-{family}\" or-longer");
    }
    for (name, session) in &config.sessions {
        match session.import {
            Import::Nothing => {}
            Import::Default => {
                let _ =
                    writeln!(text, "allow from {} prefix {}", session.neighbor, name.family.default_route());
            }
            Import::Full => _ = writeln!(text, "allow from {}", session.neighbor),
        }
    }
    // Whatever else goes wrong: no route of others. An empty path, which is our own, has no source.
    let _ = writeln!(text, "deny quick to any source-as != {}", config.asn);
    for (name, session) in &config.sessions {
        if config.families().any(|family| family == name.family) {
            let _ = writeln!(
                text,
                "allow to {} prefix-set \"ours-{}\" set {{ {} }}",
                session.neighbor,
                name.family,
                attributes(session)
            );
        }
    }
    text
}

fn neighbor(
    config: &RoutingConfig,
    password: Option<&String>,
    name: &SessionName,
    session: &SessionConfig,
    version: Version,
) -> String {
    let role = match session.relation {
        Relation::Provider => "customer",
        Relation::Peer => "peer",
        Relation::RouteServer => "rs-client",
    };
    let (ours, others) = match name.family {
        Family::V4 => ("IPv4", "IPv6"),
        Family::V6 => ("IPv6", "IPv4"),
    };
    let mut lines = vec![
        format!("descr \"{name}\""),
        format!("remote-as {}", session.asn),
        format!("local-address {}", session.local),
        format!("holdtime {}", HOLD_TIME.as_secs()),
        format!("announce {ours} unicast"),
        format!("announce {others} none"),
        "announce restart no".to_owned(),
    ];
    lines.extend(match (version < ROLES_APART, session.strict_role) {
        (true, false) => vec![format!("announce policy {role}")],
        (true, true) => vec![format!("announce policy {role} enforce")],
        (false, false) => vec![format!("role {role}"), "announce policy yes".to_owned()],
        (false, true) => vec![format!("role {role}"), "announce policy enforce".to_owned()],
    });
    lines.push(match session.multihop {
        None => "ttl-security yes".to_owned(),
        Some(hops) => format!("multihop {hops}"),
    });
    lines.extend(password.map(|password| format!("tcp md5sig password {password}")));
    if session.import != Import::Full {
        lines.push(format!("max-prefix {RECEIVE_LIMIT} restart 1"));
    }
    // A fuse behind the filters. There is always room for one: it is no number of prefixes otherwise.
    lines.push(format!("max-prefix {} out restart 1", config.prefixes_of(name.family).count().max(1)));
    let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
    format!("\nneighbor {} {{\n{lines}}}\n", session.neighbor)
}

/// What a peer is told of our prefixes, beside what draining adds to them.
fn attributes(session: &SessionConfig) -> String {
    let mut words = vec!["origin igp".to_owned(), "nexthop self".to_owned()];
    if session.prepend > 0 {
        words.push(format!("prepend-self {}", session.prepend));
    }
    words.extend(session.communities.iter().filter_map(|community| self::community(*community)));
    words.join(" ")
}

/// A community in its words; `None` where it has none for it.
pub(super) fn community(community: Community) -> Option<String> {
    match community {
        Community::Standard(..) => Some(format!("community {community}")),
        Community::Large(..) => Some(format!("large-community {community}")),
        Community::Extended(_) => {
            let text = community.to_string();
            let (kind, rest) = text.split_once(':')?;
            match kind {
                "rt" => Some(format!("ext-community rt {rest}")),
                "ro" => Some(format!("ext-community soo {rest}")),
                _ => None,
            }
        }
    }
}

/// As a string. A backslash is one, unless a quotation mark or a space comes after it; so it cannot be the last one. That,
/// and what is not printable, is refused before.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace("\\ ", r"\\ ").replace('"', r#"\""#))
}

/// Whether a password can be written.
pub(super) fn is_quotable(password: &[u8]) -> bool {
    password.iter().all(|octet| (b' '..=b'~').contains(octet)) && password.last() != Some(&b'\\')
}

/// The fingerprint that a file says it has.
pub(super) fn mark(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|line| line.strip_prefix("as-set \""))?;
    line.strip_prefix(MARK)?.split('"').next()
}

/// Whether a file has what peers say archived.
pub(super) fn archives_updates(text: &str) -> bool {
    text.lines().any(|line| line.starts_with(UPDATES))
}

/// Our own prefixes, as a file has them.
pub(super) fn prefixes(text: &str) -> BTreeSet<IpNet> {
    let sets = text.lines().filter_map(|line| line.strip_prefix("prefix-set \"ours-"));
    sets.flat_map(|line| line.split([' ', ',']).filter_map(|word| word.parse().ok())).collect()
}

/// What the OPEN and the connection of each neighbour are made of, by its address. Other lines count while a session stands.
fn openings(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let common: Vec<&str> =
        text.lines().filter(|line| line.starts_with("AS ") || line.starts_with("router-id ")).collect();
    let blocks = text.split("\nneighbor ").skip(1).filter_map(|block| block.split_once(" {\n"));
    let counts = |line: &&str| {
        line.starts_with('\t') && !["\tdescr ", "\tmax-prefix "].iter().any(|word| line.starts_with(word))
    };
    blocks
        .map(|(address, block)| {
            let lines = block.lines().take_while(|line| *line != "}").filter(counts);
            (address, common.iter().copied().chain(lines).collect())
        })
        .collect()
}

/// The neighbours whose sessions have to be opened again, for what one file says to count in place of another.
pub(super) fn reopened<'a>(before: &str, now: &'a str) -> Vec<&'a str> {
    let before = openings(before);
    let changed = |(address, lines): &(&str, Vec<&str>)| before.get(address).is_some_and(|was| was != lines);
    openings(now).into_iter().filter(changed).map(|(address, _)| address).collect()
}

/// The neighbours whose role is another one now.
pub(super) fn with_another_role<'a>(before: &str, now: &'a str) -> Vec<&'a str> {
    let is_role = |line: &&str| ["\tannounce policy ", "\trole "].iter().any(|word| line.starts_with(word));
    let roles = |lines: &[&str]| lines.iter().copied().filter(is_role).map(str::to_owned).collect::<Vec<_>>();
    let before = openings(before);
    let changed = |(address, lines): &(&str, Vec<&str>)| {
        before.get(address).is_some_and(|was| roles(was) != roles(lines))
    };
    openings(now).into_iter().filter(changed).map(|(address, _)| address).collect()
}

/// The same file without some neighbours, and with a fingerprint of its own.
pub(super) fn without(text: &str, addresses: &[&str]) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in text.lines() {
        let named = line.split(' ').any(|word| addresses.contains(&word));
        inside |= named && line.starts_with("neighbor ");
        if !inside && !named {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= line != "}";
    }
    let mark = mark(text).unwrap_or_default();
    kept.replacen(mark, &Fingerprint::of(&[kept.as_bytes()]).to_string(), 1)
}
