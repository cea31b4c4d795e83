//! Ledger: what this node last verified and last applied, on disk.
//!
//! Losing it would let an old commit pass for the first one ever seen (trust.md, R5), so it is kept twice. An
//! *entry* has a generation that only rises; entries with an even generation live in `ledger.0`, the others in
//! `ledger.1`. Writing replaces the older one whole: a temporary file, fsync, rename, fsync of the folder. A crash
//! at any byte leaves the newer one as it was; a damaged newer one leaves the older one.
//!
//! ```text
//! both absent, no clone that says otherwise → first start
//! one sound                                 → that one
//! both sound                                → the higher generation
//! none sound, at least one there            → an error: never a first start
//! ```

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SourceError;
use super::repository::{APPLIED, DIRECTORY};
use crate::config::{LocalConfig, Pin};
use crate::names::{NetworkName, Revision};
use crate::whole_file;

const SLOTS: [&str; 2] = ["ledger.0", "ledger.1"];

/// No entry is near this long; a longer file is not one of ours.
const ENTRY_BYTES: u64 = 64 * 1024;

/// The open ledger of one state folder. Only one process at a time may hold it.
#[derive(Debug)]
pub struct Ledger {
    state: PathBuf,
    entry: Entry,
    /// Held as long as the ledger is open; the lock goes with the file.
    _lock: File,
}

/// What one file of the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    generation: u64,
    network: NetworkName,
    pin: Pin,
    verified: Option<Revision>,
    applied: Option<Revision>,
}

impl Ledger {
    /// Opens the ledger in the state folder, making both where there are none.
    ///
    /// # Errors
    /// When the folder cannot be used, another process holds it, it belongs to another network, or what is there is
    /// damaged beyond the last two entries.
    pub fn open(config: &LocalConfig) -> Result<Self, SourceError> {
        let state = config.state.clone();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state)
            .map_err(|source| SourceError::State { operation: "make", path: state.clone(), source })?;
        let lock = lock(&state)?;
        let entry = match newest(&state)? {
            Some(entry) if entry.network != config.network => {
                let why = format!(
                    "this state folder belongs to the network {}, not to {}; give another folder, or move this one away",
                    entry.network, config.network
                );
                return Err(SourceError::Ledger { path: state, why });
            }
            Some(entry) if entry.pin != config.pin => {
                // R1: the local configuration decides. R5 stays: what is applied must be on the chain, or the pin
                // after it.
                tracing::warn!(before = ?entry.pin, now = ?config.pin, "the pin was changed in the local configuration");
                let entry = Entry { generation: entry.generation + 1, pin: config.pin.clone(), ..entry };
                write(&state, &entry)?;
                entry
            }
            Some(entry) => entry,
            None => {
                let entry = Entry {
                    generation: 0,
                    network: config.network.clone(),
                    pin: config.pin.clone(),
                    verified: None,
                    applied: None,
                };
                write(&state, &entry)?;
                entry
            }
        };
        Ok(Self { state, entry, _lock: lock })
    }

    /// The newest revision that verified.
    pub fn verified(&self) -> Option<Revision> {
        self.entry.verified
    }

    /// The revision that is applied; the next one must descend from it (trust.md, R5).
    pub fn applied(&self) -> Option<Revision> {
        self.entry.applied
    }

    /// Remembers a revision as verified. On an error the ledger is as it was.
    pub fn record_verified(&mut self, revision: Revision) -> Result<(), SourceError> {
        let applied = self.entry.applied;
        self.record(Some(revision), applied)
    }

    /// Remembers a revision as applied, and so as verified. On an error the ledger is as it was.
    pub fn record_applied(&mut self, revision: Revision) -> Result<(), SourceError> {
        self.record(Some(revision), Some(revision))
    }

    fn record(&mut self, verified: Option<Revision>, applied: Option<Revision>) -> Result<(), SourceError> {
        if (verified, applied) == (self.entry.verified, self.entry.applied) {
            return Ok(());
        }
        let entry = Entry { generation: self.entry.generation + 1, verified, applied, ..self.entry.clone() };
        write(&self.state, &entry)?;
        self.entry = entry;
        Ok(())
    }
}

fn lock(state: &Path) -> Result<File, SourceError> {
    let path = state.join("lock");
    let failed = |source| SourceError::State { operation: "lock", path: path.clone(), source };
    let file =
        File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SourceError::Ledger {
            path: state.to_owned(),
            why: "another process uses this state folder; stop the agent first, or give another folder"
                .to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The entry with the highest generation; `None` at a first start.
fn newest(state: &Path) -> Result<Option<Entry>, SourceError> {
    let mut faults = Vec::new();
    let mut newest: Option<Entry> = None;
    for slot in SLOTS {
        match read(&state.join(slot)) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                if newest.as_ref().is_none_or(|other| other.generation < entry.generation) {
                    newest = Some(entry);
                }
            }
            Err(why) => faults.push(format!("{slot}: {why}")),
        }
    }
    if newest.is_some() {
        for fault in faults {
            tracing::warn!(state = %state.display(), fault, "one of the two ledger files is damaged; the other is used");
        }
        return Ok(newest);
    }
    let what_to_do = "put back ledger.0 and ledger.1 from a backup, or, to begin anew from the pinned root and accept \
                      any revision that descends from it, move the whole state folder away";
    if !faults.is_empty() {
        let why = format!(
            "the ledger is lost, and with it which revision was applied ({}); {what_to_do}",
            faults.join("; ")
        );
        return Err(SourceError::Ledger { path: state.to_owned(), why });
    }
    if state.join(DIRECTORY).join(APPLIED).exists() {
        let why = format!(
            "the ledger is missing, but the clone beside it says that a revision was applied; {what_to_do}"
        );
        return Err(SourceError::Ledger { path: state.to_owned(), why });
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Option<Entry>, String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > ENTRY_BYTES => {
            return Err(format!("{} bytes are too many", metadata.len()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    decode(&text).map(Some)
}

/// The entry on one line of JSON, its SHA-256 on the next.
fn encode(entry: &Entry) -> String {
    let body = serde_json::to_string(entry).expect("an entry has only texts and numbers");
    let sum = checksum(&body);
    format!("{body}\n{sum}\n")
}

fn decode(text: &str) -> Result<Entry, String> {
    let (body, sum) = text.split_once('\n').ok_or("cut short")?;
    if sum.strip_suffix('\n') != Some(checksum(body).as_str()) {
        return Err("the checksum does not match".to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}

fn checksum(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(state: &Path, entry: &Entry) -> Result<(), SourceError> {
    let path = state.join(SLOTS[usize::from(entry.generation % 2 == 1)]);
    whole_file::write(&path, encode(entry).as_bytes()).map_err(|source| SourceError::State {
        operation: "write",
        path: path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(state: &Path) -> LocalConfig {
        LocalConfig {
            node: "one".parse().unwrap(),
            network: "example".parse().unwrap(),
            repository: "/nowhere".to_owned(),
            branch: "main".to_owned(),
            pin: Pin::Root(Revision([7; 20])),
            state: state.to_owned(),
            age_identity: None,
            daemons: None,
            supervision: None,
            poll_seconds: 30,
            mesh_interface: "wg".to_owned(),
        }
    }

    /// A state folder in which revision 1 and then revision 2 were applied.
    fn two_applied() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&config(folder.path())).unwrap();
        ledger.record_applied(Revision([1; 20])).unwrap();
        ledger.record_applied(Revision([2; 20])).unwrap();
        folder
    }

    fn applied(folder: &Path) -> Result<Option<Revision>, SourceError> {
        Ledger::open(&config(folder)).map(|ledger| ledger.applied())
    }

    #[test]
    fn remembers_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&config(folder.path())).unwrap();
        assert_eq!((ledger.verified(), ledger.applied()), (None, None));
        ledger.record_verified(Revision([3; 20])).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&config(folder.path())).unwrap();
        assert_eq!((ledger.verified(), ledger.applied()), (Some(Revision([3; 20])), None));
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = two_applied();
        let _held = Ledger::open(&config(folder.path())).unwrap();
        let error = applied(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
    }

    #[test]
    fn another_network_is_refused() {
        let folder = two_applied();
        let mut other = config(folder.path());
        other.network = "other".parse().unwrap();
        assert!(Ledger::open(&other).unwrap_err().to_string().contains("belongs to the network example"));
    }

    #[test]
    fn another_pin_keeps_what_is_applied() {
        let folder = two_applied();
        let mut other = config(folder.path());
        other.pin = Pin::Root(Revision([8; 20]));
        let ledger = Ledger::open(&other).unwrap();
        assert_eq!((ledger.applied(), &ledger.entry.pin), (Some(Revision([2; 20])), &other.pin));
        drop(ledger);
        assert_eq!(newest(folder.path()).unwrap().unwrap().pin, other.pin);
    }

    /// Every way in which `bytes` can be cut short or have one byte wrong.
    fn damages(bytes: &[u8]) -> Vec<Vec<u8>> {
        let cut = (0..bytes.len()).map(|at| bytes[..at].to_vec());
        let wrong = (0..bytes.len()).map(|at| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            bytes
        });
        cut.chain(wrong).collect()
    }

    #[test]
    fn damage_at_any_byte_falls_back_and_never_to_a_first_start() {
        let folder = two_applied();
        let slots = SLOTS.map(|slot| folder.path().join(slot));
        // Generation 2 (revision 2) is in the first file, generation 1 (revision 1) in the second.
        let whole = slots.clone().map(|slot| fs::read(slot).unwrap());
        let other = [Some(Revision([1; 20])), Some(Revision([2; 20]))];
        for at in [0, 1] {
            for damaged in damages(&whole[at]) {
                fs::write(&slots[at], damaged).unwrap();
                assert_eq!(applied(folder.path()).unwrap(), other[at]);
            }
            fs::remove_file(&slots[at]).unwrap();
            assert_eq!(applied(folder.path()).unwrap(), other[at]);
            fs::write(&slots[at], &whole[at]).unwrap();
        }
        for (first, second) in damages(&whole[0]).into_iter().zip(damages(&whole[1])) {
            fs::write(&slots[0], first).unwrap();
            fs::write(&slots[1], second).unwrap();
            let error = applied(folder.path()).unwrap_err().to_string();
            assert!(error.contains("the ledger is lost"), "{error}");
        }
        fs::remove_file(&slots[0]).unwrap();
        assert!(applied(folder.path()).is_err(), "one damaged, the other gone");
    }

    #[test]
    fn a_crash_while_writing_leaves_the_newest() {
        let folder = two_applied();
        let next = encode(&Entry {
            generation: 3,
            network: "example".parse().unwrap(),
            pin: Pin::Root(Revision([7; 20])),
            verified: None,
            applied: Some(Revision([3; 20])),
        });
        for at in 0..=next.len() {
            fs::write(folder.path().join("ledger.new"), &next[..at]).unwrap();
            assert_eq!(applied(folder.path()).unwrap(), Some(Revision([2; 20])));
        }
    }

    #[test]
    fn a_ledger_taken_away_is_not_a_first_start() {
        let folder = two_applied();
        for slot in SLOTS {
            fs::remove_file(folder.path().join(slot)).unwrap();
        }
        assert_eq!(applied(folder.path()).unwrap(), None, "nothing else says that there was one");
        for slot in SLOTS {
            let _ = fs::remove_file(folder.path().join(slot));
        }
        let mark = folder.path().join(DIRECTORY).join(APPLIED);
        fs::create_dir_all(mark.parent().unwrap()).unwrap();
        fs::write(mark, "x").unwrap();
        assert!(applied(folder.path()).unwrap_err().to_string().contains("the ledger is missing"));
    }
}
