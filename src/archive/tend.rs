//! Looking after an archive: the seam to its files.
//!
//! The folder is the daemon's, and the agent may be root: a link in it is never followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use nix::libc::O_NOFOLLOW;
use nix::sys::statvfs::statvfs;

use super::{ArchivePolicy, COMPRESSED, KEPT_OPEN, Kept, PART, Room, Task, Utc, WRITTEN, plan};

/// Its files, the oldest first; nothing where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn entries(folder: &Path) -> io::Result<Vec<Kept>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut files = Vec::new();
    for entry in listed {
        let entry = entry?;
        let (Ok(name), Ok(is)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
        if is.is_file() {
            let modified = is.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            files.push(Kept { name, length: is.len(), modified });
        }
    }
    files.sort_by(|one, other| (one.modified, &one.name).cmp(&(other.modified, &other.name)));
    Ok(files)
}

/// Compresses and removes what is due at this time. What cannot be done is left out and does not stop the rest.
///
/// # Errors
/// What could not be done, the first of it.
pub fn tend(folder: &Path, policy: &ArchivePolicy, now: SystemTime) -> io::Result<Vec<Task>> {
    let files = entries(folder)?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let disk = statvfs(folder)?;
    let room = Room {
        free: disk.blocks_available() * disk.fragment_size(),
        total: disk.blocks() * disk.fragment_size(),
    };
    let tasks = plan(&files, now.duration_since(UNIX_EPOCH).unwrap_or_default(), policy, room);
    let (mut done, mut failed) = (Vec::new(), None);
    for task in tasks {
        let result = match &task {
            Task::Remove(name) if name == KEPT_OPEN => cut(&folder.join(name)),
            Task::Remove(name) => fs::remove_file(folder.join(name)),
            Task::Compress(name) => compress(folder, name),
        };
        match result {
            Ok(()) => done.push(task),
            Err(error) => {
                failed.get_or_insert_with(|| io::Error::new(error.kind(), format!("{task:?}: {error}")));
            }
        }
    }
    failed.map_or(Ok(done), Err)
}

fn cut(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(path)?.set_len(0)
}

/// The compressed file is there whole or not at all, as old as what it was made of.
fn compress(folder: &Path, name: &str) -> io::Result<()> {
    let path = folder.join(name);
    let mut from = File::options().read(true).custom_flags(O_NOFOLLOW).open(&path)?;
    let modified = from.metadata()?.modified()?;
    let seconds = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let stem = match name {
        KEPT_OPEN => Utc::of(seconds).compact(),
        _ => name.trim_end_matches(WRITTEN).to_owned(),
    };
    let part = folder.join(format!("{stem}{PART}"));
    let mut write = || {
        let to = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&part)?;
        let mut gzip = GzEncoder::new(to, Compression::default());
        io::copy(&mut from, &mut gzip)?;
        let to = gzip.finish()?;
        to.set_modified(modified)?;
        to.sync_all()?;
        fs::rename(&part, folder.join(format!("{stem}{COMPRESSED}")))
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&part);
        return written;
    }
    if name == KEPT_OPEN { cut(&path) } else { fs::remove_file(&path) }
}

/// Opens a file of an archive for reading, compressed or not, by what it begins with.
///
/// # Errors
/// When it cannot be opened or read.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut begin = [0; 2];
    let length = File::open(path)?.take(2).read(&mut begin)?;
    let file = BufReader::new(File::open(path)?);
    Ok(match &begin[..length] {
        [0x1f, 0x8b] => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(file),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_compressed_cut_and_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let table = b"a table of routes, a table of routes".repeat(100);
        fs::write(at("1.mrt"), &table).unwrap();
        fs::write(at(KEPT_OPEN), &table).unwrap();
        fs::write(at("0.mrt"), b"").unwrap();
        fs::write(at("passwd"), b"not an archive").unwrap();
        symlink(at("passwd"), at("link.mrt")).unwrap();
        let policy = ArchivePolicy::DEFAULT;
        let now = SystemTime::now();
        assert_eq!(tend(folder.path(), &policy, now).unwrap(), [], "all are being written still");
        let later = now + Duration::from_secs(100);
        assert_eq!(tend(folder.path(), &policy, later).unwrap().len(), 3);
        let names: Vec<String> = entries(folder.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        let read = |name: &str| {
            let mut octets = Vec::new();
            open(&at(name)).unwrap().read_to_end(&mut octets).unwrap();
            octets
        };
        assert_eq!(read("1.mrt.gz"), table);
        assert!(fs::metadata(at("1.mrt.gz")).unwrap().len() < 500);
        let cut =
            names.iter().find(|name| name.starts_with(|c: char| c.is_ascii_digit()) && *name != "1.mrt.gz");
        assert_eq!(read(cut.unwrap()), table);
        assert_eq!(read(KEPT_OPEN), b"");
        assert_eq!(read("passwd"), b"not an archive");
        // Settled.
        assert_eq!(tend(folder.path(), &policy, later).unwrap(), []);
        // The age is that of the routes.
        let much_later = now + policy.keep_age + Duration::from_secs(100);
        assert_eq!(tend(folder.path(), &policy, much_later).unwrap().len(), 2);
        assert_eq!(entries(folder.path()).unwrap().len(), 2);
        assert_eq!(entries(&at("no-such")).unwrap(), []);
    }
}
