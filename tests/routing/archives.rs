//! Archives of routes: written by each daemon, compressed, summed up and pruned.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use shoestring::archive::{ArchivePolicy, Heard, Kind, UPDATES_OPEN, entries, open, summarise, tend};
use shoestring::desired::model::Import;
use shoestring::routing::{Archive, RoutingDaemon, RoutingDaemonKind};

use super::contract::routes_of_the_kernel;
use super::subject::{SESSIONS, Subject, name};
use crate::bgp::lab::in_a_namespace;

/// Longer than the shortest time between two tables of any of them.
const PATIENCE: Duration = Duration::from_secs(180);
/// The neighbour of `other_v4`, and what it offers that does not lie in our own prefixes.
const HEARD: &str = "peer 192.0.2.253 AS65536: 202 routes";

async fn tables_are_kept(kind: RoutingDaemonKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject.config.sessions.get_mut(&name("other_v4")).unwrap().import = Import::Full;
    // GoBGP knows no shorter time than a minute.
    let seconds = if kind == RoutingDaemonKind::Gobgp { 60 } else { 2 };
    subject.config.archive = Some(Archive { interval: Duration::from_secs(seconds), updates: false });
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_established(&SESSIONS).await;
    subject.provider.offer_many();
    let folder = subject.folder().join("mrt");
    let policy = ArchivePolicy::DEFAULT;
    let begun = Instant::now();
    let file = loop {
        let _ = subject.daemon.observe().await;
        // As if everything that was written were finished, but for what is being written this very second.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = tend(&folder, &policy, SystemTime::now() + Duration::from_secs(59));
        if let Some(file) = compressed(&folder).into_iter().find(|file| said(file).contains(HEARD)) {
            break file;
        }
        let files: Vec<String> = compressed(&folder).iter().map(said).collect();
        assert!(begun.elapsed() < PATIENCE, "{files:#?}\n{}", subject.log());
    };
    let summary = summarise(open(&file).unwrap()).unwrap();
    assert!(summary.prefixes[0] >= 202, "{summary:?}");
    // Theirs alone, whose routes these are.
    assert!(summary.top_origins(1)[0].0 == 65536 && summary.top_origins(1)[0].1 >= 202, "{summary:?}");
    assert_eq!(routes_of_the_kernel(), "", "nothing goes into the kernel");
    assert_eq!(subject.observe().await.config.as_ref(), Some(&subject.config));

    // No more is written once it is not wanted any more, and what is there goes by size.
    subject.config.archive = None;
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_established(&["transit_v6", "other_v4"]).await;
    let little = ArchivePolicy { keep_size: 1, ..policy };
    let later = SystemTime::now() + Duration::from_secs(100);
    tend(&folder, &little, later).unwrap();
    assert!(compressed(&folder).is_empty());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let lengths: u64 = entries(&folder).unwrap().iter().map(|file| file.length).sum();
    assert_eq!(lengths, 0, "{:?}", entries(&folder));
    subject.daemon.end("the test is over").await.unwrap();
}

fn compressed(folder: &Path) -> Vec<PathBuf> {
    let files = entries(folder).unwrap().into_iter();
    files.filter(|file| file.name.ends_with(".gz")).map(|file| folder.join(file.name)).collect()
}

/// What the command says of a file.
fn said(file: &PathBuf) -> String {
    let program = env!("CARGO_BIN_EXE_shoestring");
    let said = Command::new(program).args(["mrt", "summary"]).arg(file).output().unwrap();
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

/// What the files of updates say all together of the neighbour of a session, and how many say anything; `None` while one of
/// them is being written.
fn heard(folder: &Path, neighbor: &str) -> Option<(Heard, usize)> {
    let (mut sum, mut count) = (Heard::default(), 0);
    for file in entries(folder).unwrap() {
        if Kind::of(&file.name) == Kind::Tables || file.length == 0 {
            continue;
        }
        let summary = summarise(open(&folder.join(file.name)).unwrap()).ok()?;
        let heard = summary.peers.get(&(neighbor.parse().unwrap(), 65536)).copied().unwrap_or_default();
        sum.announced[0] += heard.announced[0];
        sum.withdrawn[0] += heard.withdrawn[0];
        sum.updates += heard.updates;
        count += usize::from(heard.updates > 0);
    }
    Some((sum, count))
}

/// The neighbours of the sessions of IPv4.
const NEIGHBORS: [&str; 3] = ["192.0.2.254", "192.0.2.253", "192.0.2.252"];
/// Their default route and three more are offered when the session begins, which may have been before anything was written.
const AT_FIRST: u64 = 4;

async fn updates_are_kept(kind: RoutingDaemonKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    // No limit may end a session here.
    for session in ["transit_v4", "other_v4", "far_v4"] {
        subject.config.sessions.get_mut(&name(session)).unwrap().import = Import::Full;
    }
    subject.config.archive = Some(Archive { interval: Duration::from_secs(2), updates: true });
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_established(&SESSIONS).await;
    let history = subject.history();
    let folder = subject.folder().join("mrt");
    // Of the test's files only those are finished that another one has come after.
    let policy = ArchivePolicy { updates: true, ..ArchivePolicy::DEFAULT };
    let begun = Instant::now();
    // As the agent does all the time.
    let look_after = async |subject: &Subject| {
        subject.daemon.rotate_archive().await.unwrap();
        let seen = subject.observe().await;
        assert_eq!(seen.config.as_ref(), Some(&subject.config), "{seen:#?}");
        assert!(begun.elapsed() < PATIENCE, "{:#?}\n{}", entries(&folder), subject.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let all = || NEIGHBORS.map(|neighbor| heard(&folder, neighbor));
    let until = async |subject: &Subject, done: &dyn Fn(&Heard) -> bool| {
        loop {
            look_after(subject).await;
            if all().iter().all(|heard| heard.is_some_and(|(heard, _)| done(&heard))) {
                return;
            }
        }
    };
    // Across rotations, in which files are compressed as well.
    let mut rounds = 0;
    while rounds < 4 || all().iter().any(|heard| heard.is_none_or(|(_, files)| files < 4)) {
        rounds += 1;
        subject.provider.offer_many();
        until(&subject, &|heard| heard.announced[0] >= 200 * rounds).await;
        subject.provider.withdraw_many();
        until(&subject, &|heard| heard.withdrawn[0] >= 200 * rounds).await;
        tend(&folder, &policy, SystemTime::now() + Duration::from_secs(61)).unwrap();
    }
    for (heard, files) in all().map(Option::unwrap) {
        assert!([200 * rounds, 200 * rounds + AT_FIRST].contains(&heard.announced[0]), "{rounds}: {heard:?}");
        assert_eq!(heard.withdrawn[0], 200 * rounds, "{heard:?}");
        eprintln!("{rounds} rounds in {files} files: {heard:?}");
    }
    assert_eq!(subject.history(), history, "no session has ended");
    let tables =
        || entries(&folder).unwrap().iter().filter(|file| Kind::of(&file.name) == Kind::Tables).count();
    assert!(tables() >= 3, "{:#?}", entries(&folder));
    let updates = |file: &PathBuf| Kind::of(file.file_name().unwrap().to_str().unwrap()) == Kind::Updates;
    let files: Vec<PathBuf> = compressed(&folder).into_iter().filter(updates).collect();
    let said: Vec<String> = files.iter().map(said).collect();
    let is_summed_up = |said: &String| {
        said.contains("records of BGP4MP UPDATE")
            && said.contains("from 20")
            && said.contains("peer 192.0.2.253 AS65536: ")
            && said.contains("00 withdrawn of IPv4")
    };
    assert!(said.len() >= 3 && said.iter().any(is_summed_up), "{said:#?}");

    // No more is written once they are not wanted any more, while tables are; and what is there goes by size.
    subject.config.archive = Some(Archive { interval: Duration::from_secs(2), updates: false });
    subject.daemon.configure(&subject.config).await.unwrap();
    let is_open =
        || entries(&folder).unwrap().iter().any(|file| file.name == UPDATES_OPEN && file.length > 0);
    while is_open() {
        look_after(&subject).await;
    }
    let written = all();
    subject.provider.offer_many();
    subject.provider.withdraw_many();
    for _ in 0..30 {
        look_after(&subject).await;
    }
    assert_eq!(all(), written);
    assert_eq!(subject.history(), history);
    let later = SystemTime::now() + 2 * policy.interval;
    tend(&folder, &ArchivePolicy { keep_size: 1, ..policy }, later).unwrap();
    let left = entries(&folder).unwrap();
    assert!(!left.iter().any(|file| Kind::of(&file.name) == Kind::Updates && file.length > 0), "{left:#?}");
    subject.daemon.end("the test is over").await.unwrap();
}

#[test]
fn bird_keeps_updates() {
    in_a_namespace(&["/usr/sbin/bird"], || updates_are_kept(RoutingDaemonKind::Bird));
}

#[test]
fn frr_keeps_updates() {
    in_a_namespace(&["/usr/sbin/bird"], || updates_are_kept(RoutingDaemonKind::Frr));
}

#[test]
fn openbgpd_keeps_updates() {
    in_a_namespace(&["/usr/sbin/bird"], || updates_are_kept(RoutingDaemonKind::Openbgpd));
}

#[test]
fn bird_keeps_tables() {
    in_a_namespace(&["/usr/sbin/bird"], || tables_are_kept(RoutingDaemonKind::Bird));
}

#[test]
fn frr_keeps_tables() {
    in_a_namespace(&["/usr/sbin/bird"], || tables_are_kept(RoutingDaemonKind::Frr));
}

#[test]
fn gobgp_keeps_tables() {
    in_a_namespace(&["/usr/sbin/bird"], || tables_are_kept(RoutingDaemonKind::Gobgp));
}

#[test]
fn openbgpd_keeps_tables() {
    in_a_namespace(&["/usr/sbin/bird"], || tables_are_kept(RoutingDaemonKind::Openbgpd));
}
