//! Hygiene: what a tree may hold (R8), and what changed between two trees (R3).
//!
//! Trees are read from their raw bytes and walked with a stack of our own, so neither a deep nor a broad tree made
//! to hurt costs more than its limits. A subtree that both sides share is not entered: it was looked at when it
//! first came in, and every commit of the chain passes through here. There is no rename detection: a file that
//! moved is one removed and one added.

use std::collections::BTreeMap;

use super::objects::{ObjectError, Objects};
use crate::names::Revision;

/// How much a repository may ask of us. The defaults suit a node with 512 MB of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one commit object.
    pub commit_bytes: u64,
    /// Of one tree object.
    pub tree_bytes: u64,
    /// Of one file.
    pub blob_bytes: u64,
    /// Of all files of one revision.
    pub total_bytes: u64,
    /// Of all files of one revision.
    pub files: u64,
    /// Of folders one in another, the topmost included.
    pub depth: usize,
    /// Of a path, in bytes.
    pub path_bytes: usize,
    /// Commits from the applied revision, or the pinned one, to the candidate.
    pub chain: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commit_bytes: 256 << 10,
            tree_bytes: 8 << 20,
            blob_bytes: 8 << 20,
            total_bytes: 128 << 20,
            // A hundred thousand primary zones have two files each, and there are others.
            files: 250_000,
            depth: 16,
            path_bytes: 512,
            chain: 100_000,
        }
    }
}

/// Why a tree is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Unclean {
    /// An object of it cannot be had.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An entry is not a plain file or folder with a plain name.
    #[error("{path:?} {why}")]
    Entry {
        /// The path, as far as it can be written.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is too much of it.
    #[error("the tree holds {what}; at most {limit} are allowed")]
    TooMuch {
        /// Of what, and how much.
        what: String,
        /// The limit that it passes.
        limit: u64,
    },
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file, and whether it is executable. The bit means nothing to us, but a change of it is a change.
    File {
        /// Mode 100755.
        executable: bool,
    },
}

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// File or folder.
    pub kind: Kind,
    /// The blob or tree.
    pub id: Revision,
}

/// What happened to one file between two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Before; `None` when it was added.
    pub before: Option<Entry>,
    /// After; `None` when it was removed.
    pub after: Option<Entry>,
}

/// How much a revision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads one tree object; `folder` is its path with a final `/`, or empty.
pub(super) fn read_tree(raw: &[u8], folder: &str) -> Result<BTreeMap<String, Entry>, Unclean> {
    let mut entries = BTreeMap::new();
    let mut rest = raw;
    let mut previous: Option<Vec<u8>> = None;
    let wrong = |name: &[u8], why: &str| Unclean::Entry {
        path: format!("{folder}{}", String::from_utf8_lossy(name)),
        why: why.to_owned(),
    };
    while !rest.is_empty() {
        let space = rest.iter().position(|&byte| byte == b' ');
        let end = rest.iter().position(|&byte| byte == 0);
        let (Some(space), Some(end)) = (space, end) else { return Err(wrong(b"", "is a tree cut short")) };
        if space >= end || rest.len() < end + 21 {
            return Err(wrong(b"", "is a malformed tree"));
        }
        let (mode, name) = (&rest[..space], &rest[space + 1..end]);
        let mut id = [0; 20];
        id.copy_from_slice(&rest[end + 1..end + 21]);
        rest = &rest[end + 21..];
        let kind = match mode {
            b"40000" => Kind::Folder,
            b"100644" => Kind::File { executable: false },
            b"100755" => Kind::File { executable: true },
            b"120000" => return Err(wrong(name, "is a symbolic link: put the file itself there")),
            b"160000" => return Err(wrong(name, "is a submodule: put the files themselves there")),
            _ => return Err(wrong(name, &format!("has the mode {:?}", String::from_utf8_lossy(mode)))),
        };
        let text = plain_name(name).map_err(|why| wrong(name, why))?;
        // Git's order: as if a folder's name ended with '/'. An object that is not in order has another id than
        // the same tree written properly, and readers differ on what is in it.
        let mut key = name.to_vec();
        if kind == Kind::Folder {
            key.push(b'/');
        }
        if previous.as_ref().is_some_and(|previous| *previous >= key) {
            return Err(wrong(name, "stands twice in its tree, or out of order"));
        }
        previous = Some(key);
        if entries.insert(text.to_owned(), Entry { kind, id: Revision(id) }).is_some() {
            return Err(wrong(name, "stands twice in its tree"));
        }
    }
    Ok(entries)
}

fn plain_name(name: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(name).map_err(|_| "has a name that is not UTF-8")?;
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Err("has an empty name");
    }
    if text == "." || text == ".." {
        return Err("leads out of its folder");
    }
    // Also as other file systems would read it: an operator checks out what we only read.
    if lower.trim_end_matches(['.', ' ']) == ".git" || lower.starts_with("git~") {
        return Err("has a name that is git's own");
    }
    if text.contains(['/', '\\']) {
        return Err("has a name with a slash or backslash in it");
    }
    if text.chars().any(is_unseen) {
        return Err("has a name with control or bidirectional characters in it");
    }
    Ok(text)
}

/// Control characters, and those that change the order or the look of what stands around them.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// What changed from one tree to another, by path. `before` is a tree that was accepted earlier, or `None` to look
/// at the whole of `after`. `usage` is that of `before`, and becomes that of `after`.
pub(super) fn changes(
    objects: &Objects<'_>,
    before: Option<Revision>,
    after: Revision,
    usage: &mut Usage,
) -> Result<BTreeMap<String, Change>, Unclean> {
    let limits = objects.limits;
    let mut changes = BTreeMap::new();
    let mut removed = Usage::default();
    let mut added = Usage::default();
    let mut open = vec![(String::new(), before, Some(after), 1)];
    while let Some((folder, before, after, depth)) = open.pop() {
        if before == after {
            continue;
        }
        if depth > limits.depth {
            let what = format!("folders deeper than {}", folder.trim_end_matches('/'));
            return Err(Unclean::TooMuch { what, limit: limits.depth as u64 });
        }
        let read = |id: Option<Revision>| match id {
            Some(id) => read_tree(&objects.tree(id)?, &folder),
            None => Ok(BTreeMap::new()),
        };
        let (mut old, new) = (read(before)?, read(after)?);
        // No tool writes an empty folder, and a tree of nothing but folders would be a walk without a limit.
        if after.is_some() && new.is_empty() && !folder.is_empty() {
            let why = "is an empty folder".to_owned();
            return Err(Unclean::Entry { path: folder, why });
        }
        let mut pairs: Vec<_> =
            new.into_iter().map(|(name, entry)| (old.remove(&name), Some(entry), name)).collect();
        pairs.extend(old.into_iter().map(|(name, entry)| (Some(entry), None, name)));
        for (before, after, name) in pairs {
            if before == after {
                continue;
            }
            let path = format!("{folder}{name}");
            if path.len() > limits.path_bytes {
                let what = format!("a path of {} bytes", path.len());
                return Err(Unclean::TooMuch { what, limit: limits.path_bytes as u64 });
            }
            let is_folder = |entry: &Entry| entry.kind == Kind::Folder;
            let (folder_before, folder_after) = (before.filter(is_folder), after.filter(is_folder));
            if folder_before.is_some() || folder_after.is_some() {
                let ids = (folder_before.map(|entry| entry.id), folder_after.map(|entry| entry.id));
                open.push((format!("{path}/"), ids.0, ids.1, depth + 1));
            }
            let before = before.filter(|entry| !is_folder(entry));
            let after = after.filter(|entry| !is_folder(entry));
            if before.is_none() && after.is_none() {
                continue;
            }
            for (entry, sum) in [(before, &mut removed), (after, &mut added)] {
                if let Some(entry) = entry {
                    sum.files += 1;
                    sum.bytes += objects.blob_size(entry.id)?;
                }
            }
            too_much("files", added.files, limits.files)?;
            too_much("bytes", added.bytes, limits.total_bytes)?;
            changes.insert(path, Change { before, after });
        }
    }
    let left = |before: u64, removed: u64, added: u64| before.saturating_sub(removed) + added;
    let after = Usage {
        files: left(usage.files, removed.files, added.files),
        bytes: left(usage.bytes, removed.bytes, added.bytes),
    };
    too_much("files", after.files, limits.files)?;
    too_much("bytes", after.bytes, limits.total_bytes)?;
    *usage = after;
    Ok(changes)
}

fn too_much(what: &str, number: u64, limit: u64) -> Result<(), Unclean> {
    if number > limit {
        return Err(Unclean::TooMuch { what: format!("{number} {what}"), limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut raw = Vec::new();
        for (mode, name) in entries {
            raw.extend_from_slice(mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(name);
            raw.push(0);
            raw.extend_from_slice(&[7; 20]);
        }
        raw
    }

    #[test]
    fn plain_trees_are_read() {
        let raw = raw(&[("100644", b"a.b"), ("40000", b"a"), ("100755", b"a0"), ("100644", "ü".as_bytes())]);
        let names: Vec<_> = read_tree(&raw, "").unwrap().into_keys().collect();
        assert_eq!(names, ["a", "a.b", "a0", "ü"]);
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for (mode, name) in [
            ("120000", &b"link"[..]),
            ("160000", b"module"),
            ("100664", b"old mode"),
            ("040000", b"padded"),
            ("100644", b".."),
            ("100644", b"."),
            ("100644", b""),
            ("100644", b".git"),
            ("40000", b".GIT"),
            ("40000", b".git."),
            ("40000", b"git~1"),
            ("100644", b"a/b"),
            ("100644", b"a\\b"),
            ("100644", b"a\nb"),
            ("100644", b"\xff"),
            ("100644", "a\u{202e}b".as_bytes()),
        ] {
            assert!(read_tree(&raw(&[(mode, name)]), "").is_err(), "{mode} {name:?}");
        }
        for entries in [
            vec![("100644", &b"a"[..]), ("100644", b"a")],
            vec![("100644", b"b"), ("100644", b"a")],
            vec![("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")],
        ] {
            assert!(read_tree(&raw(&entries), "").is_err(), "{entries:?}");
        }
        let cut = raw(&[("100644", b"a")]);
        for length in 1..cut.len() {
            assert!(read_tree(&cut[..length], "").is_err(), "{length}");
        }
    }
}
