//! Keys: owner names in the form in which a zone sorts and searches them.
//!
//! A key is a name relative to the apex: its labels from the right to the left, in lower case, each followed by a zero
//! octet; inside a label, 0 is written 1 1 and 1 is written 1 2. So comparing keys as octets compares names canonically
//! (RFC 4034 section 6.1), and a name is below another exactly if its key starts with the other's. The apex's key is
//! empty.

use crate::dns::embedded::name::{self as stack, Labels, NameBuf};
use crate::names::DomainName;

/// The longest key: every octet of the longest name is escaped.
const LONGEST: usize = 2 * stack::LONGEST;

/// A key on the stack.
pub(crate) struct KeyBuf {
    octets: [u8; LONGEST],
    length: usize,
}

impl KeyBuf {
    /// The key of a name's wire form, in lower case; it must be within the apex, whose wire form has so many octets.
    pub(crate) fn new(name: &[u8], apex: usize) -> Self {
        let relative = &name[..name.len().saturating_sub(apex)];
        let mut key = Self { octets: [0; LONGEST], length: 0 };
        for &start in Labels::of(relative).as_slice().iter().rev() {
            let start = usize::from(start);
            let label = &relative[start + 1..=start + usize::from(relative[start])];
            if label.iter().all(|octet| *octet > 1) {
                key.octets[key.length..key.length + label.len()].copy_from_slice(label);
                key.length += label.len();
            } else {
                label.iter().for_each(|octet| key.push(*octet));
            }
            // The end of the label is the zero that is there.
            key.length += 1;
        }
        key
    }

    fn push(&mut self, octet: u8) {
        if octet <= 1 {
            self.octets[self.length] = 1;
            self.octets[self.length + 1] = octet + 1;
            self.length += 2;
        } else {
            self.octets[self.length] = octet;
            self.length += 1;
        }
    }

    /// The key of the wildcard below a name, itself given by its key.
    pub(crate) fn wildcard(encloser: &[u8]) -> Self {
        let mut key = Self { octets: [0; LONGEST], length: encloser.len() + 2 };
        key.octets[..encloser.len()].copy_from_slice(encloser);
        key.octets[encloser.len()] = b'*';
        key
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// The key of a name; `None` if it is not within the apex.
pub(crate) fn key(name: &DomainName, apex: &DomainName) -> Option<Vec<u8>> {
    let within = name.is_within(apex);
    within.then(|| KeyBuf::new(name.as_wire(), apex.as_wire().len()).as_slice().to_vec())
}

/// The name of a key.
pub(crate) fn name(key: &[u8], apex: &DomainName) -> DomainName {
    DomainName::from_wire(name_on_stack(key, apex).as_wire()).expect("a key was made from a name")
}

/// Appends the name of a key in wire form.
pub(crate) fn write_name(key: &[u8], apex: &DomainName, wire: &mut Vec<u8>) {
    wire.extend_from_slice(name_on_stack(key, apex).as_wire());
}

/// The name of a key, without a heap.
pub(crate) fn name_on_stack(key: &[u8], apex: &DomainName) -> NameBuf {
    let mut wire = [0; stack::LONGEST];
    let mut length = 0;
    // The end of each label, from the last.
    let mut end = key.len();
    while end > 0 {
        let start = key[..end - 1].iter().rposition(|octet| *octet == 0).map_or(0, |before| before + 1);
        let mut octets = key[start..end - 1].iter();
        let mut at = length + 1;
        while let Some(&octet) = octets.next() {
            wire[at] = match octet {
                1 => octets.next().map_or(0, |escaped| escaped - 1),
                _ => octet,
            };
            at += 1;
        }
        wire[length] = u8::try_from(at - length - 1).expect("a label has at most 63 octets");
        length = at;
        end = start;
    }
    NameBuf::join(&wire[..length], apex.as_wire()).expect("a key was made from a name")
}

/// How many octets the name of a key has in wire form.
pub(crate) fn name_length(key: &[u8], apex: &DomainName) -> usize {
    let mut octets = key.iter();
    let mut escaped = 0;
    while let Some(octet) = octets.next() {
        if *octet == 1 {
            escaped += 1;
            octets.next();
        }
    }
    key.len() - escaped + apex.as_wire().len()
}

/// How many octets of `key` are the key of the deepest name that is an ancestor of both (or one of them).
pub(crate) fn shared(key: &[u8], other: &[u8]) -> usize {
    let same = key.iter().zip(other).take_while(|(a, b)| a == b).count();
    key[..same].iter().rposition(|octet| *octet == 0).map_or(0, |end| end + 1)
}

/// The keys of the names from just below the apex down to `key` itself, shortest first.
pub(crate) fn ancestors(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.iter().enumerate().filter(|(_, octet)| **octet == 0).map(|(end, _)| &key[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn keys_sort_as_names_do_and_are_read_back() {
        let apex = named("example");
        let sorted = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            r"\000.z.a.example",
            r"\001.z.a.example",
            r"\002.z.a.example",
            "zabc.a.example",
            "z.example",
            r"*.z.example",
            r"\200.z.example",
        ];
        let names: Vec<DomainName> = sorted.iter().map(|text| named(text)).collect();
        let keys: Vec<Vec<u8>> = names.iter().map(|name| key(name, &apex).unwrap()).collect();
        assert!(names.is_sorted() && keys.is_sorted());
        for (position, wanted) in names.iter().enumerate() {
            assert_eq!(name(&keys[position], &apex), *wanted);
            assert_eq!(name_length(&keys[position], &apex), wanted.as_wire().len());
        }
        assert_eq!(key(&named("example.org"), &apex), None);
        assert_eq!(key(&named("anexample"), &apex), None);
    }

    #[test]
    fn ancestors_end_at_whole_labels() {
        let apex = named("example");
        let at = |text: &str| key(&named(text), &apex).unwrap();
        assert_eq!(shared(&at("a.bc.example"), &at("a.bd.example")), 0);
        assert_eq!(shared(&at("a.bc.example"), &at("x.y.bc.example")), at("bc.example").len());
        let deep = at("a.b.c.example");
        let all: Vec<&[u8]> = ancestors(&deep).collect();
        assert_eq!(all, [&at("c.example")[..], &at("b.c.example"), &deep]);
        assert_eq!(ancestors(b"").count(), 0);
    }
}
