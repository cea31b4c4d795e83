//! What a zone needs beyond its form: the zone's own name servers, where they are in it, must have addresses, and no
//! wildcard delegates. That is what BIND refuses; what is delegated may lack glue, as it may with BIND, NSD and Knot.

use super::{Fault, MAX_FAULTS};
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::zone::{Place, Zone, key, leading_name};
use crate::names::DomainName;

/// The NS records that lead nowhere. `place` tells where an owner stands.
pub(super) fn faults(zone: &Zone, place: impl Fn(&DomainName) -> Option<usize>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for set in zone.rrsets().filter(|set| set.rtype() == rtype::NS) {
        let owner = set.owner();
        let mut fault = |message: String, hint: &str| {
            faults.push(Fault { at: place(&owner), message, hint: Some(hint.to_owned()) });
        };
        // RFC 4592 section 4.2 leaves open what that means.
        if owner.as_wire().starts_with(b"\x01*") {
            fault(format!("{owner} is a wildcard with NS records"), "delegate each name by itself");
        }
        if owner != *zone.apex() {
            continue;
        }
        for target in set.rdatas().filter_map(leading_name) {
            if let Some(why) = why_lost(zone, &target) {
                let hint = "add its A or AAAA record; or, if its name is meant whole, end it with a dot";
                fault(format!("{target}, a name server of {owner}, {why}"), hint);
            }
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    faults.truncate(MAX_FAULTS);
    faults
}

fn why_lost(zone: &Zone, target: &DomainName) -> Option<&'static str> {
    let key = key::key(target, zone.apex())?;
    let has = |rtype| move |name| zone.set_at(name, rtype).is_some();
    let addressed = |name| has(rtype::A)(name) || has(rtype::AAAA)(name);
    match zone.locate(&key) {
        // RFC 2181 section 10.3.
        Place::Name(name) | Place::Wildcard { source: name, .. } if has(rtype::CNAME)(name) => {
            Some("is an alias")
        }
        Place::Name(name) | Place::Wildcard { source: name, .. } => {
            (!addressed(name)).then_some("has no address")
        }
        // Whoever follows that delegation finds them there.
        Place::Cut(_) => None,
        // Elsewhere is not ours to check.
        Place::Redirected(_) => None,
        Place::EmptyNonTerminal | Place::EmptyWildcard { .. } => Some("has no address"),
        Place::Missing { .. } => Some("does not exist"),
    }
}
