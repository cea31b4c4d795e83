//! The files of its configuration: `pdns.conf`, and the TSIG keys as statements for its database.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64ct::{Base64, Encoding};

use super::database::{self, quoted};
use crate::dns::external::Setup;
use crate::process::Version;

/// Seconds between two looks at which of its zones are due.
const CYCLE: u32 = 5;
/// The most transfers at a time: each takes a thread and a connection to the database.
const RETRIEVALS: usize = 32;
/// The most TCP connections at a time. The usual 20 would let any stranger keep the agent out.
const CONNECTIONS: u32 = 500;

/// `pdns.conf`.
pub(super) fn server(setup: &Setup<'_>, version: Version) -> String {
    let Setup { place, config, keys: _, cookie } = setup;
    let is_new = version >= Version(4, 5, 0);
    let mut text = String::new();
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}={value}");
    };
    set("launch", "gsqlite3");
    set("gsqlite3-database", &database::path(place).display().to_string());
    set("gsqlite3-dnssec", "yes");
    set("gsqlite3-pragma-foreign-keys", "yes");
    set("gsqlite3-pragma-synchronous", "1");
    let listen: BTreeSet<String> =
        config.listen.iter().chain([&place.local]).map(ToString::to_string).collect();
    set("local-address", &listen.into_iter().collect::<Vec<_>>().join(", "));
    set("non-local-bind", "yes");
    set("server-id", &config.identity);
    set("version-string", "anonymous");
    if let Some(user) = &place.user {
        set("setuid", &user.name);
        set("setgid", &user.name);
    }
    set("socket-dir", &place.run().display().to_string());
    for (name, value) in [
        ("write-pid", "no"),
        ("guardian", "no"),
        ("daemon", "no"),
        ("disable-syslog", "yes"),
        ("log-timestamp", "no"),
        ("loglevel", "5"),
        ("security-poll-suffix", ""),
        // What is committed is served.
        ("cache-ttl", "0"),
        ("query-cache-ttl", "0"),
        ("negquery-cache-ttl", "0"),
    ] {
        set(name, value);
    }
    let caches = if is_new {
        &["zone-cache-refresh-interval", "zone-metadata-cache-ttl", "dnssec-key-cache-ttl"][..]
    } else {
        &["domain-metadata-cache-ttl", "dnssec-key-cache-ttl"]
    };
    caches.iter().for_each(|name| set(name, "0"));
    set("8bit-dns", "yes");
    set("dname-processing", "yes");
    set("max-tcp-connections", &CONNECTIONS.to_string());
    if let Some(cookie) = cookie.as_ref().filter(|_| version >= Version(4, 6, 0)) {
        let hex = cookie.current.expose().iter().fold(String::new(), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        });
        set("edns-cookie-secret", &hex);
    }
    let names = if is_new {
        ["primary", "secondary", "autosecondary", "secondary-do-renotify", "xfr-cycle-interval"]
    } else {
        ["master", "slave", "superslave", "slave-renotify", "slave-cycle-interval"]
    };
    for (name, value) in names.into_iter().zip(["yes", "yes", "no", "yes", &CYCLE.to_string()]) {
        set(name, value);
    }
    // Whom NS records name is none of its business: only those whom the zone's file names are told.
    set("only-notify", "");
    set("send-signed-notify", "no");
    set("allow-axfr-ips", &place.local.ip().to_string());
    set("retrieval-threads", &config.transfers.concurrent.clamp(1, RETRIEVALS).to_string());
    set("axfr-fetch-timeout", &config.transfers.message.as_secs().clamp(1, 3_600).to_string());
    set("xfr-max-received-mbytes", &config.transfers.octets.div_ceil(1 << 20).max(1).to_string());
    text
}

/// `tsig.sql`: the keys. A zone that names one that is gone, be it that it only has another name now, is given anew.
pub(super) fn keys(setup: &Setup<'_>) -> Result<String, String> {
    let mut names = BTreeMap::new();
    let mut rows = String::new();
    for (secret, key) in &setup.keys {
        if let Some(other) = names.insert(&key.name, secret) {
            return Err(format!("the secrets {other} and {secret} both hold a TSIG key called {}", key.name));
        }
        let values = [database::name(&key.name), key.algorithm.word().to_owned()].map(|value| quoted(&value));
        let secret = quoted(&Base64::encode_string(key.secret.expose()));
        let _ = writeln!(
            rows,
            "INSERT INTO tsigkeys (name, algorithm, secret) VALUES ({}, {secret});",
            values.join(", ")
        );
    }
    let names = names.keys().map(|name| quoted(&database::name(name))).collect::<Vec<_>>().join(", ");
    Ok(format!(
        "UPDATE domains SET account = '' WHERE account <> '' AND id IN (SELECT domain_id FROM domainmetadata\n  \
         WHERE kind IN ('AXFR-MASTER-TSIG', 'TSIG-ALLOW-AXFR') AND content NOT IN ({names}));\n\
         DELETE FROM tsigkeys;\n{rows}"
    ))
}
