//! The log of a daemon: a file that it appends to.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A log that is longer is put aside when the daemon is started.
const LONG: u64 = 4 << 20;

/// Puts a long log aside, in place of the one that was before.
pub(super) fn make_room(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(is) if is.len() > LONG => fs::rename(log, log.with_extension("log.1")),
        _ => Ok(()),
    }
}

/// How a daemon ended, with what it said last, where it said anything.
pub(super) fn with_last_words(how: String, log: &Path) -> String {
    match last_line(log) {
        Some(line) => format!("{how}; its last words: {line}"),
        None => how,
    }
}

/// The last line of a log, shortened.
fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
    let mut tail = Vec::new();
    file.take(4096).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("daemon.log");
        make_room(&log).unwrap();
        fs::write(&log, "first\nlast words \n\n").unwrap();
        assert_eq!(last_line(&log).as_deref(), Some("last words"));
        make_room(&log).unwrap();
        assert!(log.exists());
        File::options().write(true).open(&log).unwrap().set_len(LONG + 1).unwrap();
        make_room(&log).unwrap();
        assert!(!log.exists() && folder.path().join("daemon.log.1").exists());
        assert_eq!(last_line(&log), None);
    }
}
