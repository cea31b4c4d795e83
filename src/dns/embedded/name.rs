//! Names while a question is answered: on the stack, in wire form, without a heap.

use super::rdata::name_length;

/// The longest name (RFC 1035 section 2.3.4).
pub(crate) const LONGEST: usize = 255;

/// A name in uncompressed wire form.
#[derive(Clone, Copy)]
pub(crate) struct NameBuf {
    octets: [u8; LONGEST],
    length: u8,
}

impl NameBuf {
    /// The root.
    pub(crate) const ROOT: Self = Self { octets: [0; LONGEST], length: 1 };

    /// The name at the start of these octets, which may go on; `None` if there is none.
    pub(crate) fn leading(octets: &[u8]) -> Option<Self> {
        let length = name_length(octets)?;
        let mut name = Self { length: u8::try_from(length).ok()?, ..Self::ROOT };
        name.octets[..length].copy_from_slice(&octets[..length]);
        Some(name)
    }

    /// Labels, each with its length before it, and the name that they stand below; `None` if that is longer than a name
    /// may be.
    pub(crate) fn join(labels: &[u8], below: &[u8]) -> Option<Self> {
        let length = labels.len() + below.len();
        if length > LONGEST {
            return None;
        }
        let mut name = Self { length: u8::try_from(length).ok()?, ..Self::ROOT };
        name.octets[..labels.len()].copy_from_slice(labels);
        name.octets[labels.len()..length].copy_from_slice(below);
        Some(name)
    }

    /// The same in lower case.
    pub(crate) fn lower(mut self) -> Self {
        self.octets[..usize::from(self.length)].make_ascii_lowercase();
        self
    }

    /// Whether it is another name or below it; both in lower case.
    pub(crate) fn is_within(&self, above: &[u8]) -> bool {
        let mut rest = self.as_wire();
        while rest.len() > above.len() {
            rest = &rest[1 + usize::from(rest[0])..];
        }
        rest == above
    }

    /// The wire form, the root label included.
    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }
}

/// Where the labels of a name start, leftmost first, without the root's.
pub(crate) struct Labels {
    starts: [u8; 127],
    count: u8,
}

impl Labels {
    /// Of a name's wire form, which may end early, at a whole label.
    pub(crate) fn of(wire: &[u8]) -> Self {
        let mut labels = Self { starts: [0; 127], count: 0 };
        let mut at = 0;
        while let Some(&length @ 1..) = wire.get(at) {
            labels.starts[usize::from(labels.count)] =
                u8::try_from(at).expect("a name has at most 255 octets");
            labels.count += 1;
            at += 1 + usize::from(length);
        }
        labels
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.starts[..usize::from(self.count)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_joined() {
        let name = NameBuf::leading(b"\x01A\x02bc\0rest").unwrap();
        assert_eq!(name.as_wire(), b"\x01A\x02bc\0");
        assert_eq!(name.lower().as_wire(), b"\x01a\x02bc\0");
        assert_eq!(NameBuf::join(b"\x01x", name.as_wire()).unwrap().as_wire(), b"\x01x\x01A\x02bc\0");
        assert!(NameBuf::leading(b"\x01A\xc0\0").is_none() && NameBuf::leading(b"\x01").is_none());
        let long = [&[1, b'a'].repeat(127)[..], &[0]].concat();
        assert_eq!(NameBuf::leading(&long).unwrap().as_wire(), long);
        assert_eq!(Labels::of(&long).as_slice().len(), 127);
        assert!(NameBuf::join(b"\x01x", &long).is_none());
    }
}
