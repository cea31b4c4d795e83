//! What NSD says of its zones: the file in which it keeps them, and `nsd-control zonestatus`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::dns::queries;
use crate::names::DomainName;

/// One zone in NSD's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) pattern: String,
    /// Whether it answers with data that was transferred.
    pub(super) is_transferred: bool,
    /// Whether it would be fresh with another look at its primaries.
    pub(super) is_stale: bool,
    /// Whether its data is too old to be served.
    pub(super) is_expired: bool,
}

/// The zones in `zone.list`, with their patterns.
pub(super) fn zone_list(text: &str) -> BTreeMap<DomainName, String> {
    let zone = |(name, pattern): (&str, &str)| Some((name.parse().ok()?, pattern.to_owned()));
    text.lines().filter_map(added).filter_map(zone).collect()
}

/// The same of some zones.
pub(super) fn zone_list_of(text: &str, zones: &BTreeSet<DomainName>) -> BTreeMap<DomainName, String> {
    let names: HashMap<String, &DomainName> = zones.iter().map(|zone| (zone.to_string(), zone)).collect();
    let zone = |(name, pattern): (&str, &str)| {
        // What is escaped may be escaped otherwise than we do.
        let zone = match name.contains('\\') {
            false => (*names.get(name)?).clone(),
            true => name.parse().ok().filter(|zone| zones.contains(zone))?,
        };
        Some((zone, pattern.to_owned()))
    };
    text.lines().filter_map(added).filter_map(zone).collect()
}

/// Name and pattern of a line. A removed zone's line says `del`, until the file is written anew.
fn added(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    match (words.next()?, words.next()?, words.next()?) {
        ("add", name, pattern) => Some((name, pattern)),
        _ => None,
    }
}

/// The zones that `zonestatus` tells of.
pub(super) fn zones(text: &str) -> BTreeMap<DomainName, Status> {
    let mut zones = BTreeMap::new();
    let mut status: Option<&mut Status> = None;
    for line in text.lines() {
        let Some((item, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim();
        match (item, &mut status) {
            ("zone", _) => {
                status = value.parse().ok().map(|name: DomainName| zones.entry(name).or_default());
            }
            ("pattern", Some(status)) => status.pattern = value.to_owned(),
            ("state", Some(status)) => {
                status.is_stale = !matches!(value, "ok" | "master" | "primary");
                status.is_expired = value == "expired";
            }
            ("served-serial", Some(status)) => status.is_transferred = value != "none",
            _ => {}
        }
    }
    zones
}

/// The queries that `stats_noreset` tells of, but for those that `dns::queries` leaves out.
pub(super) fn queries(text: &str) -> Result<u64, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("num.type.")?.split_once('='));
    let types: Vec<_> = types.filter_map(|(name, count)| Some((name, count.trim().parse().ok()?))).collect();
    match types.is_empty() {
        false => Ok(queries::total(types)),
        true => {
            let said = text.lines().next().unwrap_or_default();
            Err(format!("it counts no types of queries, but says {said:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tell_the_same() {
        let list = "# NSD zone list\n# name pattern\ndel a.example p1\nadd f.example p2\nadd a.example p3\n\
                    add a\\047b.\\*.example p2\nadd . p4\n";
        let said = "zone:\t.\n\tpattern: p4\n\tstate: refreshing\n\tserved-serial: none\n\
                    zone:\ta\\047b.\\*.example\n\tpattern: p2\n\tstate: master\n\
                    zone:\ta.example\n\tpattern: p3\n\tstate: ok\n\tserved-serial: \"4 since 2026-11-26T19:28:26\"\n\
                    zone:\tf.example\n\tpattern: p2\n\tstate: master\n";
        let (listed, told) = (zone_list(list), zones(said));
        let patterns: BTreeMap<_, _> =
            told.iter().map(|(name, status)| (name.clone(), status.pattern.clone())).collect();
        assert_eq!(patterns, listed);
        assert_eq!(listed.len(), 4);
        let mut some = listed.clone();
        some.remove(&"f.example".parse().unwrap());
        let names = some.keys().cloned().chain(["other.example".parse().unwrap()]).collect();
        assert_eq!(zone_list_of(list, &names), some);
        let of = |name: &str| told[&name.parse().unwrap()].clone();
        assert!(of("a.example").is_transferred && !of("a.example").is_stale);
        assert!(!of(".").is_transferred && of(".").is_stale);
        assert!(!of("f.example").is_transferred && !of("f.example").is_stale);
    }
}
