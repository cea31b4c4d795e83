//! Rotation of the one file that BIRD keeps open for updates.
//!
//! BIRD appends to it, and opens it anew whenever it reads its configuration. So it is set aside under another name, where
//! BIRD goes on writing, and then BIRD reads its configuration: nothing is lost, and nothing is written twice. FRR and
//! OpenBGPD begin files by themselves.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::libc::O_NOFOLLOW;

use super::{COMPRESSED, UPDATES, UPDATES_OPEN, Utc, WRITTEN};

/// What is known of the open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// There is none: it was set aside.
    Absent,
    /// Nothing is in it.
    Empty,
    /// Its first record is of this time, since 1970.
    Begun(Duration),
}

impl Open {
    /// Looks into the folder of an archive.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn look(folder: &Path) -> io::Result<Self> {
        let file = File::options().read(true).custom_flags(O_NOFOLLOW).open(folder.join(UPDATES_OPEN));
        let mut file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Absent),
            file => file?,
        };
        // Every record begins with its time, in seconds (RFC 6396 section 2).
        let mut seconds = [0; 4];
        match file.read_exact(&mut seconds) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Self::Empty),
            read => read.map(|()| Self::Begun(Duration::from_secs(u32::from_be_bytes(seconds).into()))),
        }
    }

    /// Whether another file is due: intervals begin at multiples of themselves since 1970, as those of FRR do.
    pub fn is_over(self, now: Duration, interval: Duration) -> bool {
        let number = |time: Duration| time.as_secs() / interval.as_secs().max(1);
        match self {
            Self::Absent => true,
            Self::Empty => false,
            Self::Begun(begun) => number(begun) != number(now),
        }
    }
}

/// Gives the open file a name of its own, by the time of its first record, or the next second that no other file has: the
/// clock may have been put back. One that is empty, or not there, stays so.
///
/// # Errors
/// When it cannot be read or renamed.
pub fn set_aside(folder: &Path) -> io::Result<()> {
    let Open::Begun(begun) = Open::look(folder)? else { return Ok(()) };
    let of = |second: u64, end: &str| folder.join(format!("{UPDATES}{}{end}", Utc::of(second).compact()));
    let is_free = |second: &u64| [WRITTEN, COMPRESSED].iter().all(|end| !of(*second, end).exists());
    match (begun.as_secs()..).find(is_free) {
        Some(second) => fs::rename(folder.join(UPDATES_OPEN), of(second, WRITTEN)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn it_is_over_with_the_interval_of_its_first_record() {
        let [begun, interval] = [1_000_000_000, 900].map(Duration::from_secs);
        let over = |seconds| Open::Begun(begun).is_over(Duration::from_secs(seconds), interval);
        // The interval ends at 1,000,000,800.
        assert!(!over(1_000_000_000) && !over(1_000_000_799));
        assert!(over(1_000_000_800));
        assert!(over(999_999_000), "the clock was put back");
        assert!(Open::Absent.is_over(begun, interval) && !Open::Empty.is_over(begun, interval));
    }

    #[test]
    fn what_is_being_written_is_in_the_file_that_was_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(Open::look(folder.path()).unwrap(), Open::Absent);
        set_aside(folder.path()).unwrap();
        let mut daemon = File::options().append(true).create(true).open(at(UPDATES_OPEN)).unwrap();
        assert_eq!(Open::look(folder.path()).unwrap(), Open::Empty);
        set_aside(folder.path()).unwrap();
        daemon.write_all(&[0x6b, 0x09, 0xa8, 0x96, 0, 16]).unwrap();
        assert_eq!(Open::look(folder.path()).unwrap(), Open::Begun(Duration::from_secs(1_795_795_094)));
        set_aside(folder.path()).unwrap();
        daemon.write_all(b"more").unwrap();
        assert_eq!(Open::look(folder.path()).unwrap(), Open::Absent);
        assert_eq!(fs::metadata(at("updates.20261127T155814.mrt")).unwrap().len(), 10);
        // The clock was put back.
        fs::rename(at("updates.20261127T155814.mrt"), at("updates.20261127T155814.mrt.gz")).unwrap();
        fs::write(at(UPDATES_OPEN), [0x6b, 0x09, 0xa8, 0x96]).unwrap();
        set_aside(folder.path()).unwrap();
        assert_eq!(fs::metadata(at("updates.20261127T155814.mrt.gz")).unwrap().len(), 10);
        assert_eq!(fs::metadata(at("updates.20261127T155815.mrt")).unwrap().len(), 4);
        std::os::unix::fs::symlink(at("updates.20261127T155815.mrt"), at(UPDATES_OPEN)).unwrap();
        assert!(Open::look(folder.path()).is_err(), "a link is not followed");
    }
}
