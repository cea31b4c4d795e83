//! Somebody's script makes a routing daemon announce a prefix that is not ours, again and again. The node puts it right each
//! time; since it comes back, the fence goes up and all sessions are shut, until a person takes it down.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::process::Command;

use super::{Outcome, finish};
use crate::health::State;
use crate::names::NodeName;
use crate::simulate::agent::{daemon_folder, folder};
use crate::simulate::network::{Network, PATIENCE};
use crate::simulate::probe::milliseconds;
use crate::simulate::sandbox::program;
use crate::simulate::{Context, SimulationError};

/// Somebody else's: of the range for benchmarks (RFC 2544), where nobody here lives.
const FOREIGN: &str = "198.18.53.0/24";
/// How often the script runs.
const AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let snapshots = network.snapshots().await;
    let runs_bird = |node: &NodeName| {
        snapshots.get(node).is_some_and(|snapshot| snapshot.routing_daemon.running == "bird")
    };
    let Some(target) = network.target_among(runs_bird) else {
        return Ok(Outcome::skip("no node that another can stand in for runs BIRD, which the script is for"));
    };
    let mut outcome = Outcome::default();
    let node = target.node.clone();
    let foreign: IpNet = FOREIGN.parse().context(|| format!("read {FOREIGN}"))?;
    let loads = network.load_everywhere()?;

    let begun = Instant::now();
    outcome.did(format!("made BIRD on {node} announce {FOREIGN}, again and again"));
    let (mut leaked, mut fenced) = (false, false);
    while !fenced && begun.elapsed() < PATIENCE {
        leak(&node).await?;
        tokio::time::sleep(AGAIN).await;
        leaked |= network.router.announcers(&foreign) > 0;
        let Some(agent) = network.agents.get(&node) else { break };
        fenced = agent.snapshot().await.is_some_and(|snapshot| snapshot.gate.state == State::Fenced);
    }
    outcome.require(leaked, || format!("{FOREIGN} never got out, so nothing was shown"));
    outcome.require(fenced, || format!("the fence of {node} did not go up"));
    outcome.figure("fenced_ms", milliseconds(begun.elapsed()));
    match network.router.await_withdrawal(&node, begun, PATIENCE).await {
        Some(at) => {
            let time = milliseconds(at.saturating_duration_since(begun));
            outcome.saw(format!("{node} is FENCED, and its peers have no route from it after {time} ms"));
        }
        None => outcome.require(false, || format!("the peers of {node} kept its routes")),
    }
    outcome.require(network.router.announcers(&foreign) == 0, || format!("{FOREIGN} is still announced"));

    let since = Instant::now();
    undrain(&node).await?;
    outcome.did(format!("took the fence down: shoestring undrain --fence on {node}"));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    outcome.figure("back_ms", milliseconds(since.elapsed()));
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}

/// What BIRD runs, with filters that let one more prefix through.
async fn leak(node: &NodeName) -> Result<(), SimulationError> {
    let operation = || format!("change BIRD of {node} by hand");
    let folder = daemon_folder(node, "bird");
    let (run, changed) = (folder.join("run"), folder.join("run").join("by-hand.conf"));
    let text = fs::read_to_string(folder.join("etc").join("bird.conf")).context(operation)?;
    // The file announces nothing; what runs does, and is to go on.
    let awake = |line: &str| match line.starts_with("protocol static 'announce.") {
        true => line.replacen("disabled; ", "", 1),
        false => line.to_owned(),
    };
    let text = text.lines().map(awake).collect::<Vec<_>>().join("\n");
    let filter = "export filter {\n";
    let text = text.replace(filter, &format!("{filter}\t\t\tif proto = \"by_hand\" then accept;\n"));
    let text = text.replace("export limit 1 action", "export limit 9 action");
    let text = format!("{text}\nprotocol static by_hand {{ ipv4; route {FOREIGN} blackhole; }}\n");
    fs::write(&changed, text).context(operation)?;
    let mut tool = Command::new(program())
        .args(["simulate", "enter", node.as_str(), "--", "birdc", "-s"])
        .arg(run.join("bird.ctl"))
        .arg("configure")
        .arg(format!("\"{}\"", changed.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(operation)?;
    tool.wait().await.context(operation)?;
    Ok(())
}

async fn undrain(node: &NodeName) -> Result<(), SimulationError> {
    let operation = || format!("take the fence of {node} down");
    let status = Command::new(program())
        .args(["undrain", "--fence", "--config"])
        .arg(folder(node).join("config.yaml"))
        .stdout(Stdio::null())
        .status()
        .await
        .context(operation)?;
    if status.success() { Ok(()) } else { Err(status.to_string()).context(operation) }
}
