//! The files and rows that PowerDNS gets, verbatim; and that PowerDNS takes them. `BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::dns::{NameServerConfig, NotifyTarget, RateLimit, TransferClient, TransferLimits, TransferSource};
use crate::keyring::{CookieSecret, Secret, TsigAlgorithm, TsigKey};
use crate::names::Serial;

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/external/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap(), "{}", path.display());
}

fn place() -> Place {
    Place {
        folder: "/var/lib/shoestring-daemons/powerdns".into(),
        local: "127.53.0.1:53".parse().unwrap(),
        user: None,
    }
}

fn config() -> NameServerConfig {
    NameServerConfig {
        daemon: NameServerKind::Powerdns,
        identity: "ams1".to_owned(),
        listen: ["192.0.2.53:53", "[2001:db8::53]:53"].map(|address| address.parse().unwrap()).into(),
        mesh_sources: ["10.0.0.1", "fd00::1"].map(|address| address.parse().unwrap()).into(),
        keys: BTreeMap::new(),
        transfers: TransferLimits::DEFAULT,
        rate_limit: Some(RateLimit::default()),
        cookie_secret: None,
    }
}

fn setup<'a>(place: &'a Place, config: &'a NameServerConfig) -> Setup<'a> {
    let key = |name: &str, algorithm, octet: u8| TsigKey {
        name: name.parse().unwrap(),
        algorithm,
        secret: Secret::new(vec![octet; 32]),
    };
    let keys = [
        ("one", key("one.customer.example", TsigAlgorithm::HmacSha256, 1)),
        ("two", key("two.customer.example", TsigAlgorithm::HmacSha384, 2)),
        ("hub", key("hub.example", TsigAlgorithm::HmacSha512, 3)),
    ];
    let cookie = CookieSecret { current: Secret::new((0..16).collect()), previous: None };
    Setup {
        place,
        config,
        keys: keys.into_iter().map(|(name, key)| (name.parse().unwrap(), key)).collect(),
        cookie: Some(cookie),
    }
}

fn file(name: &str, text: &str) -> ZoneConfig {
    let source = ZoneRecords::File {
        path: format!("zones/a/{name}.zone").into(),
        text: text.into(),
        serial: Serial(7),
    };
    ZoneConfig {
        name: name.parse().unwrap(),
        source,
        notify: Arc::default(),
        transfer_to: Arc::default(),
        is_private: false,
    }
}

fn transfer(name: &str, sources: &[(&str, Option<&str>, Option<&str>)]) -> ZoneConfig {
    let source = |(address, from, key): &(&str, Option<&str>, Option<&str>)| TransferSource {
        address: address.parse().unwrap(),
        from: from.map(|from| from.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    ZoneConfig { source: ZoneRecords::Transfer(sources.iter().map(source).collect()), ..file(name, "") }
}

fn zones() -> Vec<ZoneConfig> {
    let notify = NotifyTarget {
        address: "10.0.0.2:53".parse().unwrap(),
        from: Some("10.0.0.1".parse().unwrap()),
        tsig_key: None,
    };
    let clients = [
        TransferClient::at("10.0.0.2".parse().unwrap()),
        TransferClient { network: Some("fd00::/64".parse().unwrap()), tsig_key: None },
        TransferClient { network: None, tsig_key: Some("hub".parse().unwrap()) },
    ];
    let hub = transfer(
        "hub.example",
        &[
            ("192.0.2.1:53", Some("198.51.100.1"), Some("one")),
            ("192.0.2.2:5353", Some("198.51.100.1"), Some("one")),
            // Another key than the first: it cannot be asked.
            ("192.0.2.3:53", Some("198.51.100.1"), Some("two")),
        ],
    );
    vec![
        file(
            "ours.example",
            "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\na.b TXT \"it's\"\nsub NS ns.sub\nns.sub A 192.0.2.1\nw WALLET x\n",
        ),
        transfer("edge.example", &[("10.0.0.7:53", Some("10.0.0.1"), None)]),
        ZoneConfig { notify: Arc::new([notify].into()), transfer_to: Arc::new(clients.into()), ..hub },
    ]
}

fn rows(setup: &Setup<'_>) -> String {
    zones().iter().fold(String::new(), |mut text, zone| {
        let _ = writeln!(text, "-- {}", zone.name);
        text + &zone::statements(setup, zone).unwrap()
    })
}

#[test]
fn what_it_gets_is_known_to_the_letter() {
    let (place, config) = (place(), config());
    let setup = setup(&place, &config);
    golden("powerdns.pdns.conf", &conf::server(&setup, Version(4, 7, 3)));
    golden("powerdns-4.4.pdns.conf", &conf::server(&setup, Version(4, 4, 1)));
    golden("powerdns.tsig.sql", &conf::keys(&setup).unwrap());
    golden("powerdns.zones.sql", &rows(&setup));
}

/// Its own checker reads the file; its database has the zones in the forms that were foreseen, each with all its rows.
#[tokio::test]
async fn it_takes_what_it_gets() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path().to_owned(), ..place() };
    let Some(driver) = PowerDns::find(place.clone()).await else {
        assert!(std::env::var_os("CI").is_none(), "PowerDNS is missing, and in CI nothing is skipped");
        eprintln!("skipped: PowerDNS is not installed");
        return;
    };
    for folder in [place.etc(), place.data(), place.run()] {
        fs::create_dir(folder).unwrap();
    }
    let config = config();
    let setup = setup(&place, &config);
    for ConfigFile { name, text } in driver.render(&setup).unwrap() {
        fs::write(place.etc().join(name), text).unwrap();
    }
    driver.check(&place.etc()).await.unwrap();
    driver.prepare().await.unwrap();
    let before = driver.mark().await.unwrap();
    assert_eq!(driver.mark().await.unwrap(), before);
    let batch = Batch { add: zones().into_iter().map(Arc::new).collect(), ..Batch::default() };
    driver.change(&setup, &batch).await.unwrap();
    let wanted: BTreeMap<_, _> =
        zones().into_iter().map(|zone| (zone.name.clone(), driver.form(&zone))).collect();
    assert_eq!(driver.list().await.unwrap(), wanted);
    let after = driver.mark().await.unwrap();
    assert_ne!(after, before);
    // Whatever is done to a zone behind our back moves the mark and changes its form; what it does itself does not.
    let name: DomainName = "hub.example".parse().unwrap();
    let form = driver.list().await.unwrap().remove(&name);
    driver.database.run("UPDATE domains SET last_check = 5, notified_serial = 6;\n").await.unwrap();
    assert_eq!(driver.mark().await.unwrap(), after);
    driver
        .database
        .run("UPDATE domainmetadata SET content = '192.0.2.9' WHERE kind = 'AXFR-SOURCE';\n")
        .await
        .unwrap();
    assert_ne!(driver.mark().await.unwrap(), after);
    assert_ne!(driver.list().await.unwrap().remove(&name), form);
    // Its own tool reads the records.
    let checked = Command::new("pdnsutil")
        .arg(format!("--config-dir={}", place.etc().display()))
        .args(["check-zone", "ours.example"])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    // A key that is gone, or has another name, makes the zones differ that name it.
    let mut keys = setup.keys.clone();
    keys.remove(&"hub".parse().unwrap());
    driver
        .change(&setup, &Batch { modify: zones().into_iter().map(Arc::new).collect(), ..Batch::default() })
        .await
        .unwrap();
    assert_eq!(driver.list().await.unwrap(), wanted);
    let text = conf::keys(&Setup { keys, place: &place, config: &config, cookie: None }).unwrap();
    driver.database.transaction(&text).await.unwrap();
    assert_ne!(driver.list().await.unwrap().remove(&name), form);
    let remove = wanted.into_keys().collect();
    driver.change(&setup, &Batch { remove, ..Batch::default() }).await.unwrap();
    assert_eq!(driver.list().await.unwrap(), BTreeMap::new());
    let left = "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM domainmetadata);\n";
    assert_eq!(driver.database.run(left).await.unwrap(), "0\n");
}

#[test]
fn a_key_that_cannot_be_read_is_told() {
    let (place, config) = (place(), config());
    let setup = Setup { keys: BTreeMap::new(), ..setup(&place, &config) };
    let zone = transfer("a.example", &[("192.0.2.1:53", None, Some("one"))]);
    assert_eq!(zone::statements(&setup, &zone).unwrap_err(), "the TSIG key one cannot be read");
}
