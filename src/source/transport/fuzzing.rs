//! What holds for any octets from a git host. `crate::fuzzing` says who calls this.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use git2::{Repository, RepositoryInitOptions};

use super::upload_pack::{Connection, fetch};
use super::{Budget, Wanted};
use crate::source::SourceError;
use crate::source::repository::Limits;

/// A conversation: what comes first is the advertisement, up to and with its flush packet; then the answer to the
/// request.
///
/// Nothing is taken that is not whole, and never more than the limits allow.
pub fn upload_pack(octets: &[u8]) {
    let folder = Folder::new();
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    let here = Repository::init_opts(&folder.0, &options).expect("a folder of our own");
    let limits =
        Limits { bytes: 1 << 16, objects: 100, object_bytes: 1 << 12, timeout: Duration::from_secs(5) };
    let mut budget = Budget::new("the fuzzer".to_owned(), limits);
    let wanted = Wanted { reference: "refs/heads/main", here: &here, whole: &[] };
    if let Ok(Some(taken)) = fetch(&mut Host(octets), &wanted, &mut budget) {
        assert!(taken.objects.len() <= limits.objects);
        for id in taken.objects {
            let object = here.odb().and_then(|odb| odb.read(id).map(|object| object.len()));
            assert!(object.is_ok_and(|length| length as u64 <= limits.object_bytes), "{id} was taken");
        }
    }
}

/// The other side: it says the same, whatever is asked.
struct Host<'a>(&'a [u8]);

impl Connection for Host<'_> {
    fn advertisement(&mut self, _: &Budget) -> Result<Box<dyn Read + '_>, SourceError> {
        Ok(Box::new(&mut self.0))
    }

    fn request(&mut self, _: &[u8], _: &Budget) -> Result<Box<dyn Read + '_>, SourceError> {
        Ok(Box::new(&mut self.0))
    }
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("shoestring-fuzz-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is the system's temporary folder's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
