//! The records of a zone of ours as rows: with the names that have none (empty non-terminals), with what is authoritative,
//! and, for a signed zone, with the order that its NSEC or NSEC3 records give its names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::database::{name, quoted};
use crate::dns::embedded::rdata::{rtype, type_name};
use crate::dns::embedded::zone::{Hashed, Zone};
use crate::dns::embedded::zonefile;
use crate::names::DomainName;

/// The types whose generic form it takes under their number: those that it does not know. Sorted.
const UNKNOWN: &[u16] = &[
    3, 4, 10, 11, 19, 20, 21, 22, 23, 26, 27, 30, 31, 32, 34, 40, 55, 56, 58, 66, 67, 68, 100, 101, 102, 103,
    258, 259, 260, 261, 262, 263, 264, 32768,
];
/// Rows of one statement.
const ROWS: usize = 500;

/// What is said of a zone's signatures.
pub(super) fn metadata(zone: &Zone) -> Vec<(&'static str, String)> {
    let mut items = Vec::new();
    if zone.apex_set(rtype::RRSIG).is_none() {
        return items;
    }
    items.push(("PRESIGNED", "1".to_owned()));
    if let Some(parameters) = zone.apex_set(rtype::NSEC3PARAM).filter(|_| zone.is_hashed())
        && let Some(text) =
            parameters.rdatas().next().and_then(|data| zonefile::text_of(rtype::NSEC3PARAM, data))
    {
        // Opt-out stands in the records themselves (RFC 5155 section 4.1.2), but it looks for it here.
        let opts_out = |data: &[u8]| data.get(1).is_some_and(|flags| flags & 1 != 0);
        let mut hashed = zone.rrsets().filter(|set| set.rtype() == rtype::NSEC3);
        let flags = u8::from(hashed.any(|set| set.rdatas().any(opts_out)));
        let words: Vec<&str> = text.split(' ').collect();
        if let [algorithm, _, rest @ ..] = &words[..] {
            items.push(("NSEC3PARAM", format!("{algorithm} {flags} {}", rest.join(" "))));
        }
    }
    items
}

/// One row but for the zone.
struct Row {
    owner: DomainName,
    /// Type, data and TTL; none where the name has no records.
    record: Option<(String, String, u32)>,
    order: Option<String>,
    is_authoritative: bool,
}

/// The statements that put a zone's records in the place of those that it had.
pub(super) fn statements(zone: &Zone) -> Result<String, String> {
    let rows = rows(zone)?;
    let apex = quoted(&name(zone.apex()));
    let mut text =
        format!("DELETE FROM records WHERE domain_id = (SELECT id FROM domains WHERE name = {apex});\n");
    let insert = "INSERT INTO records (domain_id, name, type, content, ttl, disabled, ordername, auth)";
    for rows in rows.chunks(ROWS) {
        let values: Vec<String> = rows.iter().map(values).collect();
        let _ = writeln!(
            text,
            "{insert}\n  SELECT id, column1, column2, column3, column4, 0, column5, column6 FROM domains,\n  \
             (VALUES {}) WHERE domains.name = {apex};",
            values.join(",\n  ")
        );
    }
    Ok(text)
}

fn values(row: &Row) -> String {
    let owner = quoted(&name(&row.owner));
    let record = match &row.record {
        Some((rtype, data, ttl)) => format!("{}, {}, {ttl}", quoted(rtype), quoted(data)),
        None => "NULL, NULL, NULL".to_owned(),
    };
    let order = row.order.as_deref().map_or("NULL".to_owned(), quoted);
    format!("({owner}, {record}, {order}, {})", u8::from(row.is_authoritative))
}

fn rows(zone: &Zone) -> Result<Vec<Row>, String> {
    let apex = zone.apex();
    let mut cuts = BTreeSet::new();
    let mut chained = BTreeSet::new();
    let mut owners = BTreeSet::new();
    for set in zone.rrsets() {
        let owner = set.owner();
        match set.rtype() {
            rtype::NS if owner != *apex => drop(cuts.insert(owner.clone())),
            rtype::NSEC => drop(chained.insert(owner.clone())),
            _ => {}
        }
        owners.insert(owner);
    }
    let above = |owner: &DomainName| {
        let inside = |name: &DomainName| name.is_within(apex) && name != apex;
        std::iter::successors(owner.parent(), DomainName::parent).take_while(inside).collect::<Vec<_>>()
    };
    let is_below = |owner: &DomainName| above(owner).iter().any(|name| cuts.contains(name));
    let is_signed = zone.apex_set(rtype::RRSIG).is_some();
    let order = |owner: &DomainName| match (is_signed, zone.is_hashed()) {
        (false, _) => None,
        (true, true) => hash(zone, owner),
        (true, false) => chained.contains(owner).then(|| reversed(owner, apex)),
    };
    let mut rows = Vec::new();
    let mut known = BTreeMap::new();
    for set in zone.rrsets() {
        // It makes these itself.
        if is_signed && matches!(set.rtype(), rtype::NSEC | rtype::NSEC3) {
            continue;
        }
        let owner = set.owner();
        let (below, order) = known.entry(owner.clone()).or_insert_with(|| (is_below(&owner), order(&owner)));
        let is_cut = cuts.contains(&owner);
        let is_proof = matches!(set.rtype(), rtype::DS | rtype::RRSIG);
        let has_order = !*below
            && set.rtype() != rtype::RRSIG
            && (!is_cut || matches!(set.rtype(), rtype::NS | rtype::DS));
        for data in set.rdatas() {
            let (rtype, data) = spelt(&owner, set.rtype(), data)?;
            rows.push(Row {
                owner: owner.clone(),
                record: Some((rtype, data, set.ttl())),
                order: order.clone().filter(|_| has_order),
                is_authoritative: !*below && (!is_cut || is_proof),
            });
        }
    }
    let hashes: BTreeSet<DomainName> =
        zone.rrsets().filter(|set| set.rtype() == rtype::NSEC3).map(|set| set.owner()).collect();
    let with_records = owners.iter().filter(|owner| !hashes.contains(*owner) && !is_below(owner));
    let empty: BTreeSet<DomainName> =
        with_records.flat_map(above).filter(|name| !owners.contains(name)).collect();
    for owner in empty {
        let order = order(&owner);
        // Under opt-out, a name above nothing but unsigned delegations is not proved to be there.
        let is_authoritative = !zone.is_hashed() || order.is_some();
        rows.push(Row { owner, record: None, order, is_authoritative });
    }
    Ok(rows)
}

/// The hash of a name that has an NSEC3 record.
fn hash(zone: &Zone, owner: &DomainName) -> Option<String> {
    let Some(Hashed::Match(id)) = zone.hashed(owner.as_wire()) else { return None };
    let hashed = zone.set_at(id, rtype::NSEC3)?.owner();
    hashed.labels().next().map(|label| String::from_utf8_lossy(label).into_owned())
}

/// The labels below the apex from the last to the first: in the canonical order (RFC 4034 section 6.1) they are sorted.
fn reversed(owner: &DomainName, apex: &DomainName) -> String {
    let own = owner.labels().count() - apex.labels().count();
    let labels: Vec<&[u8]> = owner.labels().take(own).collect();
    let text = |label: &&[u8]| {
        let wire = [&[u8::try_from(label.len()).unwrap_or_default()], *label, &[0]].concat();
        DomainName::from_wire(&wire).map(|label| name(&label)).unwrap_or_default()
    };
    labels.iter().rev().map(text).collect::<Vec<_>>().join(" ")
}

/// Type and data in its words.
fn spelt(owner: &DomainName, rtype: u16, data: &[u8]) -> Result<(String, String), String> {
    let mnemonic = type_name(rtype);
    if mnemonic.starts_with("TYPE") || UNKNOWN.contains(&rtype) {
        return Ok((format!("TYPE{rtype}"), zonefile::generic(data)));
    }
    let text = zonefile::text_of(rtype, data);
    let text = text.ok_or_else(|| format!("PowerDNS cannot have this {mnemonic} record of {owner}"))?;
    Ok((mnemonic.into_owned(), text))
}
