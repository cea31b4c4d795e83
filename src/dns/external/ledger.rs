//! Ledger: which configuration of ours became which form in the daemon.
//!
//! Lines of text, each the last word on its zone: `<config> <form> <zone>`, or `- <zone>`. It is not synced: what a crash of
//! the machine takes from it is found to differ, and given to the daemon again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::fingerprint::Fingerprint;
use crate::names::DomainName;

/// What a zone was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of the configuration.
    pub(super) config: Fingerprint,
    /// Of the form that it has in the daemon.
    pub(super) form: Fingerprint,
}

/// Entries by zone.
pub(super) struct Ledger {
    path: PathBuf,
    entries: BTreeMap<DomainName, Entry>,
    /// Lines that are not in the file yet.
    unsaved: String,
    /// Lines in the file.
    lines: usize,
}

impl Ledger {
    /// Reads it; one that is not there is empty, and a line that cannot be read is none.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read(&path) {
            Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        // Collected, since a map that grows in order is half empty.
        let last: BTreeMap<DomainName, Option<Entry>> = text.lines().filter_map(read).collect();
        let entries = last.into_iter().filter_map(|(name, entry)| Some((name, entry?))).collect();
        Ok(Self { path, entries, unsaved: String::new(), lines: text.lines().count() })
    }

    pub(super) fn get(&self, zone: &DomainName) -> Option<&Entry> {
        self.entries.get(zone)
    }

    pub(super) fn note(&mut self, zone: &DomainName, entry: Entry) {
        if self.entries.insert(zone.clone(), entry) != Some(entry) {
            let Entry { config, form } = entry;
            let _ = writeln!(self.unsaved, "{config} {form} {zone}");
        }
    }

    pub(super) fn forget(&mut self, zone: &DomainName) {
        if self.entries.remove(zone).is_some() {
            let _ = writeln!(self.unsaved, "- {zone}");
        }
    }

    /// Writes what is new; the whole anew once most of it is old.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let more = self.unsaved.lines().count();
        if self.lines + more > 2 * self.entries.len() + 1_000 {
            let mut text = String::new();
            for (zone, Entry { config, form }) in &self.entries {
                let _ = writeln!(text, "{config} {form} {zone}");
            }
            let beside = self.path.with_extension("next");
            File::create(&beside)?.write_all(text.as_bytes())?;
            fs::rename(beside, &self.path)?;
            self.lines = self.entries.len();
        } else {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            // A line that was cut off ends here.
            let text = if self.lines == 0 { self.unsaved.clone() } else { format!("\n{}", self.unsaved) };
            file.write_all(text.as_bytes())?;
            self.lines += more;
        }
        self.unsaved.clear();
        Ok(())
    }
}

/// What a line says of which zone.
fn read(line: &str) -> Option<(DomainName, Option<Entry>)> {
    let mut words = line.splitn(3, ' ');
    match (words.next()?, words.next()?, words.next()) {
        ("-", name, None) => Some((name.parse().ok()?, None)),
        (config, form, Some(name)) => {
            let entry = Entry { config: config.parse().ok()?, form: form.parse().ok()? };
            Some((name.parse().ok()?, Some(entry)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(of: &str) -> Entry {
        Entry { config: Fingerprint::of(&[of.as_bytes()]), form: Fingerprint::of(&[b"form", of.as_bytes()]) }
    }

    fn name(number: usize) -> DomainName {
        format!("z{number}.example").parse().unwrap()
    }

    #[test]
    fn what_was_noted_is_read_back_wherever_it_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut ledger = Ledger::open(path.clone()).unwrap();
        for number in 0..10 {
            ledger.note(&name(number), entry("one"));
            ledger.save().unwrap();
        }
        ledger.note(&name(3), entry("two"));
        ledger.forget(&name(4));
        ledger.save().unwrap();
        let whole = Ledger::open(path.clone()).unwrap();
        assert_eq!(whole.entries, ledger.entries);
        assert_eq!(whole.get(&name(3)), Some(&entry("two")));
        assert_eq!(whole.get(&name(4)), None);
        let octets = fs::read(&path).unwrap();
        for length in 0..octets.len() {
            fs::write(&path, &octets[..length]).unwrap();
            let mut cut = Ledger::open(path.clone()).unwrap();
            assert!(cut.entries.iter().all(|(_, seen)| [entry("one"), entry("two")].contains(seen)));
            cut.note(&name(99), entry("later"));
            cut.save().unwrap();
            assert_eq!(Ledger::open(path.clone()).unwrap().get(&name(99)), Some(&entry("later")));
        }
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut ledger = Ledger::open(path.clone()).unwrap();
        for round in 0..5_000 {
            ledger.note(&name(1), entry(&round.to_string()));
            ledger.save().unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() < 200_000);
        assert_eq!(Ledger::open(path).unwrap().entries, ledger.entries);
    }
}
