//! Its log, as far as it says what it is about to do: to ask for a zone that it was notified of, and to notify others.
//!
//! Each comes up to a second before it is done. Lines are read as they are written, on to the end of a log that was put
//! aside, and from the start of the one in its place, or of one that was emptied. Names in them are escaped, so that nobody
//! who asks or notifies makes lines of his own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::names::DomainName;

/// How much is read at a time, the latest.
const MOST: u64 = 1 << 20;

/// What it said since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Zones that one of their primaries notified it of.
    pub(super) notified: BTreeSet<DomainName>,
    /// Of which zones it will notify whom.
    pub(super) telling: BTreeSet<(DomainName, SocketAddr)>,
}

impl Said {
    fn take(&mut self, line: &str) {
        if let Some(notified) = line.strip_prefix("Received NOTIFY for ") {
            // Those that it refuses end otherwise.
            let accepted = notified.strip_suffix(" - queueing check").and_then(|rest| rest.split_once(' '));
            self.notified.extend(accepted.and_then(|(zone, _)| zone.parse().ok()));
        } else if let Some(queued) = line.strip_prefix("Queued also-notification of domain '") {
            let queued = queued.rsplit_once("' to ");
            let read = |(zone, target): (&str, &str)| Some((zone.parse().ok()?, target.parse().ok()?));
            self.telling.extend(queued.and_then(read));
        }
    }
}

/// Its log, read up to some point.
pub(super) struct Log {
    path: PathBuf,
    /// It is kept open: opening it would wake who watches it.
    open: Option<Open>,
}

struct Open {
    file: File,
    at: u64,
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was said since the last time, and whether the log is another file than it was then. What was said before the
    /// first time is over.
    pub(super) fn read(&mut self) -> io::Result<(Said, bool)> {
        let mut said = Said::default();
        let Some(open) = &mut self.open else {
            let file = File::open(&self.path)?;
            let at = file.metadata()?.len();
            self.open = Some(Open { file, at });
            return Ok((said, true));
        };
        open.read(&mut said)?;
        let identity = |file: &fs::Metadata| (file.dev(), file.ino());
        let is_other = match fs::metadata(&self.path) {
            Ok(now) => identity(&now) != identity(&open.file.metadata()?),
            // It was put aside, and there is none in its place yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_other {
            *open = Open { file: File::open(&self.path)?, at: 0 };
            open.read(&mut said)?;
        }
        Ok((said, is_other))
    }
}

impl Open {
    fn read(&mut self, said: &mut Said) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let start = if length < self.at { 0 } else { self.at }.max(length.saturating_sub(MOST));
        self.file.seek(SeekFrom::Start(start))?;
        let mut octets = Vec::new();
        (&self.file).take(MOST).read_to_end(&mut octets)?;
        // A line that is being written is read the next time.
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&octets[..whole]).lines().for_each(|line| said.take(line));
        self.at = start + whole as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn said(notified: &[&str], telling: &[(&str, &str)]) -> Said {
        let told = |(zone, target): &(&str, &str)| (zone.parse().unwrap(), target.parse().unwrap());
        Said {
            notified: notified.iter().map(|zone| zone.parse().unwrap()).collect(),
            telling: telling.iter().map(told).collect(),
        }
    }

    #[test]
    fn it_says_whom_it_believes_and_whom_it_will_tell() {
        let mut all = Said::default();
        for line in [
            "Received NOTIFY for A.example from 192.0.2.1 - queueing check",
            "Received NOTIFY for o'k\\032\\.x.example from 2001:db8::1 - queueing check",
            "Received NOTIFY for b.example from 192.0.2.9 which is not a master (Refused)",
            "Received NOTIFY for c.example from 192.0.2.9 for which we are not authoritative (Refused)",
            "x Received NOTIFY for d.example from 192.0.2.1 - queueing check",
            "Queued also-notification of domain 'o'k.example' to 192.0.2.2:53",
            "Queued also-notification of domain 'a.example' to [2001:db8::2]:5353",
            "Queued also-notification of domain 'a.example' to nobody",
            "AXFR-in zone: 'a.example', primary: '192.0.2.1', zone committed with serial 2",
        ] {
            all.take(line);
        }
        let telling = [("o'k.example", "192.0.2.2:53"), ("a.example", "[2001:db8::2]:5353")];
        assert_eq!(all, said(&["a.example", "o'k\\032\\.x.example"], &telling));
    }

    #[test]
    fn it_is_read_on_whatever_becomes_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("powerdns.log");
        let mut log = Log::new(path.clone());
        assert_eq!(log.read().unwrap_err().kind(), io::ErrorKind::NotFound);
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let line =
            |zone: &str| format!("Received NOTIFY for {zone}.example from 192.0.2.1 - queueing check\n");
        let mut file = open();
        write!(file, "{}", line("before")).unwrap();
        assert_eq!(log.read().unwrap(), (said(&[], &[]), true));
        let (start, end) = (line("a"), line("b"));
        let (middle, end) = end.split_at(20);
        write!(file, "{start}{middle}").unwrap();
        assert_eq!(log.read().unwrap(), (said(&["a.example"], &[]), false));
        write!(file, "{end}").unwrap();
        assert_eq!(log.read().unwrap(), (said(&["b.example"], &[]), false));
        // Put aside: to its end, then the one in its place.
        fs::rename(&path, folder.path().join("powerdns.log.1")).unwrap();
        write!(file, "{}", line("c")).unwrap();
        assert_eq!(log.read().unwrap(), (said(&["c.example"], &[]), false));
        write!(file, "{}", line("d")).unwrap();
        let mut file = open();
        write!(file, "{}", line("e")).unwrap();
        assert_eq!(log.read().unwrap(), (said(&["d.example", "e.example"], &[]), true));
        // Emptied.
        write!(file, "{}", line("f")).unwrap();
        assert_eq!(log.read().unwrap(), (said(&["f.example"], &[]), false));
        file.set_len(0).unwrap();
        write!(file, "{}", line("g")).unwrap();
        assert_eq!(log.read().unwrap(), (said(&["g.example"], &[]), false));
        assert_eq!(log.read().unwrap(), (said(&[], &[]), false));
    }
}
