//! The records of our own zones that we write for a daemon.

use std::collections::BTreeMap;
use std::fs;

use super::Place;
use crate::dns::embedded::zonefile;
use crate::dns::{ZoneConfig, ZoneRecords};
use crate::names::{DomainName, Serial};
use crate::process::files::{Stamp, write_private};

/// The zone files that this agent has written.
#[derive(Debug, Default)]
pub(super) struct ZoneFiles(BTreeMap<DomainName, (Option<Stamp>, Serial)>);

impl ZoneFiles {
    /// Writes the records of a zone of ours, with the serial that it is to have. Whether the file has changed.
    pub(super) fn write(&mut self, place: &Place, zone: &ZoneConfig) -> Result<bool, String> {
        let ZoneRecords::File { path, text, serial } = &zone.source else {
            self.remove(place, &zone.name);
            return Ok(false);
        };
        let read = zonefile::read(path, text, &zone.name, Some(*serial));
        let parsed = read.map_err(|findings| {
            super::words::some(&findings.iter().map(ToString::to_string).collect::<Vec<_>>())
        })?;
        let text = zonefile::write(&parsed);
        let file = place.zone_file(&zone.name);
        let changed = !fs::read(&file).is_ok_and(|present| present == text.as_bytes());
        if changed {
            write_private(&file, text.as_bytes(), place.user.as_ref())
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        self.0.insert(zone.name.clone(), (Stamp::of(&file), parsed.serial()));
        Ok(changed)
    }

    /// The serial in a file.
    pub(super) fn serial(&self, zone: &DomainName) -> Option<Serial> {
        self.0.get(zone).map(|(_, serial)| *serial)
    }

    /// Removes a file; one that is not there is fine.
    pub(super) fn remove(&mut self, place: &Place, zone: &DomainName) {
        self.0.remove(zone);
        let _ = fs::remove_file(place.zone_file(zone));
    }

    /// The zones whose files are not as we left them. They are told once.
    pub(super) fn changed(&mut self, place: &Place) -> Vec<DomainName> {
        let changed = |(name, (stamp, _)): (&DomainName, &(Option<Stamp>, Serial))| {
            (Stamp::of(&place.zone_file(name)) != *stamp).then(|| name.clone())
        };
        let changed: Vec<DomainName> = self.0.iter().filter_map(changed).collect();
        self.0.retain(|name, _| !changed.contains(name));
        changed
    }
}

/// The name of a zone's file: the zone's own, with every octet that could be more than a letter to somebody as `~XX`.
pub(crate) fn zone_file_name(zone: &DomainName) -> String {
    let mut name = String::new();
    for label in zone.labels() {
        for octet in label {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(*octet)),
                _ => name.push_str(&format!("~{octet:02x}")),
            }
        }
        name.push('.');
    }
    if name.is_empty() {
        name.push_str("~2e.");
    }
    // Names of 255 octets may be longer than the names of files.
    if name.len() > 200 {
        name = format!("{}.", crate::fingerprint::Fingerprint::of(&[zone.as_wire()]));
    }
    name + "zone"
}

/// The zone whose file has this name; `None` where no zone's has. Of names that are too long for a file it is another one.
pub(crate) fn zone_of_file(file: &str) -> Option<DomainName> {
    let mut wire = Vec::new();
    for label in file.strip_suffix("zone")?.strip_suffix('.')?.split('.') {
        let mut octets = Vec::new();
        let mut parts = label.split('~');
        octets.extend(parts.next()?.as_bytes());
        for part in parts {
            let (digits, rest) = part.split_at_checked(2)?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            octets.extend(rest.as_bytes());
        }
        wire.push(u8::try_from(octets.len()).ok().filter(|length| (1..64).contains(length))?);
        wire.extend(octets);
    }
    wire.push(0);
    DomainName::from_wire(&wire).filter(|zone| zone_file_name(zone) == file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_zone_leaves_the_folder() {
        let name = |text: &str| zone_file_name(&text.parse().unwrap());
        assert_eq!(name("Example.com"), "example.com.zone");
        assert_eq!(name("."), "~2e.zone");
        assert_eq!(name(r"a\.b.c"), "a~2eb.c.zone");
        assert_eq!(name(r"\047etc.\*"), "~2fetc.~2a.zone");
        let long = ["x".repeat(60).as_str(); 4].join(".");
        assert!(name(&long).len() < 60);
        assert_ne!(name(&long), name(&long.replacen('x', "y", 1)));
    }

    #[test]
    fn the_name_of_a_file_leads_back_to_its_zone() {
        for text in ["example.com", r"a\.b.c", r"\047etc.\*", "0-25.2.0.192.in-addr.arpa"] {
            let zone: DomainName = text.parse().unwrap();
            assert_eq!(zone_of_file(&zone_file_name(&zone)), Some(zone), "{text}");
        }
        for other in ["zone", ".zone", "a..zone", "A.zone", "a.zone.k2x8", "a~2.zone", "a~zz.zone"] {
            assert_eq!(zone_of_file(other), None, "{other}");
        }
    }
}
