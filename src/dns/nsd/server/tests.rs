use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::pattern::{Lines, Patterns};
use super::*;
use crate::dns::external::Place;
use crate::dns::{
    NameServerConfig, NotifyTarget, RateLimit, TransferClient, TransferLimits, TransferSource, ZoneConfig,
    ZoneRecords,
};
use crate::keyring::{CookieSecret, Secret, TsigAlgorithm, TsigKey};
use crate::process::find_program;

const FOLDER: &str = "/var/lib/shoestring-daemons/nsd";

fn place() -> Place {
    Place { folder: FOLDER.into(), local: "127.53.0.1:53".parse().unwrap(), user: None }
}

fn config() -> NameServerConfig {
    NameServerConfig {
        identity: "ams1".to_owned(),
        listen: ["192.0.2.53:53", "[2001:db8::53]:53"].map(|address| address.parse().unwrap()).into(),
        transfers: TransferLimits::DEFAULT,
        rate_limit: Some(RateLimit { responses_per_second: 100, ..RateLimit::default() }),
        ..NameServerConfig::default()
    }
}

fn setup<'a>(place: &'a Place, config: &'a NameServerConfig) -> Setup<'a> {
    let key = |name: &str, algorithm, octet| {
        let secret = Secret::new(vec![octet; 32]);
        let key = TsigKey { name: format!("{name}.key.example").parse().unwrap(), algorithm, secret };
        (name.parse().unwrap(), key)
    };
    let keys = [
        key("edges", TsigAlgorithm::HmacSha512, 3),
        key("one", TsigAlgorithm::HmacSha256, 1),
        key("two", TsigAlgorithm::HmacSha384, 2),
    ];
    let cookie = CookieSecret {
        current: Secret::new((0..16).collect()),
        previous: Some(Secret::new((16..32).collect())),
    };
    Setup { place, config, keys: BTreeMap::from(keys), cookie: Some(cookie) }
}

/// One of ours, one with two signed primaries, and one as a hub has it.
fn zones() -> Vec<ZoneConfig> {
    let source = |address: &str, key: &str| TransferSource {
        address: address.parse().unwrap(),
        from: None,
        tsig_key: Some(key.parse().unwrap()),
    };
    let zone = |name: &str, source| ZoneConfig {
        name: name.parse().unwrap(),
        source,
        notify: Default::default(),
        transfer_to: Default::default(),
        is_private: false,
    };
    let ours = ZoneRecords::File { path: "".into(), text: "".into(), serial: crate::names::Serial(1) };
    let theirs = vec![source("192.0.2.1:53", "one"), source("[2001:db8::1]:5353", "two")];
    let told = |address: &str, from: &str, key: Option<&str>| NotifyTarget {
        address: address.parse().unwrap(),
        from: Some(from.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let client = |network: Option<&str>, key: Option<&str>| TransferClient {
        network: network.map(|network| network.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let notify = [told("10.9.0.2:53", "10.9.0.1", None), told("[fd00::2]:53", "fd00::1", Some("edges"))];
    let clients = [
        client(Some("10.9.0.2/32"), None),
        client(Some("fd00::/64"), Some("edges")),
        client(None, Some("two")),
    ];
    let hub = ZoneRecords::Transfer(vec![source("192.0.2.1:53", "one")]);
    vec![
        zone("ours.example", ours.clone()),
        zone("0/25.2.0.192.in-addr.arpa", ours),
        zone("theirs.example", ZoneRecords::Transfer(theirs)),
        ZoneConfig {
            notify: std::sync::Arc::new(notify.into()),
            transfer_to: std::sync::Arc::new(clients.into()),
            is_private: false,
            ..zone("hub.example", hub)
        },
    ]
}

fn rendered(version: Version) -> BTreeMap<&'static str, String> {
    let (place, config) = (place(), config());
    let files = files(&setup(&place, &config), version, 1).unwrap();
    let mut files: BTreeMap<&'static str, String> =
        files.into_iter().map(|file| (file.name, file.text)).collect();
    let mut patterns = Patterns::default();
    for zone in zones() {
        patterns.saying(&Lines::of(&place, &zone));
    }
    files.insert(PATTERNS, patterns.text(&Ground::read(&files["nsd.conf"])));
    files
}

#[test]
fn it_is_what_the_golden_files_say_and_nsd_takes_it() {
    let files = rendered(Version(4, 6, 1));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external/golden");
    let path = |name: &str| golden.join(format!("nsd.{}", name.strip_prefix("nsd.").unwrap_or(name)));
    for (name, text) in &files {
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(&golden).unwrap();
            std::fs::write(path(name), text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path(name)).unwrap(), *text, "{name}");
    }
    let Some(checker) = find_program("nsd-checkconf") else {
        assert!(std::env::var_os("CI").is_none(), "nsd-checkconf is missing, and in CI nothing is skipped");
        eprintln!("skipped: nsd-checkconf is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for name in ["etc", "data"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let put = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join("etc").join(name);
        std::fs::write(&path, text.replace(FOLDER, &folder.path().display().to_string())).unwrap();
        path
    };
    put(PATTERNS, &files[PATTERNS]);
    let said = Command::new(checker).arg(put("nsd.conf", &files["nsd.conf"])).output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
}

#[test]
fn later_versions_have_no_database() {
    assert!(rendered(Version(4, 6, 1))["nsd.conf"].contains("    database: \"\"\n"));
    let later = &rendered(Version(4, 8, 0))["nsd.conf"];
    assert!(!later.contains("database"));
}

#[test]
fn keys_and_limits_change_while_it_runs() {
    let (place, config) = (place(), config());
    let text = |config: &NameServerConfig, keys: bool| {
        let mut setup = setup(&place, config);
        if !keys {
            setup.keys.clear();
        }
        let files = files(&setup, Version(4, 6, 1), 1).unwrap();
        fixed(&files[0].text)
    };
    let before = text(&config, true);
    assert_eq!(text(&config, false), before);
    let more = RateLimit { responses_per_second: 9, slip: 1, ..RateLimit::default() };
    assert_eq!(text(&NameServerConfig { rate_limit: Some(more), ..config.clone() }, true), before);
    assert_ne!(text(&NameServerConfig { identity: "fra1".to_owned(), ..config }, true), before);
}

#[test]
fn a_folder_that_nsd_cannot_write_is_refused() {
    let (place, config) = (Place { folder: "/srv/100%".into(), ..place() }, config());
    let refused = files(&setup(&place, &config), Version(4, 6, 1), 1).map(drop);
    assert_eq!(
        refused,
        Err("NSD cannot use the folder /srv/100%: it must not contain %, \" or #".to_owned())
    );
}
