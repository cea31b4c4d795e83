//! Versions of programs: what a file of theirs has to look like depends on them.

use std::fmt;

/// Major, minor and patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The first thing in a text that looks like one: two or three numbers with dots between, `NSD version 4.6.1`.
    pub fn find(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).find_map(|word| {
            let mut numbers = word.split('.').map(str::parse);
            let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            let patch = numbers.next().and_then(Result::ok).unwrap_or(0);
            Some(Self(major, minor, patch))
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say_of_themselves() {
        for (text, version) in [
            ("BIND 9.18.49-1~deb12u3-Debian (Extended Support Version) <id:>", Version(9, 18, 49)),
            ("NSD version 4.6.1\nWritten by NLnet Labs.", Version(4, 6, 1)),
            ("knotd (Knot DNS), version 3.2.6", Version(3, 2, 6)),
            ("PowerDNS Authoritative Server 4.7.3 (C) 2001-2022", Version(4, 7, 3)),
            ("BIRD version 2.0.12", Version(2, 0, 12)),
            ("v3.10", Version(3, 10, 0)),
        ] {
            assert_eq!(Version::find(text), Some(version), "{text}");
        }
        assert_eq!(Version::find("no 7 version"), None);
        assert!(Version(4, 6, 1) < Version(4, 10, 0));
    }
}
