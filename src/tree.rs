//! Tree: the files of one revision, or of a folder on disk.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// Every regular file, by its path with `/` between folders, in order of path. Whoever names a file shares its path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The files.
    pub files: BTreeMap<Arc<str>, File>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct File {
    /// What is in it.
    pub bytes: Content,
    /// How many first-parent commits there were, the root included, when it last changed; 0 in a folder on disk
    /// that is not a revision.
    pub changed: u32,
}

/// What is in a file. Most are text, and whoever reads a text shares it: most of a large network are its zone files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In UTF-8.
    Text(Arc<str>),
    /// Anything else.
    Octets(Arc<[u8]>),
}

impl Content {
    /// All of it.
    pub fn octets(&self) -> Arc<[u8]> {
        match self {
            Self::Text(text) => Arc::clone(text).into(),
            Self::Octets(octets) => Arc::clone(octets),
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Octets(octets) => octets,
        }
    }
}

impl From<&[u8]> for Content {
    fn from(octets: &[u8]) -> Self {
        match std::str::from_utf8(octets) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Octets(octets.into()),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(octets: Vec<u8>) -> Self {
        Self::from(&octets[..])
    }
}
