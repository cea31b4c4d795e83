//! Look: ask a zone's sources for the serial, and transfer the zone if one has a newer one.
//!
//! All sources are asked at once, so that a silent one costs nothing; the freshest is transferred from, and the next one
//! when that fails, or beside it when it takes long: the first that ends well is taken.

use std::cmp::Ordering;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;
use tracing::debug;

use super::secondary::{Found, Look};
use super::transfer::{Means, Primary, Transferred};
use super::zone::Zone;
use crate::dns::TransferSource;
use crate::names::{DomainName, Serial};

/// How much longer the other sources are waited for once one has answered.
const GRACE: Duration = Duration::from_millis(250);
/// How long a transfer goes on before the next source is asked as well.
const LONG: Duration = Duration::from_secs(10);
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
    let order = order.into_iter().map(|(position, _)| &look.sources[position]).collect();
    let behind = match transfer(apex, order, look.have.as_ref(), means).await {
        Ok(Transferred { zone, steps }) => return Found::New(Arc::new(zone), steps),
        Err(behind) => behind,
    };
    problems.extend_from_slice(&behind);
    match current {
        true => Found::Current((!behind.is_empty()).then(|| behind.join("; "))),
        false if problems.is_empty() => Found::Failed("no source is configured".to_owned()),
        false => Found::Failed(problems.join("; ")),
    }
}

/// Transfers from the first of these sources that hands the zone over. The errors say what each met.
async fn transfer(
    apex: &DomainName,
    sources: Vec<&TransferSource>,
    have: Option<&Arc<Zone>>,
    means: Means<'_>,
) -> Result<Transferred, Vec<String>> {
    let mut waiting = sources.into_iter();
    let mut running = FuturesUnordered::new();
    let mut problems = Vec::new();
    loop {
        if let Some(source) = waiting.next() {
            running.push(async move { (source, Primary { source, apex, means }.transfer(have).await) });
        }
        let next = async {
            match waiting.len() {
                0 => pending().await,
                _ => sleep(LONG).await,
            }
        };
        tokio::select! {
            ended = running.next() => match ended {
                None => return Err(problems),
                Some((_, Ok(transferred))) => return Ok(transferred),
                Some((source, Err(error))) => problems.push(format!("{}: {error}", source.address)),
            },
            () = next => (),
        }
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
