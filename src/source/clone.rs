//! Clone: the bare repository in the state folder, made, checked and made anew.
//!
//! Everything in it can be fetched again, so nothing here is precious: what must not be lost is in the ledger.
//! It is made anew, keeping what is applied, when it is damaged, and when it has grown: candidates that were refused
//! leave their objects behind, and a hostile git host could offer ever more of them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use git2::{ErrorCode, RepositoryInitOptions};

use super::SourceError;
use super::repository::{APPLIED, CANDIDATE, Environment};
use super::transport::{Address, Budget, Takeable, Wanted, fetch, unknown_objects};

/// The mark of a running fetch, in the clone.
const FETCHING: &str = "fetching";

/// The size of a clone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// Opens the clone at `path`, or makes one where there is none or a damaged one.
pub(super) fn open(path: &Path) -> Result<git2::Repository, SourceError> {
    // An object whose bytes do not hash to its name is not that object.
    git2::opts::strict_hash_verification(true);
    match git2::Repository::open_bare(path) {
        Ok(clone) => match sound(&clone) {
            Ok(()) => Ok(clone),
            Err(why) => anew(path, &why),
        },
        Err(_) if !path.exists() => init(path),
        Err(error) => anew(path, error.message()),
    }
}

/// Whether everything that belongs to the references can be read, byte for byte, and no fetch was cut off: after a
/// loss of power, files may be there that are empty.
fn sound(clone: &git2::Repository) -> Result<(), String> {
    if clone.path().join(FETCHING).exists() {
        return Err("a fetch was cut off".to_owned());
    }
    let text = |error: git2::Error| error.message().to_owned();
    let odb = clone.odb().map_err(text)?;
    let mut read = HashSet::new();
    for reference in [APPLIED, CANDIDATE] {
        let tip = match clone.refname_to_id(reference) {
            Ok(tip) => tip,
            Err(error) if error.code() == ErrorCode::NotFound => continue,
            Err(error) => return Err(text(error)),
        };
        let mut budget = Budget::unlimited(reference.to_owned());
        let objects = unknown_objects(&odb, tip, &|id| read.contains(&id), &mut budget);
        for id in objects.map_err(|error| error.to_string())? {
            odb.read(id).map_err(text)?;
            read.insert(id);
        }
    }
    Ok(())
}

/// Marks that a fetch is running.
pub(super) fn begin_fetch(path: &Path) -> Result<(), SourceError> {
    let mark = path.join(FETCHING);
    fs::write(&mark, "").map_err(|source| SourceError::State { operation: "write", path: mark, source })
}

/// Takes the mark away: the references and the objects are as they should be.
pub(super) fn end_fetch(path: &Path) -> Result<(), SourceError> {
    let mark = path.join(FETCHING);
    fs::remove_file(&mark).map_err(|source| SourceError::State { operation: "remove", path: mark, source })
}

fn init(path: &Path) -> Result<git2::Repository, SourceError> {
    let options = &mut RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true).mkpath(true).initial_head("main");
    git2::Repository::init_opts(path, options).map_err(|error| SourceError::State {
        operation: "make",
        path: path.to_owned(),
        source: io::Error::other(error.message().to_owned()),
    })
}

/// Puts a new clone in the place of the one at `path`, with what is applied, as far as that can still be read.
pub(super) fn anew(path: &Path, why: &str) -> Result<git2::Repository, SourceError> {
    tracing::warn!(path = %path.display(), why, "making the clone anew");
    let failed = |operation| move |source| SourceError::State { operation, path: path.to_owned(), source };
    let beside = path.with_extension("new");
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(failed("remove what stands beside"))?;
    }
    let clone = init(&beside)?;
    let address = Address::Local(path.to_owned());
    let mut budget = Budget::unlimited(address.to_string());
    let wanted = Wanted { reference: APPLIED, here: &clone, whole: &[] };
    match fetch(&address, &Environment::default(), &wanted, &mut budget) {
        Ok(Some(Takeable { commit, refused: None, .. })) => {
            clone.reference(APPLIED, commit, true, "").map_err(|error| SourceError::Damaged {
                path: beside.clone(),
                why: error.message().to_owned(),
            })?;
        }
        Ok(None) => {}
        Ok(Some(Takeable { refused: Some(error), .. })) | Err(error) => {
            let error = error.to_string();
            tracing::warn!(
                error,
                "what is applied cannot be taken over from the old clone; it is fetched again"
            );
        }
    }
    drop(clone);
    // A crash between the two leaves no clone, which is then made by the next fetch.
    fs::remove_dir_all(path).map_err(failed("remove"))?;
    fs::rename(&beside, path).map_err(failed("put a new clone at"))?;
    git2::Repository::open_bare(path)
        .map_err(|error| SourceError::Damaged { path: path.to_owned(), why: error.message().to_owned() })
}

/// How large the objects of the clone are on disk.
pub(super) fn size(path: &Path) -> Size {
    let mut size = Size::default();
    let mut folders = vec![path.join("objects")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                size.files += 1;
                size.bytes += metadata.len();
            }
        }
    }
    size
}
