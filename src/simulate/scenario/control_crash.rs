//! The tool that controls a daemon crashes: the daemon goes on, the node says why it waits, and catches up after.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use super::{Outcome, finish};
use crate::names::NodeName;
use crate::process::find_program;
use crate::simulate::agent::tools;
use crate::simulate::network::{Network, PATIENCE, names};
use crate::simulate::probe::milliseconds;
use crate::simulate::{Context, SimulationError};

/// What becomes of a tool.
const CRASH: &str = "#!/bin/sh\nkill -SEGV $$\n";

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some((zone, path)) = network.a_primary_zone() else {
        return Ok(Outcome::skip("there is no zone to edit but the canary"));
    };
    let mut hit: Vec<(NodeName, &str)> = Vec::new();
    for (node, snapshot) in network.snapshots().await {
        let tool = match snapshot.name_server.running.as_str() {
            "knot" => "knotc",
            "nsd" => "nsd-control",
            "bind" => "named-nzd2nzf",
            _ => continue,
        };
        hit.push((node, tool));
    }
    if hit.is_empty() {
        return Ok(Outcome::skip("no node runs a daemon that is controlled by a tool"));
    }
    let mut outcome = Outcome::default();
    let loads = network.load_everywhere()?;
    for (node, tool) in &hit {
        replace(node, tool, false)?;
    }
    let nodes: Vec<&NodeName> = hit.iter().map(|(node, _)| node).collect();
    outcome.did(format!("made the tool crash that controls the daemon, on {}", names(nodes.iter().copied())));
    let line = format!("control-crash-{}.{zone}. 60 IN TXT \"edited\"", network.operator.tip().short());
    let revision = network.operator.change(&format!("Edit {zone}"), |draft| {
        draft.append(&path, &line);
        Ok(())
    })?;
    outcome.did(format!("pushed {}, which edits {zone}", revision.short()));
    let told = network
        .until(PATIENCE, |node, snapshot| {
            !nodes.contains(&node)
                || snapshot
                    .actions
                    .iter()
                    .chain(&snapshot.waits)
                    .any(|line| line.contains("crashed with signal"))
        })
        .await;
    match told {
        Ok(()) => outcome.saw("each of them says that it crashes, and goes on answering"),
        Err(unmet) => outcome.require(false, || format!("{} does not say so", names(unmet.keys()))),
    }
    for (node, tool) in &hit {
        replace(node, tool, true)?;
    }
    let since = Instant::now();
    outcome.did("put the tools back");
    outcome.require_ok(network.until_applied(revision).await);
    outcome.figure("caught_up_ms", milliseconds(since.elapsed()));
    outcome.saw(format!("every node has the edit after {} ms", milliseconds(since.elapsed())));
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}

/// Puts a node's way to a tool, or what crashes, where its agent looks for it.
fn replace(node: &NodeName, tool: &str, good: bool) -> Result<(), SimulationError> {
    let (way, next) = (tools(node).join(tool), tools(node).join("next"));
    let operation = || format!("replace {}", way.display());
    let _ = fs::remove_file(&next);
    if good {
        // Its own way leads to the very program, wherever else one is found first.
        let program = find_program(tool).ok_or("it is not installed any more").context(operation)?;
        symlink(program, &next).context(operation)?;
    } else {
        fs::write(&next, CRASH).context(operation)?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).context(operation)?;
    }
    fs::rename(&next, &way).context(operation)
}
