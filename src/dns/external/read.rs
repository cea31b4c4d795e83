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
    let reading = async {
        match transfer(local, apex, have, limits).await {
            // NSD ends the connections to those of its processes that a change of zones replaces.
            Err(error) if is_cut_off(&error) => transfer(local, apex, have, limits).await,
            read => read,
        }
    };
    let late = |_| Err(io::Error::other(format!("it took longer than {} s", PATIENCE.as_secs())));
    timeout(PATIENCE, reading).await.unwrap_or_else(late).map_err(|error| format!("{local}: {error}"))
}

fn is_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

async fn transfer(
    local: SocketAddr,
    apex: &DomainName,
    have: Option<Serial>,
    limits: TransferLimits,
) -> io::Result<Option<Arc<Zone>>> {
    // Who may transfer every zone is whoever asks from this very address; the kernel would choose 127.0.0.1.
    let mut stream = connect(local, Some(local.ip())).await?;
    let mut ask = async |rtype| {
        let question = question(apex, rtype);
        let octets = question.to_vec().map_err(io::Error::other)?;
        write_message(&mut stream, &octets).await?;
        Ok::<_, io::Error>((question.metadata.id, read_message(&mut stream).await?))
    };
    if have.is_some() {
        let (id, answer) = ask(RecordType::SOA).await?;
        let serial = incoming::soa_answer(id, apex, &answer).map_err(io::Error::other)?;
        if have == Some(serial) {
            return Ok(None);
        }
    }
    let (id, mut message) = ask(RecordType::AXFR).await?;
    let mut incoming = Incoming::new(id, apex, None, limits);
    while !incoming.message(&message).map_err(io::Error::other)? {
        message = read_message(&mut stream).await?;
    }
    // Sorting takes a while for a large one.
    let finish = || match incoming.finish() {
        Some(Received::Whole(builder)) => builder.finish().map_err(|faults| {
            faults.first().map_or_else(|| "it is not a zone".to_owned(), ToString::to_string)
        }),
        Some(Received::Steps(_) | Received::Current(_)) | None => Err("it is not complete".to_owned()),
    };
    let zone = spawn_blocking(finish).await?.map_err(io::Error::other)?;
    Ok(Some(Arc::new(zone)))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use hickory_proto::rr::rdata::SOA;
    use hickory_proto::rr::{RData, Record};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_a_reload_ends_is_made_anew_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        // It ends the first connection in the middle, answers on the second, and ends all others.
        tokio::spawn(async move {
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let asked = Message::from_vec(&read_message(&mut stream).await.unwrap()).unwrap();
                if turn != 1 {
                    continue;
                }
                let name = asked.queries[0].name().clone();
                let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
                answer.metadata.authoritative = true;
                answer.add_query(asked.queries[0].clone());
                let soa = RData::SOA(SOA::new(name.clone(), name.clone(), 7, 1, 1, 1, 1));
                answer.add_answer(Record::from_rdata(name, 300, soa));
                write_message(&mut stream, &answer.to_vec().unwrap()).await.unwrap();
            }
        });
        let apex = "catalog.example".parse().unwrap();
        let read = || zone(local, &apex, Some(Serial(7)), TransferLimits::DEFAULT);
        assert!(read().await.unwrap().is_none());
        let why = read().await.unwrap_err();
        assert!(why.contains("too soon"), "{why}");
    }
}
