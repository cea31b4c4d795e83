//! Many small zones: what they take, how soon they all answer after a start, and what it is to add one among them, with
//! the embedded name server, NSD, Knot and BIND, each by itself and by its best means.
//!
//! A start is one of the process: the files are in the page cache. Of the embedded one there is a second column, whose
//! zones are secondary ones that it kept, and whose primary does not answer any more.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

use self::many::{Subject, Zones};
use super::figures::{median, print};
use super::server::Kind;

pub mod agent;
pub mod many;
pub mod pace;

/// How many zones there are, one number after another.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// The longest that a start may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// The same in a short run.
const SHORT: Duration = Duration::from_secs(40);
/// Zones that are added, one by one.
const ADDED: usize = 5;

/// What was seen of one server with so many zones.
struct Seen {
    /// Seconds from the start until all zones that were asked for answered, and of its CPU time then.
    start: (f64, f64),
    memory: f64,
    /// Milliseconds from the order to the answer.
    live: Vec<f64>,
    /// What a client met while nothing was added, and meanwhile.
    calm: pace::Met,
    meanwhile: pace::Met,
}

/// Prints the tables.
pub fn measure(quick: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut kinds = vec![Subject::Files, Subject::Kept];
    kinds.extend([Kind::Nsd, Kind::Knot, Kind::Bind].into_iter().filter_map(|kind| {
        let version = kind.version();
        println!(
            "  {}: {}",
            kind.title(),
            version.as_deref().unwrap_or("left out, since it is not installed")
        );
        version.map(|_| Subject::Daemon(kind))
    }));
    let bar = ProgressBar::new((SIZES.len() * kinds.len()) as u64);
    bar.set_style(ProgressStyle::with_template("{msg:44} {wide_bar} {pos}/{len}").unwrap());
    let mut rows: Vec<Vec<Option<Seen>>> = Vec::new();
    for count in SIZES {
        let zones = Zones::write(&folder.path().join(count.to_string()), count, ADDED);
        let mut row = Vec::new();
        for subject in &kinds {
            bar.set_message(format!("{count} zones, {}", subject.title()));
            // A large number of zones takes the other daemons minutes.
            let is_slow = count == SIZES[2] && !matches!(subject, Subject::Files);
            row.push(if quick && is_slow { None } else { see(*subject, &zones, quick) });
            bar.inc(1);
        }
        rows.push(row);
    }
    bar.finish_and_clear();
    let header: Vec<String> =
        [""].into_iter().chain(kinds.iter().map(Subject::title)).map(str::to_owned).collect();
    type Figure = fn(&Seen) -> String;
    let figures: [(&str, Figure); 7] = [
        ("memory, MB (PSS)", |seen| format!("{:.1}", seen.memory)),
        ("start until all answer, s", |seen| format!("{:.1}", seen.start.0)),
        ("CPU time of that, s", |seen| format!("{:.1}", seen.start.1)),
        ("a zone added until it answers, ms", |seen| format!("{:.0}", median(seen.live.clone()))),
        ("longest wait for an answer meanwhile, ms", |seen| format!("{:.1}", seen.meanwhile.longest)),
        ("the same with nothing added, ms", |seen| format!("{:.1}", seen.calm.longest)),
        ("answers lost meanwhile", |seen| format!("{} of {}", seen.meanwhile.lost, seen.meanwhile.sent)),
    ];
    for (count, row) in SIZES.iter().zip(&rows) {
        let cells = |figure: Figure| {
            row.iter().map(move |seen| seen.as_ref().map_or("–".to_owned(), figure)).collect::<Vec<_>>()
        };
        let table: Vec<Vec<String>> = figures
            .iter()
            .map(|(name, figure)| [vec![(*name).to_owned()], cells(*figure)].concat())
            .collect();
        print(&format!("{count} zones of ten records"), &header, &table);
    }
    agent::measure(quick);
}

/// Starts a server, and adds zones to it. `None` if it does not come up in time.
fn see(subject: Subject, zones: &Zones, quick: bool) -> Option<Seen> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let patience = if quick { SHORT } else { PATIENCE };
    if subject == Subject::Kept {
        many::keep(zones, folder.path(), patience)?;
    }
    let mut server = subject.start(zones, folder.path());
    let up = await_all(server.address, server.started, zones.count, patience)?;
    let start = (up.as_secs_f64(), server.cpu().as_secs_f64());
    // What it does besides is done by then, or goes on for long.
    std::thread::sleep(Duration::from_secs(if quick { 1 } else { 5 }));
    let memory = server.memory();
    let span = Duration::from_secs(if quick { 1 } else { 3 });
    let calm = pace::ask(server.address, zones.count, || std::thread::sleep(span));
    let mut live = Vec::new();
    let meanwhile = pace::ask(server.address, zones.count, || {
        for number in 0..ADDED {
            std::thread::sleep(Duration::from_millis(200));
            live.extend(server.add(zones, number));
        }
        std::thread::sleep(Duration::from_millis(200));
    });
    Some(Seen { start, memory, live, calm, meanwhile })
}

/// How long it takes from the start of a server until zones from all over answer, of so many.
pub fn await_all(server: SocketAddr, started: Instant, zones: usize, patience: Duration) -> Option<Duration> {
    let step = (zones / 500).max(1);
    let mut missing: Vec<usize> = (0..zones).step_by(step).chain([zones - 1]).collect();
    while started.elapsed() < patience {
        // The last ones first: once they answer, most do.
        while let Some(zone) = missing.last() {
            if !pace::answers(server, &many::apex(*zone)) {
                break;
            }
            missing.pop();
        }
        if missing.is_empty() {
            return Some(started.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Ten records.
fn zone(apex: &str) -> String {
    format!(
        "$ORIGIN {apex}.\n$TTL 3600\n@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\n@ NS ns2\n@ A 192.0.2.80\n\
         @ MX 10 mail\nns1 A 192.0.2.1\nns2 A 192.0.2.2\nmail A 192.0.2.25\nwww A 192.0.2.80\nwww AAAA 2001:db8::80\n"
    )
}

fn write_zone(folder: &Path, apex: &str) {
    fs::write(folder.join(format!("{apex}.zone")), zone(apex)).unwrap();
}

/// Until something is so, or this much time has gone by.
pub fn until(patience: Duration, is_so: impl Fn() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if is_so() {
            return Some(begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}
