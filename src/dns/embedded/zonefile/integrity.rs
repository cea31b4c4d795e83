//! What a zone needs beyond its form: name servers of ours must have addresses.

use super::{Fault, MAX_FAULTS};
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::zone::{Place, Zone, key, leading_name};
use crate::names::DomainName;

/// The NS records whose target is in the zone and leads nowhere. `place` tells where an owner stands.
pub(super) fn faults(zone: &Zone, place: impl Fn(&DomainName) -> Option<usize>) -> Vec<Fault> {
    let servers = zone.rrsets().filter(|set| set.rtype() == rtype::NS);
    let lost = servers.flat_map(|set| {
        let owner = set.owner();
        set.rdatas().filter_map(leading_name).filter_map(move |target| {
            let why = why_lost(zone, &owner, &target)?;
            Some((owner.clone(), target, why))
        })
    });
    // An occluded NS is never answered; its fault is harmless, but so is telling it.
    lost.take(MAX_FAULTS)
        .map(|(owner, target, why)| Fault {
            at: place(&owner),
            message: format!("{target}, a name server of {owner}, {why}"),
            hint: Some(
                "add its A or AAAA record; or, if its name is meant whole, end it with a dot".to_owned(),
            ),
        })
        .collect()
}

fn why_lost(zone: &Zone, owner: &DomainName, target: &DomainName) -> Option<&'static str> {
    let key = key::key(target, zone.apex())?;
    let has = |rtype| move |name| zone.set_at(name, rtype).is_some();
    let addressed = |name| has(rtype::A)(name) || has(rtype::AAAA)(name);
    match zone.locate(&key) {
        // RFC 2181 section 10.3.
        Place::Name(name) | Place::Wildcard(name) if has(rtype::CNAME)(name) => Some("is an alias"),
        Place::Name(name) | Place::Wildcard(name) => (!addressed(name)).then_some("has no address"),
        // Below another cut, the addresses are that zone's to give.
        Place::Cut(cut) if target.is_within(owner) && zone.set_at(cut, rtype::NS)?.owner() == *owner => {
            (!zone.exact(&key).is_some_and(addressed)).then_some("has no address here (glue)")
        }
        Place::Cut(_) => None,
        Place::EmptyNonTerminal | Place::EmptyWildcard => Some("has no address"),
        Place::Missing => Some("does not exist"),
    }
}
