//! What a file of MRT says, in sums. Nothing in it is believed: it may be cut off, mangled, or made to be so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bgpkit_parser::models::{
    Bgp4MpEnum, BgpElem, ElemType, EntryType, MrtMessage, MrtRecord, TableDumpV2Message,
};
use bgpkit_parser::parser::mrt::mrt_record::chunk_mrt_record;
use bgpkit_parser::{Elementor, ParserError};

use crate::routing::Family;

/// Peers and origins that are told apart at most: a file could make up any number.
const MOST: usize = 200_000;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Records, by the name of their kind.
    pub records: BTreeMap<String, u64>,
    /// The first and the last time of a record, in seconds since 1970.
    pub span: Option<(u32, u32)>,
    /// What was heard from each peer: its address and AS number.
    pub peers: BTreeMap<(IpAddr, u32), Heard>,
    /// Prefixes in tables, of IPv4 and IPv6.
    pub prefixes: [u64; 2],
    /// Routes, in tables and announced, by the AS that originates them.
    pub origins: HashMap<u32, u64>,
    /// Records that are of no kind that is summed up here.
    pub passed_over: u64,
}

/// What was heard from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Routes in tables.
    pub routes: u64,
    /// Prefixes that it announced.
    pub announced: u64,
    /// Prefixes that it withdrew.
    pub withdrawn: u64,
}

/// Why a file cannot be summed up, and how far it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record} at octet {octet}: {why}")]
pub struct ReadError {
    /// Which record, the first being 1.
    pub record: u64,
    /// Where it begins, of what is not compressed.
    pub octet: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Sums up what a reader gives.
///
/// # Errors
/// When it is no MRT, or a record is broken or cut off.
pub fn summarise(mut reader: impl Read) -> Result<Summary, ReadError> {
    let mut summary = Summary::default();
    let mut elementor = Elementor::new();
    let mut octet = 0;
    for record in 1.. {
        let failed = |why: String| ReadError { record, octet, why };
        let raw = match chunk_mrt_record(&mut reader) {
            Ok(raw) => raw,
            Err(error) if matches!(error.error, ParserError::EofExpected) && record == 1 => {
                return Err(failed("the file is empty".to_owned()));
            }
            Err(error) if matches!(error.error, ParserError::EofExpected) => break,
            Err(error) => return Err(failed(framing(&error.error))),
        };
        let length = raw.total_bytes_len() as u64;
        let kind = raw.common_header.entry_type;
        let understood = matches!(kind, EntryType::TABLE_DUMP_V2 | EntryType::BGP4MP | EntryType::BGP4MP_ET);
        if !understood {
            summary.passed_over += 1;
            octet += length;
            continue;
        }
        // The parser has no promise never to panic; what it does with a record concerns that record alone.
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            let record = raw.parse().map_err(|error| error.to_string())?;
            summary.take(record, &mut elementor)
        }));
        parsed.unwrap_or_else(|_| Err("it makes the parser fail".to_owned())).map_err(failed)?;
        octet += length;
    }
    Ok(summary)
}

fn framing(error: &ParserError) -> String {
    if let ParserError::IoError(error) | ParserError::EofError(error) = error {
        return format!("it is cut off, or no MRT: {error}");
    }
    format!("it is no MRT: {error}")
}

impl Summary {
    fn take(&mut self, record: MrtRecord, elementor: &mut Elementor) -> Result<(), String> {
        let time = record.common_header.timestamp;
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        let name = kind(&record.message);
        *self.records.entry(name.to_owned()).or_default() += 1;
        if let MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(table)) = &record.message {
            for peer in table.id_peer_map.values().take(MOST) {
                self.peers.entry((peer.peer_ip, peer.peer_asn.into())).or_default();
            }
            return elementor.set_peer_table(record).map_err(|error| error.to_string());
        }
        if let MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(rib)) = &record.message {
            let family = Family::of(rib.prefix.prefix.addr());
            self.prefixes[usize::from(family == Family::V6)] += u64::from(!rib.rib_entries.is_empty());
        }
        let elements = elementor.record_to_elems_iter(record).map_err(|error| error.to_string())?;
        let in_tables = name.starts_with("TABLE_DUMP_V2");
        elements.for_each(|element| self.count(&element, in_tables));
        Ok(())
    }

    fn count(&mut self, element: &BgpElem, in_tables: bool) {
        let peer = (element.peer_ip, u32::from(element.peer_asn));
        if self.peers.len() < MOST || self.peers.contains_key(&peer) {
            let heard = self.peers.entry(peer).or_default();
            match (in_tables, &element.elem_type) {
                (true, _) => heard.routes += 1,
                (false, ElemType::ANNOUNCE) => heard.announced += 1,
                (false, ElemType::WITHDRAW) => heard.withdrawn += 1,
            }
        }
        let origins: BTreeSet<u32> =
            element.origin_asns.iter().flatten().map(|origin| u32::from(*origin)).collect();
        for origin in origins {
            if self.origins.len() < MOST || self.origins.contains_key(&origin) {
                *self.origins.entry(origin).or_default() += 1;
            }
        }
    }

    /// Those that originate most, the first first.
    pub fn top_origins(&self, count: usize) -> Vec<(u32, u64)> {
        let mut origins: Vec<(u32, u64)> = self.origins.iter().map(|(asn, routes)| (*asn, *routes)).collect();
        origins.sort_by_key(|(asn, routes)| (std::cmp::Reverse(*routes), *asn));
        origins.truncate(count);
        origins
    }
}

fn kind(message: &MrtMessage) -> &'static str {
    match message {
        MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(_)) => "TABLE_DUMP_V2 peers",
        MrtMessage::TableDumpV2Message(_) => "TABLE_DUMP_V2 routes",
        MrtMessage::Bgp4Mp(Bgp4MpEnum::StateChange(_)) => "BGP4MP states",
        MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(_)) => "BGP4MP messages",
        MrtMessage::TableDumpMessage(_) | MrtMessage::TableDumpMessageBatch(_) | MrtMessage::LegacyBgp(_) => {
            "others"
        }
    }
}

#[cfg(test)]
mod tests;
