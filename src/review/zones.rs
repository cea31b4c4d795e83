//! Zones that change, record by record.

use std::collections::BTreeSet;

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use super::{Change, ZoneReview};
use crate::desired::model::{DesiredState, MemberPolicy, Server, Zone, ZoneSource};
use crate::dns::embedded::{rdata, zonefile};
use crate::names::DomainName;

pub(super) fn changes(base: Option<&DesiredState>, head: &DesiredState) -> Vec<ZoneReview> {
    let before = |name: &DomainName| base.and_then(|base| base.zones.get(name));
    let mut names: BTreeSet<&DomainName> = head.zones.keys().collect();
    names.extend(base.into_iter().flat_map(|base| base.zones.keys()));
    names.into_iter().filter_map(|name| change(name, before(name), head.zones.get(name))).collect()
}

fn change(name: &DomainName, before: Option<&Zone>, after: Option<&Zone>) -> Option<ZoneReview> {
    let change = match (before, after) {
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(before), Some(after)) if is_same(before, after) => return None,
        (Some(_), Some(_)) => Change::Changed,
        (None, None) => return None,
    };
    let origins = (before.map(origin), after.map(origin));
    let origin = match origins {
        (Some(before), Some(after)) if before == after => None,
        (Some(before), Some(after)) => Some(format!("{before}, becomes {after}")),
        (one, other) => one.or(other),
    };
    let (old, new) = (before.map(records).unwrap_or_default(), after.map(records).unwrap_or_default());
    Some(ZoneReview {
        zone: name.to_string(),
        change,
        origin,
        removed: old.difference(&new).cloned().collect(),
        added: new.difference(&old).cloned().collect(),
    })
}

/// The same but for the serial, which changes with every commit that touches the files.
fn is_same(before: &Zone, after: &Zone) -> bool {
    before.account == after.account
        && match (&before.source, &after.source) {
            (ZoneSource::Primary(before), ZoneSource::Primary(after)) => before.text == after.text,
            (before, after) => before == after,
        }
}

fn origin(zone: &Zone) -> String {
    match &zone.source {
        ZoneSource::Primary(_) => format!("primary, account {}", zone.account),
        ZoneSource::Secondary(primaries) => {
            format!("secondary of {}, account {}", addresses(primaries), zone.account)
        }
        ZoneSource::Catalog(primaries, members) => {
            let MemberPolicy { primaries: own, limit, within, removal, .. } = &**members;
            let from = addresses(if own.is_empty() { primaries } else { own });
            let within: Vec<String> = within.iter().map(ToString::to_string).collect();
            let within =
                if within.is_empty() { String::new() } else { format!(" within {}", within.join(", ")) };
            let confirmed = removal.confirmed.map(|serial| format!(", whatever serial {serial} takes away"));
            format!(
                "catalog from {}, account {}: at most {limit} members{within}, secondaries of {from}; up to {} % may go at \
                 once{}",
                addresses(primaries),
                zone.account,
                removal.most,
                confirmed.unwrap_or_default()
            )
        }
        ZoneSource::OfferedCatalog => format!("catalog of the zones of account {}", zone.account),
    }
}

fn addresses(servers: &[Server]) -> String {
    servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>().join(", ")
}

/// Records in presentation format (RFC 1035 section 5, RFC 3597), without the SOA, whose serial always changes.
fn records(zone: &Zone) -> BTreeSet<String> {
    const SOA: u16 = 6;
    let ZoneSource::Primary(primary) = &zone.source else { return BTreeSet::new() };
    // Text that does not parse is a finding, and then there is no review.
    let Ok(parsed) = zonefile::read(&primary.path, &primary.text, &zone.name, None) else {
        return BTreeSet::new();
    };
    let lines = |set: crate::dns::embedded::zone::Rrset<'_>| {
        let head = format!("{}. {} {}", set.owner(), set.ttl(), rdata::type_name(set.rtype()));
        set.rdatas().map(|data| format!("{head} {}", presentation(set.rtype(), data))).collect::<Vec<_>>()
    };
    parsed.rrsets().filter(|set| set.rtype() != SOA).flat_map(lines).collect()
}

/// A record's data as a zone file writes it; of types that the codec does not know as RFC 3597 section 5 does.
fn presentation(rtype: u16, data: &[u8]) -> String {
    let unknown = || {
        let digits: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("\\# {} {digits}", data.len())
    };
    let Ok(length) = u16::try_from(data.len()) else { return unknown() };
    match RData::read(&mut BinDecoder::new(data), RecordType::from(rtype), Restrict::new(length)) {
        Ok(RData::Unknown { .. }) | Err(_) => unknown(),
        Ok(RData::TXT(text)) => {
            text.txt_data.iter().map(|string| quoted(string)).collect::<Vec<_>>().join(" ")
        }
        Ok(typed) => typed.to_string(),
    }
}

/// A character string in quotes (RFC 1035 section 5.1).
fn quoted(string: &[u8]) -> String {
    let escape = |&octet: &u8| match octet {
        b'"' | b'\\' => format!("\\{}", char::from(octet)),
        b' '..=b'~' => char::from(octet).to_string(),
        _ => format!("\\{octet:03}"),
    };
    format!("\"{}\"", string.iter().map(escape).collect::<String>())
}
