//! The records of primary zones: each zone file reads, and an account's zone inside of another account's zone was
//! delegated there.

use std::collections::BTreeMap;

use super::push;
use crate::desired::files::{ZoneFile, ZoneKind};
use crate::desired::load::{Files, Located};
use crate::dns::embedded::zone::Zone;
use crate::dns::embedded::zonefile;
use crate::finding::Finding;
use crate::names::{AccountName, DomainName};

/// A zone and its account.
type ZoneKey = (DomainName, AccountName);

/// The type of NS records (RFC 1035 section 3.2.2).
const NS: u16 = 2;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    let inside = inside_others(files);
    for (key, file) in &files.zones {
        let (zone, account) = key;
        let children = inside.get(zone).map_or(&[][..], Vec::as_slice);
        // Why a child cannot be shown to be delegated; none for a zone file that has findings of its own.
        let why = match file.file.kind.get() {
            None => continue,
            Some(ZoneKind::Secondary) => "a secondary zone's delegations are not known here",
            Some(ZoneKind::Catalog | ZoneKind::OfferedCatalog) => "a catalog delegates nothing",
            Some(ZoneKind::Primary) => "it has no NS records for it",
        };
        let parsed = match (file.file.kind.get(), files.records.get(key)) {
            (Some(ZoneKind::Primary), Some(records)) => {
                match zonefile::read(&records.path, &records.file, zone, None) {
                    Ok(parsed) => Some(parsed),
                    Err(faults) => {
                        findings.extend(faults);
                        continue;
                    }
                }
            }
            _ => None,
        };
        for (child, other) in children {
            let delegates =
                |zone: &Zone| zone.rrsets().any(|set| set.rtype() == NS && set.owner() == child.0);
            if !parsed.as_ref().is_some_and(delegates) {
                let message = format!("the zone lies inside {zone} of account {account}, and {why}");
                let hint = format!("delegate {} there, or move it to account {account}", child.0);
                push(findings, other, other.file.kind.at(), message, &hint);
            }
        }
    }
}

/// Zones by the zone that they lie directly inside of, where that is another account's: whoever may sign for one
/// account must not take over names of another.
fn inside_others(files: &Files) -> BTreeMap<&DomainName, Vec<(&ZoneKey, &Located<ZoneFile>)>> {
    let mut inside: BTreeMap<_, Vec<_>> = BTreeMap::new();
    // In canonical order a zone comes right after those that it lies inside of, and what lies inside of them.
    let mut above: Vec<&ZoneKey> = Vec::new();
    for (key, file) in &files.zones {
        let (zone, account) = key;
        while above.pop_if(|(other, _)| other == zone || !zone.is_within(other)).is_some() {}
        if let Some((parent, owner)) = above.last()
            && owner != account
        {
            inside.entry(parent).or_default().push((key, file));
        }
        above.push(key);
    }
    inside
}
