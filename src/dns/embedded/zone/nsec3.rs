//! NSEC3: which of a zone's hashed names proves that a name does not exist (RFC 5155).
//!
//! The names are in the order of their hashes already, since base32hex keeps it (RFC 4648 section 7), but other names
//! stand between them; a chain holds the positions of the hashed ones, so that one binary search finds the name that
//! matches a hash or covers it.

use sha1::{Digest, Sha1};

use super::{NameId, Zone};
use crate::dns::embedded::rdata::rtype;

/// A proof costs one hash and so many more, for each of three names. RFC 9276 section 3.1 wants none, and resolvers take
/// no notice of proofs with more than 100 or 150 (section 3.2).
const MAX_ITERATIONS: u16 = 500;
/// SHA-1, the only hash that there is (RFC 5155 section 11).
const SHA1: u8 = 1;
/// A hash as the key of a name: 32 characters of base32hex and the end of the label.
const KEY: usize = 33;

/// A chain of hashed names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    iterations: u16,
    salt: Box<[u8]>,
    /// The positions of the names, in the order of the hashes.
    names: Box<[u32]>,
}

/// What a chain says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashed {
    /// This record is about it.
    Match(NameId),
    /// This record is about the gap that it is in.
    Cover(NameId),
}

impl Hashed {
    /// Whose record it is.
    pub(crate) fn name(self) -> NameId {
        let (Self::Match(name) | Self::Cover(name)) = self;
        name
    }
}

/// The parts of NSEC3 data, and NSEC3PARAM's, which has only the first four.
struct Fields<'a> {
    algorithm: u8,
    flags: u8,
    iterations: u16,
    salt: &'a [u8],
    next: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (&[algorithm, flags, i0, i1, length], rest) = data.split_first_chunk()?;
        let (salt, rest) = rest.split_at_checked(usize::from(length))?;
        let next =
            rest.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length))).unwrap_or(&[]);
        Some(Self { algorithm, flags, iterations: u16::from_be_bytes([i0, i1]), salt, next })
    }
}

/// A hash as the key of a name.
fn key(hash: &[u8; 20]) -> [u8; KEY] {
    let mut key = [0; KEY];
    for (five, eight) in hash.chunks_exact(5).zip(key.chunks_exact_mut(8)) {
        let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        for (place, character) in eight.iter_mut().enumerate() {
            *character = b"0123456789abcdefghijklmnopqrstuv"[(bits >> (35 - 5 * place) & 31) as usize];
        }
    }
    key
}

impl Chain {
    /// The chain that the zone's NSEC3PARAM records say there is: the first that is whole, or, in a zone that is not
    /// signed with NSEC either, the first of which there is something. What stands in a gap is not proved then.
    pub(super) fn of(zone: &Zone) -> Option<Self> {
        let parameters = zone.apex_set(rtype::NSEC3PARAM)?;
        let chains = || {
            parameters.rdatas().filter_map(Fields::read).filter_map(|wanted| {
                // RFC 5155 section 4.1.2: flags other than zero are for the future.
                let usable =
                    wanted.algorithm == SHA1 && wanted.flags == 0 && wanted.iterations <= MAX_ITERATIONS;
                usable.then(|| Self::with(zone, &wanted))?
            })
        };
        let whole = chains().find_map(|(chain, whole)| whole.then_some(chain));
        let some =
            || chains().next().map(|(chain, _)| chain).filter(|_| zone.apex_set(rtype::NSEC).is_none());
        whole.or_else(some)
    }

    /// The chain with these parameters, and whether it is whole.
    fn with(zone: &Zone, wanted: &Fields<'_>) -> Option<(Self, bool)> {
        let mut names = Vec::new();
        let mut nexts = Vec::new();
        for id in zone.name_ids() {
            let Some(set) = zone.set_at(id, rtype::NSEC3) else { continue };
            let ours = set.rdatas().filter_map(Fields::read).find(|fields| {
                (fields.algorithm, fields.iterations, fields.salt) == (SHA1, wanted.iterations, wanted.salt)
            });
            if let Some(fields) = ours {
                names.push(id.0);
                nexts.push(key(fields.next.try_into().ok()?));
            }
        }
        // Each says which is the next, the last that it is the first.
        let following = names.iter().cycle().skip(1);
        let whole = nexts.iter().zip(following).all(|(next, name)| zone.key(*name as usize) == next);
        (!names.is_empty()).then(|| {
            let (iterations, salt) = (wanted.iterations, wanted.salt.into());
            (Self { iterations, salt, names: names.into() }, whole)
        })
    }

    /// How much memory it holds besides its own fields, in octets.
    pub(super) fn heap_bytes(&self) -> usize {
        self.salt.len() + size_of_val(&*self.names)
    }

    /// RFC 5155 section 5; the name is in wire form and lower case.
    fn hash(&self, name: &[u8]) -> [u8; 20] {
        let mut hash = Sha1::new().chain_update(name).chain_update(&self.salt).finalize();
        for _ in 0..self.iterations {
            hash = Sha1::new().chain_update(hash).chain_update(&self.salt).finalize();
        }
        hash.into()
    }
}

impl Zone {
    /// Whether the zone has a chain of hashed names.
    pub(crate) fn is_hashed(&self) -> bool {
        self.chain.is_some()
    }

    /// What the chain says of a name, in wire form and lower case; `None` without a chain.
    pub(crate) fn hashed(&self, name: &[u8]) -> Option<Hashed> {
        let chain = self.chain.as_deref()?;
        let key = key(&chain.hash(name));
        match chain.names.binary_search_by(|at| self.key(*at as usize).cmp(&key)) {
            Ok(at) => Some(Hashed::Match(NameId(chain.names[at]))),
            // The last covers what comes before the first.
            Err(at) => chain.names[..at].last().or(chain.names.last()).map(|at| Hashed::Cover(NameId(*at))),
        }
    }
}
