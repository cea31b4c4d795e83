//! A zone as rows of the database, and the form that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::database::{name, quoted};
use super::records;
use crate::dns::embedded::zonefile;
use crate::dns::external::Setup;
use crate::dns::{TransferClient, TransferSource, ZoneConfig, ZoneRecords};
use crate::fingerprint::Fingerprint;
use crate::names::{DomainName, SecretName};

/// What a seal says besides the zone's configuration: another number once the same configuration becomes other rows.
const SHAPE: &[u8] = b"1";

/// The rows of all zones' forms.
pub(super) const LIST: &str =
    "SELECT name, type, coalesce(master, ''), coalesce(account, '') FROM domains;\n";

/// The same rows of some zones.
pub(super) fn list_of(zones: &BTreeSet<DomainName>) -> String {
    let names = zones.iter().map(|zone| quoted(&name(zone))).collect::<Vec<_>>().join(",");
    LIST.replace(";\n", &format!(" WHERE name IN ({names});\n"))
}

/// The zones that [`LIST`] shows, with their forms.
pub(super) fn forms(text: &str) -> BTreeMap<DomainName, String> {
    let zone = |line: &str| {
        let (name, form) = line.split_once('\t')?;
        Some((name.parse().ok()?, form.to_owned()))
    };
    text.lines().filter_map(zone).collect()
}

/// The form of a zone, as [`LIST`] shows it.
pub(super) fn form(zone: &ZoneConfig) -> String {
    format!("{}\t{}\t{}", kind(zone), primaries(zone), seal(zone))
}

fn kind(zone: &ZoneConfig) -> &'static str {
    match &zone.source {
        ZoneRecords::Transfer(_) => "SLAVE",
        ZoneRecords::File { .. } if zone.notify.is_empty() => "NATIVE",
        ZoneRecords::File { .. } => "MASTER",
    }
}

fn seal(zone: &ZoneConfig) -> Fingerprint {
    Fingerprint::of(&[SHAPE, zone.fingerprint().to_string().as_bytes()])
}

/// The primaries that one key and one source address serve: those of the first.
pub(super) fn sources(zone: &ZoneConfig) -> Vec<&TransferSource> {
    let ZoneRecords::Transfer(sources) = &zone.source else { return Vec::new() };
    let Some(first) = sources.first() else { return Vec::new() };
    let is_reached = |source: &&TransferSource| {
        let family = first.from.is_none_or(|from| from.is_ipv4() == source.address.is_ipv4());
        source.tsig_key == first.tsig_key && source.from == first.from && family
    };
    sources.iter().filter(is_reached).collect()
}

fn primaries(zone: &ZoneConfig) -> String {
    sources(zone).iter().map(|source| source.address.to_string()).collect::<Vec<_>>().join(",")
}

/// Kinds and contents of a zone's metadata.
fn metadata(setup: &Setup<'_>, zone: &ZoneConfig) -> Result<BTreeSet<(&'static str, String)>, String> {
    let key = |secret: &SecretName| {
        let key = setup.keys.get(secret).ok_or_else(|| format!("the TSIG key {secret} cannot be read"));
        key.map(|key| name(&key.name))
    };
    let mut items = BTreeSet::new();
    if let Some(TransferSource { from, tsig_key, .. }) = sources(zone).first() {
        if let Some(secret) = tsig_key {
            items.insert(("AXFR-MASTER-TSIG", key(secret)?));
        }
        if let Some(from) = from {
            items.insert(("AXFR-SOURCE", from.to_string()));
        }
    }
    for target in zone.notify.iter() {
        items.insert(("ALSO-NOTIFY", target.address.to_string()));
    }
    for client in zone.transfer_to.iter() {
        items.insert(match client {
            TransferClient { network: Some(network), tsig_key: None } => ("ALLOW-AXFR-FROM", network.to_string()),
            TransferClient { network: None, tsig_key: Some(secret) } => ("TSIG-ALLOW-AXFR", key(secret)?),
            TransferClient { network: Some(network), tsig_key: Some(secret) } => {
                return Err(format!(
                    "transfers are to be allowed to {network} with the key {secret}, but PowerDNS can only demand the \
                     one or the other: give the address or the key, or serve the zone with another daemon here"
                ));
            }
            TransferClient { network: None, tsig_key: None } => continue,
        });
    }
    Ok(items)
}

/// The statements that give a zone all its rows, whatever it has.
pub(super) fn statements(setup: &Setup<'_>, zone: &ZoneConfig) -> Result<String, String> {
    let mut items = metadata(setup, zone)?;
    let mut records = None;
    if let ZoneRecords::File { path, text, serial } = &zone.source {
        let parsed = zonefile::read(path, text, &zone.name, Some(*serial))
            .map_err(|findings| findings.first().map_or_else(String::new, ToString::to_string))?;
        items.extend(records::metadata(&parsed));
        records = Some(records::statements(&parsed)?);
    }
    let apex = quoted(&name(&zone.name));
    let id = format!("(SELECT id FROM domains WHERE name = {apex})");
    let (kind, primaries) = (quoted(kind(zone)), quoted(&primaries(zone)));
    let mut statements = format!(
        "INSERT INTO domains (name, type, master) VALUES ({apex}, {kind}, {primaries})\n  \
         ON CONFLICT (name) DO UPDATE SET type = {kind}, master = {primaries}, last_check = NULL;\n"
    );
    // What it found out of a transferred zone's signatures stays with its records.
    let kept =
        if records.is_some() { "" } else { " AND kind NOT IN ('PRESIGNED', 'NSEC3PARAM', 'NSEC3NARROW')" };
    let _ = writeln!(statements, "DELETE FROM domainmetadata WHERE domain_id = {id}{kept};");
    for (kind, content) in items {
        let (kind, content) = (quoted(kind), quoted(&content));
        let _ = writeln!(
            statements,
            "INSERT INTO domainmetadata (domain_id, kind, content) VALUES ({id}, {kind}, {content});"
        );
    }
    statements.push_str(&records.unwrap_or_default());
    let _ = writeln!(statements, "UPDATE domains SET account = '{}' WHERE name = {apex};", seal(zone));
    Ok(statements)
}

/// The statement that removes a zone, with all that belongs to it.
pub(super) fn removal(zone: &DomainName) -> String {
    format!("DELETE FROM domains WHERE name = {};\n", quoted(&name(zone)))
}
