//! What a daemon says of a zone in its log, and how much of many problems is told.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::names::DomainName;

/// How much of the end of a log is searched.
const TAIL: u64 = 256 << 10;
/// Problems that are told of many.
pub(super) const TOLD: usize = 5;
/// Characters of a line that are told.
const LINE: usize = 300;

/// The last line of a log that names a zone.
pub(super) fn last_about(log: &Path, zone: &DomainName) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut octets = Vec::new();
    file.take(TAIL).read_to_end(&mut octets).ok()?;
    let text = String::from_utf8_lossy(&octets);
    let name = zone.to_string();
    text.lines().rev().find(|line| names(line, &name)).map(|line| line.trim().chars().take(LINE).collect())
}

/// Whether a line has this name as a name of its own, not as the end of a longer one.
fn names(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let lower = line.to_ascii_lowercase();
    lower.match_indices(name).any(|(at, _)| {
        let before = lower[..at].chars().next_back();
        let mut after = lower[at + name.len()..].chars();
        let next = after.next();
        let apart = match next {
            Some('.') => !after.next().is_some_and(part),
            Some(c) => !part(c),
            None => true,
        };
        apart && !before.is_some_and(|c| part(c) || c == '.')
    })
}

/// The first few of many problems.
pub(super) fn some(problems: &[String]) -> String {
    let told = problems.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    match problems.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_the_zone_that_it_names() {
        for line in [
            "[example.com.] AXFR, incoming, failed",
            "zone example.com/IN: refused",
            "Example.COM: expired",
            "domain example.com",
        ] {
            assert!(names(line, "example.com"), "{line}");
        }
        for line in ["[www.example.com.] x", "zone example.com.au/IN", "notexample.com", "example.comx"] {
            assert!(!names(line, "example.com"), "{line}");
        }
    }
}
