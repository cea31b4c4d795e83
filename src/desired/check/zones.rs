//! Zones: each in one account, its records where they should be, its primaries and secondaries not ourselves.

use std::collections::{BTreeMap, HashSet};

use super::{Facts, Site, Unique, push, unusable};
use crate::desired::files::{
    ClientFile, Field, MembersFile, Network, ServerAddress, ServerFile, ZoneFile, ZoneKind,
};
use crate::desired::load::{Files, Located};
use crate::finding::Finding;
use crate::names::{AccountName, DomainName};

/// The most members that a catalog may be given.
const MEMBERS: u32 = 100_000;

pub(super) fn check(files: &Files, facts: &Facts, findings: &mut Vec<Finding>) {
    one_account(files, findings);
    records(files, findings);
    for zone in files.zones.values() {
        let ZoneFile { primaries, transfer_to, notify, members, kind: _, serial_offset: _ } = &zone.file;
        others(zone, [primaries.as_ref(), notify.as_ref()], transfer_to.as_ref(), facts, findings);
        if let Some(members) = members {
            let MembersFile { primaries, notify, transfer_to, limit, most_removed, within: _, confirmed: _ } =
                members;
            others(zone, [primaries.as_ref(), notify.as_ref()], transfer_to.as_ref(), facts, findings);
            if let Some((limit, at)) =
                limit.as_ref().and_then(Field::located).filter(|(limit, _)| **limit == 0 || **limit > MEMBERS)
            {
                let message = format!("a limit of {limit} members is not from 1 to {MEMBERS}");
                push(findings, zone, at, message, "leave it out for 1000");
            }
            if let Some((most, at)) =
                most_removed.as_ref().and_then(Field::located).filter(|(most, _)| **most > 100)
            {
                push(
                    findings,
                    zone,
                    at,
                    format!("{most} is not from 0 to 100 per cent"),
                    "leave it out for 50",
                );
            }
        }
    }
    offered(files, findings);
}

/// Servers and clients of other people, which are not ourselves and not everybody.
fn others(
    zone: &Located<ZoneFile>,
    [primaries, notify]: [Option<&Vec<ServerFile>>; 2],
    transfer_to: Option<&Vec<ClientFile>>,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) {
    for (what, servers) in [("the primary", primaries), ("the server to notify", notify)] {
        let mut seen = Unique::new();
        for ServerFile { address, tsig_key: _ } in servers.into_iter().flatten() {
            if let Some((address, at)) = address.located() {
                seen.note(what, *address, Site { path: &zone.path, at }, findings);
                if let Some((why, hint)) = not_another(*address, facts) {
                    push(findings, zone, at, format!("{address} {why}"), hint);
                }
            }
        }
    }
    for ClientFile { address, tsig_key } in transfer_to.into_iter().flatten() {
        let anybody = address.as_ref().and_then(Field::located).filter(|(net, _)| net.0.prefix_len() == 0);
        if let (Some((Network(net), at)), None) = (anybody, tsig_key) {
            let hint = "write the addresses of the secondaries, or add a `tsig_key` to this entry";
            push(findings, zone, at, format!("{net} lets everybody transfer the zone"), hint);
        }
    }
}

/// An account offers one catalog, to somebody.
fn offered(files: &Files, findings: &mut Vec<Finding>) {
    let mut offers = BTreeMap::new();
    let is_offer = |file: &ZoneFile| file.kind.get() == Some(&ZoneKind::OfferedCatalog);
    for ((_, account), zone) in files.zones.iter().filter(|(_, zone)| is_offer(&zone.file)) {
        let at = zone.file.kind.at();
        if zone.file.transfer_to.as_ref().is_none_or(Vec::is_empty) {
            let hint = "add `transfer_to:` with `- address: 192.0.2.1` or `- tsig_key: name` below it";
            push(findings, zone, at, "nobody may transfer the catalog that is offered here", hint);
        }
        if let Some(other) = offers.insert(account, &zone.path) {
            let message = format!("account {account} offers a catalog already, in {other}");
            push(findings, zone, at, message, "remove one of the two");
        }
    }
}

/// Why there is no server of somebody else's there, and what to do.
fn not_another(ServerAddress(address): ServerAddress, facts: &Facts) -> Option<(String, &'static str)> {
    let ip = address.ip();
    if let Some(prefix) = facts.anycast(ip) {
        let why = format!("lies in our anycast prefix {prefix}");
        return Some((
            why,
            "write an address of the other party's server: among ourselves nothing needs to be said",
        ));
    }
    if facts.mesh.iter().any(|range| range.contains(&ip)) {
        return Some(("lies in our mesh".to_owned(), "write the server's own address"));
    }
    if let Some(why) = unusable(ip) {
        return Some((format!("is {why}"), "write the server's own address"));
    }
    // Nodes answer on port 53; on another port it is another program on the same machine.
    match facts.nodes.get(&ip) {
        Some(node) if address.port() == 53 => Some((
            format!("is our own node {node}"),
            "write an address of the other party's server: among ourselves nothing needs to be said",
        )),
        Some(_) | None => None,
    }
}

fn one_account(files: &Files, findings: &mut Vec<Finding>) {
    // They stand in order of zone, then account.
    let mut first: Option<&(DomainName, AccountName)> = None;
    for (key, file) in &files.zones {
        match first {
            Some((zone, other)) if *zone == key.0 => {
                let message = format!("account {other} has the zone {zone} already");
                push(findings, file, None, message, "a zone belongs to one account; remove one of the two");
            }
            Some(_) | None => first = Some(key),
        }
    }
}

/// A primary zone has its records beside it, and nothing else has.
fn records(files: &Files, findings: &mut Vec<Finding>) {
    let unread: HashSet<String> = findings.iter().map(|finding| finding.path.clone()).collect();
    for (key, zone) in &files.zones {
        if zone.file.kind.get() == Some(&ZoneKind::Primary) && !files.records.contains_key(key) {
            let path = format!("{}.zone", zone.path.trim_end_matches(".yaml"));
            if !unread.contains(&path) {
                let message = format!("a primary zone needs its records, and there is no {path}");
                push(findings, zone, zone.file.kind.at(), message, "add it, or write `kind: secondary`");
            }
        }
    }
    for (key, records) in &files.records {
        let kind = files.zones.get(key).map(|zone: &Located<ZoneFile>| zone.file.kind.get());
        match kind {
            Some(Some(ZoneKind::OfferedCatalog)) => {
                let message = "the zone is a catalog: the hubs make its records";
                push(findings, records, None, message, "remove this file");
            }
            Some(Some(ZoneKind::Secondary | ZoneKind::Catalog)) => {
                let message = "the zone is secondary: its records come by transfer";
                push(
                    findings,
                    records,
                    None,
                    message,
                    "remove this file, or write `kind: primary` beside it",
                );
            }
            Some(Some(ZoneKind::Primary) | None) => {}
            None => {
                let path = format!("{}.yaml", records.path.trim_end_matches(".zone"));
                if !unread.contains(&path) {
                    let message = format!("records without a zone: there is no {path}");
                    push(
                        findings,
                        records,
                        None,
                        message,
                        "add it with `kind: primary`, or remove this file",
                    );
                }
            }
        }
    }
}
