//! A hub dies, and with it its mesh: a customer's edit reaches every other node by the other hub, and soon at once.

use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::Outcome;
use crate::names::{DomainName, NodeName, Serial};
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, names};
use crate::status::Snapshot;

/// For all others to notice that nothing comes from it.
const NOTICE: Duration = Duration::from_secs(60);

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let hubs = network.hubs();
    let (Some(zone), [hub, _, ..]) = (network.primaries.a_zone(), &hubs[..]) else {
        return Ok(Outcome::skip("there are no two hubs, or no customer's zone"));
    };
    let mut outcome = Outcome::default();
    if let Some(agent) = network.agents.get_mut(hub) {
        agent.kill().await?;
    }
    outcome.did(format!("killed the agent of the hub {hub}, and with it its end of the mesh"));
    edit(network, &mut outcome, hub, &zone, ["p50_ms", "max_ms"]).await?;
    // What is sent to a dead node is lost, and waited for; once it is known to be silent it fails at once.
    let is_noticed =
        |_: &NodeName, seen: &Snapshot| seen.mesh.get(hub).is_none_or(|link| link.is_silent) && seen.settled;
    let since = Instant::now();
    match network.until_but(Some(hub), NOTICE, is_noticed).await {
        Ok(()) => outcome.saw(format!(
            "every other node knows {} ms later that {hub} is silent, and sends nothing there",
            since.elapsed().as_millis()
        )),
        Err(unmet) => outcome.require(false, || format!("{} did not notice", names(unmet.keys()))),
    }
    let serial = edit(network, &mut outcome, hub, &zone, ["noticed_p50_ms", "noticed_max_ms"]).await?;
    let since = Instant::now();
    if let Some(agent) = network.agents.get_mut(hub) {
        agent.start()?;
    }
    outcome.did(format!("started the agent of {hub} again"));
    let spread = network.everywhere(&zone, RecordType::SOA, since, |answer| answer.has_reached(serial)).await;
    outcome.figure("back_ms", spread.max_ms());
    outcome.require_everywhere(&spread, "did not serve it");
    outcome.saw(format!("it serves {zone} with that serial after {} ms", spread.max_ms()));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    Ok(outcome)
}

/// Edits a zone at its primaries, and waits until all nodes but the dead hub serve that. The figures are of half of them and of
/// the last.
async fn edit(
    network: &mut Network,
    outcome: &mut Outcome,
    dead: &NodeName,
    zone: &DomainName,
    [half, last]: [&'static str; 2],
) -> Result<Serial, SimulationError> {
    let since = Instant::now();
    let serial = network.primaries.edit(zone).await?;
    outcome.did(format!("edited {zone} at its primaries: serial {serial}"));
    let spread = network
        .everywhere_but(Some(dead), zone, RecordType::SOA, since, |answer| answer.has_reached(serial))
        .await;
    let (p50_ms, max_ms) = (spread.p50_ms(), spread.max_ms());
    outcome.figure(half, p50_ms);
    outcome.figure(last, max_ms);
    outcome.require_everywhere(&spread, "did not serve it");
    outcome.saw(format!(
        "every other node serves it, half of them after {p50_ms} ms, the last after {max_ms} ms"
    ));
    Ok(serial)
}
