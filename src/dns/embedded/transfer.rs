//! Transfer: a secondary asks a primary for the serial, and for the zone when it is newer.
//!
//! Everything from outside is bounded: time between two messages, time in all, octets and records.

use std::io;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::exchange::{self, within};
use super::incoming::{self, Incoming, IncomingError, TransferLimits};
use super::timing::Timing;
use super::zone::Zone;
use crate::dns::TransferSource;
use crate::names::{DomainName, Serial};

/// Far above any real zone, and below what would harm the node.
const LIMITS: TransferLimits = TransferLimits { records: 2_000_000, octets: 128 << 20 };

/// Why a primary could not be asked or did not hand over the zone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
    #[error("{step}: {source}")]
    Answer { step: &'static str, source: IncomingError },
    #[error("the zone transfer took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the TSIG key {0} is wanted for it, and TSIG is not supported yet; it was not asked unsigned")]
    NeedsTsig(crate::names::SecretName),
}

/// Asks a primary for the zone's serial.
pub(crate) async fn serial(source: &TransferSource, apex: &DomainName) -> Result<Serial, TransferError> {
    const STEP: &str = "SOA query";
    refuse_unsigned(source)?;
    let question = exchange::question(apex, RecordType::SOA);
    let answer = exchange::ask(source.address, source.from, &question)
        .await
        .map_err(|source| TransferError::Io { step: STEP, source })?;
    incoming::soa_answer(question.metadata.id, apex, &answer)
        .map_err(|source| TransferError::Answer { step: STEP, source })
}

/// Asks a primary for the whole zone.
pub(crate) async fn axfr(
    source: &TransferSource,
    apex: &DomainName,
    timing: &Timing,
) -> Result<Zone, TransferError> {
    refuse_unsigned(source)?;
    let work = axfr_untimed(source, apex, timing.message);
    timeout(timing.transfer, work).await.unwrap_or(Err(TransferError::TooSlow(timing.transfer)))
}

async fn axfr_untimed(
    source: &TransferSource,
    apex: &DomainName,
    wait: Duration,
) -> Result<Zone, TransferError> {
    const STEP: &str = "zone transfer";
    let io = |source| TransferError::Io { step: STEP, source };
    let answer = |source| TransferError::Answer { step: STEP, source };
    let question = exchange::question(apex, RecordType::AXFR);
    let request = question.to_vec().map_err(|error| io(io::Error::other(error)))?;
    let mut stream = exchange::connect(source.address, source.from).await.map_err(io)?;
    within(wait, "the query could not be sent", exchange::write_message(&mut stream, &request))
        .await
        .map_err(io)?;
    let mut incoming = Incoming::new(question.metadata.id, apex, LIMITS);
    loop {
        let message =
            within(wait, "it fell silent", exchange::read_message(&mut stream)).await.map_err(io)?;
        if incoming.message(&message).map_err(answer)? {
            // Sorting a large zone takes long enough for queries to notice.
            let finished = spawn_blocking(move || incoming.finish()).await;
            return finished.map_err(|error| io(io::Error::other(error)))?.map_err(answer);
        }
    }
}

/// A source that asks for a key is never used without it.
fn refuse_unsigned(source: &TransferSource) -> Result<(), TransferError> {
    match &source.tsig_key {
        Some(key) => Err(TransferError::NeedsTsig(key.clone())),
        None => Ok(()),
    }
}
