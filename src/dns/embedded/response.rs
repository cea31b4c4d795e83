//! Response: the octets of an answer, written into the caller's buffer, RRset by RRset.
//!
//! ```text
//! begin ─ header, question ─→ put, put_made … in the order of the sections ─→ finish ─ OPT, counts, RCODE, bits
//! ```
//!
//! An RRset goes in whole, with its signatures, or not at all (RFC 2181 section 9). Owner names are compressed, and the
//! names in the data of RFC 1035's types; those of all other types stay whole (RFC 3597 section 4).

use super::answer::CLASS_IN;
use super::rdata::{name_length, rtype};
use super::request::{HEADER, Header, Question};
use super::zone::Rrset;

mod compress;
mod opt;

use compress::Names;
pub(crate) use opt::{Opt, UDP_SIZE};

/// RCODEs; above 15 their high bits go into OPT (RFC 6891 section 6.1.3).
pub(crate) mod rcode {
    pub(crate) const NO_ERROR: u16 = 0;
    pub(crate) const FORM_ERR: u16 = 1;
    pub(crate) const SERV_FAIL: u16 = 2;
    pub(crate) const NX_DOMAIN: u16 = 3;
    pub(crate) const NOT_IMP: u16 = 4;
    pub(crate) const REFUSED: u16 = 5;
    pub(crate) const YX_DOMAIN: u16 = 6;
    pub(crate) const NOT_AUTH: u16 = 9;
    pub(crate) const BAD_VERS: u16 = 16;
}

/// Bits of a header's flags.
const QR: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;

/// The most that a pointer can point to (RFC 1035 section 4.1.4).
const POINTABLE: usize = 0x3fff;

/// The sections after the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// Whose a set is.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// The name that stands at this place of the message.
    At(u16),
    /// This one.
    Name(&'a [u8]),
}

impl Owner<'_> {
    /// The name that is asked for.
    pub(crate) const QUESTION: Self = Self::At(HEADER as u16);
}

/// It does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A record's type, class and TTL.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
}

impl Kind {
    fn octets(self) -> [u8; 8] {
        let ([t0, t1], [c0, c1]) = (self.rtype.to_be_bytes(), self.class.to_be_bytes());
        let [l0, l1, l2, l3] = self.ttl.to_be_bytes();
        [t0, t1, c0, c1, l0, l1, l2, l3]
    }
}

/// A response that is being written.
pub(crate) struct Response<'b> {
    octets: &'b mut Vec<u8>,
    /// How many octets all but OPT may take.
    room: usize,
    counts: [u16; 3],
    names: Names,
    /// RCODE.
    pub(crate) rcode: u16,
    /// The AA bit.
    pub(crate) authoritative: bool,
    /// The TC bit: something that the answer needs did not fit.
    pub(crate) truncated: bool,
}

impl<'b> Response<'b> {
    /// A response of at most `room` octets with the request's id and question, in a buffer that is empty.
    pub(crate) fn begin(
        octets: &'b mut Vec<u8>,
        id: [u8; 2],
        question: Option<&Question<'_>>,
        room: usize,
    ) -> Self {
        octets.extend_from_slice(&[id[0], id[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut names = Names::default();
        if let Some(question) = question {
            octets[5] = 1;
            octets.extend_from_slice(question.name);
            let ([t0, t1], [c0, c1]) = (question.qtype.to_be_bytes(), question.qclass.to_be_bytes());
            octets.extend_from_slice(&[t0, t1, c0, c1]);
            names.question(question.name.len());
        }
        let (rcode, authoritative, truncated) = (rcode::NO_ERROR, false, false);
        Self { octets, room, counts: [0; 3], names, rcode, authoritative, truncated }
    }

    /// Writes an RRset of a zone and its signatures; `ttl` in place of their own. Returns where the first record's data
    /// stands, if a pointer reaches it.
    pub(crate) fn put(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        set: Rrset<'_>,
        signatures: Option<Rrset<'_>>,
        ttl: Option<u32>,
    ) -> Result<Option<u16>, Full> {
        let mut owner = owner;
        let mut first = None;
        self.whole(|response| {
            for set in std::iter::once(set).chain(signatures) {
                let kind = Kind { rtype: set.rtype(), class: CLASS_IN, ttl: ttl.unwrap_or(set.ttl()) };
                for data in set.rdatas() {
                    let placed = response.record(section, owner, kind, data)?;
                    owner = placed.owner.map_or(owner, Owner::At);
                    first.get_or_insert(placed.data);
                }
            }
            Ok(())
        })?;
        Ok(first.filter(|at| *at <= POINTABLE).and_then(|at| u16::try_from(at).ok()))
    }

    /// Writes a record that is in no zone. Returns where its data stands, if a pointer reaches it.
    pub(crate) fn put_made(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        kind: Kind,
        data: &[u8],
    ) -> Result<Option<u16>, Full> {
        let at = self.whole(|response| response.record(section, owner, kind, data))?.data;
        Ok(u16::try_from(at).ok().filter(|_| at <= POINTABLE))
    }

    /// Does what `write` does if all of it fits, else nothing.
    fn whole<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, Full>) -> Result<T, Full> {
        let (length, counts, names) = (self.octets.len(), self.counts, self.names.mark());
        let written = write(self);
        if written.is_err() {
            self.octets.truncate(length);
            self.counts = counts;
            self.names.back_to(names);
        }
        written
    }

    fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        kind: Kind,
        data: &[u8],
    ) -> Result<Placed, Full> {
        let owner = match owner {
            // The root is shorter than a pointer to it.
            Owner::At(at) if self.octets[usize::from(at)] == 0 => {
                self.octets.push(0);
                None
            }
            Owner::At(at) => {
                self.octets.extend_from_slice(&compress::pointer(at));
                Some(at)
            }
            Owner::Name(name) => self.names.write(self.octets, name),
        };
        let length = u16::try_from(data.len()).map_err(|_| Full)?.to_be_bytes();
        let [k0, k1, k2, k3, k4, k5, k6, k7] = kind.octets();
        self.octets.extend_from_slice(&[k0, k1, k2, k3, k4, k5, k6, k7, length[0], length[1]]);
        let at = self.octets.len();
        match compressible(kind.rtype) {
            None => self.octets.extend_from_slice(data),
            Some((before, names)) => {
                self.compressed(data, before, names);
                let length = u16::try_from(self.octets.len() - at).map_err(|_| Full)?;
                self.octets[at - 2..at].copy_from_slice(&length.to_be_bytes());
            }
        }
        if self.octets.len() > self.room {
            return Err(Full);
        }
        self.counts[section as usize] += 1;
        Ok(Placed { owner, data: at })
    }

    /// Data with so many names after the first octets.
    fn compressed(&mut self, data: &[u8], before: usize, names: usize) {
        let (head, mut rest) = data.split_at_checked(before).unwrap_or((data, &[]));
        self.octets.extend_from_slice(head);
        for _ in 0..names {
            // Data was checked before it was stored; were it malformed, it would go out as it is.
            let Some((name, after)) = name_length(rest).and_then(|length| rest.split_at_checked(length))
            else {
                break;
            };
            self.names.write(self.octets, name);
            rest = after;
        }
        self.octets.extend_from_slice(rest);
    }

    /// Completes the header, and appends OPT, for which there is room besides.
    pub(crate) fn finish(self, request: Header, opt: Option<Opt>) {
        let mut additional = self.counts[Section::Additional as usize];
        if let Some(mut opt) = opt {
            opt.set_rcode(self.rcode);
            self.octets.extend_from_slice(opt.record());
            additional += 1;
        }
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = QR
            // RFC 4035 section 3.1.6: CD is not copied.
            | request.flags & (OPCODE | RD)
            | bit(self.authoritative, AA)
            | bit(self.truncated, TC)
            | self.rcode & 0xf;
        self.octets[2..4].copy_from_slice(&flags.to_be_bytes());
        self.octets[6..8].copy_from_slice(&self.counts[0].to_be_bytes());
        self.octets[8..10].copy_from_slice(&self.counts[1].to_be_bytes());
        self.octets[10..12].copy_from_slice(&additional.to_be_bytes());
    }
}

/// Where a record's parts stand.
struct Placed {
    /// The owner's name, if a pointer reaches it.
    owner: Option<u16>,
    data: usize,
}

/// The types whose data's names may be compressed, since RFC 1035 defined them: how many octets stand before the names,
/// and how many names there are.
fn compressible(rtype: u16) -> Option<(usize, usize)> {
    match rtype {
        // MD, MF, MB, MG, MR among them.
        rtype::NS | 3 | 4 | rtype::CNAME | 7..=9 | rtype::PTR => Some((0, 1)),
        // MINFO.
        rtype::SOA | 14 => Some((0, 2)),
        rtype::MX => Some((2, 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
