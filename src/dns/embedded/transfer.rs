//! Transfer: a secondary asks a primary for the serial, and for what is newer: the difference first (IXFR, RFC 1995), and
//! the whole zone (AXFR, RFC 5936) where the primary has no difference or sends one that does not fit.
//!
//! ```text
//! SOA by UDP ─ newer ─→ IXFR by UDP ─ not in one ─→ IXFR by TCP ─ not ────→ AXFR by TCP
//!                       (if signed)   datagram                    usable
//! ```
//!
//! Everything from outside is bounded by `TransferLimits`: the time of a message, the time in all, octets and records.
//! The memory of all transfers together is bounded, too: what goes beyond `SMALL` is taken from a `Room` that they
//! share while they receive, and of those that are large one at a time is made a zone, which takes as much again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::info;

use super::delta::{self, Delta, DeltaFault};
use super::exchange::{self, within};
use super::incoming::{self, Incoming, IncomingError, Received};
use super::rdata::rtype;
use super::response::UDP_SIZE;
use super::room::Room;
use super::tsig::{Request, TsigFault};
use super::zone::Zone;
use crate::dns::{TransferLimits, TransferSource};
use crate::keyring::Keyring;
use crate::names::{DomainName, SecretName, Serial};

/// How much of a transfer is kept in memory without taking room, in octets.
const SMALL: usize = 256 << 10;

/// Why a primary could not be asked or did not hand over the zone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
    #[error("{step}: {source}")]
    Answer { step: &'static str, source: IncomingError },
    #[error("{step}: {source}")]
    Tsig { step: &'static str, source: TsigFault },
    #[error("incremental zone transfer: {0}")]
    Delta(DeltaFault),
    #[error("the zone that it sent cannot be served: {0}")]
    Zone(String),
    #[error("the zone has {0} now, more than network.yaml allows")]
    TooLarge(String),
    #[error("{step}: it was given up for faster ones, since there is no memory for all of them at a time")]
    GaveWay { step: &'static str },
    #[error("it announced a newer serial than it sent, {0}")]
    NotNewer(Serial),
    #[error("the zone transfer took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the TSIG key {0} is wanted for it, and this node cannot read it: it was not asked unsigned")]
    NoKey(SecretName),
    #[error("{whole} (and before: {difference})")]
    Both { difference: Box<TransferError>, whole: Box<TransferError> },
}

/// What all transfers of a server share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means<'a> {
    /// Where TSIG keys are found.
    pub(crate) keyring: &'a Keyring,
    /// What a transfer may cost.
    pub(crate) limits: TransferLimits,
    /// What they may take of memory together.
    pub(crate) room: &'a Room,
    /// Held by whoever makes a large zone of what it received.
    pub(crate) builder: &'a Semaphore,
}

/// One primary of one zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Primary<'a> {
    /// Where it is.
    pub(crate) source: &'a TransferSource,
    /// The zone.
    pub(crate) apex: &'a DomainName,
    /// What there is to ask with.
    pub(crate) means: Means<'a>,
}

/// A new version of a zone.
#[derive(Debug)]
pub(crate) struct Transferred {
    /// All of it.
    pub(crate) zone: Zone,
    /// What led to it from the version that we had; empty if it came whole.
    pub(crate) steps: Vec<Arc<Delta>>,
}

impl Primary<'_> {
    /// Asks for the zone's serial.
    pub(crate) async fn serial(&self) -> Result<Serial, TransferError> {
        const STEP: &str = "SOA query";
        let Request { octets, mut verifier } = self.request(rtype::SOA, None, None)?;
        let answer = exchange::ask_insisting(self.source.address, self.source.from, &octets)
            .await
            .map_err(|source| TransferError::Io { step: STEP, source })?;
        verifier.message(&answer).map_err(|source| TransferError::Tsig { step: STEP, source })?;
        incoming::soa_answer(id(&octets), self.apex, &answer)
            .map_err(|source| TransferError::Answer { step: STEP, source })
    }

    /// Asks for what is newer than what we have.
    pub(crate) async fn transfer(&self, have: Option<&Arc<Zone>>) -> Result<Transferred, TransferError> {
        let limit = self.means.limits.total;
        let late = |_| Err(TransferError::TooSlow(limit));
        timeout(limit, self.transfer_untimed(have)).await.unwrap_or_else(late)
    }

    async fn transfer_untimed(&self, have: Option<&Arc<Zone>>) -> Result<Transferred, TransferError> {
        let Some(have) = have else { return self.ask(None).await };
        if let Some(transferred) = self.by_datagram(have).await {
            return Ok(transferred);
        }
        let difference = match self.ask(Some(have)).await {
            Ok(transferred) => return Ok(transferred),
            // Whoever does not take a connection has no whole zone for us either.
            Err(error @ (TransferError::Io { step: CONNECT, .. } | TransferError::NoKey(_))) => {
                return Err(error);
            }
            // The whole zone would want yet more room.
            Err(error @ TransferError::GaveWay { .. }) => return Err(error),
            Err(error) => Box::new(error),
        };
        info!(zone = %self.apex, source = %self.source.address, %difference, "no difference: asking for the whole zone");
        let transferred = match self.ask(None).await {
            Ok(transferred) => transferred,
            Err(whole) => return Err(TransferError::Both { difference, whole: Box::new(whole) }),
        };
        match transferred.zone.serial() {
            serial if serial.is_newer_than(have.serial()) => Ok(transferred),
            serial => Err(TransferError::NotNewer(serial)),
        }
    }

    /// The difference, if the primary has it in one datagram (RFC 1995 section 2). It is asked for with a key only: anybody
    /// may forge a datagram, and what is in this one would be served.
    async fn by_datagram(&self, have: &Arc<Zone>) -> Option<Transferred> {
        self.source.tsig_key.as_ref()?;
        let soa = have.soa_set().rdatas().next();
        let Request { octets, mut verifier } = self.request(rtype::IXFR, soa, Some(UDP_SIZE)).ok()?;
        let answer = exchange::ask_once(self.source.address, self.source.from, &octets).await.ok()?;
        verifier.message(&answer).ok()?;
        let mut incoming = Incoming::new(id(&octets), self.apex, Some(have.serial()), self.means.limits);
        let complete = incoming.message(&answer).ok()?;
        // One newer SOA record says to come back by TCP, and any fault shows there as well.
        if complete { self.build(incoming, Some(have), IXFR).await.ok() } else { None }
    }

    /// One transfer: of the difference from what we have, or of the whole zone.
    async fn ask(&self, have: Option<&Arc<Zone>>) -> Result<Transferred, TransferError> {
        let (step, qtype) = match have {
            Some(_) => (IXFR, rtype::IXFR),
            None => ("zone transfer", rtype::AXFR),
        };
        let io = |source| TransferError::Io { step, source };
        let limits = self.means.limits;
        let soa = have.and_then(|have| have.soa_set().rdatas().next());
        let Request { octets, mut verifier } = self.request(qtype, soa, None)?;
        let mut stream = exchange::connect(self.source.address, self.source.from)
            .await
            .map_err(|source| TransferError::Io { step: CONNECT, source })?;
        let sending = exchange::write_message(&mut stream, &octets);
        within(limits.message, "the query could not be sent", sending).await.map_err(io)?;
        let mut incoming = Incoming::new(id(&octets), self.apex, have.map(|have| have.serial()), limits);
        let share = self.means.room.enter();
        loop {
            let message = tokio::select! {
                message = self.message(&mut stream) => message.map_err(io)?,
                _ = share.is_told() => return Err(TransferError::GaveWay { step }),
            };
            verifier.message(&message).map_err(|source| TransferError::Tsig { step, source })?;
            if incoming.message(&message).map_err(|source| TransferError::Answer { step, source })? {
                break;
            }
            if incoming.size() > SMALL {
                let all = incoming::largest(limits);
                share.grow(incoming.size(), all).await.map_err(|_| TransferError::GaveWay { step })?;
            }
        }
        verifier.done().map_err(|source| TransferError::Tsig { step, source })?;
        drop(stream);
        share.received();
        self.build(incoming, have, step).await
    }

    /// Makes a zone of what was received.
    async fn build(
        &self,
        incoming: Incoming,
        have: Option<&Arc<Zone>>,
        step: &'static str,
    ) -> Result<Transferred, TransferError> {
        let (have, limits) = (have.map(Arc::clone), self.means.limits);
        let large = incoming.size() > SMALL || have.as_ref().is_some_and(|have| have.heap_bytes() > SMALL);
        let turn = if large { self.means.builder.acquire().await.ok() } else { None };
        // Sorting a large zone takes long enough for queries to notice.
        let finished = spawn_blocking(move || finish(incoming, have.as_deref(), limits)).await;
        drop(turn);
        finished.map_err(|error| TransferError::Io { step, source: io::Error::other(error) })?
    }

    async fn message(&self, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let limit = self.means.limits.message;
        within(
            limit,
            "no whole message came in time: it is silent or too slow",
            exchange::read_message(stream),
        )
        .await
    }

    /// A request, signed if the source asks for a key: without it, it is never asked.
    fn request(&self, qtype: u16, soa: Option<&[u8]>, size: Option<u16>) -> Result<Request, TransferError> {
        let key = match &self.source.tsig_key {
            None => None,
            Some(name) => {
                let key = self.means.keyring.tsig(name);
                Some(key.ok_or_else(|| TransferError::NoKey(name.clone()))?)
            }
        };
        let id = exchange::question(self.apex, qtype.into()).metadata.id;
        Ok(Request::new(id, self.apex, qtype, soa, size, key.as_ref()))
    }
}

const CONNECT: &str = "zone transfer, connecting";
const IXFR: &str = "incremental zone transfer";

/// The zone that was received.
pub(crate) fn finish(
    incoming: Incoming,
    have: Option<&Zone>,
    limits: TransferLimits,
) -> Result<Transferred, TransferError> {
    let transferred = match (incoming.finish(), have) {
        (Some(Received::Whole(builder)), _) => {
            let zone = builder.finish().map_err(|faults| TransferError::Zone(super::describe(&faults)))?;
            Transferred { zone, steps: Vec::new() }
        }
        (Some(Received::Steps(steps)), Some(have)) => {
            let zone = delta::apply(have, &steps).map_err(TransferError::Delta)?;
            Transferred { zone, steps: steps.into_iter().map(Arc::new).collect() }
        }
        (Some(Received::Current(serial)), _) => return Err(TransferError::NotNewer(serial)),
        (Some(Received::Steps(_)) | None, _) => {
            return Err(TransferError::Zone("it is not complete".to_owned()));
        }
    };
    // By differences it may have grown little by little.
    let zone = &transferred.zone;
    match (zone.record_count(), zone.record_octets()) {
        (records, _) if records > limits.records => {
            return Err(TransferError::TooLarge(format!("{records} records")));
        }
        (_, octets) if octets > limits.octets => {
            return Err(TransferError::TooLarge(format!("{octets} octets of records")));
        }
        _ => (),
    }
    match have {
        Some(have) if !zone.serial().is_newer_than(have.serial()) => {
            Err(TransferError::NotNewer(zone.serial()))
        }
        _ => Ok(transferred),
    }
}

/// The id of a message of ours.
fn id(octets: &[u8]) -> u16 {
    octets.first_chunk().map_or(0, |id| u16::from_be_bytes(*id))
}
