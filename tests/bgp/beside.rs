//! The same hostile messages to BIRD, FRR, GoBGP and OpenBGPD: where all four answer and all say the same, so do we. They
//! differ more often than that: BIRD follows RFC 7606 most closely, GoBGP ends many a connection without a word, and
//! some of the messages stop GoBGP and OpenBGPD altogether. A table of all answers is left in `target/tmp/beside.txt`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use futures_util::stream::{self, StreamExt};

use super::hostile::{Case, Dialect, Reaction, cases, reaction};
use super::lab::{self, Daemon, in_a_namespace};
use super::*;

mod configurations;

use configurations::{ALL, Software};

const THEIRS_V4: &str = "192.0.2.254";
const THEIRS_V6: &str = "2001:db8:0:1::fe";

/// Cases that one process gets: with more peers some are slow, and one that stops takes no more than these with it.
const BATCH: usize = 30;

/// What has not answered by then has stopped.
const PATIENCE: Duration = Duration::from_secs(6);

/// A peer's address, and how it speaks.
type Peering = (IpAddr, Dialect);

type Reactions = Vec<Option<Reaction>>;

/// Where the peer of a case is.
fn peer_of(family: Family, number: usize) -> IpAddr {
    match family {
        Family::V4 => format!("192.0.3.{}", number + 1).parse().unwrap(),
        Family::V6 => lab::ipv6(number + 1),
    }
}

async fn reactions(software: &Software, cases: &[Case], family: Family) -> Reactions {
    let peer = |(number, case): (usize, &Case)| (peer_of(family, number), case.dialect);
    let peers: Vec<Peering> = cases.iter().enumerate().map(peer).collect();
    let (name, text) = (software.configuration)(&peers);
    let ours: Vec<IpAddr> = peers.iter().map(|(address, _)| *address).collect();
    let theirs = [THEIRS_V4, THEIRS_V6].map(|address| address.parse().unwrap());
    let daemon = Daemon::start(&[(name, &text)], software.command, &ours, &theirs);
    daemon.until("it answers", |daemon| (software.is_ready)(daemon)).await;
    let target = SocketAddr::new(theirs.into_iter().find(|to| Family::of(*to) == family).unwrap(), 179);
    let all = cases.iter().zip(&ours).map(|(case, from)| reaction(*from, target, case, PATIENCE));
    stream::iter(all).buffered(BATCH).collect().await
}

/// All cases, batch by batch; nothing where it is not installed.
fn all_reactions(software: &Software, family: Family) -> Reactions {
    let mut seen = Reactions::new();
    loop {
        let batch: Vec<Case> = cases(family).into_iter().skip(seen.len()).take(BATCH).collect();
        let found = Mutex::new(Reactions::new());
        in_a_namespace(software.programs, || async {
            let found_now = reactions(software, &batch, family).await;
            *found.lock().unwrap() = found_now;
        });
        match found.into_inner().unwrap() {
            none if none.is_empty() => return seen,
            found => seen.extend(found),
        }
        if seen.len() == cases(family).len() {
            return seen;
        }
    }
}

/// What they agree upon, if all of them answer and say the same; without the data, which differ.
fn consensus(theirs: &[Option<&Reaction>]) -> Option<Reaction> {
    let answers: Option<Vec<Reaction>> = theirs.iter().map(|seen| seen.map(without_data)).collect();
    let answers = answers?;
    let (first, rest) = answers.split_first()?;
    (*first != Reaction::Hangs && rest.iter().all(|answer| answer == first)).then(|| first.clone())
}

fn without_data(reaction: &Reaction) -> Reaction {
    match reaction {
        Reaction::Closes(code, subcode, _) => Reaction::Closes(*code, *subcode, None),
        Reaction::Stays | Reaction::Mends => Reaction::Stays,
        Reaction::Ends => Reaction::Ends,
        Reaction::Hangs => Reaction::Hangs,
    }
}

fn shown(reaction: Option<&Reaction>) -> String {
    match reaction {
        None => "-".to_owned(),
        Some(Reaction::Closes(code, subcode, data)) => {
            let data = data.as_deref().unwrap_or_default();
            let digits: String = data.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
            format!("{code}/{subcode} {digits}")
        }
        Some(other) => format!("{other:?}"),
    }
}

#[test]
fn where_the_daemons_agree_so_do_we() {
    let (mut table, mut unanimous, mut wrong) = (String::new(), 0, String::new());
    for family in [Family::V4, Family::V6] {
        let all: Vec<Reactions> = std::thread::scope(|scope| {
            let run = |software| scope.spawn(move || all_reactions(software, family));
            let running: Vec<_> = ALL.iter().map(run).collect();
            running.into_iter().map(|running| running.join().unwrap()).collect()
        });
        if all.iter().any(Vec::is_empty) {
            return;
        }
        for (number, case) in cases(family).iter().enumerate() {
            let theirs: Vec<Option<&Reaction>> = all.iter().map(|seen| seen[number].as_ref()).collect();
            let columns: String = theirs.iter().map(|seen| format!(" | {:22}", shown(*seen))).collect();
            let (what, dialect, when) = (case.what, case.dialect, case.when);
            let demanded = shown(Some(&case.demanded));
            let line = format!("{dialect:?} {when:?} {what:60} | {demanded:22}{columns}");
            writeln!(table, "{line}").unwrap();
            let Some(consensus) = consensus(&theirs) else { continue };
            unanimous += 1;
            if consensus != without_data(&case.demanded) {
                writeln!(wrong, "{line}").unwrap();
            }
        }
    }
    let names: Vec<&str> = ALL.iter().map(|software| software.name).collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("beside.txt");
    std::fs::write(file, format!("demanded, {}\n{table}", names.join(", "))).unwrap();
    assert!(wrong.is_empty(), "we differ from all of {}:\n{wrong}", names.join(", "));
    println!("unanimous about {unanimous}");
    assert!(unanimous >= 30, "only {unanimous} messages that they agree about");
}
