//! A repository on this machine: its objects are copied one by one, checked against their names as they are read.
//!
//! Only what the branch needs is copied, and an object only after everything that it names, so that an object that
//! is here has all that belongs to it, wherever a copy was cut off.

use std::collections::HashSet;
use std::path::Path;

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository};

use super::super::SourceError;
use super::Budget;

/// So many new objects are written as one pack, and fewer as one file each.
const PACK_FROM: usize = 200;

/// Copies what `reference` there needs and `here` has not; its commit, or `None` where there is no such reference.
///
/// No owner of files is asked for, since nothing there is trusted.
pub(in super::super) fn fetch(
    path: &Path,
    reference: &str,
    here: &Repository,
    budget: &mut Budget,
) -> Result<Option<Oid>, SourceError> {
    let there = Repository::open_bare(path)
        .or_else(|_| Repository::open_bare(path.join(".git")))
        .map_err(|error| budget.unreachable(error.message()))?;
    let tip = match there.find_reference(reference).and_then(|reference| reference.resolve()) {
        Ok(reference) => reference.target(),
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => return Err(budget.unreachable(error.message())),
    };
    let Some(tip) = tip else { return Ok(None) };
    budget.offered(tip);

    let from = there.odb().map_err(|error| budget.unreachable(error.message()))?;
    let to = here.odb().map_err(|error| budget.clone_failed(here, &error))?;
    let missing = missing(&there, &from, &to, tip, budget)?;
    if missing.len() < PACK_FROM {
        for id in missing {
            let object = from.read(id).map_err(|error| budget.unreadable(id, &error))?;
            to.write(object.kind(), object.data()).map_err(|error| budget.clone_failed(here, &error))?;
        }
    } else {
        pack(&there, &missing, &to).map_err(|error| budget.clone_failed(here, &error))?;
    }
    Ok(Some(tip))
}

/// One step of the walk.
enum Step {
    /// A commit or a folder whose parts are to be looked at first.
    Enter(Oid, ObjectType),
    /// All its parts are in the list.
    Leave(Oid),
}

/// What the tip needs and is not in `to`, each object after everything that it names.
fn missing(
    there: &Repository,
    from: &Odb<'_>,
    to: &Odb<'_>,
    tip: Oid,
    budget: &mut Budget,
) -> Result<Vec<Oid>, SourceError> {
    let mut seen = HashSet::new();
    let mut missing = Vec::new();
    let mut steps = vec![Step::Enter(tip, ObjectType::Commit)];
    while let Some(step) = steps.pop() {
        let (id, kind) = match step {
            Step::Enter(id, kind) => (id, kind),
            Step::Leave(id) => {
                missing.push(id);
                continue;
            }
        };
        if !seen.insert(id) || to.exists(id) {
            continue;
        }
        let unreadable = |error: &git2::Error| budget.unreadable(id, error);
        let (bytes, _) = from.read_header(id).map_err(|error| unreadable(&error))?;
        budget.object(bytes as u64, &id.to_string())?;
        let unreadable = |error: git2::Error| budget.unreadable(id, &error);
        steps.push(Step::Leave(id));
        match kind {
            ObjectType::Commit => {
                let commit = there.find_commit(id).map_err(unreadable)?;
                steps.push(Step::Enter(commit.tree_id(), ObjectType::Tree));
                steps.extend(commit.parent_ids().map(|parent| Step::Enter(parent, ObjectType::Commit)));
            }
            ObjectType::Tree => {
                let tree = there.find_tree(id).map_err(unreadable)?;
                // A gitlink names a commit of another repository: nothing to copy, and refused when it is judged.
                let parts = tree.iter().filter_map(|entry| match entry.kind() {
                    Some(kind @ (ObjectType::Tree | ObjectType::Blob)) => Some(Step::Enter(entry.id(), kind)),
                    Some(ObjectType::Any | ObjectType::Commit | ObjectType::Tag) | None => None,
                });
                steps.extend(parts);
            }
            ObjectType::Any | ObjectType::Blob | ObjectType::Tag => {}
        }
    }
    Ok(missing)
}

fn pack(there: &Repository, missing: &[Oid], to: &Odb<'_>) -> Result<(), git2::Error> {
    let mut pack = there.packbuilder()?;
    pack.set_threads(1);
    for id in missing {
        pack.insert_object(*id, None)?;
    }
    let mut writer = to.packwriter()?;
    let mut failed = None;
    let done = pack.foreach(|bytes| match std::io::Write::write_all(&mut writer, bytes) {
        Ok(()) => true,
        Err(error) => {
            failed = Some(git2::Error::from_str(&error.to_string()));
            false
        }
    });
    match failed {
        Some(error) => return Err(error),
        None => done?,
    }
    writer.commit()?;
    Ok(())
}
