//! From a customer's change at a primary, which sends NOTIFY, to the new serial at every node, through the hubs: `shoestring
//! simulate` with one kind of name server at all nodes.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use shoestring::dns::NameServerKind;

use super::{Course, Row, note};
use crate::density::agent::SHOESTRING;
use crate::figures::median;

const NODES: usize = 12;

pub(super) fn measure(course: &Course) -> Vec<Row> {
    let rounds = if course.quick { 1 } else { 3 };
    let seen: Vec<Option<(f64, f64)>> = course.kinds.iter().map(|kind| see(*kind, rounds)).collect();
    let row = |name: &str, figure: fn(&(f64, f64)) -> f64| {
        let cells = seen.iter().map(|seen| super::cell(seen.as_ref().map(figure), 0)).collect();
        (format!("NOTIFY to the new serial at {NODES} nodes: {name}, ms"), cells)
    };
    vec![row("p50", |(p50, _)| *p50), row("max", |(_, max)| *max)]
}

/// The median and the longest.
fn see(kind: NameServerKind, rounds: usize) -> Option<(f64, f64)> {
    let seen: Option<Vec<(f64, f64)>> = (0..rounds).map(|_| simulate(kind)).collect();
    let (halves, longest): (Vec<f64>, Vec<f64>) = seen?.into_iter().unzip();
    Some((median(halves), longest.into_iter().fold(0.0, f64::max)))
}

fn simulate(kind: NameServerKind) -> Option<(f64, f64)> {
    let folder = tempfile::tempdir().unwrap();
    let (report, log) = (folder.path().join("report"), folder.path().join("log"));
    let mut command = Command::new(SHOESTRING);
    command.args(["simulate", "desired-state", "--scenario", "edit", "--nodes", &NODES.to_string()]);
    command.args(["--name-server", &kind.to_string(), "--report"]).arg(&report);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
        .stdout(fs::File::create(&log).unwrap())
        .stderr(fs::File::options().append(true).open(&log).unwrap());
    command.status().unwrap();
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap_or_default()).unwrap_or_default();
    let is_meant = |node: &Value| node["name_server"] == kind.to_string();
    let nodes = report["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let figures = &report["scenarios"][0]["figures"];
    let figures = figures["notify_p50_ms"].as_f64().zip(figures["notify_max_ms"].as_f64());
    match figures {
        Some((p50, max)) if report["passed"] == true && nodes.iter().all(is_meant) => {
            note(kind, &format!("{} nodes: p50 {p50} ms, max {max} ms", nodes.len()));
            Some((p50, max))
        }
        _ => {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(30)..].join("\n");
            note(kind, &format!("the simulation did not hold:\n{tail}"));
            None
        }
    }
}
