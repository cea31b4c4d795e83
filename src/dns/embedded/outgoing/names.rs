//! Names: compression (RFC 1035 section 4.1.4) within messages that hold hundreds of names.
//!
//! A table of hashes finds the longest suffix of a name that the message has already; the message itself is what it is
//! compared with. A suffix is repeated octet for octet, so the case of names in data is kept.

use crate::dns::embedded::rdata::name_length;

/// Twice the suffixes that a message can have within reach of pointers, and no fewer.
const SLOTS: usize = 8192;
/// How many slots are looked at for one suffix: past that it is written out again.
const PROBES: usize = 8;
/// Where pointers cannot reach (14 bits).
const REACH: usize = 1 << 14;
/// The most labels that a name has.
const LABELS: usize = 127;

/// Where the suffixes of a message's names are. 0 is a free slot, since a message starts with its header.
#[derive(Debug)]
pub(super) struct Names {
    slots: Box<[u16]>,
}

impl Names {
    /// For a message without names.
    pub(super) fn new() -> Self {
        Self { slots: vec![0; SLOTS].into() }
    }

    /// Forgets the names, for the next message.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
    }

    /// Appends a name, given in wire form and uncompressed.
    pub(super) fn write(&mut self, message: &mut Vec<u8>, name: &[u8]) {
        let mut starts = [0_u8; LABELS];
        let mut labels = 0;
        let mut at = 0;
        while name[at] != 0 {
            starts[labels] = u8::try_from(at).expect("a name has at most 255 octets");
            labels += 1;
            at += 1 + usize::from(name[at]);
        }
        // From the right: the hash of a suffix goes on from that of the next shorter one.
        let mut hashes = [0_u32; LABELS];
        let mut hash = 0x811c_9dc5_u32;
        for label in (0..labels).rev() {
            let start = usize::from(starts[label]);
            for octet in &name[start..=start + usize::from(name[start])] {
                hash = (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
            }
            hashes[label] = hash;
        }
        for label in 0..labels {
            let start = usize::from(starts[label]);
            match self.find(message, &name[start..], hashes[label]) {
                Slot::Found(target) => {
                    message.extend((0xc000 | target).to_be_bytes());
                    return;
                }
                Slot::Free(slot) if message.len() < REACH => {
                    self.slots[slot] = u16::try_from(message.len()).expect("within reach");
                }
                Slot::Free(_) | Slot::None => (),
            }
            message.extend(&name[start..=start + usize::from(name[start])]);
        }
        message.push(0);
    }

    fn find(&self, message: &[u8], suffix: &[u8], hash: u32) -> Slot {
        // The low bits of this hash are its weakest.
        let first = (hash ^ (hash >> 15)) as usize;
        for probe in 0..PROBES {
            let slot = (first + probe) % SLOTS;
            match self.slots[slot] {
                0 => return Slot::Free(slot),
                target if is_at(message, usize::from(target), suffix) => return Slot::Found(target),
                _ => (),
            }
        }
        Slot::None
    }
}

enum Slot {
    Found(u16),
    Free(usize),
    None,
}

/// Whether this name is what stands there in the message, which we wrote ourselves: every pointer in it leads back.
fn is_at(message: &[u8], mut at: usize, mut name: &[u8]) -> bool {
    loop {
        let Some(&length) = message.get(at) else { return false };
        if length >= 0xc0 {
            let Some(low) = message.get(at + 1) else { return false };
            at = usize::from(length & 0x3f) << 8 | usize::from(*low);
            continue;
        }
        let label = 1 + usize::from(length);
        if message.get(at..at + label) != name.get(..label) {
            return false;
        }
        if length == 0 {
            return true;
        }
        at += label;
        name = &name[label..];
    }
}

/// Which names of a type's data may be compressed (RFC 3597 section 4): how many octets precede them, and how many
/// there are.
pub(super) fn compressible(rtype: u16) -> Option<(usize, usize)> {
    match rtype {
        // NS, CNAME, PTR; MX; SOA, MINFO.
        2 | 5 | 12 => Some((0, 1)),
        15 => Some((2, 1)),
        6 | 14 => Some((0, 2)),
        _ => None,
    }
}

/// Appends a record's data, its names compressed where they may be.
pub(super) fn write_rdata(names: &mut Names, message: &mut Vec<u8>, rtype: u16, rdata: &[u8]) {
    let Some((before, count)) = compressible(rtype) else {
        message.extend(rdata);
        return;
    };
    let (before, mut rest) = rdata.split_at(before);
    message.extend(before);
    for _ in 0..count {
        let (name, after) = rest.split_at(name_length(rest).expect("a zone's data is well formed"));
        names.write(message, name);
        rest = after;
    }
    message.extend(rest);
}
