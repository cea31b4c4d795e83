//! Whole files: what the agent remembers, found as it was or as it is to be, whenever the machine stops.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a file holds as JSON; what is the default where there is none.
pub(crate) fn read_json<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(octets) => Ok(serde_json::from_slice(&octets)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

/// Puts this in a file's place as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write(path, &serde_json::to_vec(value)?)
}

/// What is remembered in a file. The error says which, and with this advice what to do about it.
pub(crate) fn recall<T: DeserializeOwned + Default>(path: &Path, advice: &str) -> Result<T, String> {
    read_json(path).map_err(|error| format!("{}: {error}; {advice}", path.display()))
}

/// Remembers this in a file. The error says which.
pub(crate) fn keep(path: &Path, value: &impl Serialize) -> Result<(), String> {
    write_json(path, value).map_err(|error| format!("{}: {error}", path.display()))
}

/// Puts these octets in a file's place: written beside it, fsync, rename, fsync of the folder. Only its owner may read it.
pub(crate) fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
