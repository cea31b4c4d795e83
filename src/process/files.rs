//! The files of a daemon's configuration: private to it, put in place whole, and known again when somebody else wrote to
//! them.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::DaemonUser;

/// One file of a configuration. It may hold secrets, so it prints nothing of its text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Relative to the folder of the configuration.
    pub(crate) name: &'static str,
    /// The whole of it.
    pub(crate) text: String,
}

/// Makes a folder that is open to the daemon and to nobody else.
pub(crate) fn make_folder(folder: &Path, user: Option<&DaemonUser>) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::set_permissions(folder, Permissions::from_mode(0o700))?,
    }
    user.map_or(Ok(()), |user| user.own(folder))
}

/// Makes a daemon's folder and those in it. Whatever it becomes has to come as far as its folder.
pub(crate) fn make_folders(folder: &Path, inside: &[PathBuf], user: Option<&DaemonUser>) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    make_folder(folder, user)?;
    inside.iter().try_for_each(|folder| make_folder(folder, user))
}

/// Writes a file that the daemon alone can read; whoever reads it meanwhile finds the old one whole.
pub(crate) fn write_private(path: &Path, text: &[u8], user: Option<&DaemonUser>) -> io::Result<()> {
    let beside = path.with_extension("next");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    if let Some(user) = user {
        user.own(&beside)?;
    }
    fs::rename(beside, path)
}

/// Writes the files of a configuration to a folder where nobody but the checker looks.
pub(crate) fn stage(folder: &Path, files: &[ConfigFile], user: Option<&DaemonUser>) -> io::Result<()> {
    make_folder(folder, user)?;
    files.iter().try_for_each(|file| write_private(&folder.join(file.name), file.text.as_bytes(), user))
}

/// What tells whether somebody else wrote to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// `None` where there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let (inode, length) = (file.ino(), file.len());
        Some(Self { inode, length, modified: (file.mtime(), file.mtime_nsec()) })
    }
}

/// The files of a configuration that are in place.
#[derive(Debug, Default)]
pub(crate) struct Placed(BTreeMap<PathBuf, Option<Stamp>>);

impl Placed {
    /// Puts files in place; returns those that were not there before, or had another text.
    pub(crate) fn put(
        &mut self,
        folder: &Path,
        files: &[ConfigFile],
        user: Option<&DaemonUser>,
    ) -> io::Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for file in files {
            let path = folder.join(file.name);
            if !fs::read(&path).is_ok_and(|present| present == file.text.as_bytes()) {
                write_private(&path, file.text.as_bytes(), user)?;
                changed.push(path.clone());
            }
            self.0.insert(path.clone(), Stamp::of(&path));
        }
        Ok(changed)
    }

    /// Whether exactly these files lie there already.
    pub(crate) fn are_in(folder: &Path, files: &[ConfigFile]) -> bool {
        files
            .iter()
            .all(|file| fs::read(folder.join(file.name)).is_ok_and(|present| present == file.text.as_bytes()))
    }

    /// A file that is not as we left it.
    pub(crate) fn changed(&self) -> Option<&Path> {
        self.0.iter().find(|(path, stamp)| Stamp::of(path) != **stamp).map(|(path, _)| path.as_path())
    }
}
