//! Domain names in canonical form.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use super::NameError;

/// The longest name on the wire, the root's length byte included (RFC 1035 section 2.3.4).
const MAX_WIRE: usize = 255;
/// The longest label.
const MAX_LABEL: usize = 63;
/// The longest wire form that a name holds by itself.
const SHORT: usize = 22;
/// How many labels most names have at most.
const FEW: usize = 8;

/// A domain name: its uncompressed wire form in lower case (RFC 4034 section 6.2), the root label included.
///
/// Ordered canonically (RFC 4034 section 6.1): a name sorts directly before the names below it. Text has no
/// final dot, except for the root, which is `.`.
#[derive(Clone)]
pub struct DomainName(Octets);

/// Most names are short, and compared far more often than made: their octets are where the name is. Clones of the others
/// share theirs.
#[derive(Clone)]
enum Octets {
    Short { length: u8, octets: [u8; SHORT] },
    Long(Arc<[u8]>),
}

impl DomainName {
    /// The root.
    pub fn root() -> Self {
        Self::of(&[0])
    }

    /// The name with these octets, which are one's wire form in lower case.
    fn of(wire: &[u8]) -> Self {
        let mut octets = [0; SHORT];
        match octets.get_mut(..wire.len()) {
            Some(short) => {
                short.copy_from_slice(wire);
                Self(Octets::Short { length: wire.len() as u8, octets })
            }
            None => Self(Octets::Long(wire.into())),
        }
    }

    /// A name from its uncompressed wire form; upper case is folded. `None` unless it is exactly one name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut at = 0;
        while let Some(&length) = wire.get(at) {
            if length == 0 {
                return (at + 1 == wire.len() && wire.len() <= MAX_WIRE)
                    .then(|| Self::of(&wire.to_ascii_lowercase()));
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
        match &self.0 {
            Octets::Short { length, octets } => &octets[..usize::from(*length)],
            Octets::Long(octets) => octets,
        }
    }

    /// The labels, leftmost first, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.as_wire();
        std::iter::from_fn(move || {
            let (label, above) = split(rest)?;
            rest = above;
            (!label.is_empty()).then_some(label)
        })
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (label, above) = split(self.as_wire())?;
        (!label.is_empty()).then(|| Self::of(above))
    }

    /// Whether `self` is `ancestor` or below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        let (mut rest, ancestor) = (self.as_wire(), ancestor.as_wire());
        while rest.len() > ancestor.len() {
            rest = &rest[usize::from(rest[0]) + 1..];
        }
        rest == ancestor
    }
}

impl PartialEq for DomainName {
    fn eq(&self, other: &Self) -> bool {
        self.as_wire() == other.as_wire()
    }
}

impl Eq for DomainName {}

impl Hash for DomainName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_wire().hash(state);
    }
}

impl Ord for DomainName {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.as_wire(), other.as_wire());
        // Most that are compared lie right beside each other.
        if let (Some((our, above)), Some((their, other_above))) = (split(ours), split(theirs))
            && above == other_above
        {
            return our.cmp(their);
        }
        match (Starts::of(ours), Starts::of(theirs)) {
            (Some(our), Some(their)) => Starts::<FEW>::compare(&our, ours, &their, theirs),
            _ => {
                let all = |wire| Starts::<{ MAX_WIRE / 2 }>::of(wire).expect("no name has more labels");
                all(ours).compare(ours, &all(theirs), theirs)
            }
        }
    }
}

/// The leftmost label, and the name above it; two of nothing for the root.
fn split(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = wire.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

impl PartialOrd for DomainName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where the labels of a name start, at most so many, so that they can be walked from the root.
struct Starts<const MOST: usize> {
    at: [u8; MOST],
    count: usize,
}

impl<const MOST: usize> Starts<MOST> {
    /// `None` if there are more.
    fn of(wire: &[u8]) -> Option<Self> {
        let mut starts = Self { at: [0; MOST], count: 0 };
        let mut at = 0;
        while let Some(&length @ 1..) = wire.get(usize::from(at)) {
            *starts.at.get_mut(starts.count)? = at;
            starts.count += 1;
            at += length + 1;
        }
        Some(starts)
    }

    fn labels_from_the_root<'w>(&self, wire: &'w [u8]) -> impl Iterator<Item = &'w [u8]> {
        self.at[..self.count].iter().rev().map(|start| {
            let start = usize::from(*start);
            &wire[start + 1..][..usize::from(wire[start])]
        })
    }

    fn compare(&self, wire: &[u8], other: &Self, other_wire: &[u8]) -> Ordering {
        self.labels_from_the_root(wire).cmp(other.labels_from_the_root(other_wire))
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

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainName({self})")
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.as_wire().len() == 1 {
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
    use std::collections::HashSet;

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
        let root = DomainName::root();
        assert!(names.iter().all(|name| root < *name) && root.cmp(&root).is_eq());
        assert!(names[3].is_within(&names[1]) && names[1].is_within(&names[1]));
        assert!(!name("ba.example").is_within(&name("a.example")));
        assert_eq!(names[1].parent(), Some(name("example")));
    }

    #[test]
    fn long_names_and_short_ones_are_alike() {
        let short = name("b.example");
        let (deep, long) = ("x.".repeat(20), "y".repeat(40));
        // One below the other, from the shortest to the longest, then what comes after them all.
        let sorted = [
            short.clone(),
            name(&format!("{deep}b.example")),
            name(&format!("a.{deep}b.example")),
            name(&format!("{long}.b.example")),
            name("c.example"),
        ];
        for (a, (at, b)) in sorted.iter().flat_map(|a| sorted.iter().enumerate().map(move |b| (a, b))) {
            let place = sorted.iter().position(|other| other == a).unwrap();
            assert_eq!(a.cmp(b), place.cmp(&at), "{a} {b}");
            assert_eq!(a == b, place == at);
        }
        assert_eq!(sorted[1].parent().unwrap().to_string(), format!("{}b.example", "x.".repeat(19)));
        assert!(sorted[3].is_within(&short) && sorted[3].parent() == Some(short));
        let set = HashSet::from(sorted.clone());
        assert!(sorted.iter().all(|name| set.contains(&DomainName::from_wire(name.as_wire()).unwrap())));
    }
}
