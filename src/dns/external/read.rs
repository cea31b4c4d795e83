//! Read: a whole zone, asked of the daemon itself by AXFR (RFC 5936), from where it answers the agent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::dns::TransferLimits;
use crate::dns::embedded::exchange::{connect, question, read_message, write_message};
use crate::dns::embedded::incoming::{self, Incoming, Received};
use crate::dns::embedded::zone::Zone;
use crate::names::{DomainName, Serial};

/// For all of it: the daemon is on this machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// The zone, unless it has the serial `have`.
pub(super) async fn zone(
    local: SocketAddr,
    apex: &DomainName,
    have: Option<Serial>,
    limits: TransferLimits,
) -> Result<Option<Arc<Zone>>, String> {
    let reading = transfer(local, apex, have, limits);
    let late = |_| Err(format!("{local} took longer than {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, reading).await.unwrap_or_else(late).map_err(|why| format!("{local}: {why}"))
}

async fn transfer(
    local: SocketAddr,
    apex: &DomainName,
    have: Option<Serial>,
    limits: TransferLimits,
) -> Result<Option<Arc<Zone>>, String> {
    let say = |error: io::Error| error.to_string();
    // Who may transfer every zone is whoever asks from this very address; the kernel would choose 127.0.0.1.
    let mut stream = connect(local, Some(local.ip())).await.map_err(say)?;
    let mut ask = async |rtype| {
        let question = question(apex, rtype);
        let octets = question.to_vec().map_err(io::Error::other)?;
        write_message(&mut stream, &octets).await?;
        Ok((question.metadata.id, read_message(&mut stream).await?))
    };
    if have.is_some() {
        let (id, answer) = ask(RecordType::SOA).await.map_err(say)?;
        let serial = incoming::soa_answer(id, apex, &answer).map_err(|error| error.to_string())?;
        if have == Some(serial) {
            return Ok(None);
        }
    }
    let (id, mut message) = ask(RecordType::AXFR).await.map_err(say)?;
    let mut incoming = Incoming::new(id, apex, None, limits);
    while !incoming.message(&message).map_err(|error| error.to_string())? {
        message = read_message(&mut stream).await.map_err(say)?;
    }
    // Sorting takes a while for a large one.
    let finish = || match incoming.finish() {
        Some(Received::Whole(builder)) => builder.finish().map_err(|faults| {
            faults.first().map_or_else(|| "it is not a zone".to_owned(), ToString::to_string)
        }),
        Some(Received::Steps(_) | Received::Current(_)) | None => Err("it is not complete".to_owned()),
    };
    let zone = spawn_blocking(finish).await.map_err(|error| error.to_string())??;
    Ok(Some(Arc::new(zone)))
}
