//! Transfer: a secondary asks a primary for the serial, and for the zone when it is newer.
//!
//! Everything from outside is bounded: time between two messages, time in all, octets and records.

use std::io;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::exchange::{self, within};
use super::incoming::{self, Incoming, IncomingError, TransferLimits};
use super::rdata::rtype;
use super::timing::Timing;
use super::tsig::{Request, TsigFault};
use super::zone::Zone;
use crate::dns::TransferSource;
use crate::keyring::Keyring;
use crate::names::{DomainName, SecretName, Serial};

/// Far above any real zone, and below what would harm the node.
const LIMITS: TransferLimits = TransferLimits { records: 2_000_000, octets: 128 << 20 };

/// Why a primary could not be asked or did not hand over the zone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
    #[error("{step}: {source}")]
    Answer { step: &'static str, source: IncomingError },
    #[error("{step}: {source}")]
    Tsig { step: &'static str, source: TsigFault },
    #[error("the zone transfer took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the TSIG key {0} is wanted for it, and this node cannot read it: it was not asked unsigned")]
    NoKey(SecretName),
}

/// One primary of one zone.
pub(crate) struct Primary<'a> {
    /// Where it is.
    pub(crate) source: &'a TransferSource,
    /// The zone.
    pub(crate) apex: &'a DomainName,
    /// Where its TSIG key is found.
    pub(crate) keyring: &'a Keyring,
}

impl Primary<'_> {
    /// Asks for the zone's serial.
    pub(crate) async fn serial(&self) -> Result<Serial, TransferError> {
        const STEP: &str = "SOA query";
        let Request { octets, mut verifier } = self.request(rtype::SOA)?;
        let answer = exchange::ask(self.source.address, self.source.from, &octets)
            .await
            .map_err(|source| TransferError::Io { step: STEP, source })?;
        verifier.message(&answer).map_err(|source| TransferError::Tsig { step: STEP, source })?;
        incoming::soa_answer(id(&octets), self.apex, &answer)
            .map_err(|source| TransferError::Answer { step: STEP, source })
    }

    /// Asks for the whole zone.
    pub(crate) async fn axfr(&self, timing: &Timing) -> Result<Zone, TransferError> {
        let work = self.axfr_untimed(timing.message);
        timeout(timing.transfer, work).await.unwrap_or(Err(TransferError::TooSlow(timing.transfer)))
    }

    async fn axfr_untimed(&self, wait: Duration) -> Result<Zone, TransferError> {
        const STEP: &str = "zone transfer";
        let io = |source| TransferError::Io { step: STEP, source };
        let answer = |source| TransferError::Answer { step: STEP, source };
        let tsig = |source| TransferError::Tsig { step: STEP, source };
        let Request { octets, mut verifier } = self.request(rtype::AXFR)?;
        let mut stream = exchange::connect(self.source.address, self.source.from).await.map_err(io)?;
        within(wait, "the query could not be sent", exchange::write_message(&mut stream, &octets))
            .await
            .map_err(io)?;
        let mut incoming = Incoming::new(id(&octets), self.apex, LIMITS);
        loop {
            let message =
                within(wait, "it fell silent", exchange::read_message(&mut stream)).await.map_err(io)?;
            verifier.message(&message).map_err(tsig)?;
            if incoming.message(&message).map_err(answer)? {
                verifier.done().map_err(tsig)?;
                // Sorting a large zone takes long enough for queries to notice.
                let finished = spawn_blocking(move || incoming.finish()).await;
                return finished.map_err(|error| io(io::Error::other(error)))?.map_err(answer);
            }
        }
    }

    /// A request, signed if the source asks for a key: without it, it is never asked.
    fn request(&self, qtype: u16) -> Result<Request, TransferError> {
        let key = match &self.source.tsig_key {
            None => None,
            Some(name) => Some(self.keyring.tsig(name).ok_or_else(|| TransferError::NoKey(name.clone()))?),
        };
        let id = exchange::question(self.apex, qtype.into()).metadata.id;
        Ok(Request::new(id, self.apex, qtype, None, key.as_ref()))
    }
}

/// The id of a message of ours.
fn id(octets: &[u8]) -> u16 {
    octets.first_chunk().map_or(0, |id| u16::from_be_bytes(*id))
}
