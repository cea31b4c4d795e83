//! What each routing daemon costs the clients of a node when something happens to it: `shoestring simulate` with that
//! daemon on every node, NSD as the name server, and BIRD at the providers, as anybody can run it by hand.
//!
//! Queries go at a fixed rate from the client whose nearest node it is, through the small internet; each has a number, and
//! one without an answer after a second is lost.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::density::agent::SHOESTRING;
use crate::figures::print;
use crate::server::version;

const NODES: &str = "3";
/// A kind of routing daemon, and how it is asked for its version.
struct Daemon {
    kind: &'static str,
    title: &'static str,
    version: Option<[&'static str; 2]>,
}

const DAEMONS: [Daemon; 5] = [
    Daemon { kind: "embedded", title: "embedded", version: None },
    Daemon { kind: "bird", title: "BIRD", version: Some(["bird", "--version"]) },
    Daemon { kind: "frr", title: "FRR", version: Some(["/usr/lib/frr/bgpd", "--version"]) },
    Daemon { kind: "gobgp", title: "GoBGP", version: Some(["gobgpd", "--version"]) },
    Daemon { kind: "openbgpd", title: "OpenBGPD", version: Some(["/usr/sbin/bgpd", "-V"]) },
];
const SCENARIOS: [&str; 6] = ["failure", "wedge", "dns-kill", "bgp-kill", "agent-kill", "drain"];
/// A line of the table: its name, the scenario, and the figure in milliseconds, if one is meant beside the losses.
const LINES: [(&str, &str, &str); 8] = [
    ("decision to withdraw until gone at the peer", "drain", "withdrawal_ms"),
    ("drain until another node answers", "drain", "switch_ms"),
    ("undrain until it answers again", "drain", "back_ms"),
    ("name server killed until anybody answers", "dns-kill", "switch_ms"),
    ("name server wedged until another answers", "wedge", "switch_ms"),
    ("routing daemon killed until another answers", "bgp-kill", "switch_ms"),
    ("agent killed until another answers", "agent-kill", "switch_ms"),
    ("agent and routing daemon killed", "failure", "switch_ms"),
];

/// Prints the table.
pub fn measure(quick: bool) {
    let daemons: Vec<Daemon> = DAEMONS.into_iter().filter(Daemon::is_installed).collect();
    let mut rows = Vec::new();
    let rates: &[u32] = if quick { &[200] } else { &[200, 2_000] };
    for rate in rates {
        let runs: Vec<Value> = daemons.iter().map(|daemon| daemon.simulate(*rate)).collect();
        rows.extend(LINES.iter().map(|(name, scenario, figure)| {
            let cells = runs.iter().map(|report| cell(report, scenario, figure));
            [format!("{rate}/s: {name}")].into_iter().chain(cells).collect::<Vec<_>>()
        }));
    }
    let header: Vec<String> =
        [String::new()].into_iter().chain(daemons.iter().map(|daemon| daemon.title.to_owned())).collect();
    print("Milliseconds, and queries lost of those sent", &header, &rows);
}

/// `12 ms, 0 of 400`.
fn cell(report: &Value, scenario: &str, figure: &str) -> String {
    let scenarios = report["scenarios"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = scenarios.iter().find(|found| found["name"] == scenario) else {
        return "–".to_owned();
    };
    let figures = &found["figures"];
    let time = figures[figure].as_u64().map_or_else(|| "–".to_owned(), |time| format!("{time} ms"));
    let lost = figures["queries_lost"].as_u64().zip(figures["queries_sent"].as_u64());
    let lost = lost.map_or_else(String::new, |(lost, sent)| format!(", {lost} of {sent}"));
    let held = if found["passed"] == true { "" } else { " (did not hold)" };
    format!("{time}{lost}{held}")
}

impl Daemon {
    /// Said aloud where it is not.
    fn is_installed(&self) -> bool {
        let found = self.version.is_none_or(|[program, flag]| version(program, flag).is_some());
        if !found {
            println!("  {}: left out, since it is not installed", self.title);
        }
        found
    }

    fn simulate(&self, rate: u32) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let (report, log) = (folder.path().join("report"), folder.path().join("log"));
        let mut command = Command::new(SHOESTRING);
        command.args(["simulate", "desired-state", "--nodes", NODES, "--name-server", "nsd"]);
        command.args(["--routing-daemon", self.kind, "--providers", "bird", "--rate", &rate.to_string()]);
        command.args(SCENARIOS.iter().flat_map(|name| ["--scenario", name])).arg("--report").arg(&report);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command
            .stdout(fs::File::create(&log).unwrap())
            .stderr(fs::File::options().append(true).open(&log).unwrap());
        command.status().unwrap();
        let report: Value =
            serde_json::from_slice(&fs::read(&report).unwrap_or_default()).unwrap_or_default();
        let held = if report["passed"] == true { "all held" } else { "not all held" };
        println!("  {:9} at {rate} queries/s: {held}", self.title);
        for skipped in report["skipped"].as_array().into_iter().flatten() {
            println!("    left out {}: {}", skipped["name"], skipped["why"]);
        }
        if report["passed"] != true {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            println!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        report
    }
}
