//! The conversation with `git upload-pack`, protocol version 0, as gitprotocol-pack(5) has it.
//!
//! ```text
//! there: <id> <reference>\0<capabilities>   … one packet each, then a flush packet
//! here:  want <id> <capabilities>, flush, have <id> …, done
//! there: ACK <id> or NAK, then the pack, in packets of band 1
//! ```
//!
//! One request is enough: we name the one commit that we want and some that we have, oldest last, and take what
//! comes. No thin pack is asked for, so the pack stands by itself.

use std::collections::HashSet;
use std::io::{Read, Write};

use git2::{Odb, Oid, Repository};

use super::super::SourceError;
use super::budget::damaged;
use super::walk::{Takeable, known_objects, takeable};
use super::{Budget, Wanted};

/// At most so many commits are named as had.
const HAVES: usize = 64;

/// A way to `git upload-pack`.
pub(super) trait Connection {
    /// What it says first.
    fn advertisement(&mut self, budget: &Budget) -> Result<Box<dyn Read + '_>, SourceError>;
    /// Sends the request; what it answers.
    fn request(&mut self, request: &[u8], budget: &Budget) -> Result<Box<dyn Read + '_>, SourceError>;
}

/// Brings what the reference needs; what could be taken, or `None` where there is no such reference.
pub(super) fn fetch(
    connection: &mut dyn Connection,
    Wanted { reference, here, whole }: &Wanted<'_>,
    budget: &mut Budget,
) -> Result<Option<Takeable>, SourceError> {
    let offer = offer(&mut connection.advertisement(budget)?, reference, budget)?;
    let Some(Offer { tip, capabilities }) = offer else { return Ok(None) };
    budget.offered(tip);
    if whole.contains(&tip) {
        return Ok(Some(Takeable { commit: tip, objects: Vec::new(), refused: None }));
    }
    let odb = here.odb().map_err(|error| damaged(here, &error))?;
    if !odb.exists(tip) {
        let request = request(tip, &capabilities, &haves(here, whole), budget)?;
        let mut answer = connection.request(&request, budget)?;
        receive(&mut answer, &odb, budget)?;
        odb.refresh().map_err(|error| damaged(here, &error))?;
    }
    let mut known = HashSet::new();
    for commit in *whole {
        known.extend(known_objects(&odb, *commit).map_err(|error| damaged(here, &error))?);
    }
    takeable(&odb, tip, |id| known.contains(&id), budget).map(Some)
}

/// What is offered under the reference, and what else the other side can do.
struct Offer {
    tip: Oid,
    capabilities: Vec<String>,
}

fn offer(from: &mut dyn Read, reference: &str, budget: &mut Budget) -> Result<Option<Offer>, SourceError> {
    let mut tip = None;
    let mut capabilities = Vec::new();
    let mut first = true;
    while let Some(line) = packet(from, budget)? {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\n');
        if let Some(why) = line.strip_prefix("ERR ") {
            return Err(budget.denied(why));
        }
        if line.starts_with("version ") || line.starts_with("shallow ") {
            continue;
        }
        let (line, after) = line.split_once('\0').unwrap_or((line, ""));
        if first {
            capabilities = after.split(' ').map(str::to_owned).collect();
            first = false;
        }
        let (id, name) = line.split_once(' ').ok_or_else(|| budget.protocol("a reference has no name"))?;
        if name == reference {
            // The id of a SHA-256 repository is longer, and is an error here.
            let id = if id.len() == 40 { Oid::from_str(id).ok() } else { None };
            let id = id.ok_or_else(|| budget.protocol(format!("{id:?} is not the SHA-1 id of a commit")))?;
            tip = Some(id);
        }
    }
    Ok(tip.map(|tip| Offer { tip, capabilities }))
}

fn request(tip: Oid, offered: &[String], haves: &[Oid], budget: &Budget) -> Result<Vec<u8>, SourceError> {
    let mut wanted = vec![concat!("agent=shoestring/", env!("CARGO_PKG_VERSION"))];
    let offers = |name: &str| offered.iter().any(|offered| offered == name);
    if !offers("side-band-64k") {
        return Err(budget.protocol("it does not offer side-band-64k"));
    }
    wanted.extend(["side-band-64k", "ofs-delta", "no-progress"].into_iter().filter(|name| offers(name)));
    let mut request = Vec::new();
    put(&mut request, &format!("want {tip} {}\n", wanted.join(" ")));
    request.extend_from_slice(b"0000");
    for id in haves {
        put(&mut request, &format!("have {id}\n"));
    }
    put(&mut request, "done\n");
    Ok(request)
}

fn put(request: &mut Vec<u8>, line: &str) {
    request.extend_from_slice(format!("{:04x}{line}", line.len() + 4).as_bytes());
}

/// The whole commits and some of their ancestors: the nearest sixteen, and then ever more thinly.
fn haves(here: &Repository, whole: &[Oid]) -> Vec<Oid> {
    let mut haves = Vec::new();
    for tip in whole {
        let (mut next, mut steps, mut to_name) = (Some(*tip), 0_usize, 0_usize);
        while let Some(id) = next {
            if haves.len() >= HAVES {
                return haves;
            }
            if steps == to_name {
                haves.push(id);
                to_name = if steps < 16 { steps + 1 } else { steps * 2 };
            }
            steps += 1;
            next = here.find_commit(id).and_then(|commit| commit.parent_id(0)).ok();
        }
    }
    haves
}

/// Takes the pack into the clone; at the last byte, all of it becomes visible at once.
fn receive(from: &mut dyn Read, odb: &Odb<'_>, budget: &mut Budget) -> Result<(), SourceError> {
    let mut writer = odb.packwriter().map_err(|error| budget.refused(error.message().to_owned()))?;
    let mut header = Vec::with_capacity(12);
    while let Some(packet) = packet(from, budget)? {
        let (band, bytes) = packet.split_first().ok_or_else(|| budget.protocol("a packet is empty"))?;
        match band {
            1 => {
                let of_header = bytes.len().min(12 - header.len());
                header.extend_from_slice(&bytes[..of_header]);
                if of_header > 0 && header.len() == 12 {
                    let objects = [header[8], header[9], header[10], header[11]];
                    budget.objects(u32::from_be_bytes(objects) as usize)?;
                }
                let refused = |_| budget.refused(format!("the pack of it is broken: {}", last_error()));
                writer.write_all(bytes).map_err(refused)?;
            }
            2 => {}
            3 => return Err(budget.unreachable(String::from_utf8_lossy(bytes).trim_end())),
            b'A' | b'N' if header.is_empty() => {}
            b'E' if header.is_empty() => {
                return Err(
                    budget.denied(String::from_utf8_lossy(&packet).trim_start_matches("ERR ").trim_end())
                );
            }
            _ => return Err(budget.protocol("a packet is of no known band")),
        }
    }
    if header.len() < 12 {
        return Err(budget.unreachable("the pack was cut off"));
    }
    writer
        .commit()
        .map_err(|error| budget.refused(format!("the pack of it is broken: {}", error.message())))?;
    Ok(())
}

/// What libgit2 last met; its writer tells only that something was met.
fn last_error() -> String {
    git2::Error::last_error(-1).message().to_owned()
}

/// The next packet; `None` for a flush packet.
fn packet(from: &mut dyn Read, budget: &mut Budget) -> Result<Option<Vec<u8>>, SourceError> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(|error| budget.unreachable(broken_off(&error)))?;
    let digits =
        std::str::from_utf8(&length).ok().filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
    let length = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length {
        Some(0) => Ok(None),
        Some(length @ 4..=65520) => {
            budget.bytes(length as u64)?;
            let mut packet = vec![0; length - 4];
            from.read_exact(&mut packet).map_err(|error| budget.unreachable(broken_off(&error)))?;
            Ok(Some(packet))
        }
        Some(_) | None => Err(budget.protocol("what it sends is not in packets")),
    }
}

fn broken_off(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        "it hung up in the middle".to_owned()
    } else {
        error.to_string()
    }
}
