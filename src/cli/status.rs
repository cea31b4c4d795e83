//! `shoestring status`: what the local agent says of itself.

use std::fmt::Write;
use std::path::PathBuf;

use crate::config::LocalConfig;
use crate::status::{self, Snapshot};

/// Show what the agent on this machine is doing
///
/// Prints the revision that is applied, the last refusal, BGP sessions, zones and mesh links. Exit status: 0 the
/// node is settled, 1 it is not, 2 the agent does not answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's local configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
    /// Print the whole snapshot as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let config = LocalConfig::read(&args.config)?;
    let snapshot = status::read(&config.status_socket())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&snapshot).map_err(|error| error.to_string())?);
    } else {
        print!("{}", text(&snapshot));
    }
    Ok(u8::from(!snapshot.settled))
}

fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let revision = snapshot.revision.map_or_else(|| "none yet".to_owned(), |revision| revision.to_string());
    let mut line = |label: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{label:<12}{value}");
    };
    line(
        "node",
        format!(
            "{} of {} (agent {}, process {})",
            snapshot.node, snapshot.network, snapshot.version, snapshot.pid
        ),
    );
    line("revision", revision);
    line("state", if snapshot.settled { "settled".to_owned() } else { "not settled".to_owned() });
    for action in &snapshot.actions {
        line("  doing", action.clone());
    }
    for wait in &snapshot.waits {
        line("  waits", wait.clone());
    }
    for repair in &snapshot.repaired {
        line("  repaired", repair.clone());
    }
    if let Some(refusal) = &snapshot.refusal {
        line("refused", format!("{} by {}: {}", refusal.revision.short(), refusal.rule, refusal.why));
    }
    if let Some(error) = &snapshot.fetch_error {
        line("repository", error.clone());
    }
    line("health", snapshot.health.why.clone());
    for (prefix, how) in &snapshot.announced {
        line("announces", format!("{prefix} {how}"));
    }
    for (label, daemon) in [("dns", &snapshot.name_server), ("routing", &snapshot.routing_daemon)] {
        let instead = if daemon.running == daemon.selected {
            String::new()
        } else {
            format!(" instead of {}", daemon.selected)
        };
        line(label, format!("{}{instead}", daemon.running));
    }
    for (name, session) in &snapshot.sessions {
        let sent = session.prefixes_sent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let error = session.last_error.as_ref().map(|error| format!("; last: {error}")).unwrap_or_default();
        line("session", format!("{name} {} for {} s, sent [{sent}]{error}", session.state, session.since_s));
    }
    let served = snapshot.zones.values().filter(|zone| zone.state == "served").count();
    line("zones", format!("{served} of {} served", snapshot.zones.len()));
    for (name, zone) in &snapshot.zones {
        if zone.state != "served" {
            line(
                "  zone",
                format!("{name} {}: {}", zone.state, zone.why.as_deref().unwrap_or("no reason known")),
            );
        }
    }
    for (node, link) in &snapshot.mesh {
        let age = link
            .handshake_age_s
            .map_or_else(|| "no handshake yet".to_owned(), |age| format!("handshake {age} s ago"));
        line("mesh", format!("{node} {age}, {} B in, {} B out", link.received, link.sent));
    }
    out
}
