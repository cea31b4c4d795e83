//! Tree: the files of one revision, or of a folder on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Every regular file, by its path with `/` between folders, in order of path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The files.
    pub files: BTreeMap<String, File>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct File {
    /// What is in it.
    pub bytes: Arc<[u8]>,
    /// How many first-parent commits there were, the root included, when it last changed; 0 in a folder on disk
    /// that is not a revision.
    pub changed: u32,
}
