//! What a file of MRT says, in sums. Nothing in it is believed: it may be cut off, mangled, or made to be so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bgpkit_parser::models::{
    Bgp4MpEnum, Bgp4MpMessage, Bgp4MpStateChange, BgpElem, BgpMessage, BgpState, ElemType, EntryType,
    MrtMessage, MrtRecord, TableDumpV2Message,
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
    /// Records that are whole, and wrong inside.
    pub broken: u64,
    /// The first of these.
    pub first_broken: Option<ReadError>,
}

/// What was heard from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Routes in tables.
    pub routes: u64,
    /// UPDATE messages (RFC 4271 section 4.3).
    pub updates: u64,
    /// Prefixes that it announced, of IPv4 and IPv6.
    pub announced: [u64; 2],
    /// Prefixes that it withdrew, of IPv4 and IPv6.
    pub withdrawn: [u64; 2],
    /// What became of its session.
    pub states: States,
}

/// Changes of a session's state (RFC 6396 section 4.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct States {
    /// Into Established.
    pub established: u64,
    /// Out of it.
    pub lost: u64,
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
/// A record that is whole, but wrong inside, is counted as broken: FRR writes one when it is ended.
///
/// # Errors
/// When it is no MRT, or a record is cut off.
pub fn summarise(mut reader: impl Read) -> Result<Summary, ReadError> {
    let mut summary = Summary::default();
    let mut sessions = Sessions::default();
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
            summary.take(record, &mut elementor, &mut sessions)
        }));
        if let Err(why) = parsed.unwrap_or_else(|_| Err("it makes the parser fail".to_owned())) {
            summary.broken += 1;
            summary.first_broken.get_or_insert(failed(why));
        }
        octet += length;
    }
    sessions.attribute(&mut summary);
    Ok(summary)
}

fn framing(error: &ParserError) -> String {
    if let ParserError::IoError(error) | ParserError::EofError(error) = error {
        return format!("it is cut off, or no MRT: {error}");
    }
    format!("it is no MRT: {error}")
}

#[derive(Default)]
struct Sessions {
    /// By the two ends of the session as they are written, the peer first.
    states: HashMap<[(IpAddr, u32); 2], States>,
    /// Who sent messages: address and AS number.
    senders: HashMap<IpAddr, u32>,
}

impl Sessions {
    fn message(&mut self, message: &Bgp4MpMessage) {
        // With its OPEN it is not known yet whether a peer has a long AS number.
        let is_open = matches!(message.bgp_message, BgpMessage::Open(_));
        if !is_open && (self.senders.len() < MOST || self.senders.contains_key(&message.peer_ip)) {
            self.senders.insert(message.peer_ip, message.peer_asn.into());
        }
    }

    fn change(&mut self, change: &Bgp4MpStateChange) {
        let ends = [(change.peer_ip, change.peer_asn.into()), (change.local_addr, change.local_asn.into())];
        let is = |state: &BgpState| *state == BgpState::Established;
        let (was, is) = (is(&change.old_state), is(&change.new_state));
        if was != is && (self.states.len() < MOST || self.states.contains_key(&ends)) {
            let states = self.states.entry(ends).or_default();
            states.established += u64::from(is);
            states.lost += u64::from(was);
        }
    }

    /// Counts them for the peers. OpenBGPD writes the ends the wrong way round, and in place of some AS numbers AS_TRANS: who
    /// is a peer is seen by who sent messages.
    fn attribute(self, summary: &mut Summary) {
        for ([peer, local], States { established, lost }) in self.states {
            let sender = [peer, local].into_iter().find_map(|(one, _)| self.senders.get_key_value(&one));
            let peer = sender.map_or(peer, |(address, asn)| (*address, *asn));
            if let Some(heard) = summary.heard(peer) {
                heard.states.established += established;
                heard.states.lost += lost;
            }
        }
    }
}

impl Summary {
    fn take(
        &mut self,
        record: MrtRecord,
        elementor: &mut Elementor,
        sessions: &mut Sessions,
    ) -> Result<(), String> {
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
        if let MrtMessage::Bgp4Mp(Bgp4MpEnum::StateChange(change)) = &record.message {
            sessions.change(change);
            return Ok(());
        }
        if let MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(message)) = &record.message {
            sessions.message(message);
            if !matches!(message.bgp_message, BgpMessage::Update(_)) {
                return Ok(());
            }
            if let Some(heard) = self.heard((message.peer_ip, message.peer_asn.into())) {
                heard.updates += 1;
            }
        }
        let elements = elementor.record_to_elems_iter(record).map_err(|error| error.to_string())?;
        let in_tables = name.starts_with("TABLE_DUMP_V2");
        elements.for_each(|element| self.count(&element, in_tables));
        Ok(())
    }

    /// What was heard from a peer; `None` beyond those that are told apart.
    fn heard(&mut self, peer: (IpAddr, u32)) -> Option<&mut Heard> {
        let is_told_apart = self.peers.len() < MOST || self.peers.contains_key(&peer);
        is_told_apart.then(|| self.peers.entry(peer).or_default())
    }

    fn count(&mut self, element: &BgpElem, in_tables: bool) {
        let family = usize::from(Family::of(element.prefix.prefix.addr()) == Family::V6);
        if let Some(heard) = self.heard((element.peer_ip, u32::from(element.peer_asn))) {
            match (in_tables, &element.elem_type) {
                (true, _) => heard.routes += 1,
                (false, ElemType::ANNOUNCE) => heard.announced[family] += 1,
                (false, ElemType::WITHDRAW) => heard.withdrawn[family] += 1,
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
        MrtMessage::Bgp4Mp(Bgp4MpEnum::StateChange(_)) => "BGP4MP state changes",
        MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(message)) => match message.bgp_message {
            BgpMessage::Open(_) => "BGP4MP OPEN",
            BgpMessage::Update(_) => "BGP4MP UPDATE",
            BgpMessage::Notification(_) => "BGP4MP NOTIFICATION",
            BgpMessage::KeepAlive => "BGP4MP KEEPALIVE",
            BgpMessage::RouteRefresh(_) => "BGP4MP ROUTE-REFRESH",
        },
        MrtMessage::TableDumpMessage(_) | MrtMessage::TableDumpMessageBatch(_) | MrtMessage::LegacyBgp(_) => {
            "others"
        }
    }
}

#[cfg(test)]
mod tests;
