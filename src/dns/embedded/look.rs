//! Look: ask a zone's sources for the serial, and transfer the zone if one has a newer one.
//!
//! All sources are asked at once, so that a silent one costs nothing; the freshest is transferred from, and the next
//! one when that fails.

use std::cmp::Ordering;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;
use tracing::debug;

use super::secondary::{Found, Look};
use super::transfer::{Means, Primary, Transferred};
use crate::dns::TransferSource;
use crate::names::{DomainName, Serial};

/// How much longer the other sources are waited for once one has answered.
const GRACE: Duration = Duration::from_millis(250);
/// How many sources are asked; more would be a mistake in the configuration.
const SOURCES: usize = 16;

/// Does one look.
pub(crate) async fn look(apex: &DomainName, look: &Look, means: Means<'_>) -> Found {
    let mut problems = Vec::new();
    let answers = serials(apex, &look.sources, means, &mut problems).await;
    let have = look.have.as_ref().map(|have| have.serial());
    let mut current = false;
    let mut newer = Vec::new();
    for (position, serial) in answers {
        match have.map(|have| (have, serial.compare(have))) {
            None | Some((_, Some(Ordering::Greater))) => newer.push((position, serial)),
            Some((_, Some(Ordering::Equal))) => current = true,
            Some((have, Some(Ordering::Less) | None)) => {
                let address = look.sources[position].address;
                problems.push(format!("{address}: its serial {serial} is not newer than ours, {have}"));
            }
        }
    }
    // Insertion, since serials have no order to sort by: each goes before the first that it is newer than.
    let mut order: Vec<(usize, Serial)> = Vec::new();
    newer.sort_by_key(|(position, _)| *position);
    for (position, serial) in newer {
        let at = order.iter().position(|(_, other)| serial.is_newer_than(*other)).unwrap_or(order.len());
        order.insert(at, (position, serial));
    }
    let mut behind = Vec::new();
    for (position, _) in order {
        let source = &look.sources[position];
        match (Primary { source, apex, means }).transfer(look.have.as_ref()).await {
            Ok(Transferred { zone, steps }) => return Found::New(Arc::new(zone), steps),
            Err(error) => behind.push(format!("{}: {error}", source.address)),
        }
    }
    problems.extend_from_slice(&behind);
    match current {
        true => Found::Current((!behind.is_empty()).then(|| behind.join("; "))),
        false if problems.is_empty() => Found::Failed("no source is configured".to_owned()),
        false => Found::Failed(problems.join("; ")),
    }
}

/// The serials of the sources that answered, by their position. What the others met goes to `problems`.
async fn serials(
    apex: &DomainName,
    sources: &[TransferSource],
    means: Means<'_>,
    problems: &mut Vec<String>,
) -> Vec<(usize, Serial)> {
    let ask = |(position, source)| async move { (position, Primary { source, apex, means }.serial().await) };
    let mut asking: FuturesUnordered<_> = sources.iter().take(SOURCES).enumerate().map(ask).collect();
    let mut answers = Vec::new();
    let grace = sleep(GRACE);
    tokio::pin!(grace);
    loop {
        let late = async {
            match answers.is_empty() {
                true => pending().await,
                false => grace.as_mut().await,
            }
        };
        tokio::select! {
            answer = asking.next() => match answer {
                None => return answers,
                Some((position, Ok(serial))) => {
                    if answers.is_empty() {
                        grace.as_mut().reset(tokio::time::Instant::now() + GRACE);
                    }
                    answers.push((position, serial));
                }
                Some((position, Err(error))) => {
                    debug!(zone = %apex, source = %sources[position].address, %error, "no serial from a source");
                    problems.push(format!("{}: {error}", sources[position].address));
                }
            },
            () = late => return answers,
        }
    }
}
