//! Answering a question from the zones: pure, no I/O, no clock (RFC 1034 section 4.3.2).
//!
//! An answer does not copy records: it refers to RRsets of the zones, which stay alive as long as it does.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;

use super::rdata::{self, rtype};
use super::zone::{NameId, Place, Rrset, Zone, key, leading_name};
use super::zones::{ZoneEntry, Zones};
use crate::names::DomainName;

mod chaos;
mod part;

pub use part::Part;

/// Class IN.
pub const CLASS_IN: u16 = 1;
/// Class CH, for questions about the server itself.
pub const CLASS_CH: u16 = 3;

/// How many CNAMEs are followed.
const MAX_CHAIN: usize = 16;
/// How many names addresses are looked up for, in one answer.
const MAX_TARGETS: usize = 100;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The name's wire form, uncompressed, in the case it was asked in.
    pub name: &'a [u8],
    /// The type.
    pub qtype: u16,
    /// The class.
    pub qclass: u16,
}

/// The sections of a response and what its header says.
#[derive(Debug)]
pub struct Answer {
    /// RCODE.
    pub rcode: ResponseCode,
    /// The AA bit.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Part>,
    /// The authority section.
    pub authority: Vec<Part>,
    /// The additional section, without OPT.
    pub additional: Vec<Part>,
    /// How many of the first parts of `additional` are glue without which a referral leads nowhere: a message that has no
    /// room for them is truncated (RFC 9471 section 3). The others may be left out.
    pub required: usize,
}

impl Answer {
    fn empty(rcode: ResponseCode, authoritative: bool) -> Self {
        let (answers, authority, additional) = (Vec::new(), Vec::new(), Vec::new());
        Self { rcode, authoritative, answers, authority, additional, required: 0 }
    }

    /// A zone's SOA record and nothing else, owned by its apex as it is written here.
    pub(crate) fn soa_alone(zone: &Arc<Zone>, written: &[u8]) -> Self {
        let answers = vec![Part::stored(zone, zone.soa_set()).owned_by(written)];
        Self { answers, ..Self::empty(ResponseCode::NoError, true) }
    }
}

/// Answers a question. `identity` is what `id.server` says. Zone transfers are not questions: they are refused here.
pub fn answer(zones: &Zones, question: &Question<'_>, identity: &str) -> Answer {
    let Some(name) = DomainName::from_wire(question.name) else {
        return Answer::empty(ResponseCode::FormErr, false);
    };
    match question.qclass {
        CLASS_IN => (),
        CLASS_CH => return chaos::answer(question, &name, identity),
        _ => return Answer::empty(ResponseCode::Refused, false),
    }
    match question.qtype {
        rtype::AXFR | rtype::IXFR => return Answer::empty(ResponseCode::Refused, false),
        rtype::MAILA | rtype::MAILB => return Answer::empty(ResponseCode::NotImp, false),
        // TKEY and TSIG among them: they are for the additional section.
        0 | rtype::OPT | 249 | 250 => return Answer::empty(ResponseCode::FormErr, false),
        _ => (),
    }
    let mut answering = Answering {
        zones,
        qtype: question.qtype,
        answer: Answer::empty(ResponseCode::NoError, true),
        looked_up: Vec::new(),
    };
    answering.follow(name, question.name);
    answering.answer
}

/// What a step of the chain leads to.
enum Next {
    /// The answer is complete.
    Done,
    /// A CNAME leads on to this name, in the case it is written in.
    Follow(Box<[u8]>),
}

struct Answering<'z> {
    zones: &'z Zones,
    qtype: u16,
    answer: Answer,
    /// Names whose addresses were added, or sought.
    looked_up: Vec<DomainName>,
}

impl Answering<'_> {
    /// Answers for a name, then for the targets of the CNAMEs that it leads to.
    fn follow(&mut self, name: DomainName, written: &[u8]) {
        let mut written: Box<[u8]> = written.into();
        let mut seen = vec![name];
        loop {
            let name = &seen[seen.len() - 1];
            let first = seen.len() == 1;
            let zone = match self.zones.find(name, self.qtype) {
                Some(ZoneEntry::Served(zone)) => zone,
                // A chain that leaves what we serve ends here; the asker goes on by itself.
                _ if !first => return,
                Some(ZoneEntry::Empty | ZoneEntry::Expired) => {
                    self.answer = Answer::empty(ResponseCode::ServFail, false);
                    return;
                }
                None => {
                    self.answer = Answer::empty(ResponseCode::Refused, false);
                    return;
                }
            };
            match self.step(&zone, name, &written, first) {
                Next::Done => return,
                Next::Follow(target) => {
                    let Some(name) = DomainName::from_wire(&target) else { return };
                    if seen.len() > MAX_CHAIN || seen.contains(&name) {
                        return;
                    }
                    seen.push(name);
                    written = target;
                }
            }
        }
    }

    /// Answers for one name from its zone.
    fn step(&mut self, zone: &Arc<Zone>, name: &DomainName, written: &[u8], first: bool) -> Next {
        let Some(key) = key::key(name, zone.apex()) else { return Next::Done };
        let mut place = zone.locate(&key);
        // RFC 4035 section 3.1.4.1: the parent answers for the DS of a cut.
        if let Place::Cut(cut) = place
            && self.qtype == rtype::DS
            && zone.exact(&key) == Some(cut)
        {
            place = Place::Name(cut);
        }
        match place {
            Place::Name(at) | Place::Wildcard(at) => return self.positive(zone, at, written),
            Place::Cut(cut) => {
                // RFC 1034 section 4.3.2 step 3b; AA is about the name that was asked for.
                self.answer.authoritative = !first;
                self.refer(zone, cut);
            }
            Place::EmptyNonTerminal | Place::EmptyWildcard => self.deny(zone),
            Place::Missing => {
                // RFC 6604 section 3: the last name of a chain decides.
                self.answer.rcode = ResponseCode::NXDomain;
                self.deny(zone);
            }
        }
        Next::Done
    }

    /// Answers from a name that exists, or from a wildcard; the owner is as written in either case.
    fn positive(&mut self, zone: &Arc<Zone>, at: NameId, written: &[u8]) -> Next {
        let set = match self.qtype {
            // RFC 8482 section 4.1: one RRset is enough, the smallest. Signatures alone are as large and as little use.
            rtype::ANY => zone
                .sets_at(at)
                .filter(|set| !matches!(set.rtype(), rtype::RRSIG | rtype::NSEC))
                .min_by_key(|set| set.rdatas().map(<[u8]>::len).sum::<usize>()),
            qtype => zone.set_at(at, qtype),
        };
        if let Some(set) = set {
            self.answer.answers.push(Part::stored(zone, set).owned_by(written));
            self.add_addresses_of(set);
            return Next::Done;
        }
        match zone.set_at(at, rtype::CNAME) {
            // What stands beside a CNAME about itself is not at its target (RFC 4035 section 2.5).
            Some(set) if !matches!(self.qtype, rtype::ANY | rtype::RRSIG | rtype::NSEC) => {
                self.answer.answers.push(Part::stored(zone, set).owned_by(written));
                set.rdatas().next().map_or(Next::Done, |target| Next::Follow(target.into()))
            }
            _ => {
                self.deny(zone);
                Next::Done
            }
        }
    }

    /// RFC 2308 section 3: the SOA says how long a negative answer may be kept.
    fn deny(&mut self, zone: &Arc<Zone>) {
        let ttl = zone.soa_set().ttl().min(zone.soa().minimum);
        self.answer.authority.push(Part::stored(zone, zone.soa_set()).with_ttl(ttl));
    }

    /// A referral: the NS RRset of a cut, with the glue to get there.
    fn refer(&mut self, zone: &Arc<Zone>, cut: NameId) {
        let Some(servers) = zone.set_at(cut, rtype::NS) else { return };
        let below = servers.owner();
        self.answer.authority.push(Part::stored(zone, servers));
        let targets: Vec<DomainName> = servers.rdatas().filter_map(leading_name).take(MAX_TARGETS).collect();
        // RFC 9471: in-domain glue is required, so it comes first; sibling glue helps.
        let (inside, outside): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|name| name.is_within(&below));
        for target in &inside {
            self.add_glue(zone, target);
        }
        self.answer.required = self.answer.additional.len();
        for target in &outside {
            if !self.add_glue(zone, target) {
                self.add_addresses(target);
            }
        }
    }

    /// Adds the addresses that a zone has for a name, occluded by a cut or not; whether it had any.
    fn add_glue(&mut self, zone: &Arc<Zone>, name: &DomainName) -> bool {
        let at = key::key(name, zone.apex()).and_then(|key| zone.exact(&key));
        at.is_some_and(|at| self.add_sets(zone, at, None))
    }

    /// Adds the addresses of the names that a set points to (RFC 1034 section 4.3.2 step 6).
    fn add_addresses_of(&mut self, set: Rrset<'_>) {
        for data in set.rdatas().take(MAX_TARGETS) {
            let Some(target) = rdata::target(set.rtype(), data) else { return };
            if let Some(name) = leading_name(target) {
                self.add_addresses(&name);
            }
        }
    }

    /// Adds the addresses of a name that one of our zones answers for.
    fn add_addresses(&mut self, name: &DomainName) {
        if self.looked_up.contains(name) {
            return;
        }
        self.looked_up.push(name.clone());
        let Some(ZoneEntry::Served(zone)) = self.zones.find(name, rtype::A) else { return };
        let Some(key) = key::key(name, zone.apex()) else { return };
        match zone.locate(&key) {
            Place::Name(at) => self.add_sets(&zone, at, None),
            Place::Wildcard(at) => self.add_sets(&zone, at, Some(name)),
            Place::Cut(_) | Place::EmptyNonTerminal | Place::EmptyWildcard | Place::Missing => false,
        };
    }

    fn add_sets(&mut self, zone: &Arc<Zone>, at: NameId, owner: Option<&DomainName>) -> bool {
        let before = self.answer.additional.len();
        for set in zone.sets_at(at).filter(|set| matches!(set.rtype(), rtype::A | rtype::AAAA)) {
            let part = Part::stored(zone, set);
            self.answer.additional.push(match owner {
                Some(owner) => part.owned_by(owner.as_wire()),
                None => part,
            });
        }
        self.answer.additional.len() > before
    }
}

#[cfg(test)]
mod tests;
