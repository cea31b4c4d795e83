//! The embedded name server beside NSD, Knot and BIND.
//!
//! All of them run at once with the same zones, and are asked one after another, round by round, so that whatever else
//! the machine does meets them alike.

use std::collections::BTreeMap;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::figures::{median, print};
use super::load::{Tally, Way, run};
use super::server::{Kind as ServerKind, Server};
use super::zones::{self, Kind, Query, SIGNED, ZONES, queries};

/// One line of the tables.
struct Case {
    title: String,
    way: Way,
    queries: Vec<Query>,
    count: usize,
}

/// Servers that are asked in turn.
struct Setup<'a> {
    title: String,
    kinds: &'a [ServerKind],
    /// A folder.
    zones: &'a Path,
    /// CPUs of the servers, as `taskset` has it.
    cpus: String,
    /// Threads of each server that answer.
    workers: usize,
    /// Threads of the client.
    clients: usize,
    cases: Vec<Case>,
    rounds: usize,
}

/// What was seen of one server in one case, round by round.
#[derive(Default)]
struct Seen {
    /// Microseconds of the server's CPU time for each answer.
    cpu: Vec<f64>,
    /// Answers a second.
    rate: Vec<f64>,
    tally: Tally,
}

/// Servers with one worker on one CPU, then with as many workers as there are CPUs.
pub fn measure(quick: bool) {
    let mut kinds = Vec::new();
    println!(
        "{ZONES} zones of 11 records and the signed zone {SIGNED}; CPU time of the server's processes by the scheduler's account"
    );
    for kind in ServerKind::ALL {
        match kind.version() {
            Some(version) => {
                println!("  {}: {version}", kind.title());
                kinds.push(kind);
            }
            None => println!("  {}: left out, since it is not installed", kind.title()),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    zones::write(folder.path());
    let cpus = cpus();
    let (rounds, less) = if quick { (3, 4) } else { (7, 1) };
    let one: Vec<Case> = [None]
        .into_iter()
        .chain(Kind::ALL.map(Some))
        .map(|kind| case(&format!("UDP, {}", kind.map_or("mix", Kind::title)), Way::Udp, kind, 20_000 / less))
        .chain([
            case("TCP, mix, pipelined", Way::Pipelined, None, 20_000 / less),
            case("TCP, mix, a connection each", Way::Connections, None, 1_000 / less),
        ])
        .collect();
    // The client has the other CPUs to itself, where there are any.
    let (first, others) = cpus.split_first().unwrap();
    pin(if others.is_empty() { &cpus } else { others });
    let setup = Setup {
        title: "One thread".to_owned(),
        kinds: &kinds,
        zones: folder.path(),
        cpus: first.to_string(),
        workers: 1,
        clients: 1,
        cases: one,
        rounds,
    };
    tables(&setup);
    pin(&cpus);
    let all = vec![
        case("UDP, mix", Way::Udp, None, 40_000 / less),
        case("TCP, mix, pipelined", Way::Pipelined, None, 40_000 / less),
        case("TCP, mix, a connection each", Way::Connections, None, 1_000 / less),
    ];
    tables(&Setup {
        title: format!("All {} threads", cpus.len()),
        cpus: cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        workers: cpus.len(),
        clients: cpus.len().div_ceil(2),
        cases: all,
        ..setup
    });
}

fn case(title: &str, way: Way, kind: Option<Kind>, count: usize) -> Case {
    Case { title: title.to_owned(), way, queries: queries(kind), count }
}

fn tables(setup: &Setup<'_>) {
    let Setup { title, kinds, zones, cpus, workers, clients, cases, rounds } = setup;
    let servers: Vec<Server> = kinds.iter().map(|kind| Server::start(*kind, zones, *workers, cpus)).collect();
    let bar = ProgressBar::new((rounds * cases.len() * servers.len()) as u64);
    bar.set_style(ProgressStyle::with_template("{msg:44} {wide_bar} {pos}/{len}").unwrap());
    let mut seen: BTreeMap<(usize, usize), Seen> = BTreeMap::new();
    // The first round warms up.
    for round in 0..=*rounds {
        for (row, case) in cases.iter().enumerate() {
            for (column, server) in servers.iter().enumerate() {
                bar.set_message(format!("{title}: {}, {}", case.title, server.kind.title()));
                let before = server.processes.cpu();
                let tally = run(case.way, server.address, &case.queries, case.count, *clients);
                let cpu = server.processes.cpu() - before;
                if round == 0 {
                    continue;
                }
                bar.inc(1);
                let seen = seen.entry((row, column)).or_default();
                let answered = tally.answered.max(1) as f64;
                seen.cpu.push(cpu.as_secs_f64() * 1e6 / answered);
                seen.rate.push(answered / tally.elapsed.as_secs_f64());
                seen.tally.sent += tally.sent;
                seen.tally.answered += tally.answered;
            }
        }
    }
    bar.finish_and_clear();
    let names: Vec<String> = kinds.iter().map(|kind| kind.title().to_owned()).collect();
    let header = |first: &str, ratios: &[&str]| {
        let ratios = ratios.iter().map(|ratio| (*ratio).to_owned());
        [first.to_owned()].into_iter().chain(names.clone()).chain(ratios).collect::<Vec<_>>()
    };
    let rows = |value: &dyn Fn(&Seen) -> f64, digits: usize, ratios: bool| -> Vec<Vec<String>> {
        let row = |(row, case): (usize, &Case)| {
            let values: Vec<f64> = (0..kinds.len()).map(|column| value(&seen[&(row, column)])).collect();
            let of = |kind: ServerKind| kinds.iter().position(|one| *one == kind).map(|at| values[at]);
            let ratio = |to| match (of(ServerKind::Embedded), of(to)) {
                (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
                _ => "–".to_owned(),
            };
            let mut cells = vec![case.title.clone()];
            cells.extend(values.iter().map(|value| format!("{value:.digits$}")));
            if ratios {
                cells.extend([ServerKind::Knot, ServerKind::Bind].map(ratio));
            }
            cells
        };
        cases.iter().enumerate().map(row).collect()
    };
    let ratios = ["to Knot", "to BIND"];
    let cpu = rows(&|seen| median(seen.cpu.clone()), 2, true);
    print(&format!("{title}: CPU time for a query, microseconds"), &header("queries", &ratios), &cpu);
    let rate = rows(&|seen| median(seen.rate.clone()), 0, true);
    print(&format!("{title}: queries a second"), &header("queries", &ratios), &rate);
    let share = |seen: &Seen| 100.0 * seen.tally.answered as f64 / seen.tally.sent.max(1) as f64;
    print(&format!("{title}: answered, percent"), &header("queries", &[]), &rows(&share, 2, false));
    let memory: Vec<String> = ["memory (PSS)".to_owned()]
        .into_iter()
        .chain(servers.iter().map(|server| format!("{:.1}", server.processes.memory())))
        .collect();
    print(&format!("{title}: megabytes"), &header("", &[]), &[memory]);
}

/// The CPUs that we may use.
fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect()
}

/// Keeps this thread, and those that it starts from now on, to these CPUs.
fn pin(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).unwrap();
    }
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}
