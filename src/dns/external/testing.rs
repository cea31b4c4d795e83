//! What the drivers' golden files are rendered from: everything that a configuration and a zone can have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Place, Setup};
use crate::dns::{
    NameServerConfig, NameServerKind, NotifyTarget, RateLimit, TransferClient, TransferLimits,
    TransferSource, ZoneConfig, ZoneRecords,
};
use crate::keyring::{CookieSecret, Secret, TsigAlgorithm, TsigKey};
use crate::names::{SecretName, Serial};

/// A configuration with everything that one can have.
pub(crate) fn config(daemon: NameServerKind) -> NameServerConfig {
    let exempt = ["192.0.2.0/24", "2001:db8::/48"].map(|network| network.parse().unwrap());
    NameServerConfig {
        daemon,
        identity: "ams1".to_owned(),
        listen: ["192.0.2.53:53", "198.51.100.7:53", "[2001:db8::53]:53"]
            .map(|address| address.parse().unwrap())
            .into(),
        mesh_sources: BTreeSet::new(),
        keys: BTreeMap::new(),
        transfers: TransferLimits::DEFAULT,
        rate_limit: Some(RateLimit { exempt: exempt.into(), ..RateLimit::default() }),
        cookie_secret: None,
    }
}

fn keys() -> BTreeMap<SecretName, TsigKey> {
    let key = |(secret, name, algorithm): (&str, &str, TsigAlgorithm)| {
        let key = TsigKey { name: name.parse().unwrap(), algorithm, secret: Secret::new(name.into()) };
        (secret.parse().unwrap(), key)
    };
    [
        ("alpha", "alpha.example", TsigAlgorithm::HmacSha256),
        ("beta", "transfer.beta.example", TsigAlgorithm::HmacSha384),
        ("gamma", "gamma", TsigAlgorithm::HmacSha512),
    ]
    .map(key)
    .into()
}

fn zone(name: &str, source: ZoneRecords) -> ZoneConfig {
    ZoneConfig {
        name: name.parse().unwrap(),
        source,
        notify: Arc::default(),
        transfer_to: Arc::default(),
        is_private: false,
    }
}

fn from(address: &str, from: Option<&str>, key: Option<&str>) -> TransferSource {
    TransferSource {
        address: address.parse().unwrap(),
        from: from.map(|from| from.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    }
}

/// A zone of ours, one of two signed primaries, one of the hubs, and one at a hub.
pub(crate) fn zones() -> Vec<ZoneConfig> {
    let file = ZoneRecords::File { path: "zones/x/ours.zone".into(), text: "".into(), serial: Serial(1) };
    let primaries =
        [from("192.0.2.1:53", None, Some("alpha")), from("[2001:db8::1]:5353", None, Some("beta"))];
    let hubs = ["203.0.113.1:53", "203.0.113.2:53"].map(|hub| from(hub, Some("203.0.113.9"), None));
    let target = |(address, from, key): (&str, Option<&str>, Option<&str>)| NotifyTarget {
        address: address.parse().unwrap(),
        from: from.map(|from| from.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let client = |(network, key): (Option<&str>, Option<&str>)| TransferClient {
        network: network.map(|network| network.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let mut at_hub = zone("hub.example", ZoneRecords::Transfer(primaries[..1].into()));
    let targets = [
        ("203.0.113.3:53", Some("203.0.113.9"), None),
        ("192.0.2.7:53", None, Some("gamma")),
        ("[2001:db8::7]:53", Some("2001:db8::9"), None),
    ];
    at_hub.notify = Arc::new(targets.map(target).into());
    let clients = [
        (Some("203.0.113.3/32"), None),
        (Some("198.51.100.0/24"), None),
        (Some("2001:db8:7::1/48"), Some("gamma")),
        (None, Some("alpha")),
    ];
    at_hub.transfer_to = Arc::new(clients.map(client).into());
    let hub = [from("203.0.113.1:53", Some("203.0.113.9"), None)];
    let mut catalog = zone("catalog.example", ZoneRecords::Transfer(hub.into()));
    catalog.transfer_to = Arc::new(clients[..1].iter().copied().map(client).collect());
    catalog.is_private = true;
    vec![
        zone("ours.example", file),
        zone(r"a\047b.\*.example", ZoneRecords::Transfer(primaries.into())),
        zone("edge.example", ZoneRecords::Transfer(hubs.into())),
        at_hub,
        catalog,
    ]
}

/// With keys and a cookie secret.
pub(crate) fn setup<'a>(place: &'a Place, config: &'a NameServerConfig) -> Setup<'a> {
    let secret = |octet| Secret::new(vec![octet; 16]);
    let cookie = CookieSecret { current: secret(1), previous: Some(secret(2)) };
    Setup { place, config, keys: keys(), cookie: Some(cookie) }
}

/// Compares a text with a golden file. `BLESS=1` writes it anew.
pub(crate) fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap(), "{name} differs; BLESS=1 writes it anew");
}
