//! One of a zone's primaries dies, and another has newer data: it comes from there.

use std::time::Instant;

use hickory_proto::rr::RecordType;

use super::{Outcome, finish};
use crate::simulate::SimulationError;
use crate::simulate::network::Network;
use crate::simulate::question::Answer;

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some((zone, listeners)) = network.primaries.a_zone_of_several() else {
        return Ok(Outcome::skip("no zone has several primaries"));
    };
    let mut outcome = Outcome::default();
    let loads = network.load_everywhere()?;
    let dead = listeners[0];
    network.primaries.stop(dead).await?;
    let since = Instant::now();
    let serial = network.primaries.edit(&zone).await?;
    outcome.did(format!(
        "stopped {dead}, a primary of {zone}, and edited the zone at the others: serial {serial}"
    ));
    let newest = |answer: &Answer| answer.has_reached(serial);
    let spread = network.everywhere(&zone, RecordType::SOA, since, newest).await;
    outcome.figure("p50_ms", spread.p50_ms());
    outcome.figure("max_ms", spread.max_ms());
    outcome.require_everywhere(&spread, "did not serve it");
    outcome.saw(format!(
        "every node serves it, half of them after {} ms, the last after {} ms",
        spread.p50_ms(),
        spread.max_ms()
    ));
    network.primaries.resume(dead).await?;
    outcome.did(format!("started {dead} again"));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    outcome.require_no_loss(&finish(loads).await);
    Ok(outcome)
}
