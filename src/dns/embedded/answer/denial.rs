//! Proofs of what is not there: NSEC (RFC 4035 section 3.1.3) and NSEC3 (RFC 5155 section 7.2).
//!
//! The records were made by whoever signed the zone; here they are only chosen. A zone with a chain of hashed
//! names is answered from that, one with NSEC records from those, and one without is not signed.

use super::{Answering, Here, add_new};
use crate::dns::embedded::name::{Labels, NameBuf};
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::response::{Full, Owner, Section};
use crate::dns::embedded::zone::key::KeyBuf;
use crate::dns::embedded::zone::{Hashed, NameId, Zone};

/// The names of one response whose NSEC or NSEC3 records are in it: no proof has more than three.
#[derive(Default)]
struct Proof {
    names: [Option<NameId>; 3],
}

impl Proof {
    fn add(&mut self, name: NameId) {
        add_new(&mut self.names, name);
    }

    fn add_hashed(&mut self, hashed: Option<Hashed>) {
        hashed.into_iter().for_each(|hashed| self.add(hashed.name()));
    }
}

/// The names from a name up to the apex of its zone.
struct Ancestry<'a> {
    name: &'a [u8],
    labels: Labels,
    /// How many of the labels are below the apex.
    below: usize,
}

impl<'a> Ancestry<'a> {
    fn of(zone: &Zone, name: &'a [u8]) -> Self {
        let relative = &name[..name.len() - zone.apex().as_wire().len()];
        let below = Labels::of(relative).as_slice().len();
        Self { name, labels: Labels::of(name), below }
    }

    /// The name so many labels below the apex.
    fn at(&self, depth: usize) -> &'a [u8] {
        let start = self.labels.as_slice().get(self.below - depth);
        &self.name[start.map_or(self.name.len() - 1, |start| usize::from(*start))..]
    }
}

/// How many labels below the apex a key has.
fn depth(key: &[u8]) -> usize {
    key.iter().filter(|octet| **octet == 0).count()
}

impl Answering<'_, '_, '_> {
    /// That a name has no records of the type: it is `at`, or an empty non-terminal, or was expanded from a wildcard that
    /// stands below `wildcard`.
    pub(super) fn prove_no_data(
        &mut self,
        here: Here<'_>,
        at: Option<NameId>,
        wildcard: Option<usize>,
    ) -> Result<(), Full> {
        let zone = self.zone;
        let mut proof = Proof::default();
        match (zone.is_hashed(), wildcard) {
            (true, None) => hashed_name(zone, here.name, &mut proof),
            (true, Some(encloser)) => {
                let ancestry = Ancestry::of(zone, here.name);
                let start = depth(&here.key[..encloser]);
                if let Some(depth) = hashed_encloser(zone, &ancestry, start, None, &mut proof) {
                    hashed_wildcard(zone, ancestry.at(depth), &mut proof);
                }
            }
            (false, None) => proof.add(at.unwrap_or_else(|| zone.nsec(here.key))),
            (false, Some(encloser)) => {
                proof.add(zone.nsec(here.key));
                let wildcard = KeyBuf::wildcard(&here.key[..encloser]);
                proof.add(at.unwrap_or_else(|| zone.nsec(wildcard.as_slice())));
            }
        }
        self.put_proof(&proof)
    }

    /// That a name does not exist, and no wildcard stands for it.
    pub(super) fn prove_missing(&mut self, here: Here<'_>, encloser: usize) -> Result<(), Full> {
        let zone = self.zone;
        let mut proof = Proof::default();
        if zone.is_hashed() {
            let ancestry = Ancestry::of(zone, here.name);
            let start = depth(&here.key[..encloser]);
            if let Some(depth) = hashed_encloser(zone, &ancestry, start, None, &mut proof) {
                hashed_wildcard(zone, ancestry.at(depth), &mut proof);
            }
        } else {
            proof.add(zone.nsec(here.key));
            proof.add(zone.nsec(KeyBuf::wildcard(&here.key[..encloser]).as_slice()));
        }
        self.put_proof(&proof)
    }

    /// That no closer name stands where a wildcard below `encloser` was expanded. It waits for the authority section.
    pub(super) fn prove_expansion(&mut self, here: Here<'_>, encloser: usize) {
        if !self.dnssec_ok {
            return;
        }
        let zone = self.zone;
        let name = if zone.is_hashed() {
            // RFC 5155 section 7.2.6: the next closer name is one label longer than the encloser.
            let ancestry = Ancestry::of(zone, here.name);
            let next = ancestry.at(depth(&here.key[..encloser]) + 1);
            zone.hashed(next).map(Hashed::name)
        } else {
            Some(zone.nsec(here.key))
        };
        if let (Some(name), Some(place)) = (name, self.proofs.get_mut(self.waiting)) {
            *place = Some(name);
            self.waiting += 1;
        }
    }

    /// That a cut without DS is not signed (RFC 4035 section 3.1.4.1, RFC 5155 section 7.2.7); `name` is the cut's.
    pub(super) fn prove_unsigned(&mut self, cut: NameId, name: &[u8]) -> Result<(), Full> {
        let mut proof = Proof::default();
        if self.zone.is_hashed() {
            hashed_name(self.zone, name, &mut proof);
        } else {
            proof.add(cut);
        }
        self.put_proof(&proof)
    }

    fn put_proof(&mut self, proof: &Proof) -> Result<(), Full> {
        proof.names.iter().flatten().try_for_each(|name| self.put_denial(*name))
    }

    /// Puts what waits into the authority section.
    pub(super) fn put_waiting(&mut self) -> Result<(), Full> {
        for place in 0..std::mem::take(&mut self.waiting) {
            if let Some(name) = self.proofs[place].take() {
                self.put_denial(name)?;
            }
        }
        Ok(())
    }

    /// The NSEC or NSEC3 record of a name, if it has one and it is not there yet.
    fn put_denial(&mut self, name: NameId) -> Result<(), Full> {
        let zone = self.zone;
        if !add_new(&mut self.proved, name) {
            return Ok(());
        }
        let rtype = if zone.is_hashed() { rtype::NSEC3 } else { rtype::NSEC };
        let Some(set) = zone.set_at(name, rtype) else { return Ok(()) };
        let owner: NameBuf = set.owner_on_stack();
        let signatures = zone.signatures_at(name, rtype);
        self.response.put(Section::Authority, Owner::Name(owner.as_wire()), set, signatures, None).map(drop)
    }
}

/// What a chain says of a name that exists: its own record, or, where a chain that opts out has none, the proof of the
/// closest encloser that has one (RFC 5155 sections 7.2.4, 7.2.7).
fn hashed_name(zone: &Zone, name: &[u8], proof: &mut Proof) {
    let hashed = zone.hashed(name);
    let ancestry = Ancestry::of(zone, name);
    match hashed {
        Some(Hashed::Cover(_)) if ancestry.below > 0 => {
            hashed_encloser(zone, &ancestry, ancestry.below - 1, hashed, proof);
        }
        Some(Hashed::Match(name)) => proof.add(name),
        Some(Hashed::Cover(_)) | None => (),
    }
}

/// RFC 5155 section 7.2.1: the closest encloser that has a record, from `depth` labels below the apex upwards, and a
/// record that covers the next closer name, which is known already if that is `next`. Returns the encloser's depth;
/// `None` if not even the apex has a record, as in a chain that is not whole: then nothing is proved.
fn hashed_encloser(
    zone: &Zone,
    ancestry: &Ancestry<'_>,
    depth: usize,
    mut next: Option<Hashed>,
    proof: &mut Proof,
) -> Option<usize> {
    let mut depth = depth;
    loop {
        let hashed = zone.hashed(ancestry.at(depth));
        if let Some(Hashed::Match(encloser)) = hashed {
            proof.add(encloser);
            break;
        }
        next = hashed;
        depth = depth.checked_sub(1)?;
    }
    if depth < ancestry.below {
        proof.add_hashed(next.or_else(|| zone.hashed(ancestry.at(depth + 1))));
    }
    Some(depth)
}

/// What a chain says of the wildcard below a name.
fn hashed_wildcard(zone: &Zone, encloser: &[u8], proof: &mut Proof) {
    let wildcard = NameBuf::join(b"\x01*", encloser);
    // A name that is too long for a wildcard below it has no name of its own below it either.
    proof.add_hashed(wildcard.and_then(|wildcard| zone.hashed(wildcard.as_wire())));
}
