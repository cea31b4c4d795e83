//! What an answer costs: the same zones and the same queries for all of them, in turn. The client is `dnsperf` where it is
//! installed, else the bench's own.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::driven::Driven;
use super::{Course, Row, note};
use crate::density::many::{Zones, apex};
use crate::figures::median;
use crate::load::{Way, run};
use crate::server::version;
use crate::zones::{Kind, Query, message};

/// One question of the list.
struct Asked {
    name: String,
    rtype: (u16, &'static str),
    kind: Kind,
}

/// Hits at a host and at the apex, name errors, and no data; a number that shares no factor with the number of zones goes
/// everywhere.
fn list(zones: usize, count: usize) -> Vec<Asked> {
    let asked = |number: usize| {
        let apex = apex(number * 7_919 % zones);
        let (name, rtype, kind) = match number % 20 {
            0..10 => (format!("www.{apex}"), (1, "A"), Kind::Hit),
            10..13 => (apex, (15, "MX"), Kind::Hit),
            13..17 => (format!("x{number}.{apex}"), (1, "A"), Kind::NameError),
            _ => (format!("www.{apex}"), (15, "MX"), Kind::NoData),
        };
        Asked { name, rtype, kind }
    };
    (0..count).map(asked).collect()
}

pub(super) fn measure(course: &Course) -> Vec<Row> {
    let (count, asked, rounds) = if course.quick { (2_000, 20_000, 2) } else { (10_000, 200_000, 5) };
    let folder = tempfile::tempdir().unwrap();
    let zones = Zones::write(&folder.path().join("zones"), count, 0);
    let servers: Vec<Option<Driven>> = course
        .kinds
        .iter()
        .map(|kind| {
            let driven = Driven::start(*kind, &zones.folder, None);
            let is_up = driven.settles(course.secs(90, 180));
            note(*kind, if is_up { "is up" } else { "does not come up in time" });
            is_up.then_some(driven)
        })
        .collect();
    let list = list(count, asked);
    let file = folder.path().join("queries");
    let lines = list.iter().fold(String::new(), |mut text, asked| {
        let _ = writeln!(text, "{} {}", asked.name, asked.rtype.1);
        text
    });
    fs::write(&file, lines).unwrap();
    let client = match version("dnsperf", "-h") {
        Some(_) => "dnsperf",
        None => "the bench's own client, since dnsperf is not installed",
    };
    println!("  {asked} queries a round by {client}");
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
    let mut lost = vec![(0, 0); servers.len()];
    // The first round warms up.
    for round in 0..=rounds {
        for (at, driven) in servers.iter().enumerate() {
            let Some(driven) = driven else { continue };
            let before = driven.server_cpu();
            let (sent, answered) = match client {
                "dnsperf" => dnsperf(driven.address, &file),
                _ => own(driven.address, &list),
            };
            let cpu = driven.server_cpu() - before;
            if round > 0 {
                rates[at].push(answered as f64 / cpu.as_secs_f64());
                lost[at].0 += sent - answered;
                lost[at].1 += sent;
            }
        }
        println!("  round {round} of {rounds}");
    }
    let rates = rates.into_iter().map(|rates| match rates.is_empty() {
        true => "–".to_owned(),
        false => format!("{:.0}", median(rates)),
    });
    let lost = lost.into_iter().map(|(lost, sent)| format!("{lost} of {sent}"));
    vec![
        (format!("{count} zones: queries a second of the server's CPU, {client}"), rates.collect()),
        ("answers lost of these".to_owned(), lost.collect()),
    ]
}

/// Sent and answered, by its summary.
fn dnsperf(server: SocketAddr, list: &Path) -> (usize, usize) {
    let mut command = Command::new("dnsperf");
    command.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string(), "-d"]).arg(list);
    // Few enough at once that nobody's socket overflows.
    command.args(["-n", "1", "-c", "8", "-T", "1", "-q", "64", "-t", "2"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |what: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(what));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        number.unwrap_or_else(|| panic!("dnsperf says no {what:?}:\n{text}\n{output:?}"))
    };
    (number("Queries sent:"), number("Queries completed:"))
}

fn own(server: SocketAddr, list: &[Asked]) -> (usize, usize) {
    // As many as have an id of their own.
    let queries: Vec<Query> = (0..=u16::MAX)
        .zip(list)
        .map(|(id, asked)| Query { octets: message(id, &asked.name, asked.rtype.0, false), kind: asked.kind })
        .collect();
    let tally = run(Way::Udp, server, &queries, list.len(), 1);
    (tally.sent, tally.answered)
}
