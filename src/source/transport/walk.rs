//! What belongs to a commit: itself, its folders and files, and those of all its ancestors.
//!
//! Objects are taken apart here from their raw bytes and forgivingly: what is malformed has no parts, comes along all
//! the same, and is refused by name when it is judged.

use std::collections::HashSet;

use git2::{ObjectType, Odb, Oid};

use super::super::SourceError;
use super::Budget;

/// So far back from the tip is looked for a commit that can be taken.
const STEPS_BACK: usize = 64;

/// One step of the walk.
enum Step {
    /// An object whose parts are to be looked at first.
    Enter(Oid),
    /// All its parts are in the list.
    Leave(Oid),
}

/// Lists what belongs to `tip`, each object after everything that it names. An object that is `known` is left out,
/// and everything below it.
///
/// # Errors
/// [`SourceError::Refused`] when an object is not there, cannot be read, or is more than the budget allows.
pub(in super::super) fn unknown_objects(
    odb: &Odb<'_>,
    tip: Oid,
    known: &impl Fn(Oid) -> bool,
    budget: &mut Budget,
) -> Result<Vec<Oid>, SourceError> {
    let mut seen = HashSet::new();
    let mut unknown = Vec::new();
    let mut steps = vec![Step::Enter(tip)];
    while let Some(step) = steps.pop() {
        let id = match step {
            Step::Enter(id) => id,
            Step::Leave(id) => {
                unknown.push(id);
                continue;
            }
        };
        if known(id) || !seen.insert(id) {
            continue;
        }
        // The header alone tells what it is and how large, before any of it is read.
        let (bytes, kind) = odb.read_header(id).map_err(|error| budget.unreadable(id, &error))?;
        budget.object(bytes as u64, id)?;
        steps.push(Step::Leave(id));
        let parts = parts(odb, id, kind).map_err(|error| budget.unreadable(id, &error))?;
        steps.extend(parts.into_iter().map(Step::Enter));
    }
    Ok(unknown)
}

/// As much of an offer as can be taken.
pub(in super::super) struct Takeable {
    /// The newest commit on the first-parent chain that can be; what belongs to it and is not known, each object
    /// after everything that it names.
    pub(in super::super) commit: Oid,
    pub(super) objects: Vec<Oid>,
    /// Why the commit after it cannot be; `None` when there is none after it.
    pub(in super::super) refused: Option<SourceError>,
}

/// Finds the newest commit on the first-parent chain of `tip` of which nothing is missing and nothing is too much:
/// what comes before a bad commit counts (trust.md, R2).
///
/// # Errors
/// Why the oldest that was looked at cannot be taken, when none can.
pub(super) fn takeable(
    odb: &Odb<'_>,
    tip: Oid,
    known: impl Fn(Oid) -> bool,
    budget: &mut Budget,
) -> Result<Takeable, SourceError> {
    let mut commit = tip;
    let mut refused = None;
    for _ in 0..STEPS_BACK {
        budget.look_at(commit);
        match unknown_objects(odb, commit, &known, budget) {
            Ok(objects) => return Ok(Takeable { commit, objects, refused }),
            Err(error @ SourceError::Refused { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
        // The folder comes first, then the parents.
        match parts(odb, commit, ObjectType::Commit) {
            Ok(parts) if parts.len() > 1 => commit = parts[1],
            Ok(_) | Err(_) => break,
        }
    }
    Err(refused.unwrap_or_else(|| budget.refused("nothing of it can be taken".to_owned())))
}

/// A commit that is known to be whole, and everything in its folder.
pub(super) fn known_objects(odb: &Odb<'_>, commit: Oid) -> Result<HashSet<Oid>, git2::Error> {
    let mut known = HashSet::from([commit]);
    let mut next = parts(odb, commit, ObjectType::Commit)?;
    // The folder comes first, then the parents, which are not looked into.
    next.truncate(1);
    while let Some(id) = next.pop() {
        if known.insert(id) {
            let (_, kind) = odb.read_header(id)?;
            next.extend(parts(odb, id, kind)?);
        }
    }
    Ok(known)
}

/// What an object names: the folder and parents of a commit, the entries of a folder.
fn parts(odb: &Odb<'_>, id: Oid, kind: ObjectType) -> Result<Vec<Oid>, git2::Error> {
    match kind {
        ObjectType::Commit => Ok(named_by_commit(odb.read(id)?.data())),
        ObjectType::Tree => Ok(named_by_folder(odb.read(id)?.data())),
        ObjectType::Any | ObjectType::Blob | ObjectType::Tag => Ok(Vec::new()),
    }
}

fn named_by_commit(raw: &[u8]) -> Vec<Oid> {
    let headers = raw.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let ids =
        headers.filter_map(|line| line.strip_prefix(b"tree ").or_else(|| line.strip_prefix(b"parent ")));
    ids.filter(|id| id.len() == 40)
        .filter_map(|id| Oid::from_str(std::str::from_utf8(id).ok()?).ok())
        .collect()
}

fn named_by_folder(mut raw: &[u8]) -> Vec<Oid> {
    let mut ids = Vec::new();
    // Each entry is: mode, space, name, NUL, 20 bytes of id.
    while let Some(end) = raw.iter().position(|byte| *byte == 0) {
        let (entry, rest) = raw.split_at(end);
        let Some((id, rest)) = rest[1..].split_at_checked(20) else { break };
        // A gitlink names a commit of another repository: nothing to bring.
        if !entry.starts_with(b"160000 ") {
            ids.extend(Oid::from_bytes(id));
        }
        raw = rest;
    }
    ids
}
