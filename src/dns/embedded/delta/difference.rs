//! Difference: one walk over two zones, which are both sorted.

use std::cmp::Ordering;

use super::{Delta, DeltaBuilder};
use crate::dns::embedded::rdata::{folded, rtype};
use crate::dns::embedded::zone::{NameId, Rrset, Zone};

/// What leads from one version of a zone to another. Both have the same apex.
pub fn difference(old: &Zone, new: &Zone) -> Delta {
    let mut changes = Changes::default();
    let (mut olds, mut news) = (old.name_ids().peekable(), new.name_ids().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => old.key_of(*was).cmp(new.key_of(*is)),
        };
        // At Less, only the old zone has the name; at Greater, only the new one.
        let was = if order.is_le() { olds.next() } else { None };
        let is = if order.is_ge() { news.next() } else { None };
        changes.name(sets(old, was), sets(new, is));
    }
    let mut delta = DeltaBuilder::new(new.apex().clone());
    for (soa, sets) in [(old.soa_set(), changes.removed), (new.soa_set(), changes.added)] {
        let soa = (soa, soa.rdatas().collect());
        for (set, rdatas) in std::iter::once(soa).chain(sets) {
            let owner = set.owner();
            for rdata in rdatas {
                delta.push(&owner, set.rtype(), set.ttl(), rdata).expect("a zone's records are a zone's");
            }
        }
    }
    delta.finish().expect("it has both SOA records")
}

fn sets(zone: &Zone, name: Option<NameId>) -> impl Iterator<Item = Rrset<'_>> {
    name.into_iter().flat_map(|name| zone.sets_at(name)).filter(|set| set.rtype() != rtype::SOA)
}

/// The records of one set that are removed or added.
type Records<'a> = (Rrset<'a>, Vec<&'a [u8]>);

#[derive(Default)]
struct Changes<'a> {
    removed: Vec<Records<'a>>,
    added: Vec<Records<'a>>,
}

impl<'a> Changes<'a> {
    /// Compares the sets of one name.
    fn name(&mut self, old: impl Iterator<Item = Rrset<'a>>, new: impl Iterator<Item = Rrset<'a>>) {
        let (mut olds, mut news) = (old.peekable(), new.peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(was), Some(is)) => (was.rtype(), was.covers()).cmp(&(is.rtype(), is.covers())),
            };
            let was = if order.is_le() { olds.next() } else { None };
            let is = if order.is_ge() { news.next() } else { None };
            match (was, is) {
                // A TTL is the whole set's (RFC 2181 section 5.2), so another one replaces every record.
                (Some(was), Some(is)) if was.ttl() == is.ttl() => self.set(was, is),
                (was, is) => {
                    self.removed.extend(was.map(|set| (set, set.rdatas().collect())));
                    self.added.extend(is.map(|set| (set, set.rdatas().collect())));
                }
            }
        }
    }

    /// Compares the records of one set. They are sorted as they are compared, names in lower case; a record whose case
    /// has changed is replaced.
    fn set(&mut self, old: Rrset<'a>, new: Rrset<'a>) {
        if old.rdatas().eq(new.rdatas()) {
            return;
        }
        let rtype = old.rtype();
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let (mut olds, mut news) = (old.rdatas().peekable(), new.rdatas().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(was), Some(is)) => folded(rtype, was).cmp(&folded(rtype, is)),
            };
            let was = if order.is_le() { olds.next() } else { None };
            let is = if order.is_ge() { news.next() } else { None };
            if was != is {
                removed.extend(was);
                added.extend(is);
            }
        }
        self.removed.extend((!removed.is_empty()).then_some((old, removed)));
        self.added.extend((!added.is_empty()).then_some((new, added)));
    }
}
