//! Compression of names (RFC 1035 section 4.1.4): the names of a message as a tree, from the root down.
//!
//! A node is a label below another node, by where in the message it stands. A name is looked for label by label from
//! the right, so what is found is the longest suffix that stands there already. The tree has a fixed size: what finds
//! no place in it is written whole.

use super::POINTABLE;
use crate::dns::embedded::name::Labels;
use crate::dns::embedded::request::HEADER;

const NODES: usize = 64;
/// The node above all others.
const ROOT: u8 = u8::MAX;

/// A pointer to a place.
pub(super) fn pointer(at: u16) -> [u8; 2] {
    (at | 0xc000).to_be_bytes()
}

#[derive(Clone, Copy, Default)]
struct Node {
    /// The node above, and what of the label is quickly compared.
    key: u32,
    at: u16,
}

pub(super) struct Names {
    nodes: [Node; NODES],
    used: u8,
    /// How long the question's name is, until it is in the tree: many responses need no other.
    question: u8,
}

impl Default for Names {
    fn default() -> Self {
        Self { nodes: [Node::default(); NODES], used: 0, question: 0 }
    }
}

/// The length, the first and the last octet of a label, under its parent; equal for equal labels of either case.
fn key(parent: u8, label: &[u8]) -> u32 {
    let (first, last) = (label.get(1).unwrap_or(&0) | 0x20, label.last().unwrap_or(&0) | 0x20);
    u32::from_be_bytes([parent, label[0], first, last])
}

impl Names {
    /// The question's name follows the header and has so many octets.
    pub(super) fn question(&mut self, length: usize) {
        self.question = u8::try_from(length).unwrap_or(0);
    }

    /// A state to come back to.
    pub(super) fn mark(&self) -> (u8, u8) {
        (self.used, self.question)
    }

    pub(super) fn back_to(&mut self, (used, question): (u8, u8)) {
        (self.used, self.question) = (used, question);
    }

    fn find(&self, octets: &[u8], parent: u8, label: &[u8]) -> Option<u8> {
        let key = key(parent, label);
        let same = |node: &Node| {
            let at = usize::from(node.at);
            node.key == key
                && octets.get(at..at + label.len()).is_some_and(|there| there.eq_ignore_ascii_case(label))
        };
        let found = self.nodes[..usize::from(self.used)].iter().position(same)?;
        u8::try_from(found).ok()
    }

    /// Adds a label that stands at `at`. Returns its node, if it has a place and a pointer reaches it.
    fn add(&mut self, parent: u8, label: &[u8], at: usize) -> Option<u8> {
        let node = self.nodes.get_mut(usize::from(self.used))?;
        *node = Node { key: key(parent, label), at: u16::try_from(at).ok().filter(|_| at <= POINTABLE)? };
        self.used += 1;
        Some(self.used - 1)
    }

    /// Adds labels of a name that stands at `at`, from the right; `node` is the name that they stand below.
    fn add_all(&mut self, name: &[u8], starts: &[u8], mut node: u8, at: usize) {
        for &start in starts.iter().rev() {
            let start = usize::from(start);
            let label = &name[start..=start + usize::from(name[start])];
            match self.add(node, label, at + start) {
                Some(added) => node = added,
                None => break,
            }
        }
    }

    /// Writes a name. Returns where it stands, if a pointer reaches it and is shorter.
    pub(super) fn write(&mut self, octets: &mut Vec<u8>, name: &[u8]) -> Option<u16> {
        if self.question > 0 {
            let end = HEADER + usize::from(std::mem::take(&mut self.question));
            let question = &octets[HEADER..end];
            self.add_all(question, Labels::of(question).as_slice(), ROOT, HEADER);
        }
        let labels = Labels::of(name);
        let mut missing = labels.as_slice();
        let mut node = ROOT;
        while let Some((&start, before)) = missing.split_last() {
            let start = usize::from(start);
            let Some(found) = self.find(octets, node, &name[start..=start + usize::from(name[start])]) else {
                break;
            };
            (node, missing) = (found, before);
        }
        let at = octets.len();
        let written =
            labels.as_slice().get(missing.len()).map_or(name.len() - 1, |start| usize::from(*start));
        octets.extend_from_slice(&name[..written]);
        let above = self.nodes.get(usize::from(node)).map(|node| node.at);
        match above {
            Some(above) => octets.extend_from_slice(&pointer(above)),
            None => octets.push(0),
        }
        if missing.is_empty() {
            return above;
        }
        self.add_all(name, missing, node, at);
        u16::try_from(at).ok().filter(|_| at <= POINTABLE)
    }
}
