//! What each daemon does under our control, one test for each promise.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::dns::{
    NameServer, NameServerConfig, NameServerKind, TransferSource, ZoneChanges, ZoneConfig, ZoneRecords,
    ZoneState,
};

use super::subject::{KEY, Subject, give, keyring, keys};
use crate::name_server::network::{
    LIMITS, PATIENCE, Server, code_for, free_address, name, primary, query, shared, tcp, udp,
};

/// A customer's primary: the embedded server, with the key that its transfers are signed with.
pub async fn customer(folder: &Path, subject: &Subject) -> Server {
    Server::start_with(folder, free_address("127.0.0.1"), LIMITS, Arc::clone(&subject.keyring)).await
}

/// A zone by transfer from these, signed.
pub fn signed(zone: &str, primaries: &[SocketAddr]) -> ZoneConfig {
    let source = |address: &SocketAddr| TransferSource {
        address: *address,
        from: None,
        tsig_key: Some(KEY.parse().unwrap()),
    };
    ZoneConfig {
        name: name(zone),
        source: ZoneRecords::Transfer(primaries.iter().map(source).collect()),
        notify: Arc::default(),
        transfer_to: Arc::default(),
        is_private: false,
    }
}

/// The same zone at its primary, which tells `to` of each new serial and gives it only to who has the key.
pub fn hosted(zone: &str, serial: u32, to: SocketAddr) -> ZoneConfig {
    let zone = shared(primary(zone, serial, "www A 192.0.2.80"), &[to]);
    let notify = zone.notify.iter().map(|target| shoestring::dns::NotifyTarget {
        tsig_key: Some(KEY.parse().unwrap()),
        ..target.clone()
    });
    let clients = [shoestring::dns::TransferClient { network: None, tsig_key: Some(KEY.parse().unwrap()) }];
    ZoneConfig { notify: Arc::new(notify.collect()), transfer_to: Arc::new(clients.into()), ..zone }
}

/// Zones are added, changed and removed while another one answers every question, and nothing is left to do after.
pub async fn zones_come_and_go(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject.set([primary("steady.example", 7, "www A 192.0.2.80")]).await;
    subject.until_serial("steady.example", 7).await;
    let load = subject.load("steady.example");
    let folder = tempfile::tempdir().unwrap();
    let customer = customer(folder.path(), &subject).await;
    customer.set([hosted("customer.example", 3, subject.address())]).await;

    subject.set([signed("customer.example", &[customer.address]), primary("ours.example", 1, "")]).await;
    subject.until_serial("customer.example", 3).await;
    subject.until_serial("ours.example", 1).await;
    // By NOTIFY, long before any timer.
    let told = Instant::now();
    customer.set([hosted("customer.example", 4, subject.address())]).await;
    subject.until_serial("customer.example", 4).await;
    assert!(told.elapsed() < Duration::from_secs(10));
    subject.set([primary("ours.example", 2, "new A 192.0.2.1")]).await;
    subject.until_serial("ours.example", 2).await;
    subject.remove("ours.example").await;
    assert!(subject.ask("ours.example").await.is_err());
    // Names that are more than letters.
    subject.set([primary(r"a\047b.\*.example", 1, ""), primary("0/25.2.0.192.in-addr.arpa", 1, "")]).await;
    subject.until_serial(r"a\047b.\*.example", 1).await;
    subject.until_serial("0/25.2.0.192.in-addr.arpa", 1).await;
    subject.remove("a/b.*.example").await;
    subject.remove("0/25.2.0.192.in-addr.arpa").await;
    assert!(load.stop().await > 10);
    subject.server.end().await.unwrap();
}

/// A zone that only changes its primaries or its key answers every question meanwhile.
pub async fn a_zone_that_changes_never_stops_answering(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, other) =
        (customer(folders[0].path(), &subject).await, customer(folders[1].path(), &subject).await);
    one.set([hosted("customer.example", 3, subject.address())]).await;
    other.set([hosted("customer.example", 3, subject.address())]).await;
    subject.set([signed("customer.example", &[one.address])]).await;
    subject.until_serial("customer.example", 3).await;
    let load = subject.load("customer.example");

    subject.set([signed("customer.example", &[other.address, one.address])]).await;
    // Another secret under the same name: at our side first, then at theirs.
    give(&subject.keyring, b"quite another secret of 32 octets");
    subject.config.keys = keys(1);
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    one.set([hosted("customer.example", 4, subject.address())]).await;
    other.set([hosted("customer.example", 4, subject.address())]).await;
    subject.until_serial("customer.example", 4).await;
    subject.set([signed("customer.example", &[one.address])]).await;
    one.set([hosted("customer.example", 5, subject.address())]).await;
    subject.until_serial("customer.example", 5).await;
    assert!(load.stop().await > 10);
    subject.server.end().await.unwrap();
}

/// The first primary is dead, or is behind: the zone comes from the other.
pub async fn the_freshest_of_several_primaries_wins(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (old, fresh) =
        (customer(folders[0].path(), &subject).await, customer(folders[1].path(), &subject).await);
    old.set([hosted("customer.example", 3, subject.address())]).await;
    fresh.set([hosted("customer.example", 4, subject.address())]).await;
    let dead = free_address("127.0.0.1");
    subject.set([signed("customer.example", &[dead, old.address, fresh.address])]).await;
    // The next look at the latest finds what the fresh one has; a NOTIFY of its own makes it soon.
    let start = Instant::now();
    while subject.ask("customer.example").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fresh.set([hosted("customer.example", 5, subject.address())]).await;
    subject.until_serial("customer.example", 5).await;
    subject.server.end().await.unwrap();
}

/// A daemon that is killed is started again with what it had; one that hangs is, too, and says so before.
pub async fn a_dead_or_hung_daemon_comes_back(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let customer = customer(folder.path(), &subject).await;
    customer.set([hosted("customer.example", 3, subject.address())]).await;
    subject.set([signed("customer.example", &[customer.address]), primary("ours.example", 1, "")]).await;
    subject.until_serial("customer.example", 3).await;

    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let pid = subject.pid();
        kill(Pid::from_raw(pid), signal).unwrap();
        let start = Instant::now();
        let fault = loop {
            match subject.server.observe().await {
                Ok(seen) if seen.config.is_none() => {
                    assert_eq!(seen.zones.len(), 2, "what it had is not forgotten");
                    break seen.fault.unwrap();
                }
                Ok(_) | Err(_) => {}
            }
            assert!(start.elapsed() < Duration::from_secs(30), "nobody notices {signal}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let expected = if signal == Signal::SIGKILL { "signal: 9" } else { "hangs" };
        assert!(fault.contains(expected), "{fault}");
        subject.server.configure(&subject.config).await.unwrap();
        assert_ne!(subject.pid(), pid);
        subject.settle().await;
        subject.until_serial("customer.example", 3).await;
        subject.until_serial("ours.example", 1).await;
    }
    subject.server.end().await.unwrap();
}

/// An agent that starts finds the daemon running, and changes nothing.
pub async fn an_agent_that_starts_changes_nothing(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject.set((0..20).map(|number| primary(&format!("z{number}.example"), 1, ""))).await;
    subject.until_serial("z19.example", 1).await;
    let (pid, load) = (subject.pid(), subject.load("z3.example"));
    subject.reopen().await;
    subject.server.configure(&subject.config).await.unwrap();
    let (changes, seen) = subject.changes().await;
    assert_eq!(changes, ZoneChanges::default());
    assert_eq!(seen.config.as_ref(), Some(&subject.config));
    assert_eq!(subject.pid(), pid);
    assert!(load.stop().await > 0);
    subject.server.end().await.unwrap();
}

/// What is changed by hand in the daemon is found at the next look, and put right. `by_hand` adds `added.example`,
/// removes `removed.example`, and makes `changed.example` something else.
pub async fn what_is_changed_by_hand_is_put_right(kind: NameServerKind, by_hand: impl AsyncFn(&Subject)) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject
        .set(["removed.example", "changed.example", "kept.example"].map(|zone| primary(zone, 1, "")))
        .await;
    let (quiet, _) = subject.changes().await;
    assert_eq!(quiet, ZoneChanges::default());
    by_hand(&subject).await;
    let (changes, _) = subject.changes().await;
    let set: Vec<String> = changes.set.iter().map(|zone| zone.name.to_string()).collect();
    assert_eq!(set, ["changed.example", "removed.example"]);
    assert_eq!(changes.remove, [name("added.example")]);
    subject.settle().await;
    for zone in ["removed.example", "changed.example", "kept.example"] {
        subject.until_serial(zone, 1).await;
    }
    assert!(subject.ask("added.example").await.is_err());
    // A file of the configuration counts, too.
    let file = std::fs::read_dir(subject.folder().join("etc"))
        .unwrap()
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|extension| extension == "conf"));
    let path = file.unwrap().path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n# by hand\n")).unwrap();
    let (_, seen) = subject.changes().await;
    assert!(seen.config.is_none() && seen.fault.unwrap().ends_with("was changed by hand"));
    subject.server.configure(&subject.config).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    subject.settle().await;
    subject.server.end().await.unwrap();
}

/// Identity and addresses change without losing a zone; a configuration without addresses is a daemon that does not run.
pub async fn its_setup_changes(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject.set([primary("ours.example", 1, "")]).await;
    subject.until_serial("ours.example", 1).await;
    assert_eq!(nsid(subject.address()).await.as_deref(), Some("node-a"));
    subject.config.identity = "node-b".to_owned();
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    let start = Instant::now();
    while nsid(subject.address()).await.as_deref() != Some("node-b") {
        assert!(start.elapsed() < Duration::from_secs(10), "it keeps its name");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let more = free_address("127.0.0.1");
    subject.config.listen.insert(more);
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    subject.until_serial("ours.example", 1).await;
    assert_eq!(nsid(more).await.as_deref(), Some("node-b"));
    let nothing = NameServerConfig { listen: [].into(), ..subject.config.clone() };
    subject.server.configure(&nothing).await.unwrap();
    assert_eq!(subject.server.observe().await.unwrap().config, Some(nothing));
    assert_eq!(nsid(more).await, None);
    subject.server.end().await.unwrap();
}

/// Bad transfers leave what was served, and the reason is told.
pub async fn a_transfer_that_fails_is_told_of(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let other = keyring(b"not the secret that we have, no no");
    let stranger = Server::start_with(folder.path(), free_address("127.0.0.1"), LIMITS, other).await;
    stranger.set([hosted("customer.example", 3, subject.address())]).await;
    subject.set([signed("customer.example", &[stranger.address])]).await;
    let start = Instant::now();
    let why = loop {
        let state = subject.observe("customer.example").await.state;
        if let ZoneState::Empty(why) = &state
            && why.contains("says:")
        {
            break why.clone();
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it stays {state:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(why.contains("customer.example"), "{why}");
    subject.server.end().await.unwrap();
}

/// The NSID (RFC 5001) of a server; `None` where it does not answer.
async fn nsid(address: SocketAddr) -> Option<String> {
    use hickory_proto::op::{Edns, Message};
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
    let mut question = crate::name_server::network::query(
        "ours.example",
        hickory_proto::rr::RecordType::SOA,
        hickory_proto::rr::DNSClass::IN,
    );
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new(Vec::new()).unwrap()));
    question.set_edns(edns);
    let answer = crate::name_server::network::try_udp(address, &question.to_vec().unwrap()).await?;
    match Message::from_vec(&answer).ok()?.edns?.option(EdnsCode::NSID) {
        Some(EdnsOption::NSID(payload)) => Some(String::from_utf8_lossy(payload.as_ref()).into_owned()),
        _ => None,
    }
}

/// About a private zone nobody gets an answer but those who may transfer it; the other zones are everybody's.
pub async fn a_private_zone_is_no_business_of_others(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    let friend = "127.0.0.2".parse().unwrap();
    let catalog = ZoneConfig {
        is_private: true,
        transfer_to: Arc::new([shoestring::dns::TransferClient::at(friend)].into()),
        ..primary("catalog.example", 1, "version TXT 2")
    };
    subject.set([catalog.clone(), primary("ours.example", 1, "")]).await;
    // We see it ourselves.
    assert_eq!(subject.observe("catalog.example").await.state, ZoneState::Served);
    let read = subject.server.zone(&name("catalog.example"), None).await.unwrap();
    assert_eq!(read.unwrap().serial().0, 1);
    let refused = match kind {
        // It answers everybody.
        NameServerKind::Powerdns => ResponseCode::NoError,
        NameServerKind::Knot => ResponseCode::NotAuth,
        NameServerKind::Embedded | NameServerKind::Bind | NameServerKind::Nsd => ResponseCode::Refused,
    };
    for (client, zone, wanted) in [
        ("127.0.0.2", "catalog.example", ResponseCode::NoError),
        ("127.0.0.3", "catalog.example", refused),
        ("127.0.0.3", "version.catalog.example", refused),
        ("127.0.0.3", "ours.example", ResponseCode::NoError),
    ] {
        assert_eq!(code_for(client, subject.address(), zone).await, Some(wanted), "{client} about {zone}");
    }
    // It becomes one that is everybody's, and is told so without a gap.
    subject.set([ZoneConfig { is_private: false, ..catalog }]).await;
    let answer = code_for("127.0.0.3", subject.address(), "catalog.example").await;
    assert_eq!(answer, Some(ResponseCode::NoError));
    subject.server.end().await.unwrap();
}

/// It counts what resolvers ask, by UDP and by TCP, whatever becomes of its zones; not what agents and name servers ask.
pub async fn queries_are_counted(kind: NameServerKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject.set([primary("ours.example", 1, "www A 192.0.2.80")]).await;
    subject.until_serial("ours.example", 1).await;
    let addresses: Vec<SocketAddr> = subject.config.listen.iter().copied().collect();
    until_counted(&subject.server, &addresses, "ours.example").await;
    let before = subject.server.queries().await.unwrap();
    subject.set([primary("more.example", 1, "")]).await;
    for _ in 0..10 {
        subject.until_serial("more.example", 1).await;
        subject.server.zone(&name("more.example"), None).await.unwrap();
    }
    assert_eq!(subject.server.queries().await.unwrap(), before, "all that was ours");
    until_counted(&subject.server, &addresses, "more.example").await;
    // One that is dead does not say zero; one that has started again has been asked nothing.
    kill(Pid::from_raw(subject.pid()), Signal::SIGKILL).unwrap();
    let start = Instant::now();
    while subject.server.queries().await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20), "it still says how many queries it had");
    }
    while !matches!(subject.server.observe().await, Ok(seen) if seen.config.is_none()) {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody notices");
    }
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    subject.until_serial("ours.example", 1).await;
    assert_eq!(subject.server.queries().await.unwrap(), 0);
    subject.server.end().await.unwrap();
}

/// Asks a server for a zone's records, at each of these addresses by both transports, and for names that are not there, and
/// waits until it has counted all of that, and no more.
pub async fn until_counted(server: &dyn NameServer, addresses: &[SocketAddr], zone: &str) {
    let before = server.queries().await.unwrap();
    let mut asked = 0;
    for address in addresses {
        for (name, rtype) in [("", RecordType::NS), ("www.", RecordType::A), ("not-there.", RecordType::AAAA)]
        {
            let question = query(&format!("{name}{zone}."), rtype, DNSClass::IN);
            for _ in 0..5 {
                udp(*address, &question).await;
            }
            tcp(*address, &question).await;
            asked += 6;
        }
    }
    let start = Instant::now();
    loop {
        let counted = server.queries().await.unwrap() - before;
        if counted == asked {
            return;
        }
        // Of some it is a moment after the answer.
        assert!(counted < asked && start.elapsed() < PATIENCE, "{counted} of {asked} queries are counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One test for each promise, of one daemon.
macro_rules! contract {
    ($kind:expr, $by_hand:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn zones_come_and_go() {
            $crate::external::contract::zones_come_and_go($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_zone_that_changes_never_stops_answering() {
            $crate::external::contract::a_zone_that_changes_never_stops_answering($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn the_freshest_of_several_primaries_wins() {
            $crate::external::contract::the_freshest_of_several_primaries_wins($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_dead_or_hung_daemon_comes_back() {
            $crate::external::contract::a_dead_or_hung_daemon_comes_back($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn an_agent_that_starts_changes_nothing() {
            $crate::external::contract::an_agent_that_starts_changes_nothing($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn what_is_changed_by_hand_is_put_right() {
            $crate::external::contract::what_is_changed_by_hand_is_put_right($kind, $by_hand).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn its_setup_changes() {
            $crate::external::contract::its_setup_changes($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn queries_are_counted() {
            $crate::external::contract::queries_are_counted($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_private_zone_is_no_business_of_others() {
            $crate::external::contract::a_private_zone_is_no_business_of_others($kind).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_transfer_that_fails_is_told_of() {
            $crate::external::contract::a_transfer_that_fails_is_told_of($kind).await;
        }
    };
}

pub(super) use contract;
