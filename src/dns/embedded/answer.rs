//! Answering a question from the zones (RFC 1034 section 4.3.2): no I/O, no clock, no heap.
//!
//! ```text
//! find the zone ─ follow ─┬─ locate the name ─┬─ data ──────────→ positive ─→ additional
//!                         │                   ├─ a cut ─────────→ refer ────→ additional
//!                         │                   ├─ below a DNAME ─→ redirect
//!                         │                   └─ nothing ───────→ deny
//!                         └── CNAME, DNAME: ←── with proofs, for those who set DO
//!                             the next name
//! ```
//!
//! A chain is followed as far as the zone goes: what it says of names elsewhere, even in other zones of ours, a resolver
//! asks for again before it believes it. So do BIND and Knot; NSD goes on.
//!
//! RRsets go into the response as they are found, so an answer is never anything but octets. What proves that a wildcard
//! was rightly expanded belongs behind what the rest of a chain adds to the answer section, and waits until its end.

use std::hash::{DefaultHasher, Hasher};

use super::name::NameBuf;
use super::rdata::rtype;
use super::request::Question;
use super::response::{Full, Kind, Owner, Response, Section, rcode};
use super::zone::key::KeyBuf;
use super::zone::{NameId, Place, Rrset, Zone};
use super::zones::{ZoneEntry, Zones};

mod additional;
mod chaos;
mod denial;

pub(crate) use chaos::answer as answer_chaos;

/// Class IN.
pub const CLASS_IN: u16 = 1;
/// Any class, in questions only.
pub const CLASS_ANY: u16 = 255;
/// Class CH, for questions about the server itself.
pub const CLASS_CH: u16 = 3;

/// How many CNAMEs are followed.
const MAX_CHAIN: usize = 16;
/// How many names' NSEC or NSEC3 records may be needed: one for each link of a chain, and three at its end.
const MAX_PROOFS: usize = MAX_CHAIN + 3;

/// Answers a question of class IN; with signatures and proofs if `dnssec_ok`. Zone transfers are not questions: they are
/// refused here.
pub(crate) fn answer(zones: &Zones, question: &Question<'_>, dnssec_ok: bool, response: &mut Response<'_>) {
    match question.qtype {
        rtype::AXFR | rtype::IXFR => response.rcode = rcode::REFUSED,
        qtype => {
            let Some(name) = NameBuf::leading(question.name) else { return };
            let found = zones.find_wire(name.lower().as_wire(), qtype);
            let zone = match found.as_ref().map(|found| found.entry()) {
                Some(ZoneEntry::Served(zone)) => zone,
                Some(ZoneEntry::Empty | ZoneEntry::Expired) => {
                    response.rcode = rcode::SERV_FAIL;
                    return;
                }
                None => {
                    response.rcode = rcode::REFUSED;
                    return;
                }
            };
            let mut answering = Answering {
                zones,
                zone,
                qtype,
                dnssec_ok,
                response,
                proofs: [None; MAX_CHAIN],
                waiting: 0,
                proved: [None; MAX_PROOFS],
                redirected: [None; MAX_CHAIN + 1],
            };
            if answering.follow(name).is_err() {
                answering.response.truncated = true;
            }
        }
    }
}

/// A zone's SOA record and nothing else.
pub(crate) fn soa_alone(zone: &Zone, response: &mut Response<'_>) {
    response.authoritative = true;
    let put = response.put(Section::Answer, Owner::QUESTION, zone.soa_set(), None, None);
    response.truncated = put.is_err();
}

/// The name that a CNAME leads on to.
struct Link {
    name: NameBuf,
    /// Where it stands in the message, if a pointer reaches it.
    at: Option<u16>,
}

struct Answering<'z, 'r, 'b> {
    zones: &'z Zones,
    zone: &'z Zone,
    qtype: u16,
    dnssec_ok: bool,
    response: &'r mut Response<'b>,
    /// The names whose NSEC or NSEC3 records wait for the authority section.
    proofs: [Option<NameId>; MAX_CHAIN],
    waiting: usize,
    /// Those whose records are in it: a chain may need one more than once.
    proved: [Option<NameId>; MAX_PROOFS],
    /// The names whose DNAME records are in the answer, which a chain may meet again.
    redirected: [Option<NameId>; MAX_CHAIN + 1],
}

/// Adds a name to a list; whether it was not there yet. What has no place in it counts as new.
fn add_new(list: &mut [Option<NameId>], name: NameId) -> bool {
    if list.contains(&Some(name)) {
        return false;
    }
    if let Some(place) = list.iter_mut().find(|place| place.is_none()) {
        *place = Some(name);
    }
    true
}

/// A name that is being answered for.
#[derive(Clone, Copy)]
struct Here<'a> {
    /// The wire form as it is written.
    written: &'a [u8],
    /// The same in lower case.
    name: &'a [u8],
    key: &'a [u8],
    /// The name in the message.
    owner: Owner<'a>,
    /// Whether it is the name that was asked for, not one that a chain led to.
    first: bool,
}

impl<'z> Answering<'z, '_, '_> {
    /// Answers for a name of the zone, then for the targets of the CNAMEs that it leads to.
    fn follow(&mut self, asked: NameBuf) -> Result<(), Full> {
        let apex = self.zone.apex().as_wire();
        let mut written = asked;
        let mut place = u16::try_from(super::request::HEADER).ok();
        let mut seen = [0; MAX_CHAIN];
        for link in 0..=MAX_CHAIN {
            let name = written.lower();
            let key = KeyBuf::new(name.as_wire(), apex.len());
            let owner = place.map_or(Owner::Name(written.as_wire()), Owner::At);
            let here = Here {
                written: written.as_wire(),
                name: name.as_wire(),
                key: key.as_slice(),
                owner,
                first: link == 0,
            };
            let Some(target) = self.step(here)? else { return Ok(()) };
            // A name that was there before leads round and round. Should a hash be wrong, a chain ends too soon.
            let hash = |name: &NameBuf| {
                let mut hasher = DefaultHasher::new();
                hasher.write(name.as_wire());
                hasher.finish()
            };
            let Some(next) = seen.get_mut(link) else { break };
            *next = hash(&name);
            let lower = target.name.lower();
            if !self.is_ours(&lower) || seen[..=link].contains(&hash(&lower)) {
                break;
            }
            (written, place) = (target.name, target.at);
        }
        self.put_waiting()
    }

    /// Whether the zone answers for a name: it is in it, and no other zone of ours is closer. For DS, a zone's apex is
    /// its parent's as well as its own, since a chain that has come this far does not leave for the parent.
    fn is_ours(&self, name: &NameBuf) -> bool {
        let apex = self.zone.apex();
        let closest = |qtype| self.zones.find_wire(name.as_wire(), qtype);
        let ours = |qtype| closest(qtype).is_some_and(|found| found.apex() == apex);
        name.is_within(apex.as_wire()) && (ours(rtype::A) || self.qtype == rtype::DS && ours(rtype::DS))
    }

    /// Answers for one name from its zone.
    fn step(&mut self, here: Here<'_>) -> Result<Option<Link>, Full> {
        let (zone, key) = (self.zone, here.key);
        let mut place = zone.locate(key);
        // RFC 4035 section 3.1.4.1: the parent answers for the DS of a cut.
        if let Place::Cut(cut) = place
            && self.qtype == rtype::DS
            && zone.exact(key) == Some(cut)
        {
            place = Place::Name(cut);
        }
        if here.first {
            // RFC 1034 section 4.3.2 step 3b; AA is about the name that was asked for.
            self.response.authoritative = !matches!(place, Place::Cut(_));
        }
        match place {
            Place::Name(at) => return self.positive(here, at, None),
            Place::Wildcard { source, encloser } => return self.positive(here, source, Some(encloser)),
            Place::Redirected(above) => return self.redirect(here, above),
            Place::Cut(cut) => self.refer(cut)?,
            Place::EmptyNonTerminal => self.deny(|this| this.prove_no_data(here, None, None))?,
            Place::EmptyWildcard { encloser } => {
                self.deny(|this| this.prove_no_data(here, None, Some(encloser)))?;
            }
            Place::Missing { encloser } => {
                // RFC 6604 section 3: the last name of a chain decides.
                self.response.rcode = rcode::NX_DOMAIN;
                self.deny(|this| this.prove_missing(here, encloser))?;
            }
        }
        Ok(None)
    }

    /// The signatures of a set, for those who want them.
    fn signatures(&self, at: NameId, covers: u16) -> Option<Rrset<'z>> {
        if self.dnssec_ok { self.zone.signatures_at(at, covers) } else { None }
    }

    /// Answers from a name that exists, or from a wildcard below `wildcard`; the owner is as written in either case.
    fn positive(
        &mut self,
        here: Here<'_>,
        at: NameId,
        wildcard: Option<usize>,
    ) -> Result<Option<Link>, Full> {
        let zone = self.zone;
        let set = match self.qtype {
            // RFC 8482 section 4.1: one RRset is enough, the first, as with Knot. Signatures alone are as large and as
            // little use.
            rtype::ANY => zone.sets_at(at).find(|set| !matches!(set.rtype(), rtype::RRSIG | rtype::NSEC)),
            qtype => zone.set_at(at, qtype),
        };
        if let Some(set) = set {
            let signatures = self.signatures(at, set.rtype());
            if self.qtype == rtype::RRSIG {
                for set in zone.sets_at(at).filter(|set| set.rtype() == rtype::RRSIG) {
                    self.response.put(Section::Answer, here.owner, set, None, None)?;
                }
            } else {
                self.response.put(Section::Answer, here.owner, set, signatures, None)?;
            }
            // What is not signed needs no proof either.
            if let Some(encloser) = wildcard.filter(|_| signatures.is_some() || self.qtype == rtype::RRSIG) {
                self.prove_expansion(here, encloser);
            }
            self.put_waiting()?;
            // What is seldom followed goes only to those who ask for it by name.
            let seldom = !matches!(set.rtype(), rtype::NS | rtype::MX | rtype::SRV);
            if !(seldom && self.qtype == rtype::ANY) {
                self.add_addresses_of(set);
            }
            return Ok(None);
        }
        match zone.set_at(at, rtype::CNAME) {
            // What stands beside a CNAME about itself is not at its target (RFC 4035 section 2.5).
            Some(set) if !matches!(self.qtype, rtype::ANY | rtype::RRSIG | rtype::NSEC) => {
                let signatures = self.signatures(at, rtype::CNAME);
                let at = self.response.put(Section::Answer, here.owner, set, signatures, None)?;
                if let Some(encloser) = wildcard.filter(|_| signatures.is_some()) {
                    self.prove_expansion(here, encloser);
                }
                let name = set.rdatas().next().and_then(NameBuf::leading);
                Ok(name.map(|name| Link { name, at }))
            }
            _ => {
                self.deny(|this| this.prove_no_data(here, Some(at), wildcard))?;
                Ok(None)
            }
        }
    }

    /// RFC 6672 section 3.1: a DNAME, and the CNAME that it makes of the name.
    fn redirect(&mut self, here: Here<'_>, above: NameId) -> Result<Option<Link>, Full> {
        let zone = self.zone;
        let Some(set) = zone.set_at(above, rtype::DNAME) else { return Ok(None) };
        let Some(target) = set.rdatas().next() else { return Ok(None) };
        let owner = set.owner_on_stack();
        let labels = &here.written[..here.written.len() - owner.as_wire().len()];
        if add_new(&mut self.redirected, above) {
            let signatures = self.signatures(above, rtype::DNAME);
            self.response.put(Section::Answer, Owner::Name(owner.as_wire()), set, signatures, None)?;
        }
        let Some(name) = NameBuf::join(labels, target) else {
            // RFC 6672 section 2.2.
            self.response.rcode = rcode::YX_DOMAIN;
            self.put_waiting()?;
            return Ok(None);
        };
        let kind = Kind { rtype: rtype::CNAME, class: CLASS_IN, ttl: set.ttl() };
        let at = self.response.put_made(Section::Answer, here.owner, kind, name.as_wire())?;
        if matches!(self.qtype, rtype::CNAME | rtype::ANY) {
            self.put_waiting()?;
            return Ok(None);
        }
        Ok(Some(Link { name, at }))
    }

    /// RFC 2308 section 3: the SOA says how long a negative answer may be kept. Then what proves it.
    fn deny(&mut self, prove: impl FnOnce(&mut Self) -> Result<(), Full>) -> Result<(), Full> {
        self.put_waiting()?;
        let zone = self.zone;
        let soa = zone.soa_set();
        let ttl = soa.ttl().min(zone.soa().minimum);
        let signatures = self.signatures(zone.apex_id(), rtype::SOA);
        let apex = Owner::Name(zone.apex().as_wire());
        self.response.put(Section::Authority, apex, soa, signatures, Some(ttl))?;
        if self.dnssec_ok { prove(self) } else { Ok(()) }
    }

    /// A referral: the NS RRset of a cut, whether what is below is signed (RFC 4035 section 3.1.4), and the glue to get
    /// there.
    fn refer(&mut self, cut: NameId) -> Result<(), Full> {
        self.put_waiting()?;
        let zone = self.zone;
        let Some(servers) = zone.set_at(cut, rtype::NS) else { return Ok(()) };
        let below = servers.owner_on_stack();
        let owner = Owner::Name(below.as_wire());
        self.response.put(Section::Authority, owner, servers, None, None)?;
        if self.dnssec_ok {
            match (zone.set_at(cut, rtype::DS), zone.signatures_at(cut, rtype::DS)) {
                (Some(set), Some(signatures)) => {
                    self.response.put(Section::Authority, owner, set, Some(signatures), None)?;
                }
                // DS of a zone that is not signed itself is of no use to anybody.
                (Some(_), None) => (),
                (None, _) => self.prove_unsigned(cut, below.as_wire())?,
            }
        }
        self.add_glue(servers, below.as_wire())
    }
}

#[cfg(test)]
mod tests;
