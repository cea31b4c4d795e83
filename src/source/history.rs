//! History: the files of a revision, and when each last changed.
//!
//! The *number* of a commit is how many first-parent commits lead to it, itself included; the root's is 1. A path
//! *changed* in a commit when the commit has it and its first parent has not, or has other bytes under it. Zone
//! serials are made of these numbers, so they depend on the history alone: reading a revision anew and reading it on
//! top of one read before give the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use git2::{ObjectType, Oid};

use super::SourceError;
use crate::names::Revision;
use crate::tree::{Content, File, Tree};

/// Folders in folders; a tree that is deeper is refused when it is verified (trust.md, R8).
const DEPTH: usize = 16;

/// Reads every regular file of `revision`, with the number of the commit that last changed it.
///
/// Where `previous` (a revision and what this function gave for it) is on the first-parent chain, only what came
/// after it is looked at, and the bytes of unchanged files are shared with it.
///
/// # Errors
/// [`SourceError::Contents`] for an entry that is no regular file, a name that is not UTF-8, and a missing object.
pub fn read_tree(
    repository: &git2::Repository,
    revision: Revision,
    previous: Option<(&Revision, &Tree)>,
) -> Result<Tree, SourceError> {
    let reader = Reader { repository, revision };
    let chain = reader.chain()?;
    let base = previous.and_then(|(id, tree)| {
        let at = chain.iter().position(|commit| commit.id.as_bytes() == id.0)?;
        Some((at, tree))
    });

    let (mut files, done): (BTreeMap<Arc<str>, Read<'_>>, _) = match base {
        Some((at, tree)) => {
            (tree.files.iter().map(|(path, file)| (path.clone(), Read::Before(file))).collect(), at + 1)
        }
        None => (BTreeMap::new(), 0),
    };
    for (at, commit) in chain.iter().enumerate().skip(done) {
        let number = u32::try_from(at + 1).map_err(|_| reader.error("the history is too long"))?;
        let parent = at.checked_sub(1).map(|at| chain[at].tree);
        reader.compare("", parent, Some(commit.tree), 0, &mut |path, blob| {
            match blob {
                Some(blob) => files.insert(path.into(), Read::Since(blob, number)),
                None => files.remove(&*path),
            };
        })?;
    }

    // Many a zone has the same file as others.
    let mut blobs = BTreeMap::<Oid, Content>::new();
    let read = |(path, file): (Arc<str>, Read<'_>)| {
        let file = match file {
            Read::Before(file) => file.clone(),
            Read::Since(blob, changed) => {
                let bytes = match blobs.get(&blob) {
                    Some(bytes) => bytes.clone(),
                    None => blobs.entry(blob).or_insert(reader.blob(&path, blob)?).clone(),
                };
                File { bytes, changed }
            }
        };
        Ok((path, file))
    };
    Ok(Tree { files: files.into_iter().map(read).collect::<Result<_, _>>()? })
}

/// Where a file's bytes and number come from.
enum Read<'a> {
    /// Unchanged since the revision that was read before.
    Before(&'a File),
    /// Last changed in the commit with this number.
    Since(Oid, u32),
}

struct Commit {
    id: Oid,
    tree: Oid,
}

struct Reader<'a> {
    repository: &'a git2::Repository,
    revision: Revision,
}

/// What [`Reader::compare`] calls with the path of each blob that is not the same on both sides, and what it is after.
type Differs<'a> = dyn FnMut(String, Option<Oid>) + 'a;

impl Reader<'_> {
    fn error(&self, why: &str) -> SourceError {
        SourceError::Contents { revision: self.revision.short(), why: why.to_owned() }
    }

    fn failed(&self, what: &str, error: &git2::Error) -> SourceError {
        self.error(&format!("cannot read {what}: {}", error.message()))
    }

    /// The first-parent chain, the root first.
    fn chain(&self) -> Result<Vec<Commit>, SourceError> {
        let mut chain = Vec::new();
        let mut next = Some(oid(self.revision));
        while let Some(id) = next {
            let commit = self
                .repository
                .find_commit(id)
                .map_err(|error| self.failed(&format!("commit {id}"), &error))?;
            chain.push(Commit { id, tree: commit.tree_id() });
            next = commit.parent_id(0).ok();
        }
        chain.reverse();
        Ok(chain)
    }

    /// Calls `differs` with each path whose blob is not the same in both trees. Equal folders are not looked into.
    fn compare(
        &self,
        prefix: &str,
        before: Option<Oid>,
        after: Option<Oid>,
        depth: usize,
        differs: &mut Differs<'_>,
    ) -> Result<(), SourceError> {
        if before == after {
            return Ok(());
        }
        if depth > DEPTH {
            return Err(self.error(&format!("folders are nested deeper than {DEPTH}: {prefix:?}")));
        }
        let before = self.entries(prefix, before)?;
        let after = self.entries(prefix, after)?;
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (before, after) = (before.get(name).copied(), after.get(name).copied());
            if before == after {
                continue;
            }
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            // A folder in a file's place, and the other way round, is one gone and the other come.
            self.compare(
                &path,
                before.and_then(Entry::folder),
                after.and_then(Entry::folder),
                depth + 1,
                differs,
            )?;
            let (before, after) = (before.and_then(Entry::blob), after.and_then(Entry::blob));
            if before != after {
                differs(path, after);
            }
        }
        Ok(())
    }

    fn entries(&self, prefix: &str, id: Option<Oid>) -> Result<BTreeMap<String, Entry>, SourceError> {
        let Some(id) = id else { return Ok(BTreeMap::new()) };
        let place = if prefix.is_empty() { "the root folder".to_owned() } else { format!("{prefix:?}") };
        let tree = self.repository.find_tree(id).map_err(|error| self.failed(&place, &error))?;
        let mut entries = BTreeMap::new();
        for entry in &tree {
            let Ok(name) = entry.name() else {
                return Err(self.error(&format!("a name in {place} is not UTF-8")));
            };
            let kind = match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) => Entry::Folder(entry.id()),
                (Some(ObjectType::Blob), 0o100_644 | 0o100_755 | 0o100_664) => Entry::Blob(entry.id()),
                (_, mode) => {
                    return Err(self
                        .error(&format!("{name:?} in {place} has mode {mode:o}, which is no regular file")));
                }
            };
            entries.insert(name.to_owned(), kind);
        }
        Ok(entries)
    }

    fn blob(&self, path: &str, id: Oid) -> Result<Content, SourceError> {
        let blob =
            self.repository.find_blob(id).map_err(|error| self.failed(&format!("{path:?}"), &error))?;
        Ok(blob.content().into())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Blob(Oid),
    Folder(Oid),
}

impl Entry {
    fn blob(self) -> Option<Oid> {
        match self {
            Self::Blob(id) => Some(id),
            Self::Folder(_) => None,
        }
    }

    fn folder(self) -> Option<Oid> {
        match self {
            Self::Folder(id) => Some(id),
            Self::Blob(_) => None,
        }
    }
}

/// The same id as libgit2 writes it.
pub(super) fn oid(revision: Revision) -> Oid {
    Oid::from_bytes(&revision.0).expect("a revision has the 20 bytes of an object id")
}

/// The same id as we write it.
pub(super) fn revision(id: Oid) -> Revision {
    Revision(id.as_bytes().try_into().expect("an object id has 20 bytes"))
}

#[cfg(test)]
mod tests {
    use git2::{Repository, Signature, Time};
    use proptest::prelude::*;

    use super::*;

    fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        (folder, repository)
    }

    /// Commits exactly these files on top of `parents`.
    fn commit(repository: &Repository, parents: &[Revision], files: &BTreeMap<String, String>) -> Revision {
        let mut index = git2::Index::new().unwrap();
        for (path, text) in files {
            let id = repository.blob(text.as_bytes()).unwrap();
            let (time, zero) = (git2::IndexTime::new(0, 0), 0);
            let entry = git2::IndexEntry {
                ctime: time,
                mtime: time,
                dev: zero,
                ino: zero,
                mode: 0o100_644,
                uid: zero,
                gid: zero,
                file_size: zero,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.clone().into_bytes(),
            };
            index.add(&entry).unwrap();
        }
        let tree = repository.find_tree(index.write_tree_to(repository).unwrap()).unwrap();
        let who = Signature::new("nobody", "nobody@example.org", &Time::new(0, 0)).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(oid(*id)).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        revision(repository.commit(None, &who, &who, "", &tree, &parents).unwrap())
    }

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn numbers(tree: &Tree) -> Vec<(&str, u32)> {
        tree.files.iter().map(|(path, file)| (&**path, file.changed)).collect()
    }

    #[test]
    fn numbers_are_those_of_the_first_parent_commit_that_changed_the_path() {
        let (_folder, repository) = repository();
        let root = commit(&repository, &[], &files(&[("a", "1"), ("z/b", "1"), ("z/c", "1")]));
        let second = commit(&repository, &[root], &files(&[("a", "1"), ("z/b", "2"), ("z/c", "1")]));
        let side = commit(&repository, &[root], &files(&[("a", "side"), ("z/b", "1"), ("z/c", "1")]));
        // `a` comes from the side, so it changed in the merge; `z/c` goes, and comes back as it was.
        let merge = commit(&repository, &[second, side], &files(&[("a", "side"), ("z/b", "2")]));
        let last = commit(&repository, &[merge], &files(&[("a", "side"), ("z/b", "2"), ("z/c", "1")]));

        assert_eq!(numbers(&read_tree(&repository, root, None).unwrap()), [("a", 1), ("z/b", 1), ("z/c", 1)]);
        let before = read_tree(&repository, second, None).unwrap();
        assert_eq!(numbers(&before), [("a", 1), ("z/b", 2), ("z/c", 1)]);
        let tree = read_tree(&repository, last, Some((&second, &before))).unwrap();
        assert_eq!(numbers(&tree), [("a", 3), ("z/b", 2), ("z/c", 4)]);
        assert_eq!(&*tree.files["a"].bytes, b"side");
        assert!(
            std::ptr::eq(&*tree.files["z/b"].bytes, &*before.files["z/b"].bytes),
            "unchanged bytes are shared"
        );
        // A revision that is not on the chain is no help, and no harm.
        let other = read_tree(&repository, side, None).unwrap();
        assert_eq!(numbers(&read_tree(&repository, last, Some((&side, &other))).unwrap()), numbers(&tree));
    }

    #[test]
    fn a_file_may_become_a_folder_and_back() {
        let (_folder, repository) = repository();
        let root = commit(&repository, &[], &files(&[("a", "1")]));
        let folder = commit(&repository, &[root], &files(&[("a/b", "1")]));
        let file = commit(&repository, &[folder], &files(&[("a", "1")]));
        let before = read_tree(&repository, folder, None).unwrap();
        assert_eq!(numbers(&before), [("a/b", 2)]);
        assert_eq!(numbers(&read_tree(&repository, file, Some((&folder, &before))).unwrap()), [("a", 3)]);
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused() {
        let (_folder, repository) = repository();
        let blob = repository.blob(b"/etc/passwd").unwrap();
        let mut builder = repository.treebuilder(None).unwrap();
        builder.insert("link", blob, 0o120_000).unwrap();
        let tree = repository.find_tree(builder.write().unwrap()).unwrap();
        let who = Signature::new("nobody", "nobody@example.org", &Time::new(0, 0)).unwrap();
        let id = revision(repository.commit(None, &who, &who, "", &tree, &[]).unwrap());
        let error = read_tree(&repository, id, None).unwrap_err().to_string();
        assert!(error.contains("\"link\"") && error.contains("120000"), "{error}");
        assert!(read_tree(&repository, Revision([9; 20]), None).is_err());
    }

    /// One commit: paths that get a content, or go.
    type Change = Vec<(usize, Option<u8>)>;

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = proptest::collection::vec((0..6_usize, proptest::option::of(0..3_u8)), 0..4);
        proptest::collection::vec(change, 1..12)
    }

    /// Names that sort unlike folders and files of one stem do in git.
    const PATHS: [&str; 6] = ["a-b", "z/a", "z/y/b", "z/y/c", "z-", "zz/a.zone"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_way_to_a_revision_gives_the_same(history in changes(), stops in any::<u16>()) {
            let (_folder, repository) = repository();
            let mut now = BTreeMap::new();
            let mut parents = Vec::new();
            let mut on_the_way: Option<(Revision, Tree)> = None;
            // The numbers by their definition.
            let mut expected: BTreeMap<String, u32> = BTreeMap::new();
            for (at, change) in history.iter().enumerate() {
                let before = now.clone();
                for (path, content) in change {
                    match content {
                        Some(content) => now.insert(PATHS[*path].to_owned(), content.to_string()),
                        None => now.remove(PATHS[*path]),
                    };
                }
                for (path, content) in &now {
                    if before.get(path) != Some(content) {
                        expected.insert(path.clone(), at as u32 + 1);
                    }
                }
                expected.retain(|path, _| now.contains_key(path));
                let id = commit(&repository, &parents, &now);
                parents = vec![id];
                let whole = read_tree(&repository, id, None).unwrap();
                let found: BTreeMap<String, u32> =
                    whole.files.iter().map(|(path, file)| (path.to_string(), file.changed)).collect();
                prop_assert_eq!(&found, &expected);
                if stops & (1 << at) != 0 {
                    let previous = on_the_way.as_ref().map(|(id, tree)| (id, tree));
                    let tree = read_tree(&repository, id, previous).unwrap();
                    prop_assert_eq!(numbers(&tree), numbers(&whole));
                    for (path, file) in &tree.files {
                        prop_assert_eq!(&file.bytes, &whole.files[path].bytes);
                        prop_assert_eq!(&*file.bytes, now[&**path].as_bytes());
                    }
                    on_the_way = Some((id, tree));
                }
            }
        }
    }
}
