//! NSD.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use shoestring::dns::{NameServer, NameServerKind, ZoneConfig, ZoneRecords, ZoneState};

use super::contract::{contract, customer, hosted, signed};
use super::subject::Subject;
use crate::name_server::network::{PATIENCE, primary, query, shared, udp, with_timers};

contract!(NameServerKind::Nsd, by_hand);

async fn by_hand(subject: &Subject) {
    let etc = subject.folder().join("etc");
    let control = |arguments: &[&str]| {
        let said = Command::new("nsd-control").arg("-c").arg(etc.join("nsd.conf")).args(arguments).output();
        assert!(said.as_ref().is_ok_and(|said| said.status.success()), "{arguments:?}: {said:?}");
    };
    let patterns = fs::read_to_string(etc.join("patterns")).unwrap();
    let file = subject.folder().join("zones/%s.zone");
    let by_hand = format!("pattern:\n    name: \"hand\"\n    zonefile: \"{}\"\n", file.display());
    fs::write(etc.join("patterns"), patterns + &by_hand).unwrap();
    control(&["reconfig"]);
    control(&["addzone", "added.example", "hand"]);
    control(&["delzone", "removed.example"]);
    control(&["changezone", "changed.example", "hand"]);
}

/// One of two zones that are told the same goes over to another pattern, for which it is loaded again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_leaves_its_pattern_never_stops_answering() {
    let Some(mut subject) = Subject::start(NameServerKind::Nsd).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let one = customer(folder.path(), &subject).await;
    let nobody = crate::name_server::network::free_address("127.0.0.1");
    let zones = ["one.example", "other.example"];
    one.set(zones.map(|zone| hosted(zone, 3, subject.address()))).await;
    subject.set(zones.map(|zone| signed(zone, &[one.address]))).await;
    for zone in zones {
        subject.until_serial(zone, 3).await;
    }
    let load = subject.load("one.example");
    let pattern = |subject: &Subject, zone: &str| {
        let list = fs::read_to_string(subject.folder().join("data/zone.list")).unwrap();
        let start = format!("add {zone} ");
        list.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned)).unwrap()
    };
    assert_eq!(pattern(&subject, "one.example"), pattern(&subject, "other.example"));
    // Its primaries answer no more: what it has comes from disk, or not at all.
    subject.set([signed("one.example", &[nobody])]).await;
    assert_ne!(pattern(&subject, "one.example"), pattern(&subject, "other.example"));
    subject.until_serial("one.example", 3).await;
    // Back again, with news.
    subject.set([signed("one.example", &[one.address])]).await;
    one.set([hosted("one.example", 4, subject.address())]).await;
    subject.until_serial("one.example", 4).await;
    subject.until_serial("other.example", 3).await;
    assert!(load.stop().await > 10);
    subject.server.end().await.unwrap();
}

/// Short lines, and NSD answers each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_zones_than_a_socket_holds_answers_for_come_and_go_at_once() {
    let Some(mut subject) = Subject::start(NameServerKind::Nsd).await else { return };
    let name = |number: usize| format!("z{number}.example");
    subject.set((0..1_500).map(|number| primary(&name(number), 1, ""))).await;
    subject.until_serial(&name(1_499), 1).await;
    subject.zones.retain(|zone, _| *zone == name(0));
    subject.settle().await;
    assert!(subject.ask(&name(1_499)).await.is_err());
    subject.until_serial(&name(0), 1).await;
    subject.server.end().await.unwrap();
}

/// Those who have what it had would take that for fresh, for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_that_an_expired_zone_is_current() {
    let Some(mut subject) = Subject::start(NameServerKind::Nsd).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let one = customer(folder.path(), &subject).await;
    let short = with_timers("customer.example", 3, "2 1 4", "");
    one.set([ZoneConfig { source: short.source, ..hosted("customer.example", 3, subject.address()) }]).await;
    subject.set([shared(signed("customer.example", &[one.address]), &[one.address])]).await;
    subject.until_serial("customer.example", 3).await;
    // As an edge asks whether it is current.
    let apex = Name::from_ascii("customer.example.").unwrap();
    let soa = SOA::new(apex.clone(), apex.clone(), 3, 1, 1, 1, 1);
    let mut asked = query("customer.example.", RecordType::IXFR, DNSClass::IN);
    asked.add_authority(Record::from_rdata(apex, 0, RData::SOA(soa)));
    let records = async |subject: &Subject| {
        Message::from_vec(&udp(subject.address(), &asked).await).unwrap().answers.len()
    };
    assert_eq!(records(&subject).await, 1, "current");
    one.remove("customer.example").await;
    let begun = Instant::now();
    while subject.observe("customer.example").await.state == ZoneState::Served {
        assert!(begun.elapsed() < PATIENCE, "it does not expire");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun = Instant::now();
    while records(&subject).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "it is said to be current");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    one.set([hosted("customer.example", 4, subject.address())]).await;
    subject.until_serial("customer.example", 4).await;
    subject.server.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_read_fails_its_zones_alone() {
    let Some(mut subject) = Subject::start(NameServerKind::Nsd).await else { return };
    let mut keyless = signed("keyless.example", &["127.0.0.1:1".parse().unwrap()]);
    if let ZoneRecords::Transfer(sources) = &mut keyless.source {
        sources[0].tsig_key = Some("forgotten".parse().unwrap());
    }
    for zone in [keyless, primary("ours.example", 1, "")] {
        subject.zones.insert(zone.name.to_string(), Arc::new(zone));
    }
    let (changes, _) = subject.changes().await;
    let error = subject.server.apply(&changes).await.unwrap_err().to_string();
    assert!(error.contains("keyless.example: the TSIG key forgotten cannot be read"), "{error}");
    subject.until_serial("ours.example", 1).await;
    let (left, _) = subject.changes().await;
    let left: Vec<String> = left.set.iter().map(|zone| zone.name.to_string()).collect();
    assert_eq!(left, ["keyless.example"]);
    subject.server.end().await.unwrap();
}
