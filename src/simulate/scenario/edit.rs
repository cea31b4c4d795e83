//! A record changes: of a primary zone, by a push; of a secondary zone, at its primaries, which send NOTIFY.

use std::time::Instant;

use hickory_proto::rr::RecordType;

use super::Outcome;
use crate::names::DomainName;
use crate::simulate::network::Network;
use crate::simulate::probe::Spread;
use crate::simulate::question::Answer;
use crate::simulate::{Context, SimulationError};

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let mut outcome = Outcome::default();
    let (primary, secondary) = (network.a_primary_zone(), network.primaries.a_zone());
    if primary.is_none() && secondary.is_none() {
        return Ok(Outcome::skip("there is no zone to edit but the canary"));
    }
    if let Some((zone, path)) = primary {
        edit_primary(network, &mut outcome, &zone, &path).await?;
    }
    if let Some(zone) = secondary {
        edit_secondary(network, &mut outcome, &zone).await?;
    }
    Ok(outcome)
}

async fn edit_primary(
    network: &mut Network,
    outcome: &mut Outcome,
    zone: &DomainName,
    path: &str,
) -> Result<(), SimulationError> {
    let mut draft = network.operator.draft()?;
    // A name of its own for each run, so that the answer is never one from before.
    let name = format!("edit-{}.{zone}", network.operator.tip().short());
    draft.append(path, &format!("{name}. 60 IN TXT \"edited\""));
    let name: DomainName = name.parse().context(|| format!("name a record in {zone}"))?;
    let since = Instant::now();
    let revision = network.operator.commit(
        &[(path, draft.files.get(path).map(Vec::as_slice))],
        &format!("Add {name}"),
        true,
    )?;
    network.operator.push(false)?;
    outcome.did(format!("pushed {}, which adds the record {name} to {zone}", revision.short()));
    let spread = network
        .everywhere(&name, RecordType::TXT, since, |answer| answer.authoritative && answer.records == 1)
        .await;
    note(outcome, &spread, "", &format!("{name}"));
    outcome.require_ok(network.until_applied(revision).await);
    Ok(())
}

async fn edit_secondary(
    network: &mut Network,
    outcome: &mut Outcome,
    zone: &DomainName,
) -> Result<(), SimulationError> {
    let since = Instant::now();
    let serial = network.primaries.edit(zone).await?;
    outcome.did(format!("edited {zone} at its primaries, which send NOTIFY for serial {serial} to the hubs"));
    let newest = |answer: &Answer| answer.has_reached(serial);
    let spread = network.everywhere(zone, RecordType::SOA, since, newest).await;
    note(outcome, &spread, "notify_", &format!("{zone} with serial {serial}"));
    Ok(())
}

fn note(outcome: &mut Outcome, spread: &Spread, prefix: &str, what: &str) {
    outcome.figure(&format!("{prefix}p50_ms"), spread.p50_ms());
    outcome.figure(&format!("{prefix}max_ms"), spread.max_ms());
    outcome.require_everywhere(spread, &format!("did not serve {what}"));
    outcome.saw(format!(
        "every node serves {what}, half of them after {} ms, the last after {} ms",
        spread.p50_ms(),
        spread.max_ms()
    ));
}
