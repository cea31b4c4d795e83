//! nsd.conf: everything but what zones are told.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64ct::{Base64, Encoding};

use super::pattern::Ground;
use crate::dns::external::{ConfigFile, Setup};
use crate::process::Version;

/// The file beside nsd.conf that holds the patterns. Not rendered: it depends on the zones.
pub(super) const PATTERNS: &str = "patterns";
/// The first version that keeps no database.
const WITHOUT_DATABASE: Version = Version(4, 8, 0);
/// Seconds between two looks for transferred zones that are to be written to disk. What NSD keeps in memory alone has to be
/// transferred again when it is killed.
const WRITE: u32 = 30;
/// Places for clients in the rate limit; the default takes a lot of memory.
const BUCKETS: u32 = 100_000;
/// Connections for transfers at once, each with a large buffer; several transfers share one.
const CONNECTIONS: usize = 32;
/// What `reconfig` changes in a running NSD, beside keys and patterns.
const LIVE: [&str; 3] = ["rrl-ratelimit:", "rrl-slip:", "rrl-whitelist-ratelimit:"];

/// The files, for a version and so many processes that answer.
pub(super) fn files(setup: &Setup<'_>, version: Version, servers: usize) -> Result<Vec<ConfigFile>, String> {
    let Setup { place, config, keys, cookie } = setup;
    let folder = place.folder.display().to_string();
    // `%` stands for parts of a zone's name, and nothing can be escaped.
    if folder.contains(['%', '"', '#', '\n']) {
        return Err(format!("NSD cannot use the folder {folder}: it must not contain %, \" or #"));
    }
    let mut text = "server:\n".to_owned();
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "    {name}: {value}");
    };
    let quoted = |text: &str| format!("\"{text}\"");
    let data = |name: &str| quoted(&place.data().join(name).display().to_string());
    set("identity", &quoted(&config.identity));
    set("nsid", &quoted(&format!("ascii_{}", config.identity)));
    set("hide-version", "yes");
    for address in config.listen.iter().chain([&place.local]).collect::<BTreeSet<_>>() {
        set("ip-address", &format!("{}@{}", address.ip(), address.port()));
    }
    set("ip-freebind", "yes");
    set("server-count", &servers.to_string());
    if servers > 1 {
        set("reuseport", "yes");
    }
    set("username", &quoted(place.user.as_ref().map_or("", |user| &user.name)));
    set("pidfile", "\"\"");
    set("zonesdir", &quoted(&place.data().display().to_string()));
    if version < WITHOUT_DATABASE {
        set("database", "\"\"");
    }
    set("zonelistfile", &data("zone.list"));
    set("xfrdfile", &data("xfrd.state"));
    set("xfrdir", &quoted(&place.data().display().to_string()));
    set("zonefiles-write", &WRITE.to_string());
    set("xfrd-reload-timeout", "0");
    set("verbosity", "1");
    set("tcp-timeout", &config.transfers.message.as_secs().clamp(1, 120).to_string());
    set("xfrd-tcp-max", &config.transfers.concurrent.clamp(1, CONNECTIONS).to_string());
    set("xfrd-tcp-pipeline", &config.transfers.concurrent.clamp(1, 65_535).to_string());
    // On by default: without a limit, it has to be said.
    set("rrl-size", &BUCKETS.to_string());
    set("rrl-whitelist-ratelimit", "0");
    match &config.rate_limit {
        None => set("rrl-ratelimit", "0"),
        Some(limit) => {
            set("rrl-ratelimit", &limit.responses_per_second.to_string());
            set("rrl-slip", &limit.slip.to_string());
            set("rrl-ipv4-prefix-length", &limit.ipv4_prefix.to_string());
            set("rrl-ipv6-prefix-length", &limit.ipv6_prefix.to_string());
        }
    }
    let etc = |name: &str| quoted(&place.etc().join(name).display().to_string());
    // The file counts, where it is there, even before what is set here.
    set("answer-cookie", if cookie.is_some() { "yes" } else { "no" });
    set("cookie-secret-file", &if cookie.is_some() { etc("cookies") } else { quoted("") });
    let _ = writeln!(text, "remote-control:\n    control-enable: yes");
    let socket = place.run().join("nsd.sock");
    let _ = writeln!(text, "    control-interface: \"{}\"", socket.display());
    let _ = writeln!(text, "{}{}", Ground::LIMIT, config.transfers.octets);
    let mut names = BTreeSet::new();
    for (secret, key) in keys {
        if !names.insert(&key.name) {
            return Err(format!("two secrets, {secret} one of them, hold a TSIG key called {}", key.name));
        }
        let _ = writeln!(text, "key:\n{}{secret}", Ground::SECRET);
        let _ = writeln!(text, "    name: \"{}\"\n    algorithm: {}", key.name, key.algorithm.word());
        let _ = writeln!(text, "    secret: \"{}\"", Base64::encode_string(key.secret.expose()));
    }
    let _ = writeln!(text, "include: {}", etc(PATTERNS));
    let mut files = vec![ConfigFile { name: "nsd.conf", text }];
    if let Some(cookie) = cookie {
        // The first one makes cookies; both are taken.
        let secrets = std::iter::once(&cookie.current).chain(&cookie.previous);
        let hex = |octets: &[u8]| octets.iter().fold(String::new(), |hex, octet| format!("{hex}{octet:02x}"));
        let text = secrets.map(|secret| hex(secret.expose()) + "\n").collect();
        files.push(ConfigFile { name: "cookies", text });
    }
    Ok(files)
}

/// The part of nsd.conf that counts only when NSD starts.
pub(super) fn fixed(conf: &str) -> String {
    let server = conf.split("\nkey:\n").next().unwrap_or_default();
    let is_fixed = |line: &&str| {
        let line = line.trim();
        !line.starts_with(['#'])
            && !line.starts_with("include:")
            && !LIVE.iter().any(|name| line.starts_with(name))
    };
    server.lines().filter(is_fixed).fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests;
