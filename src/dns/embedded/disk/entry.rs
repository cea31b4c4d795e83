//! Entry: what a segment is a row of, and the reading of segments that may be damaged anywhere.
//!
//! ```text
//! mark (4 octets), kind (1), length of the name (1), length of the body (4), serial from (4), serial to (4),
//! time when it was written (8), check of all that and the name (8),
//! time when it was last confirmed (8), check of that time (8), name, body, check of the body (8)
//! ```
//! Numbers are big-endian, times in milliseconds since 1970, checks SipHash-1-3: they are to find damage, not forgery. An
//! entry is written once; only the time of its confirmation and that time's check are written again in their place, and
//! if they are torn the entry counts as confirmed when it was written.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use siphasher::sip::SipHasher13;

use crate::names::{DomainName, Serial};

const MARK: [u8; 4] = [0xd5, b'z', b'n', 0x0a];
/// Up to the name.
const HEAD: usize = 50;
/// What the first check covers besides the name.
const CHECKED: usize = 26;
/// Where the time of confirmation and its check stand.
const CONFIRMED: usize = 34;
const CHECK: usize = 8;
/// How much of a file is in memory at a time while it is searched.
const WINDOW: usize = 1 << 20;

/// What an entry says of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of it, as `body` has it.
    Whole,
    /// The difference from one serial to another, as `Delta` has it.
    Step,
    /// It is not kept any more.
    Forget,
}

/// An entry without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) apex: DomainName,
    pub(crate) from: Serial,
    pub(crate) to: Serial,
    /// When a primary last confirmed the data.
    pub(crate) confirmed: SystemTime,
    /// Where it starts in its file.
    pub(crate) at: u64,
    /// How long it is, in octets.
    pub(crate) length: u64,
}

/// Appends an entry's octets; `body` appends its own. They are written in place, so that a large zone is in memory once.
pub(crate) fn encode(
    kind: Kind,
    apex: &DomainName,
    (from, to): (Serial, Serial),
    confirmed: SystemTime,
    body: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (start, name) = (out.len(), apex.as_wire());
    let start_of_body = start + HEAD + name.len();
    out.resize(start + HEAD, 0);
    out.extend(name);
    body(out);
    let length = u32::try_from(out.len() - start_of_body).map_err(io::Error::other)?;
    let kind = match kind {
        Kind::Whole => 1,
        Kind::Step => 2,
        Kind::Forget => 3,
    };
    let mut head = MARK.to_vec();
    head.extend([kind, u8::try_from(name.len()).map_err(io::Error::other)?]);
    head.extend([length.to_be_bytes(), from.0.to_be_bytes(), to.0.to_be_bytes()].concat());
    head.extend(milliseconds(confirmed).to_be_bytes());
    let sum = check(0, &[&head, name]);
    head.extend(sum.to_be_bytes());
    head.extend(confirmation(confirmed, sum));
    out[start..start + HEAD].copy_from_slice(&head);
    out.extend(check(sum, &[&out[start_of_body..]]).to_be_bytes());
    Ok(())
}

/// Writes down that a primary has confirmed the data of the entry that starts here.
pub(crate) fn confirm(file: &File, at: u64, confirmed: SystemTime) -> io::Result<()> {
    let mut check = [0; CHECK];
    file.read_exact_at(&mut check, at + CHECKED as u64)?;
    file.write_all_at(&confirmation(confirmed, u64::from_be_bytes(check)), at + CONFIRMED as u64)
}

/// The body of an entry. The error says that it was damaged since it was found.
pub(crate) fn body(file: &File, entry: (u64, u64)) -> io::Result<Vec<u8>> {
    let (at, length) = entry;
    let mut octets = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut octets, at)?;
    let start = head(&octets, at, length).map(|found| HEAD + found.apex.as_wire().len());
    let end = octets.len().checked_sub(CHECK);
    let (Some(start), Some(end)) = (start, end) else { return Err(damaged()) };
    let seed = u64::from_be_bytes(octets[CHECKED..CONFIRMED].try_into().expect("eight octets"));
    if start > end || check(seed, &[&octets[start..end]]).to_be_bytes() != octets[end..] {
        return Err(damaged());
    }
    octets.truncate(end);
    octets.drain(..start);
    Ok(octets)
}

/// What a head and a name say, if they are sound and their entry fits into what is left of the file.
fn head(octets: &[u8], at: u64, left: u64) -> Option<Entry> {
    let (head, rest) = octets.split_at_checked(HEAD)?;
    let name = rest.get(..usize::from(head[5]))?;
    let sum = read(&head[CHECKED..]);
    if head[..4] != MARK || check(0, &[&head[..CHECKED], name]) != sum {
        return None;
    }
    let number = |at: usize| head[at..].first_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
    let confirmed = &head[CONFIRMED..CONFIRMED + 8];
    let torn = check(sum, &[confirmed]) != read(&head[CONFIRMED + 8..]);
    Some(Entry {
        kind: match head[4] {
            1 => Kind::Whole,
            2 => Kind::Step,
            3 => Kind::Forget,
            _ => return None,
        },
        apex: DomainName::from_wire(name)?,
        from: Serial(number(10)),
        to: Serial(number(14)),
        confirmed: time(read(if torn { &head[18..26] } else { confirmed }))?,
        at,
        length: Some((HEAD + name.len() + CHECK) as u64 + u64::from(number(6)))
            .filter(|length| *length <= left)?,
    })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what was kept is damaged")
}

fn confirmation(confirmed: SystemTime, check: u64) -> [u8; 16] {
    let time = milliseconds(confirmed).to_be_bytes();
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&time);
    octets[8..].copy_from_slice(&self::check(check, &[&time]).to_be_bytes());
    octets
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(milliseconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}

fn check(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 0);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

/// What a search through a segment comes upon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Entry(Entry),
    /// So many octets, from here on, are no entry.
    Damage(u64, u64),
}

/// A search through a segment, from its start to its end.
pub(crate) struct Scan<'a> {
    file: &'a File,
    length: u64,
    at: u64,
    window: Vec<u8>,
    /// Where the window starts in the file.
    start: u64,
}

impl<'a> Scan<'a> {
    /// Of a file of so many octets.
    pub(crate) fn new(file: &'a File, length: u64) -> Self {
        Self { file, length, at: 0, window: Vec::new(), start: 0 }
    }

    /// The next entry, or stretch of damage; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let start = self.at;
        while self.at < self.length {
            if let Some(entry) = self.entry()? {
                if self.at > start {
                    return Ok(Some(Found::Damage(start, self.at - start)));
                }
                self.at += entry.length;
                return Ok(Some(Found::Entry(entry)));
            }
            self.skip()?;
        }
        Ok((self.at > start).then(|| Found::Damage(start, self.at - start)))
    }

    /// Goes to the next octet at which an entry might start.
    fn skip(&mut self) -> io::Result<()> {
        self.at += 1;
        while self.at < self.length {
            let count = usize::try_from(self.length - self.at).unwrap_or(usize::MAX).min(WINDOW);
            let octets = self.octets(self.at, count)?;
            match octets.iter().position(|octet| *octet == MARK[0]) {
                Some(position) => {
                    self.at += position as u64;
                    return Ok(());
                }
                None => self.at += count as u64,
            }
        }
        Ok(())
    }

    /// The entry that starts here, if a whole one does.
    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let at = self.at;
        let most = usize::try_from(self.length - at).unwrap_or(usize::MAX).min(HEAD + 255);
        let head = self.octets(at, most)?.to_vec();
        let Some(entry) = self::head(&head, at, self.length - at) else { return Ok(None) };
        let mut hasher = SipHasher13::new_with_keys(read(&head[CHECKED..]), 0);
        let mut next = at + (HEAD + entry.apex.as_wire().len()) as u64;
        let end = at + entry.length - CHECK as u64;
        while next < end {
            let count = usize::try_from(end - next).unwrap_or(usize::MAX).min(WINDOW);
            hasher.write(self.octets(next, count)?);
            next += count as u64;
        }
        Ok((read(self.octets(end, CHECK)?) == hasher.finish()).then_some(entry))
    }

    /// So many octets of the file, at most a window's worth, all of which it has.
    fn octets(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let within = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let held = within.filter(|skip| skip + count <= self.window.len());
        let skip = match held {
            Some(skip) => skip,
            None => {
                let length = usize::try_from(self.length - at).unwrap_or(usize::MAX).min(WINDOW.max(count));
                self.window.resize(length, 0);
                self.file.read_exact_at(&mut self.window, at)?;
                self.start = at;
                0
            }
        };
        Ok(&self.window[skip..skip + count])
    }
}

fn read(octets: &[u8]) -> u64 {
    octets.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
}
