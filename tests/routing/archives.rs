//! Archives of routes: written by each daemon, compressed, summed up and pruned.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use shoestring::archive::{ArchivePolicy, entries, open, summarise, tend};
use shoestring::desired::model::Import;
use shoestring::routing::{RoutingDaemon, RoutingDaemonKind};

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
    subject.config.archive = Some(Duration::from_secs(seconds));
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

fn compressed(folder: &std::path::Path) -> Vec<PathBuf> {
    let files = entries(folder).unwrap().into_iter();
    files.filter(|file| file.name.ends_with(".gz")).map(|file| folder.join(file.name)).collect()
}

/// What the command says of a file.
fn said(file: &PathBuf) -> String {
    let program = env!("CARGO_BIN_EXE_shoestring");
    let said = Command::new(program).args(["mrt", "summary"]).arg(file).output().unwrap();
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
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
