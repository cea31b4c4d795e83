//! PowerDNS.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::dns::embedded::zonefile;
use shoestring::dns::{
    NameServer, NameServerKind, TransferClient, TransferSource, ZoneChanges, ZoneConfig, ZoneRecords,
    ZoneState,
};
use shoestring::names::Serial;

use super::contract::contract;
use super::subject::Subject;
use crate::name_server::broken::primary::Primary;
use crate::name_server::network::{PATIENCE, Server, name, primary, secondary, shared, with_timers};

contract!(NameServerKind::Powerdns, by_hand);

/// Its tool for operators.
fn pdnsutil(subject: &Subject, arguments: &[&str]) {
    let folder = format!("--config-dir={}", subject.folder().join("etc").display());
    let output = Command::new("pdnsutil").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What its database says.
fn query(subject: &Subject, statement: &str) -> String {
    let database = subject.folder().join("data/zones.sqlite3");
    let output =
        Command::new("sqlite3").args(["-cmd", ".timeout 5000"]).arg(database).arg(statement).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn by_hand(subject: &Subject) {
    pdnsutil(subject, &["create-zone", "added.example"]);
    pdnsutil(subject, &["delete-zone", "removed.example"]);
    pdnsutil(subject, &["set-meta", "changed.example", "SOA-EDIT", "INCEPTION-INCREMENT"]);
}

/// A record that somebody changes, adds or removes is found, whatever the serial says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_changed_by_hand_is_put_right() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    subject.set([primary("ours.example", 1, "www A 192.0.2.1")]).await;
    for statement in [
        "UPDATE records SET content = '192.0.2.2' WHERE type = 'A'",
        "DELETE FROM records WHERE type = 'A'",
        "INSERT INTO records (domain_id, name, type, content, ttl) SELECT id, 'x.ours.example', 'A', '192.0.2.3', 60 FROM domains",
    ] {
        query(&subject, statement);
        let (changes, _) = subject.changes().await;
        assert_eq!(changes.set.len(), 1, "{statement}");
        subject.settle().await;
        assert_eq!(
            query(&subject, "SELECT content FROM records WHERE type = 'A'"),
            "192.0.2.1",
            "{statement}"
        );
    }
    let (quiet, _) = subject.changes().await;
    assert_eq!(quiet, ZoneChanges::default());
    subject.server.end().await.unwrap();
}

/// All types that it knows and some that it does not; names that need escapes; delegations, and names without records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_what_was_given() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    let records = r#"
ns A 192.0.2.53
a.b.c AAAA 2001:db8::1
*.w TXT "a \" \\ ; \200" "" b
x\000\.\\'\"\(\@\032y MX 10 ns
_sip._tcp SRV 1 2 5060 ns
cut NS ns.cut
cut DS 1 8 1 00112233445566778899aabbccddeeff00112233
ns.cut A 192.0.2.54
n NAPTR 1 2 "u" "E2U+sip" "!^.*$!sip:a@example!" .
l LOC 42 21 54 N 71 06 18 W -24m 30m
p APL 1:192.168.32.0/21 !2:2001:db8::/32
c CAA 128 issue "ca.example; x=1"
h HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1 key667="x\"y"
t TLSA 3 1 1 00ff
s SSHFP 4 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
i IPSECKEY 10 1 2 192.0.2.38 AQ==
e EUI48 00-00-5e-00-53-2a
d DNAME ns.example.
u URI 10 1 "https://example/"
v TYPE65280 \# 2 abcd
f WALLET BTC x
g MINFO a b
"#;
    let zone = primary("types.example", 3, records);
    let given = {
        let ZoneRecords::File { path, text, serial } = &zone.source else { panic!() };
        zonefile::read(path, text, &zone.name, Some(*serial)).unwrap()
    };
    let clients = [TransferClient::at("127.0.0.1".parse().unwrap())];
    subject.set([ZoneConfig { transfer_to: Arc::new(clients.into()), ..zone }]).await;
    subject.until_serial("types.example", 3).await;
    let port = subject.address().port().to_string();
    let arguments = ["@127.0.0.1", "-p", &port, "types.example", "AXFR", "+onesoa", "+noall", "+answer"];
    let output = tokio::process::Command::new("dig").args(arguments).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let got = zonefile::read("dig", &text, &name("types.example"), None)
        .unwrap_or_else(|why| panic!("{why:?}\n{text}"));
    assert_eq!(zonefile::write(&got), zonefile::write(&given));
    // A name without records is there all the same, and what is below a delegation is not ours.
    assert!(dig(&port, &["b.c.types.example", "A"]).contains("status: NOERROR"));
    assert!(dig(&port, &["x.c.types.example", "A"]).contains("status: NXDOMAIN"));
    assert!(dig(&port, &["q.w.types.example", "TXT"]).contains("q.w.types.example."));
    let referral = dig(&port, &["www.cut.types.example", "A"]);
    assert!(referral.contains("ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 2"), "{referral}");
    assert!(!referral.contains("flags: qr aa"), "{referral}");
    subject.server.end().await.unwrap();
}

fn dig(port: &str, question: &[&str]) -> String {
    let output = Command::new("dig").args(["@127.0.0.1", "-p", port, "+norecurse"]).args(question).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// A signed zone is served with the proofs that it was signed with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_in_a_signed_zone_is_proved() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    // The last has a wildcard of another type at its apex.
    for (zone, status) in [("nsec.test", "NXDOMAIN"), ("nsec3.test", "NXDOMAIN"), ("optout.test", "NOERROR")]
    {
        let path = format!("{}/tests/differential/zones/main/{zone}.zone", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let source = ZoneRecords::File { path: path.into(), text: text.into(), serial: Serial(1) };
        subject.set([ZoneConfig { source, ..primary(zone, 1, "") }]).await;
        subject.until_serial(zone, 1).await;
        let kind = if zone == "nsec.test" { "NSEC" } else { "NSEC3" };
        let port = subject.address().port().to_string();
        let answer = dig(&port, &[&format!("does-not.exist.{zone}"), "A", "+dnssec"]);
        assert!(answer.contains(&format!("status: {status}")), "{answer}");
        let records =
            |kind: &str| answer.lines().filter(|line| line.split_whitespace().nth(3) == Some(kind)).count();
        assert!(records(kind) >= 1, "{answer}");
        // One signature for each of them, and one for the SOA record.
        assert_eq!(records("RRSIG"), records(kind) + 1, "{answer}");
    }
    subject.server.end().await.unwrap();
}

/// A zone whose primaries are gone is served until it expires, then not at all, and again once it was transferred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_zone_is_not_served_until_it_is_transferred_again() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let customer = Server::start(folder.path(), "127.0.0.1").await;
    let hosted = |to: SocketAddr| shared(with_timers("short.example", 3, "1 1 8", ""), &[to]);
    customer.set([hosted(subject.address())]).await;
    subject.set([secondary("short.example", &customer, &[customer.address])]).await;
    subject.until_serial("short.example", 3).await;
    customer.remove("short.example").await;
    let gone = Instant::now();
    while subject.ask("short.example").await.is_ok() {
        subject.observe("short.example").await;
        assert!(gone.elapsed() < Duration::from_secs(60), "it never expires");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(gone.elapsed() > Duration::from_secs(2), "it expires too soon");
    let start = Instant::now();
    loop {
        match subject.observe("short.example").await.state {
            ZoneState::Expired(why) => {
                assert!(why.contains("REFUSED"), "{why}");
                break;
            }
            state @ (ZoneState::Served | ZoneState::Empty(_)) => {
                assert!(start.elapsed() < Duration::from_secs(20), "{state:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    customer.set([hosted(subject.address())]).await;
    let start = Instant::now();
    while subject.ask("short.example").await != Ok(3) {
        subject.observe("short.example").await;
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    subject.server.end().await.unwrap();
}

/// What it cannot do is refused, and told; other zones of the same change are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_needs_address_and_key_is_refused() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    subject.set([primary("good.example", 1, "")]).await;
    let client = TransferClient {
        network: Some("192.0.2.0/24".parse().unwrap()),
        tsig_key: Some(super::subject::KEY.parse().unwrap()),
    };
    let zone = ZoneConfig { transfer_to: Arc::new([client].into()), ..primary("both.example", 1, "") };
    let set = vec![Arc::new(zone), Arc::new(primary("other.example", 1, ""))];
    let refused = subject.server.apply(&ZoneChanges { set, remove: vec![] }).await.unwrap_err();
    assert!(
        refused.why.contains("both.example: transfers are to be allowed to 192.0.2.0/24 with the key"),
        "{refused}"
    );
    assert_eq!(subject.ask("other.example").await, Ok(1));
    subject.server.end().await.unwrap();
}

/// A zone by transfer.
fn following(zone: &str, primaries: &[SocketAddr]) -> ZoneConfig {
    let source = |address: &SocketAddr| TransferSource { address: *address, from: None, tsig_key: None };
    ZoneConfig {
        source: ZoneRecords::Transfer(primaries.iter().map(source).collect()),
        ..primary(zone, 1, "")
    }
}

/// How long some changes at a primary take in all until an edge has each, through PowerDNS.
async fn edits(customer: &Server, subject: &Subject, edge: &Server, serial: &mut u32) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..3 {
        // At any time of its sleep, and after the time in which it was notified just now.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        *serial += 1;
        let start = Instant::now();
        customer.set([shared(primary("hosted.example", *serial, ""), &[subject.address()])]).await;
        edge.until_serial("hosted.example", *serial).await;
        taken += start.elapsed();
    }
    taken
}

/// By itself it asks for what it was notified of when it wakes up the next time, and tells others when it does once more. It
/// does not wait for that where an agent reads its log, whatever becomes of log, daemon or agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_asks_and_tells_at_once_when_it_is_notified() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let customer = Server::start_at_leisure(folders[0].path(), "127.0.0.1").await;
    let edge = Server::start_at_leisure(folders[1].path(), "127.0.0.2").await;
    let mut serial = 1;
    customer.set([shared(primary("hosted.example", serial, ""), &[subject.address()])]).await;
    subject.set([shared(following("hosted.example", &[customer.address]), &[edge.address])]).await;
    subject.until_serial("hosted.example", serial).await;
    edge.set([secondary("hosted.example", &edge, &[subject.address()])]).await;
    edge.until_serial("hosted.example", serial).await;

    // This agent has not looked yet.
    subject.reopen().await;
    let alone = edits(&customer, &subject, &edge, &mut serial).await;
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    let log = subject.folder().join("powerdns.log");
    let transfers = |since: usize| {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().skip(since).filter(|line| line.contains("zone committed with serial")).count()
    };
    let before = fs::read_to_string(&log).unwrap().lines().count();
    let mut taken = vec![("an agent", edits(&customer, &subject, &edge, &mut serial).await)];
    assert!((3..=4).contains(&transfers(before)), "{} transfers of three serials", transfers(before));

    let pid = subject.pid();
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    while subject.server.observe().await.is_ok_and(|seen| seen.config.is_some()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    subject.server.configure(&subject.config).await.unwrap();
    assert_ne!(subject.pid(), pid);
    subject.settle().await;
    taken.push(("another daemon with another log", edits(&customer, &subject, &edge, &mut serial).await));

    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    taken.push(("the log emptied", edits(&customer, &subject, &edge, &mut serial).await));

    subject.reopen().await;
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    taken.push(("another agent", edits(&customer, &subject, &edge, &mut serial).await));
    for (what, took) in &taken {
        assert!(*took < alone / 2, "{what}: {took:?}; all: {taken:?}; by itself {alone:?}");
    }
    subject.server.end().await.unwrap();
}

/// A NOTIFY of what it has makes it ask, not transfer; a flood of them makes it ask little more than it does by itself; and
/// what is new comes in spite of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_notifies_makes_it_ask_little() {
    let Some(mut subject) = Subject::start(NameServerKind::Powerdns).await else { return };
    let customer = Primary::start(&[]).await;
    subject.set([following("f0.test", &[customer.address])]).await;
    subject.until_serial("f0.test", 1).await;
    let socket = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let notify = b"\x12\x34\x24\0\0\x01\0\0\0\0\0\0\x02f0\x04test\0\0\x06\0\x01";
    let flood = async || {
        for _ in 0..50 {
            socket.send_to(notify, subject.address()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        subject.server.observe().await.unwrap();
    };
    let taken = &customer.taken;
    let (asked, transferred) =
        (taken.queries.load(Ordering::SeqCst), taken.connections.load(Ordering::SeqCst));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        flood().await;
    }
    let asked = taken.queries.load(Ordering::SeqCst) - asked;
    // By itself twice when it wakes up, each second; here once each second; and what had begun before.
    let most = 4 + 3 * usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!((2..=most).contains(&asked), "it asked {asked} times");
    assert_eq!(taken.connections.load(Ordering::SeqCst), transferred);

    customer.phase.store(3, Ordering::SeqCst);
    let start = Instant::now();
    while subject.ask("f0.test").await != Ok(3) {
        assert!(start.elapsed() < PATIENCE);
        flood().await;
    }
    let transfers = taken.connections.load(Ordering::SeqCst) - transferred;
    assert!((1..=2).contains(&transfers), "{transfers} transfers of one serial");
    subject.server.end().await.unwrap();
}
