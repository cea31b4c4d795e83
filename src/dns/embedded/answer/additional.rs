//! The additional section: addresses of the names that an answer points to, from the zone that the answer is from.
//!
//! What other zones of ours say of such a name is not added: an asker has no reason to believe it from here.

use super::Answering;
use crate::dns::embedded::name::NameBuf;
use crate::dns::embedded::rdata::{self, rtype};
use crate::dns::embedded::response::{Full, Owner, Section};
use crate::dns::embedded::zone::key::KeyBuf;
use crate::dns::embedded::zone::{NameId, Place, Rrset};

/// How many names of one set addresses are looked up for.
const MAX_TARGETS: usize = 100;

/// The names that a set points to, in lower case, each once.
fn targets<'s>(set: Rrset<'s>) -> impl Iterator<Item = NameBuf> + use<'s> {
    let names = move || {
        set.rdatas()
            .take(MAX_TARGETS)
            .filter_map(move |data| Some(NameBuf::leading(rdata::target(set.rtype(), data)?)?.lower()))
    };
    // A set of NS records holds each name once; MX and SRV records may differ in their numbers alone.
    let once = set.rtype() == rtype::NS;
    names()
        .enumerate()
        .filter(move |(position, name)| {
            once || !names().take(*position).any(|before| before.as_wire() == name.as_wire())
        })
        .map(|(_, name)| name)
}

impl Answering<'_, '_, '_> {
    /// Adds the addresses of the names that a set points to (RFC 1034 section 4.3.2 step 6), as far as there is room.
    pub(super) fn add_addresses_of(&mut self, set: Rrset<'_>) {
        if rdata::target(set.rtype(), &[0; 6]).is_none() {
            return;
        }
        for name in targets(set) {
            // Glue serves whoever looks for the zone's own name servers as well.
            let held = if set.rtype() == rtype::NS { self.add_held(&name) } else { Ok(false) };
            let added = if held == Ok(false) { self.add_addresses(&name) } else { held.map(drop) };
            if added.is_err() {
                return;
            }
        }
    }

    /// Adds the addresses that a zone has for a name of its own.
    fn add_addresses(&mut self, name: &NameBuf) -> Result<(), Full> {
        let zone = self.zone;
        if !name.is_within(zone.apex().as_wire()) {
            return Ok(());
        }
        let key = KeyBuf::new(name.as_wire(), zone.apex().as_wire().len());
        match zone.locate(key.as_slice()) {
            Place::Name(at) | Place::Wildcard { source: at, .. } => {
                self.add_sets(at, name.as_wire()).map(drop)
            }
            Place::Cut(_)
            | Place::Redirected(_)
            | Place::EmptyNonTerminal
            | Place::EmptyWildcard { .. }
            | Place::Missing { .. } => Ok(()),
        }
    }

    /// Adds the addresses of a cut's name servers; `below` is its name. RFC 9471: without those that are below the cut a
    /// referral leads nowhere, so they are required, and come first; the others help.
    pub(super) fn add_glue(&mut self, servers: Rrset<'_>, below: &[u8]) -> Result<(), Full> {
        for name in targets(servers).filter(|name| name.is_within(below)) {
            self.add_held(&name)?;
        }
        for name in targets(servers).filter(|name| !name.is_within(below)) {
            let added = self.add_held(&name);
            let added = if added == Ok(false) { self.add_addresses(&name) } else { added.map(drop) };
            if added.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Adds the addresses that a zone has for a name, occluded by a cut or not; whether it had any.
    fn add_held(&mut self, name: &NameBuf) -> Result<bool, Full> {
        let zone = self.zone;
        if !name.is_within(zone.apex().as_wire()) {
            return Ok(false);
        }
        let key = KeyBuf::new(name.as_wire(), zone.apex().as_wire().len());
        match zone.exact(key.as_slice()) {
            Some(at) => self.add_sets(at, name.as_wire()),
            None => Ok(false),
        }
    }

    fn add_sets(&mut self, at: NameId, owner: &[u8]) -> Result<bool, Full> {
        let mut any = false;
        for set in self.zone.sets_at(at).filter(|set| matches!(set.rtype(), rtype::A | rtype::AAAA)) {
            let signatures = self.signatures(at, set.rtype());
            self.response.put(Section::Additional, Owner::Name(owner), set, signatures, None)?;
            any = true;
        }
        Ok(any)
    }
}
