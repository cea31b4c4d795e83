//! Private files: keys that are made once, on this machine, and that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use zeroize::Zeroizing;

/// Why a private file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It could not be made, read or written.
    #[error("{operation} {path}: {source}", path = path.display())]
    File {
        /// What was being done to it.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What was met.
        source: io::Error,
    },
    /// Somebody else may have read it.
    #[error(
        "{path} has mode {mode:04o} and owner {owner}: others may read the private key; if nobody has, run chmod 600 \
         and chown on it; otherwise remove it, start again, and put the new public key into the node's file",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The user id of its owner.
        owner: u32,
    },
    /// It is a folder, a device or the like.
    #[error("{path} is no file", path = path.display())]
    NoFile {
        /// What is there.
        path: PathBuf,
    },
}

/// Reads one, `most` octets of it at most; `None` if it is not there.
pub(crate) fn load(path: &Path, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateFileError> {
    let file =
        match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", path)(error)),
        };
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NoFile { path: path.to_owned() });
    }
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if mode & 0o077 != 0 || owner != nix::unistd::geteuid().as_raw() {
        return Err(PrivateFileError::Exposed { path: path.to_owned(), mode, owner });
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(most).unwrap_or(0)));
    file.take(most).read_to_end(&mut octets).map_err(failed("read", path))?;
    Ok(Some(octets))
}

/// Reads the one in a folder; makes folder and file first where there are none.
pub(crate) fn load_or_make(
    path: &Path,
    most: u64,
    contents: impl FnOnce() -> Zeroizing<String>,
) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    if let Some(octets) = load(path, most)? {
        return Ok(octets);
    }
    make(path, &contents())?;
    // Read back: another process may have been first, and then what it made stands.
    load(path, most)?.ok_or_else(|| failed("read", path)(io::ErrorKind::NotFound.into()))
}

/// Writes a new one under a name of its own and links it into place: whole or not at all, and never over another.
fn make(path: &Path, contents: &str) -> Result<(), PrivateFileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("make", folder))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &draft)(error)),
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(contents.as_bytes())?;
        file.sync_all()
    };
    let written = write().map_err(failed("write", &draft));
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make", path)(error)),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&draft).map_err(failed("remove", &draft));
    linked.and(removed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> PrivateFileError {
    move |source| PrivateFileError::File { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn contents(text: &str) -> impl FnOnce() -> Zeroizing<String> {
        || Zeroizing::new(text.to_owned())
    }

    #[test]
    fn one_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let path = state.join("key");
        assert_eq!(load(&path, 9).unwrap(), None);
        assert_eq!(**load_or_make(&path, 9, contents("one")).unwrap(), *b"one");
        assert_eq!(**load_or_make(&path, 9, contents("two")).unwrap(), *b"one");

        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn racing_processes_agree_on_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        make(&path, "one").unwrap();
        // The second one to arrive found none when it looked.
        make(&path, "two").unwrap();
        assert_eq!(**load(&path, 9).unwrap().unwrap(), *b"one");
    }

    #[test]
    fn one_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        make(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = load(&path, 9).unwrap_err().to_string();
        assert!(error.contains("0640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(load(&path, 9).is_err());
        assert!(matches!(load(folder.path(), 9), Err(PrivateFileError::NoFile { .. })));
    }
}
