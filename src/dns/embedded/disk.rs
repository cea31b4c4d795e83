//! Disk: secondary zones as they were last transferred, so that a restart serves them before anybody upstream answers.
//!
//! ```text
//! <state>/zones/00000007.log    a segment: entries, one after another, of many zones
//!
//!   whole example.org 1 ─ step example.org 1→2 ─ whole example.net 9 ─ step example.org 2→3 ─ forget example.net
//!   └───────────────────── what is kept of example.org ──────────────────────────┘
//! ```
//! A *segment* only grows, and only the last one does, so a hundred thousand zones are a few files, and zones that change
//! together are synced together. What is kept of a zone is its last whole *entry* and the steps after it that lead on
//! from it; entries before those are dead. A segment that is mostly dead is *compacted*: what is alive in it is written
//! anew at the end, as a whole zone each, and the file goes. Where everything alive stands is known in memory.
//!
//! Any octet may be lost: entries are checked, and found again after damage. A torn or damaged step takes those after it
//! along, a damaged whole entry brings back what was kept before it, and of either the zone's next refresh is the cure.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tracing::{info, warn};

use self::batch::Batch;
use self::entry::{Entry, Found, Kind, Scan};
use super::delta::{self, Delta};
use super::zone::Zone;
use crate::names::{DomainName, Serial};

mod batch;
pub(crate) mod body;
mod compact;
mod entry;

/// A segment that has grown to this many octets is followed by a new one.
const SEGMENT: u64 = 16 << 20;
/// So many steps are kept after a whole zone, and no more octets of them than the zone has, or than `SMALL`.
const STEPS: usize = 64;
const SMALL: u64 = 4 << 10;
/// How many octets are written at once.
const BATCH: usize = 1 << 20;

/// The folder of zones.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// Held by whoever writes.
    writer: Mutex<()>,
    state: Mutex<State>,
}

/// What there is, as far as it is alive.
#[derive(Debug, Default)]
struct State {
    /// The last is the one that grows.
    segments: BTreeMap<u32, Segment>,
    zones: BTreeMap<DomainName, Chain>,
}

#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    /// Where its last entry ends.
    end: u64,
    /// How many of its octets are alive.
    live: u64,
    /// Zones that were forgotten here: the entries before have to stay dead.
    forgotten: Vec<DomainName>,
}

/// What is kept of a zone.
#[derive(Debug)]
struct Chain {
    whole: Place,
    steps: Vec<Place>,
    serial: Serial,
    confirmed: SystemTime,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    segment: u32,
    at: u64,
    length: u64,
}

/// Something to be kept.
#[derive(Debug)]
pub(crate) enum Change {
    /// This data, confirmed at this time. The steps lead to it from what is kept; if they do not, it is kept whole.
    Data(Arc<Zone>, Vec<Arc<Delta>>, SystemTime),
    /// A primary has confirmed what is kept of this zone, which has this serial.
    Confirmed(DomainName, Serial, SystemTime),
    /// Nothing of this zone.
    Forget(DomainName),
}

/// What is kept of a zone.
pub(crate) struct Kept {
    /// Its data.
    pub(crate) zone: Zone,
    /// When a primary last confirmed it.
    pub(crate) refreshed: SystemTime,
}

impl Disk {
    /// Opens the folder, making it if need be, and looks through all that is in it.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("zones");
        fs::create_dir_all(&folder)?;
        let mut numbers = Vec::new();
        for file in fs::read_dir(&folder)? {
            let path = file?.path();
            let number = path.file_stem().and_then(|stem| u32::from_str_radix(stem.to_str()?, 16).ok());
            match (number, path.extension().and_then(|extension| extension.to_str())) {
                (Some(number), Some("log")) => numbers.push(number),
                // One file for each zone was how it was before; every zone is transferred anew.
                (_, Some("zone" | "new")) => fs::remove_file(&path)?,
                _ => warn!(file = %path.display(), "ignored a file that is none of ours"),
            }
        }
        numbers.sort_unstable();
        let disk = Self { folder, writer: Mutex::default(), state: Mutex::default() };
        for (position, &number) in numbers.iter().enumerate() {
            disk.take_up(number, position + 1 == numbers.len())?;
        }
        Ok(disk)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number:08x}.log"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds what is in a segment.
    fn take_up(&self, number: u32, is_last: bool) -> io::Result<()> {
        let path = self.path(number);
        let file = File::options().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let mut state = self.lock();
        let mut end = 0;
        let mut scan = Scan::new(&file, length);
        let mut found = Vec::new();
        while let Some(next) = scan.next()? {
            match next {
                Found::Entry(entry) => {
                    end = entry.at + entry.length;
                    found.push(entry);
                }
                Found::Damage(at, octets) if is_last && at + octets == length => {
                    info!(file = %path.display(), octets, "dropped what was being written when the agent ended");
                }
                Found::Damage(at, octets) => {
                    warn!(file = %path.display(), at, octets, "ignored what is damaged: zones that are missing or old are transferred again");
                }
            }
        }
        // Nothing may follow a tail that was dropped, lest it comes to life when something shorter is written there.
        if end < length && is_last {
            file.set_len(end)?;
        }
        state.segments.insert(number, Segment { file: Arc::new(file), end, live: 0, forgotten: Vec::new() });
        found.into_iter().for_each(|entry| state.note(number, entry));
        Ok(())
    }

    /// What is kept of a zone; `None` when there is nothing. The error says why it is of no use.
    pub(crate) fn read(&self, apex: &DomainName) -> Result<Option<Kept>, String> {
        let (parts, refreshed) = {
            let state = self.lock();
            let Some(chain) = state.zones.get(apex) else { return Ok(None) };
            let parts: Vec<_> = chain
                .places()
                .filter_map(|place| Some((Arc::clone(&state.segments.get(&place.segment)?.file), *place)))
                .collect();
            (parts, chain.confirmed)
        };
        let body = |(file, place): &(Arc<File>, Place)| entry::body(file, (place.at, place.length));
        let mut bodies = parts.iter().map(body);
        let whole = bodies.next().ok_or("it is not there")?.map_err(|error| error.to_string())?;
        let zone = body::read(&whole, apex)?;
        let steps = bodies
            .map(|body| {
                let body = body.map_err(|error| error.to_string())?;
                Delta::from_octets(&body).map_err(|fault| fault.to_string())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let zone = match steps.is_empty() {
            true => zone,
            false => delta::apply(&zone, &steps).map_err(|fault| fault.to_string())?,
        };
        Ok(Some(Kept { zone, refreshed }))
    }

    /// The zones of which something is kept.
    pub(crate) fn zones(&self) -> Vec<DomainName> {
        self.lock().zones.keys().cloned().collect()
    }

    /// Keeps all of this, or none of what had not been kept when an error came. Once it returns, it is on disk; but for
    /// confirmations, whose loss does no harm.
    pub(crate) fn keep(&self, changes: &[Change]) -> io::Result<()> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::Data(zone, steps, confirmed) => {
                    let steps = match batch.touches(zone.apex()) {
                        true => None,
                        false => self.lock().continues(zone, steps),
                    };
                    batch.data(zone, steps, *confirmed)?;
                }
                Change::Confirmed(apex, serial, confirmed) => self.confirm(apex, *serial, *confirmed)?,
                Change::Forget(apex) => {
                    if self.lock().zones.contains_key(apex) || batch.touches(apex) {
                        batch.forget(apex)?;
                    }
                }
            }
            if batch.octets.len() >= BATCH {
                self.write(std::mem::take(&mut batch))?;
            }
        }
        self.write(batch)
    }

    fn confirm(&self, apex: &DomainName, serial: Serial, confirmed: SystemTime) -> io::Result<()> {
        let mut state = self.lock();
        let Some(chain) = state.zones.get_mut(apex).filter(|chain| chain.serial == serial) else {
            return Ok(());
        };
        chain.confirmed = confirmed;
        let place = *chain.places().last().unwrap_or(&chain.whole);
        let file = state.segments.get(&place.segment).map(|segment| Arc::clone(&segment.file));
        drop(state);
        file.map_or(Ok(()), |file| entry::confirm(&file, place.at, confirmed))
    }

    /// Writes a batch to the last segment and syncs it. Only then does it count.
    fn write(&self, batch: Batch) -> io::Result<()> {
        if batch.octets.is_empty() {
            return Ok(());
        }
        let (number, file, end) = self.last()?;
        let written = file.write_all_at(&batch.octets, end).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What was written of it must not be found after something shorter that is written in its place.
            let _ = file.set_len(end);
            return Err(error);
        }
        let mut state = self.lock();
        if let Some(segment) = state.segments.get_mut(&number) {
            segment.end = end + batch.octets.len() as u64;
        }
        for mut entry in batch.entries {
            entry.at += end;
            state.note(number, entry);
        }
        Ok(())
    }

    /// The segment that grows: its number, file and end. A new one, if the last has grown enough or is mostly dead.
    fn last(&self) -> io::Result<(u32, Arc<File>, u64)> {
        let mut state = self.lock();
        let last = state.segments.last_key_value();
        let number = match last {
            Some((number, segment)) if !segment.is_full() => {
                return Ok((*number, Arc::clone(&segment.file), segment.end));
            }
            Some((number, _)) => {
                number.checked_add(1).ok_or_else(|| io::Error::other("too many segments"))?
            }
            None => 1,
        };
        let file = Arc::new(File::options().read(true).write(true).create_new(true).open(self.path(number))?);
        // The name has to outlive a power cut as what is in the file does.
        File::open(&self.folder)?.sync_all()?;
        let segment = Segment { file: Arc::clone(&file), end: 0, live: 0, forgotten: Vec::new() };
        state.segments.insert(number, segment);
        Ok((number, file, 0))
    }
}

impl Segment {
    fn dead(&self) -> u64 {
        self.end.saturating_sub(self.live)
    }

    /// Whether the next entry goes to another segment. One that is mostly dead is closed early, so that it can go.
    fn is_full(&self) -> bool {
        self.end >= SEGMENT || self.dead() > SEGMENT / 16 && self.dead() > self.live
    }
}

impl Chain {
    fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.whole).chain(&self.steps)
    }
}

impl State {
    /// Takes an entry into account. They come in the order in which they were written.
    fn note(&mut self, segment: u32, entry: Entry) {
        let Entry { kind, apex, from, to, confirmed, at, length } = entry;
        let place = Place { segment, at, length };
        match kind {
            Kind::Whole => {
                let chain = Chain { whole: place, steps: Vec::new(), serial: to, confirmed };
                let former = self.zones.insert(apex, chain);
                former.iter().flat_map(Chain::places).for_each(|place| self.count(*place, false));
            }
            Kind::Step => match self.zones.get_mut(&apex).filter(|chain| chain.serial == from) {
                Some(chain) => {
                    chain.steps.push(place);
                    chain.serial = to;
                    chain.confirmed = chain.confirmed.max(confirmed);
                }
                // What it led on from is damaged.
                None => return,
            },
            Kind::Forget => {
                let former = self.zones.remove(&apex);
                former.iter().flat_map(Chain::places).for_each(|place| self.count(*place, false));
                if let Some(segment) = self.segments.get_mut(&segment) {
                    segment.forgotten.push(apex);
                }
                return;
            }
        }
        self.count(place, true);
    }

    fn count(&mut self, place: Place, alive: bool) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = match alive {
                true => segment.live + place.length,
                false => segment.live.saturating_sub(place.length),
            };
        }
    }

    /// The steps, if they lead to this zone from what is kept of it and are worth keeping as such.
    fn continues<'a>(&self, zone: &Zone, steps: &'a [Arc<Delta>]) -> Option<&'a [Arc<Delta>]> {
        let chain = self.zones.get(zone.apex())?;
        let reached =
            steps.iter().try_fold(chain.serial, |have, step| (step.from() == have).then(|| step.to()));
        let octets: u64 = steps.iter().map(|step| step.octets().len() as u64).sum::<u64>()
            + chain.steps.iter().map(|step| step.length).sum::<u64>();
        let few = chain.steps.len() + steps.len() <= STEPS && octets <= chain.whole.length.max(SMALL);
        (few && !steps.is_empty() && reached == Some(zone.serial())).then_some(steps)
    }
}

#[cfg(test)]
mod tests;
