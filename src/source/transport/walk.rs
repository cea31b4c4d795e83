//! What belongs to a commit: itself, its folders and files, and those of all its ancestors.

use std::collections::HashSet;

use git2::{ObjectType, Odb, Oid, Repository};

use super::super::SourceError;
use super::Budget;

/// One step of the walk.
enum Step {
    /// An object whose parts are to be looked at first.
    Enter(Oid, ObjectType),
    /// All its parts are in the list.
    Leave(Oid),
}

/// Lists what belongs to `tip`, each object after everything that it names. An object that is `known` is left out,
/// and everything below it.
///
/// # Errors
/// [`SourceError::Refused`] when an object is not there, cannot be read, or is more than the budget allows.
pub(in super::super) fn unknown_objects(
    repository: &Repository,
    odb: &Odb<'_>,
    tip: Oid,
    known: impl Fn(Oid) -> bool,
    budget: &mut Budget,
) -> Result<Vec<Oid>, SourceError> {
    let mut seen = HashSet::new();
    let mut unknown = Vec::new();
    let mut steps = vec![Step::Enter(tip, ObjectType::Commit)];
    while let Some(step) = steps.pop() {
        let (id, kind) = match step {
            Step::Enter(id, kind) => (id, kind),
            Step::Leave(id) => {
                unknown.push(id);
                continue;
            }
        };
        if known(id) || !seen.insert(id) {
            continue;
        }
        // The header alone tells how large it is, before any of it is read.
        let (bytes, _) = odb.read_header(id).map_err(|error| budget.unreadable(id, &error))?;
        budget.object(bytes as u64, id)?;
        steps.push(Step::Leave(id));
        push_parts(repository, id, kind, &mut steps).map_err(|error| budget.unreadable(id, &error))?;
    }
    Ok(unknown)
}

/// Everything in the folder of a commit that is known to be whole, the commit included.
pub(super) fn known_objects(repository: &Repository, commit: Oid) -> Result<HashSet<Oid>, git2::Error> {
    let mut known = HashSet::from([commit]);
    let mut steps = vec![Step::Enter(repository.find_commit(commit)?.tree_id(), ObjectType::Tree)];
    while let Some(step) = steps.pop() {
        if let Step::Enter(id, kind) = step
            && known.insert(id)
        {
            push_parts(repository, id, kind, &mut steps)?;
        }
    }
    Ok(known)
}

fn push_parts(
    repository: &Repository,
    id: Oid,
    kind: ObjectType,
    steps: &mut Vec<Step>,
) -> Result<(), git2::Error> {
    match kind {
        ObjectType::Commit => {
            let commit = repository.find_commit(id)?;
            steps.push(Step::Enter(commit.tree_id(), ObjectType::Tree));
            steps.extend(commit.parent_ids().map(|parent| Step::Enter(parent, ObjectType::Commit)));
        }
        ObjectType::Tree => {
            let tree = repository.find_tree(id)?;
            // A gitlink names a commit of another repository: nothing to copy, and refused when it is judged.
            steps.extend(tree.iter().filter_map(|entry| match entry.kind() {
                Some(kind @ (ObjectType::Tree | ObjectType::Blob)) => Some(Step::Enter(entry.id(), kind)),
                Some(ObjectType::Any | ObjectType::Commit | ObjectType::Tag) | None => None,
            }));
        }
        ObjectType::Any | ObjectType::Blob | ObjectType::Tag => {}
    }
    Ok(())
}
