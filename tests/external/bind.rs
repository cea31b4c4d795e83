//! BIND.

use std::process::Command;
use std::sync::Arc;

use shoestring::dns::{
    NameServer, NameServerKind, NotifyTarget, TransferClient, TransferSource, ZoneConfig, ZoneRecords,
};
use shoestring::names::Serial;

use super::contract::contract;
use super::subject::{KEY, Subject};
use crate::name_server::network::{free_address, name, primary};

contract!(NameServerKind::Bind, by_hand);

async fn by_hand(subject: &Subject) {
    let file = subject.folder().join("zones/changed.example.zone");
    for command in [
        "addzone added.example { type secondary; primaries { 127.0.0.1 port 1; }; };".to_owned(),
        "delzone removed.example".to_owned(),
        format!("modzone changed.example {{ type primary; file \"{}\"; }};", file.display()),
    ] {
        let conf = subject.folder().join("etc/rndc.conf");
        let rndc = Command::new("rndc").arg("-c").arg(conf).arg(&command).status().unwrap();
        assert!(rndc.success(), "{command}");
    }
}

/// A zone by transfer from a port where nobody is.
fn transferred(zone: &str, key: Option<&str>) -> ZoneConfig {
    let source = |(from, local): (Option<&str>, &str)| TransferSource {
        address: free_address(local),
        from: from.map(|from| from.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let sources = [(Some("127.0.0.1"), "127.0.0.1"), (None, "::1")].map(source);
    ZoneConfig {
        name: name(zone),
        source: ZoneRecords::Transfer(sources.into()),
        notify: Arc::default(),
        transfer_to: Arc::default(),
        is_private: false,
    }
}

/// Whatever a zone may have, BIND's own wording of it is found to be what it was given, also after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_zone_can_have_is_read_back() {
    let Some(mut subject) = Subject::start(NameServerKind::Bind).await else { return };
    let target = |(to, from, key): (&str, Option<&str>, Option<&str>)| NotifyTarget {
        address: free_address(to),
        from: from.map(|from| from.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let client = |(network, key): (Option<&str>, Option<&str>)| TransferClient {
        network: network.map(|network| network.parse().unwrap()),
        tsig_key: key.map(|key| key.parse().unwrap()),
    };
    let targets = [("127.0.0.1", Some("127.0.0.1"), None), ("::1", None, Some(KEY))];
    let clients = [
        (Some("127.0.0.9/32"), None),
        (Some("10.1.2.3/8"), None),
        (Some("::ffff:127.0.0.1/128"), Some(KEY)),
        (None, Some(KEY)),
    ];
    let with_all = |zone: ZoneConfig| ZoneConfig {
        notify: Arc::new(targets.map(target).into()),
        transfer_to: Arc::new(clients.map(client).into()),
        ..zone
    };
    let zones = [
        with_all(primary("ours.example", 1, "")),
        with_all(transferred("signed.example", Some(KEY))),
        transferred(r#"odd\;\"\\\032\200.\$\(.example"#, None),
        primary(r"\@x\{.example", 1, ""),
    ];
    subject.set(zones).await;
    subject.until_serial("ours.example", 1).await;
    subject.server.end().await.unwrap();
    subject.server.configure(&subject.config).await.unwrap();
    let (changes, _) = subject.changes().await;
    assert_eq!(changes, shoestring::dns::ZoneChanges::default());
    subject.until_serial(r"\@x\{.example", 1).await;
    // From a primary to a file of ours, and back.
    subject.set([primary("signed.example", 9, "")]).await;
    subject.until_serial("signed.example", 9).await;
    subject.set([transferred("signed.example", Some(KEY))]).await;
    assert!(subject.ask("signed.example").await.is_err());
    subject.server.end().await.unwrap();
}

/// Many zones are given to a BIND that has none before it starts, once: the ones that come later find it running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_without_zones_starts_with_many() {
    let Some(mut subject) = Subject::start(NameServerKind::Bind).await else { return };
    let before = subject.pid();
    let broken = ZoneConfig {
        source: ZoneRecords::File {
            path: "zones/x/broken.example.zone".into(),
            text: "@ A 192.0.2.1\n".into(),
            serial: Serial(1),
        },
        ..primary("broken.example", 1, "")
    };
    let zones = (0..600).map(|number| primary(&format!("z{number}.example"), 7, ""));
    let zones = zones.chain([broken, transferred("signed.example", Some(KEY))]);
    let zones = zones.chain([transferred("bad.example", Some("lost"))]);
    subject.zones.extend(zones.map(|zone| (zone.name.to_string(), Arc::new(zone))));
    let (changes, _) = subject.changes().await;
    let why = subject.server.apply(&changes).await.unwrap_err().to_string();
    assert!(why.contains("bad.example: the TSIG key lost cannot be read"), "{why}");
    assert!(why.contains("broken.example"), "{why}");
    let after = subject.pid();
    assert_ne!(before, after, "it was started with them");
    for zone in ["z0.example", "z599.example"] {
        assert_eq!(subject.ask(zone).await, Ok(7));
    }
    let (left, _) = subject.changes().await;
    let left: Vec<String> = left.set.iter().map(|zone| zone.name.to_string()).collect();
    assert_eq!(left, ["bad.example", "broken.example"], "and nothing of the others is to do again");
    let data = std::fs::read_dir(subject.folder().join("data")).unwrap();
    let seeds = data.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("nzf"));
    assert_eq!(seeds.count(), 0);
    let more = (600..1_200).map(|number| primary(&format!("z{number}.example"), 7, ""));
    subject.zones.retain(|name, _| !left.contains(name));
    subject.set(more).await;
    subject.until_serial("z1199.example", 7).await;
    assert_eq!(subject.pid(), after);
    subject.server.end().await.unwrap();
}

/// A key that cannot be read is the trouble of its zones alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_read_fails_its_zones_alone() {
    let Some(mut subject) = Subject::start(NameServerKind::Bind).await else { return };
    let zones = [transferred("good.example", Some(KEY)), transferred("bad.example", Some("lost"))];
    let zones = zones.into_iter().chain([primary("ours.example", 1, "")]);
    subject.zones.extend(zones.map(|zone| (zone.name.to_string(), Arc::new(zone))));
    let (changes, _) = subject.changes().await;
    let why = subject.server.apply(&changes).await.unwrap_err().to_string();
    assert!(why.contains("bad.example: the TSIG key lost cannot be read"), "{why}");
    let (left, _) = subject.changes().await;
    assert_eq!(left.set.iter().map(|zone| zone.name.to_string()).collect::<Vec<_>>(), ["bad.example"]);
    subject.until_serial("ours.example", 1).await;
    subject.server.end().await.unwrap();
}
