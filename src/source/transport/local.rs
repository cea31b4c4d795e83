//! A repository on this machine: its objects are copied one by one, checked against their names as they are read.
//!
//! Only what the branch needs is copied, and an object only after everything that it names, so that an object that
//! is here has all that belongs to it, wherever a copy was cut off.

use std::path::Path;

use git2::{ErrorCode, Odb, Oid, Repository};

use super::super::SourceError;
use super::budget::damaged;
use super::walk::{Takeable, takeable};
use super::{Budget, Wanted};

/// So many new objects are written as one pack, and fewer as one file each.
const PACK_FROM: usize = 200;

/// Copies what the reference there needs and is not here; what could be taken, or `None` where there is no such
/// reference.
///
/// No owner of files is asked for, since nothing there is trusted.
pub(super) fn fetch(
    path: &Path,
    Wanted { reference, here, .. }: &Wanted<'_>,
    budget: &mut Budget,
) -> Result<Option<Takeable>, SourceError> {
    let there = Repository::open_bare(path)
        .or_else(|_| Repository::open_bare(path.join(".git")))
        .map_err(|error| budget.unreachable(error.message()))?;
    let tip = match there.find_reference(reference).and_then(|reference| reference.resolve()) {
        Ok(reference) => reference.target(),
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => return Err(budget.unreachable(error.message())),
    };
    let Some(tip) = tip else { return Ok(None) };

    let from = there.odb().map_err(|error| budget.unreachable(error.message()))?;
    let to = here.odb().map_err(|error| damaged(here, &error))?;
    let takeable = takeable(&from, tip, |id| to.exists(id), budget)?;
    if takeable.objects.len() < PACK_FROM {
        for &id in &takeable.objects {
            let object = from.read(id).map_err(|error| budget.unreadable(id, &error))?;
            to.write(object.kind(), object.data()).map_err(|error| damaged(here, &error))?;
        }
    } else {
        pack(&there, &takeable.objects, &to).map_err(|error| damaged(here, &error))?;
    }
    Ok(Some(takeable))
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
