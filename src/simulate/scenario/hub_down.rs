//! A hub dies, and with it its mesh: a customer's edit reaches every other node by the other hub.

use std::time::Instant;

use hickory_proto::rr::RecordType;

use super::Outcome;
use crate::names::Serial;
use crate::simulate::SimulationError;
use crate::simulate::network::Network;
use crate::simulate::question::Answer;

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
    let since = Instant::now();
    let serial = network.primaries.edit(&zone).await?;
    outcome.did(format!("edited {zone} at its primaries: serial {serial}"));
    let newest = |answer: &Answer| {
        answer.serial.is_some_and(|seen| seen == serial.0 || Serial(seen).is_newer_than(serial))
    };
    let spread = network.everywhere_but(Some(hub), &zone, RecordType::SOA, since, newest).await;
    outcome.figure("p50_ms", spread.p50_ms());
    outcome.figure("max_ms", spread.max_ms());
    outcome.require_everywhere(&spread, "did not serve it");
    outcome.saw(format!(
        "every other node serves it, half of them after {} ms, the last after {} ms",
        spread.p50_ms(),
        spread.max_ms()
    ));
    let since = Instant::now();
    if let Some(agent) = network.agents.get_mut(hub) {
        agent.start()?;
    }
    outcome.did(format!("started the agent of {hub} again"));
    let spread = network.everywhere(&zone, RecordType::SOA, since, newest).await;
    outcome.figure("back_ms", spread.max_ms());
    outcome.require_everywhere(&spread, "did not serve it");
    outcome.saw(format!("it serves {zone} with that serial after {} ms", spread.max_ms()));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    Ok(outcome)
}
