//! The files that we write for a daemon: its configuration, and the records of our own zones.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Place;
use crate::dns::embedded::zonefile;
use crate::dns::{ZoneConfig, ZoneRecords};
use crate::names::{DomainName, Serial};
use crate::process::DaemonUser;

/// One file of a configuration. It may hold secrets, so it prints nothing of its text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Relative to `Place::etc`.
    pub(crate) name: &'static str,
    /// The whole of it.
    pub(crate) text: String,
}

/// Makes a daemon's folders, open to it and to nobody else.
pub(super) fn make_folders(place: &Place) -> io::Result<()> {
    if let Some(parent) = place.folder.parent() {
        // The daemon's user has to come through here.
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    for folder in [place.folder.clone(), place.etc(), place.zones(), place.data(), place.run()] {
        make_folder(&folder, place.user.as_ref())?;
    }
    Ok(())
}

fn make_folder(folder: &Path, user: Option<&DaemonUser>) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::set_permissions(folder, Permissions::from_mode(0o700))?,
    }
    user.map_or(Ok(()), |user| user.own(folder))
}

/// Writes a file that the daemon alone can read; whoever reads it meanwhile finds the old one whole.
pub(crate) fn write_private(path: &Path, text: &[u8], user: Option<&DaemonUser>) -> io::Result<()> {
    let beside = path.with_extension("next");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    if let Some(user) = user {
        user.own(&beside)?;
    }
    fs::rename(beside, path)
}

/// Writes the files of a configuration where nobody but the checker looks. Returns the folder.
pub(super) fn stage(place: &Place, files: &[ConfigFile]) -> io::Result<PathBuf> {
    let staged = place.folder.join("etc.next");
    make_folder(&staged, place.user.as_ref())?;
    files.iter().try_for_each(|file| {
        write_private(&staged.join(file.name), file.text.as_bytes(), place.user.as_ref())
    })?;
    Ok(staged)
}

/// What tells whether somebody else wrote to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let (inode, length) = (file.ino(), file.len());
        Some(Self { inode, length, modified: (file.mtime(), file.mtime_nsec()) })
    }
}

/// The files of a configuration that are in place.
#[derive(Debug, Default)]
pub(super) struct Placed(BTreeMap<PathBuf, Option<Stamp>>);

impl Placed {
    /// Puts files in place; returns those that were not there before, or had another text.
    pub(super) fn put(&mut self, place: &Place, files: &[ConfigFile]) -> io::Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for file in files {
            let path = place.etc().join(file.name);
            if !fs::read(&path).is_ok_and(|present| present == file.text.as_bytes()) {
                write_private(&path, file.text.as_bytes(), place.user.as_ref())?;
                changed.push(path.clone());
            }
            self.0.insert(path.clone(), Stamp::of(&path));
        }
        Ok(changed)
    }

    /// A file that is not as we left it.
    pub(super) fn changed(&self) -> Option<&Path> {
        self.0.iter().find(|(path, stamp)| Stamp::of(path) != **stamp).map(|(path, _)| path.as_path())
    }
}

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
}
