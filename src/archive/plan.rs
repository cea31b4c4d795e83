//! What is to be done with the files of an archive: pure.

use std::time::Duration;

use super::{ArchivePolicy, COMPRESSED, KEPT_OPEN, PART, UPDATES, UPDATES_OPEN, WRITTEN};

/// A file to which nothing was written for so long may be finished: a table is written within seconds, and whoever closes a
/// file may have something left to write to it.
const QUIET: Duration = Duration::from_secs(60);
/// What stays free of the disk: one part of so many, but no more than that many octets.
const FREE: (u64, u64) = (10, 1_000_000_000);

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tables, written at once.
    Tables,
    /// Updates, written as they come.
    Updates,
}

impl Kind {
    /// Of the file of this name.
    pub fn of(name: &str) -> Self {
        if name.starts_with(UPDATES) { Self::Updates } else { Self::Tables }
    }
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// In octets.
    pub length: u64,
    /// When it was written to, since 1970.
    pub modified: Duration,
}

impl Kept {
    /// `latest` is when updates were written last, to whichever file.
    fn is_finished(&self, now: Duration, interval: Duration, latest: Duration) -> bool {
        let quiet = now.saturating_sub(self.modified);
        let is_closed = match Kind::of(&self.name) {
            Kind::Updates if self.name == UPDATES_OPEN => false,
            Kind::Updates if self.name.ends_with(WRITTEN) => {
                self.modified < latest || quiet >= interval + QUIET
            }
            Kind::Updates | Kind::Tables => true,
        };
        is_closed && quiet >= QUIET
    }

    /// Whether it is ours to look after. Whatever else lies there is somebody's.
    fn is_of_archive(&self) -> bool {
        [WRITTEN, COMPRESSED, PART].iter().any(|end| self.name.ends_with(end))
    }
}

/// What a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Octets that are free.
    pub free: u64,
    /// Octets in all.
    pub total: u64,
}

/// What is to be done with a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// It goes.
    Remove(String),
    /// It is compressed, and goes.
    Compress(String),
}

/// Removals first, the oldest first: they make room for what is compressed.
pub fn plan(files: &[Kept], now: Duration, policy: &ArchivePolicy, room: Room) -> Vec<Task> {
    let mut files: Vec<&Kept> = files.iter().filter(|file| file.is_of_archive()).collect();
    files.sort_by(|one, other| (other.modified, &other.name).cmp(&(one.modified, &one.name)));
    let wanting = (room.total / FREE.0).min(FREE.1).saturating_sub(room.free);
    let updates = files.iter().filter(|file| Kind::of(&file.name) == Kind::Updates);
    let latest = updates.map(|file| file.modified).max().unwrap_or_default();
    let lengths: u64 = files.iter().map(|file| file.length).sum();
    let most = policy.keep_size.min(lengths.saturating_sub(wanting));

    let (mut removed, mut compressed) = (Vec::new(), Vec::new());
    let mut length = 0u64;
    for file in files {
        length = length.saturating_add(file.length);
        if !file.is_finished(now, policy.interval, latest) {
            continue;
        }
        let is_old = now.saturating_sub(file.modified) > policy.keep_age;
        // One that is kept open is empty once it was cut.
        let is_nothing = file.length == 0 && file.name != KEPT_OPEN || file.name.ends_with(PART);
        if is_old || is_nothing || length > most {
            if file.length > 0 || file.name != KEPT_OPEN {
                removed.push(Task::Remove(file.name.clone()));
            }
        } else if file.name.ends_with(WRITTEN) && file.length > 0 {
            compressed.push(Task::Compress(file.name.clone()));
        }
    }
    removed.reverse();
    compressed.reverse();
    removed.append(&mut compressed);
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);
    const POLICY: ArchivePolicy = ArchivePolicy {
        interval: Duration::from_secs(900),
        updates: true,
        keep_size: 1000,
        keep_age: Duration::from_secs(86_400),
    };
    const ROOM: Room = Room { free: 500_000, total: 1_000_000 };

    fn file(name: &str, length: u64, age: u64) -> Kept {
        Kept { name: name.to_owned(), length, modified: NOW.saturating_sub(Duration::from_secs(age)) }
    }

    fn tasks(files: &[Kept], room: Room) -> Vec<String> {
        let tasks = plan(files, NOW, &POLICY, room).into_iter();
        let shown = tasks.map(|task| match task {
            Task::Remove(name) => format!("-{name}"),
            Task::Compress(name) => format!("z{name}"),
        });
        shown.collect()
    }

    #[test]
    fn only_what_is_finished_is_touched() {
        let files = [
            file("new.mrt", 10, 59),
            file("done.mrt", 10, 60),
            file("older.mrt", 10, 900),
            file("kept.mrt.gz", 5, 900),
            file("empty.mrt", 0, 900),
            file("notes.txt", 9_999, 900_000),
        ];
        assert_eq!(tasks(&files, ROOM), ["-empty.mrt", "zolder.mrt", "zdone.mrt"]);
    }

    #[test]
    fn a_quiet_file_of_updates_is_finished_once_another_is_begun_or_its_interval_is_over() {
        let names = ["updates.1.mrt", "updates.2.mrt", "updates.3.mrt"];
        let files = |ages: [u64; 3]| -> Vec<Kept> {
            names.iter().zip(ages).map(|(name, age)| file(name, 10, age)).collect()
        };
        assert_eq!(tasks(&files([900, 70, 50]), ROOM), ["zupdates.1.mrt", "zupdates.2.mrt"]);
        assert_eq!(tasks(&files([900, 59, 0]), ROOM), ["zupdates.1.mrt"], "it may be written to still");
        assert_eq!(tasks(&files([1800, 950, 959]), ROOM), ["zupdates.1.mrt", "zupdates.3.mrt"]);
        // None has come after it: updates are not wanted any more, or the daemon does not run.
        assert_eq!(tasks(&[file("updates.1.mrt", 10, 959)], ROOM), [""; 0]);
        assert_eq!(tasks(&[file("updates.1.mrt", 10, 960)], ROOM), ["zupdates.1.mrt"]);
        // A table says nothing of it.
        let beside = [file("updates.1.mrt", 10, 100), file("20261127T155500.mrt", 10, 70)];
        assert_eq!(tasks(&beside, ROOM), ["z20261127T155500.mrt"]);
        // A later one of which nothing came but an empty file.
        let empty = [file("updates.1.mrt", 10, 200), file("updates.2.mrt", 0, 100)];
        assert_eq!(tasks(&empty, ROOM), ["zupdates.1.mrt"]);
    }

    #[test]
    fn updates_that_are_kept_open_are_left_to_whoever_sets_them_aside() {
        let aside = [file("updates.1.mrt", 10, 100), file(UPDATES_OPEN, 0, 99)];
        assert_eq!(tasks(&aside, ROOM), ["zupdates.1.mrt"]);
        // The daemon has not opened it anew yet, and writes to the one that was set aside.
        assert_eq!(tasks(&aside[..1], ROOM), [""; 0]);
        let old = [file(UPDATES_OPEN, 2_000, 100_000), file("updates.0.mrt.gz", 10, 100_001)];
        assert_eq!(tasks(&old, ROOM), ["-updates.0.mrt.gz"]);
    }

    #[test]
    fn the_oldest_go_first_by_age_and_by_size() {
        let files = [
            file("a.mrt", 400, 100),
            file("b.mrt.gz", 500, 200),
            file("c.mrt.gz", 200, 300),
            file("d.mrt", 1, 400),
            file("e.mrt.gz", 1, 86_401),
        ];
        assert_eq!(tasks(&files, ROOM), ["-e.mrt.gz", "-d.mrt", "-c.mrt.gz", "za.mrt"]);
        // What is being written counts, and stays.
        assert_eq!(tasks(&[file("a.mrt", 2000, 1), file("b.mrt.gz", 1, 100)], ROOM), ["-b.mrt.gz"]);
    }

    #[test]
    fn the_disk_is_never_filled() {
        let files = [file("a.mrt.gz", 100, 100), file("b.mrt.gz", 100, 200), file("c.mrt.gz", 100, 300)];
        let room = |free| Room { free, total: 10_000 };
        assert_eq!(tasks(&files, room(1_000)), [""; 0]);
        assert_eq!(tasks(&files, room(850)), ["-c.mrt.gz", "-b.mrt.gz"]);
        assert_eq!(tasks(&files, room(0)), ["-c.mrt.gz", "-b.mrt.gz", "-a.mrt.gz"]);
    }

    #[test]
    fn one_that_is_kept_open_is_cut_and_what_was_broken_off_goes() {
        assert_eq!(tasks(&[file(KEPT_OPEN, 10, 100)], ROOM), ["zopen.mrt"]);
        assert_eq!(tasks(&[file(KEPT_OPEN, 0, 100)], ROOM), [""; 0]);
        assert_eq!(tasks(&[file(KEPT_OPEN, 0, 100_000)], ROOM), [""; 0]);
        assert_eq!(tasks(&[file("a.mrt.part", 10, 61), file("b.mrt.part", 10, 1)], ROOM), ["-a.mrt.part"]);
    }
}
