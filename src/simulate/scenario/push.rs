//! A signed push adds a zone: how long until every node answers for it.

use std::time::Instant;

use hickory_proto::rr::RecordType;

use super::Outcome;
use crate::desired::model::DesiredState;
use crate::names::{AccountName, DomainName};
use crate::simulate::network::Network;
use crate::simulate::{Context, SimulationError};

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(account) = an_account(&network.desired) else {
        return Ok(Outcome::skip("no account has a zone"));
    };
    let mut outcome = Outcome::default();
    let zone: DomainName =
        "pushed-by-simulation.example".parse().context(|| "name the zone to push".into())?;
    let description = "kind: primary\n";
    let records = format!(
        "$TTL 300\n\
         {zone}. IN SOA ns.{zone}. hostmaster.{zone}. 0 7200 900 1209600 300\n\
         {zone}. IN NS ns.{zone}.\n\
         ns.{zone}. IN A 203.0.113.249\n"
    );
    let path = |extension: &str| format!("zones/{account}/{zone}.{extension}");
    let since = Instant::now();
    let revision = network.operator.commit(
        &[(&path("yaml"), Some(description.as_bytes())), (&path("zone"), Some(records.as_bytes()))],
        &format!("Add {zone}"),
        true,
    )?;
    network.operator.push(false)?;
    outcome.did(format!("pushed {} ({}), which adds the zone {zone}", revision.short(), "signed"));
    let good = |answer: &crate::simulate::question::Answer| answer.authoritative && answer.serial.is_some();
    let spread = network.everywhere(&zone, RecordType::SOA, since, good).await;
    outcome.figure("p50_ms", spread.p50_ms());
    outcome.figure("max_ms", spread.max_ms());
    outcome.require_everywhere(&spread, &format!("did not answer for {zone}"));
    outcome.saw(format!(
        "every node answers for it on each service address, half of them after {} ms, the last after {} ms",
        spread.p50_ms(),
        spread.max_ms()
    ));
    outcome.require_ok(network.until_applied(revision).await);
    // Out again, so that the scenario can be run twice.
    let revision = network.operator.commit(
        &[(&path("yaml"), None), (&path("zone"), None)],
        &format!("Remove {zone}"),
        true,
    )?;
    network.operator.push(false)?;
    outcome.require_ok(network.until_applied(revision).await);
    Ok(outcome)
}

fn an_account(state: &DesiredState) -> Option<AccountName> {
    state.zones.values().next().map(|zone| zone.account.clone())
}
