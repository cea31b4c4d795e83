//! All primaries of a zone are gone: it is served until its expire time has passed, and then it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::Outcome;
use crate::dns::NameServerKind;
use crate::names::NodeName;
use crate::simulate::SimulationError;
use crate::simulate::network::{Network, names};
use crate::simulate::probe::milliseconds;
use crate::simulate::question::Answer;

/// Refresh, retry and expire, in seconds: as short as each of the name servers takes them.
const TIMERS: [u32; 3] = [30, 10, 45];

pub(super) async fn run(network: &mut Network) -> Result<Outcome, SimulationError> {
    let Some(zone) = network.primaries.a_zone() else {
        return Ok(Outcome::skip("there is no customer's zone"));
    };
    let mut outcome = Outcome::default();
    let since = Instant::now();
    let serial = network.primaries.hurry(&zone, Some(TIMERS)).await?;
    let newest = |serial| move |answer: &Answer| answer.has_reached(serial);
    let spread = network.everywhere(&zone, RecordType::SOA, since, newest(serial)).await;
    outcome.require_everywhere(&spread, "did not serve it");
    let listeners = network.primaries.of_zone(&zone);
    for listener in &listeners {
        network.primaries.stop(*listener).await?;
    }
    outcome.did(format!(
        "stopped all {} primaries of {zone}, whose data expires after {} s",
        listeners.len(),
        TIMERS[2]
    ));

    // It cannot say SERVFAIL of a zone without breaking off TCP connections about others.
    let powerdns = NameServerKind::Powerdns.to_string();
    let snapshots = network.snapshots().await;
    let refusing = snapshots.iter().filter(|(_, snapshot)| snapshot.name_server.running == powerdns);
    let refusing: BTreeSet<NodeName> = refusing.map(|(node, _)| node.clone()).collect();
    let has_ended =
        |node: &NodeName, answer: &Answer| answer.failed || answer.refused && refusing.contains(node);

    // A hub may have looked at a primary just before it was stopped, an edge at a hub just before that one's data expired.
    let expire = Duration::from_secs(TIMERS[2].into());
    let longest = expire * 2 + Duration::from_secs(TIMERS[0].into());
    let mut failed: BTreeMap<NodeName, Duration> = BTreeMap::new();
    let mut lost = 0;
    while since.elapsed() < longest {
        let now = network.soa_now(&zone).await;
        for (node, answer) in &now {
            match answer {
                Some(answer) if has_ended(node, answer) => {
                    failed.entry(node.clone()).or_insert(since.elapsed());
                }
                Some(answer) if answer.authoritative => {}
                Some(_) | None => lost += 1,
            }
        }
        if failed.len() == now.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let first = failed.values().min().copied().unwrap_or_default();
    let last = failed.values().max().copied().unwrap_or_default();
    outcome.figure("first_ms", milliseconds(first));
    outcome.figure("last_ms", milliseconds(last));
    outcome.saw(format!(
        "{} nodes answer SERVFAIL{}, the first {} s after the edit, the last after {} s",
        failed.len(),
        if refusing.is_empty() { "" } else { " (PowerDNS: REFUSED)" },
        first.as_secs(),
        last.as_secs()
    ));
    outcome.require(first >= expire, || format!("a node gave up after {} s", first.as_secs()));
    outcome.require(lost == 0, || format!("{lost} answers were neither the zone nor SERVFAIL"));
    let serving: Vec<&NodeName> = snapshots.keys().filter(|node| !failed.contains_key(*node)).collect();
    outcome.require(serving.is_empty(), || format!("{} never gave up", names(serving.into_iter())));

    for listener in &listeners {
        network.primaries.resume(*listener).await?;
    }
    let since = Instant::now();
    let serial = network.primaries.hurry(&zone, None).await?;
    outcome.did("started them again, with another edit");
    let spread = network.everywhere(&zone, RecordType::SOA, since, newest(serial)).await;
    outcome.figure("back_ms", spread.max_ms());
    outcome.require_everywhere(&spread, "did not serve it");
    outcome.saw(format!("every node serves it after {} ms", spread.max_ms()));
    outcome.require_ok(network.until_applied(network.operator.tip()).await);
    Ok(outcome)
}
