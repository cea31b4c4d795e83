//! Somebody removes a zone by hand in the daemons: it is put back, and the node says so.

use std::process::Stdio;
use std::time::Instant;

use hickory_proto::rr::RecordType;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Outcome;
use crate::names::{DomainName, NodeName};
use crate::simulate::agent::daemon_folder;
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::sandbox::program;
use crate::simulate::{Context, SimulationError};

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some((zone, _)) = network.a_primary_zone() else {
        return Ok(Outcome::skip("there is no zone to remove but the canary"));
    };
    let mut outcome = Outcome::default();
    let since = Instant::now();
    let mut edited = Vec::new();
    for (node, snapshot) in network.snapshots().await {
        if remove(&node, &snapshot.name_server.running, &zone).await? {
            edited.push(node);
        }
    }
    if edited.is_empty() {
        return Ok(Outcome::skip("no node runs a daemon whose zones somebody could change by hand"));
    }
    outcome.did(format!("removed {zone} by hand in the daemons of {}", names(edited.iter())));
    let repaired = network
        .until(PATIENCE, |node, snapshot| {
            !edited.contains(node)
                || snapshot.repaired.iter().any(|repaired| repaired.contains(&zone.to_string()))
        })
        .await;
    outcome.figure("repaired_ms", u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
    match repaired {
        Ok(()) => {
            outcome.saw(format!("every one of them has put it back after {} ms", since.elapsed().as_millis()))
        }
        Err(unmet) => {
            outcome.require(false, || format!("{} did not say that it was put back", names(unmet.keys())));
        }
    }
    let spread = network.everywhere(&zone, RecordType::SOA, since, |answer| answer.authoritative).await;
    outcome.require_everywhere(&spread, "does not serve it");
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    Ok(outcome)
}

/// Removes a zone as somebody at the machine would. Whether there was a daemon to remove it from.
async fn remove(node: &NodeName, daemon: &str, zone: &DomainName) -> Result<bool, SimulationError> {
    let folder = daemon_folder(node, daemon);
    let path = |name: &str| folder.join(name).display().to_string();
    let zone = zone.to_string();
    let (arguments, input) = match daemon {
        "knot" => (
            vec!["knotc".to_owned(), "-s".to_owned(), path("run/knot.sock")],
            format!("conf-begin\nconf-unset zone[{zone}]\nconf-commit\n"),
        ),
        "nsd" => (
            vec!["nsd-control".to_owned(), "-c".to_owned(), path("etc/nsd.conf"), "delzone".to_owned(), zone],
            String::new(),
        ),
        "bind" => (
            vec!["rndc".to_owned(), "-c".to_owned(), path("etc/rndc.conf"), "delzone".to_owned(), zone],
            String::new(),
        ),
        "powerdns" => (
            vec![
                "pdnsutil".to_owned(),
                format!("--config-dir={}", path("etc")),
                "delete-zone".to_owned(),
                zone,
            ],
            String::new(),
        ),
        _ => return Ok(false),
    };
    let operation = || format!("change the zones of {node} by hand");
    let mut tool = Command::new(program())
        .args(["simulate", "enter", node.as_str(), "--"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(operation)?;
    if let Some(mut stdin) = tool.stdin.take() {
        stdin.write_all(input.as_bytes()).await.context(operation)?;
    }
    let status = tool.wait().await.context(operation)?;
    if status.success() { Ok(true) } else { Err(status.to_string()).context(operation) }
}
