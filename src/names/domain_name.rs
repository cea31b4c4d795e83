//! Domain names in canonical form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::NameError;

/// The longest name on the wire, the root's length byte included (RFC 1035 section 2.3.4).
const MAX_WIRE: usize = 255;
/// The longest label.
const MAX_LABEL: usize = 63;

/// A domain name: its uncompressed wire form in lower case (RFC 4034 section 6.2), the root label included.
///
/// Ordered canonically (RFC 4034 section 6.1): a name sorts directly before the names below it. Text has no
/// final dot, except for the root, which is `.`.
/// Clones share their octets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName(Arc<[u8]>);

impl DomainName {
    /// The root.
    pub fn root() -> Self {
        Self(Arc::new([0]))
    }

    /// A name from its uncompressed wire form; upper case is folded. `None` unless it is exactly one name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut at = 0;
        while let Some(&length) = wire.get(at) {
            if length == 0 {
                return (at + 1 == wire.len() && wire.len() <= MAX_WIRE)
                    .then(|| Self(wire.to_ascii_lowercase().into()));
            }
            if usize::from(length) > MAX_LABEL {
                return None;
            }
            at += 1 + usize::from(length);
        }
        None
    }

    /// The uncompressed wire form, the root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels, leftmost first, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            let (label, after) = tail.split_at_checked(usize::from(length))?;
            rest = after;
            (length > 0).then_some(label)
        })
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let length = usize::from(*self.0.first()?);
        (length > 0).then(|| Self(self.0[length + 1..].into()))
    }

    /// Whether `self` is `ancestor` or below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        let mut rest: &[u8] = &self.0;
        while rest.len() > ancestor.0.len() {
            rest = &rest[usize::from(rest[0]) + 1..];
        }
        *rest == *ancestor.0
    }
}

impl Ord for DomainName {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (Starts::of(&self.0), Starts::of(&other.0));
        ours.labels_from_the_root(&self.0).cmp(theirs.labels_from_the_root(&other.0))
    }
}

impl PartialOrd for DomainName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where the labels of a name start, so that they can be walked from the root: at most 127 of them.
struct Starts {
    at: [u8; MAX_WIRE / 2],
    count: usize,
}

impl Starts {
    fn of(wire: &[u8]) -> Self {
        let mut starts = Self { at: [0; MAX_WIRE / 2], count: 0 };
        let mut at = 0;
        while let Some(&length @ 1..) = wire.get(usize::from(at)) {
            starts.at[starts.count] = at;
            starts.count += 1;
            at += length + 1;
        }
        starts
    }

    fn labels_from_the_root<'w>(&self, wire: &'w [u8]) -> impl Iterator<Item = &'w [u8]> {
        self.at[..self.count].iter().rev().map(|start| {
            let start = usize::from(*start);
            &wire[start + 1..][..usize::from(wire[start])]
        })
    }
}

impl FromStr for DomainName {
    type Err = NameError;

    /// RFC 1035 section 5.1 syntax, with `\.` and `\DDD`; the final dot is optional.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |why: &str| NameError(format!("{text:?} is not a domain name: {why}"));
        if text == "." {
            return Ok(Self::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        let mut finish = |label: &mut Vec<u8>| {
            if label.is_empty() {
                return Err(wrong("a label is empty"));
            }
            let length = u8::try_from(label.len()).ok().filter(|n| usize::from(*n) <= MAX_LABEL);
            wire.push(length.ok_or_else(|| wrong("a label is longer than 63 octets"))?);
            wire.append(label);
            Ok(())
        };
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => finish(&mut label)?,
                b'\\' => {
                    let first = bytes.next().ok_or_else(|| wrong("it ends in a backslash"))?;
                    if first.is_ascii_digit() {
                        let digits = [first, bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)];
                        let octet = std::str::from_utf8(&digits).ok().and_then(|d| d.parse().ok());
                        label.push(octet.ok_or_else(|| wrong("\\ needs three digits up to 255"))?);
                    } else {
                        label.push(first);
                    }
                }
                b'!'..=b'~' => label.push(byte),
                _ => return Err(wrong("it has a space, a control character or one outside ASCII")),
            }
        }
        if !label.is_empty() {
            finish(&mut label)?;
        }
        wire.push(0);
        Self::from_wire(&wire)
            .filter(|_| wire.len() > 1)
            .ok_or_else(|| wrong("it is longer than 255 octets, or empty"))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => {
                        write!(f, "\\{}", char::from(byte))?
                    }
                    b'!'..=b'~' => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_read_back() {
        for text in [".", "example", "a.b.example", "*.example", "_a._b.c", r"a\.b.c", r"a\032b.c"] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("EXAMPLE.Com."), name("example.com"));
        assert_eq!(name("example").as_wire(), b"\x07example\0");
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for bad in
            ["", "..", "a..b", ".a", "a b", "a\nb", "é.example", "a\\", "a\\25", "a\\999.b", &"x".repeat(64)]
        {
            assert!(bad.parse::<DomainName>().is_err(), "{bad:?}");
        }
        assert!("a.".repeat(128).parse::<DomainName>().is_err());
        assert!(DomainName::from_wire(b"\x01a").is_none());
        assert!(DomainName::from_wire(b"\x01a\0x").is_none());
    }

    #[test]
    fn order_is_canonical() {
        // RFC 4034 section 6.1, its own example.
        let sorted = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "z.a.example",
            "zabc.a.example",
            "z.example",
            r"\001.z.example",
            "*.z.example",
            r"\200.z.example",
        ];
        let names: Vec<_> = sorted.iter().map(|text| name(text)).collect();
        assert!(names.is_sorted());
        assert!(names[3].is_within(&names[1]) && names[1].is_within(&names[1]));
        assert!(!name("ba.example").is_within(&name("a.example")));
        assert_eq!(names[1].parent(), Some(name("example")));
    }
}
