//! Keys: owner names in the form in which a zone sorts and searches them.
//!
//! A key is a name relative to the apex: its labels from the right to the left, in lower case, each followed by a zero
//! octet; inside a label, 0 is written 1 1 and 1 is written 1 2. So comparing keys as octets compares names canonically
//! (RFC 4034 section 6.1), and a name is below another exactly if its key starts with the other's. The apex's key is
//! empty.

use crate::names::DomainName;

/// The key of a name; `None` if it is not within the apex.
pub(crate) fn key(name: &DomainName, apex: &DomainName) -> Option<Vec<u8>> {
    if !name.is_within(apex) {
        return None;
    }
    let relative = &name.as_wire()[..name.as_wire().len() - apex.as_wire().len()];
    // Where the labels start: at most 127, since a name has at most 255 octets.
    let mut starts = [0_u8; 128];
    let mut count = 0;
    let mut at = 0;
    while let Some(&length) = relative.get(at) {
        starts[count] = u8::try_from(at).expect("a name has at most 255 octets");
        count += 1;
        at += 1 + usize::from(length);
    }
    let mut key = Vec::with_capacity(relative.len());
    for &start in starts[..count].iter().rev() {
        let start = usize::from(start);
        for &octet in &relative[start + 1..start + 1 + usize::from(relative[start])] {
            match octet {
                0 | 1 => key.extend([1, octet + 1]),
                _ => key.push(octet),
            }
        }
        key.push(0);
    }
    Some(key)
}

/// The name of a key.
pub(crate) fn name(key: &[u8], apex: &DomainName) -> DomainName {
    let mut wire = Vec::with_capacity(key.len() + apex.as_wire().len());
    write_name(key, apex, &mut wire);
    DomainName::from_wire(&wire).expect("a key was made from a name")
}

/// Appends the name of a key in wire form.
pub(crate) fn write_name(key: &[u8], apex: &DomainName, wire: &mut Vec<u8>) {
    for label in key.split(|octet| *octet == 0).rev().skip(1) {
        let length = wire.len();
        wire.push(0);
        let mut octets = label.iter();
        while let Some(&octet) = octets.next() {
            wire.push(match octet {
                1 => octets.next().map_or(0, |escaped| escaped - 1),
                _ => octet,
            });
        }
        wire[length] = u8::try_from(wire.len() - length - 1).expect("a label has at most 63 octets");
    }
    wire.extend(apex.as_wire());
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
