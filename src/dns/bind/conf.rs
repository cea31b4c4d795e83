//! named.conf: everything but the zones. And rndc.conf, for whoever wants to look by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use base64ct::{Base64, Encoding};

use super::control::Control;
use crate::dns::RateLimit;
use crate::dns::external::Setup;
use crate::keyring::CookieSecret;
use crate::names::{DomainName, SecretName};
use crate::process::Version;

/// The name of the key to the control channel. Nobody's TSIG key is called so.
const CONTROL: &str = "shoestring-control.invalid";
/// From this version on there is no lock file, and no option for it.
const NO_LOCK_FILE: Version = Version(9, 19, 0);
/// BIND counts no more responses in a second, and no more seconds.
const MOST_RESPONSES: u32 = 1_000;
const LONGEST_WINDOW: u32 = 3_600;

/// The whole of named.conf.
pub(super) fn named(version: Version, control: &Control, setup: &Setup<'_>) -> Result<String, String> {
    let Setup { place, config, keys, cookie } = setup;
    let mut text = "# Written by shoestring, which undoes what is changed here by hand.\n".to_owned();
    let _ = writeln!(text, "key \"{CONTROL}\" {{ algorithm hmac-sha256; secret \"{}\"; }};", control.text());
    let _ = writeln!(
        text,
        "controls {{ inet {} port {} allow {{ 127.0.0.0/8; ::1/128; }} keys {{ \"{CONTROL}\"; }}; }};",
        control.address.ip(),
        control.address.port()
    );
    let _ = writeln!(
        text,
        "statistics-channels {{ inet {} port {} allow {{ 127.0.0.0/8; ::1/128; }}; }};",
        control.statistics.ip(),
        control.statistics.port()
    );
    let mut names = BTreeMap::new();
    for (secret, key) in keys {
        if let Some(other) = names.insert(&key.name, secret) {
            return Err(format!("the secrets {other} and {secret} both hold a TSIG key called {}", key.name));
        }
        let value = Base64::encode_string(key.secret.expose());
        let algorithm = key.algorithm.word();
        let _ = writeln!(
            text,
            "key \"{}\" {{ algorithm {algorithm}; secret \"{value}\"; }};{SECRET}{secret}",
            key.name
        );
    }
    text.push_str(LOGGING);
    text.push_str("options {\n");
    let mut option = |option: &str| {
        let _ = writeln!(text, "\t{option};");
    };
    for folder in ["directory", "new-zones-directory", "managed-keys-directory", "key-directory"] {
        option(&format!("{folder} \"{}\"", place.data().display()));
    }
    for file in ["pid-file", "session-keyfile"] {
        option(&format!("{file} none"));
    }
    if version < NO_LOCK_FILE {
        option("lock-file none");
    }
    option(&format!("server-id \"{}\"", config.identity));
    option(&format!("hostname \"{}\"", config.identity));
    let addresses: BTreeSet<&SocketAddr> = config.listen.iter().chain([&place.local]).collect();
    for (keyword, is_v6) in [("listen-on", false), ("listen-on-v6", true)] {
        listen(&mut option, keyword, addresses.iter().filter(|address| address.is_ipv6() == is_v6));
    }
    AUTHORITATIVE.iter().for_each(|line| option(line));
    let transfers = &config.transfers;
    let concurrent = transfers.concurrent.clamp(1, 10_000);
    option(&format!("transfers-in {concurrent}"));
    option(&format!("transfers-per-ns {concurrent}"));
    option(&format!("max-transfer-idle-in {}", minutes(transfers.message)));
    option(&format!("max-transfer-time-in {}", minutes(transfers.total)));
    // BIND counts records, not octets.
    option(&format!("max-records {}", u32::try_from(transfers.records).unwrap_or(u32::MAX)));
    match cookie {
        Some(CookieSecret { current, previous }) => {
            option("cookie-algorithm siphash24");
            for secret in [Some(current), previous.as_ref()].into_iter().flatten() {
                let hex =
                    secret.expose().iter().fold(String::new(), |hex, octet| format!("{hex}{octet:02x}"));
                option(&format!("cookie-secret \"{hex}\""));
            }
        }
        None => option("answer-cookie no"),
    }
    if let Some(limit) = &config.rate_limit {
        option(&rate_limit(limit, &place.local));
    }
    text.push_str("};\n");
    Ok(text)
}

/// Before the secret that a key comes from.
const SECRET: &str = " # ";

/// The secrets whose keys a named.conf has, by the names of the keys.
pub(super) fn secrets(conf: &str) -> BTreeMap<DomainName, SecretName> {
    let secret = |line: &str| {
        let (name, rest) = line.strip_prefix("key \"")?.split_once("\" { algorithm ")?;
        let (_, secret) = rest.rsplit_once(SECRET)?;
        Some((name.parse().ok()?, secret.parse().ok()?))
    };
    conf.lines().filter_map(secret).collect()
}

/// What is told of zones, and of nothing else unless it is noteworthy: whoever asks could fill the disk.
const LOGGING: &str = "\
logging {
\tchannel \"notices\" { stderr; severity notice; print-time iso8601; print-severity yes; };
\tchannel \"details\" { stderr; severity info; print-time iso8601; print-severity yes; };
\tcategory default { \"notices\"; };
\tcategory general { \"details\"; };
\tcategory xfer-in { \"details\"; };
};
";

/// An authoritative name server with many zones that come and go. What a zone may hold has been checked before, by us or
/// by its primary, and is the same on every node, whatever answers there.
const AUTHORITATIVE: &[&str] = &[
    "version none",
    "recursion no",
    "allow-query { any; }",
    "allow-update { none; }",
    "dnssec-validation no",
    "empty-zones-enable no",
    "minimal-any yes",
    "max-udp-size 1232",
    "zone-statistics none",
    "check-names primary ignore",
    "check-names secondary ignore",
    "check-integrity no",
    "allow-new-zones yes",
    "lmdb-mapsize 256M",
    "notify no",
    "notify-delay 1",
    "notify-rate 1000",
    "startup-notify-rate 200",
    "serial-query-rate 2000",
    "transfers-out 200",
    "tcp-clients 1000",
    // The bounds of the embedded name server. By its own, no zone would expire before 800 seconds, whatever its SOA says.
    "min-refresh-time 30",
    "max-refresh-time 86400",
    "min-retry-time 10",
    "max-retry-time 3600",
    // A primary that is dead takes half a minute as it is: every way to ask it has its time.
    "try-tcp-refresh no",
];

/// Addresses that are not there yet are listened on when they come.
fn listen<'a>(
    option: &mut impl FnMut(&str),
    keyword: &str,
    addresses: impl Iterator<Item = &'a &'a SocketAddr>,
) {
    let mut ports: BTreeMap<u16, String> = BTreeMap::new();
    for address in addresses {
        let _ = write!(ports.entry(address.port()).or_default(), " {};", address.ip());
    }
    if ports.is_empty() {
        option(&format!("{keyword} {{ none; }}"));
    }
    for (port, addresses) in ports {
        option(&format!("{keyword} port {port} {{{addresses} }}"));
    }
}

/// BIND counts in minutes, and we are not to be stricter than we say.
fn minutes(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(60).clamp(1, 40_000)
}

fn rate_limit(limit: &RateLimit, local: &SocketAddr) -> String {
    let RateLimit { responses_per_second, errors_per_second, window, slip, ipv4_prefix, ipv6_prefix, exempt } =
        limit;
    let (responses, errors) =
        ((*responses_per_second).min(MOST_RESPONSES), (*errors_per_second).min(MOST_RESPONSES));
    let exempt = exempt.iter().map(|network| format!(" {};", network.trunc())).collect::<String>();
    format!(
        "rate-limit {{ responses-per-second {responses}; nxdomains-per-second {errors}; errors-per-second {errors}; \
         window {}; slip {slip}; ipv4-prefix-length {ipv4_prefix}; ipv6-prefix-length {ipv6_prefix}; \
         exempt-clients {{ {};{exempt} }}; }}",
        (*window).min(LONGEST_WINDOW),
        local.ip()
    )
}

/// The whole of rndc.conf.
pub(super) fn rndc(control: &Control) -> String {
    let (ip, port) = (control.address.ip(), control.address.port());
    format!(
        "# For looking by hand: rndc -c with this file.\n\
         key \"{CONTROL}\" {{ algorithm hmac-sha256; secret \"{}\"; }};\n\
         options {{ default-key \"{CONTROL}\"; default-server {ip}; default-port {port}; }};\n",
        control.text()
    )
}
