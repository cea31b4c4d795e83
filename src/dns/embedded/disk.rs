//! Disk: secondary zones as they were last transferred, so that a restart serves them before anybody upstream answers.
//!
//! ```text
//! <state>/zones/<zone>.zone
//!   "shoestring zone 1\n"  apex (length, wire form)
//!   for each RRset: owner (length, wire form), type, TTL, number of records, each: length, data
//!   SHA-256 of everything before it
//! ```
//! Numbers are big-endian: lengths of names 1 octet, of data 2, the others as on the wire; the number of records 4.
//! The file's modification time says when a primary last confirmed the zone: SOA expire (RFC 1035 section 3.3.13)
//! runs on across restarts, and a refresh that finds nothing new does not write the zone again. A file is written
//! aside, synced and renamed, and read only if its digest is right.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::zone::{Zone, ZoneBuilder};
use crate::fingerprint::Fingerprint;
use crate::names::DomainName;

const MAGIC: &[u8] = b"shoestring zone 1\n";
const DIGEST: usize = 32;
/// Longer files are not ours: a transfer is refused before it gets this long.
const LONGEST: u64 = 512 << 20;

/// The folder of zones.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

/// What is kept of a zone.
pub(crate) struct Kept {
    /// Its data.
    pub(crate) zone: Zone,
    /// When a primary last confirmed it.
    pub(crate) refreshed: SystemTime,
}

impl Disk {
    /// Opens the folder, making it if need be.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("zones");
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// A zone's name is its file's name where it can be; otherwise a digest of it, which no name looks like.
    fn path(&self, apex: &DomainName) -> PathBuf {
        let text = apex.to_string();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if text.len() <= 200 && text != "." && text.bytes().all(plain) {
            self.0.join(format!("{text}.zone"))
        } else {
            self.0.join(format!("={}.zone", Fingerprint::of(&[apex.as_wire()])))
        }
    }

    /// Keeps a zone.
    pub(crate) fn write(&self, zone: &Zone, refreshed: SystemTime) -> io::Result<()> {
        let path = self.path(zone.apex());
        let aside = path.with_extension("new");
        let mut out = Digesting { out: BufWriter::new(File::create(&aside)?), digest: Sha256::new() };
        write_zone(&mut out, zone)?;
        let digest = out.digest.finalize();
        out.out.write_all(&digest)?;
        let file = out.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.set_modified(refreshed)?;
        file.sync_all()?;
        // The folder is not synced: a crash that loses the new name leaves the old file or none, and either is right.
        fs::rename(&aside, &path)
    }

    /// Notes that a primary has confirmed the zone as it is kept.
    pub(crate) fn refreshed(&self, apex: &DomainName, at: SystemTime) -> io::Result<()> {
        File::options().write(true).open(self.path(apex))?.set_modified(at)
    }

    /// What is kept of a zone; `None` when there is nothing. The error says why a file is of no use.
    pub(crate) fn read(&self, apex: &DomainName) -> Result<Option<Kept>, String> {
        let path = self.path(apex);
        let bad = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(&error)),
        };
        let refreshed = file.metadata().and_then(|data| data.modified()).map_err(|error| bad(&error))?;
        let mut octets = Vec::new();
        file.take(LONGEST).read_to_end(&mut octets).map_err(|error| bad(&error))?;
        let (body, _) = octets
            .split_last_chunk::<DIGEST>()
            .filter(|(body, digest)| Sha256::digest(body)[..] == digest[..])
            .ok_or_else(|| bad(&"it is torn or was changed: its digest is wrong"))?;
        let zone = read_zone(body, apex).map_err(|why| bad(&why))?;
        Ok(Some(Kept { zone, refreshed }))
    }

    /// Forgets a zone; one that is not kept is fine.
    pub(crate) fn remove(&self, apex: &DomainName) -> io::Result<()> {
        match fs::remove_file(self.path(apex)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes through and digests.
struct Digesting<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.digest.update(&octets[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

pub(super) fn write_zone(out: &mut impl Write, zone: &Zone) -> io::Result<()> {
    out.write_all(MAGIC)?;
    write_name(out, zone.apex())?;
    for set in zone.rrsets() {
        write_name(out, &set.owner())?;
        out.write_all(&set.rtype().to_be_bytes())?;
        out.write_all(&set.ttl().to_be_bytes())?;
        let count = u32::try_from(set.count()).map_err(io::Error::other)?;
        out.write_all(&count.to_be_bytes())?;
        for rdata in set.rdatas() {
            let length = u16::try_from(rdata.len()).map_err(io::Error::other)?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(rdata)?;
        }
    }
    Ok(())
}

fn write_name(out: &mut impl Write, name: &DomainName) -> io::Result<()> {
    let length = u8::try_from(name.as_wire().len()).map_err(io::Error::other)?;
    out.write_all(&[length])?;
    out.write_all(name.as_wire())
}

pub(super) fn read_zone(body: &[u8], apex: &DomainName) -> Result<Zone, String> {
    let mut rest = body.strip_prefix(MAGIC).ok_or("it is not in a format that this version knows")?;
    let torn = "it ends in the middle of a record";
    if read_name(&mut rest).as_ref() != Some(apex) {
        return Err("it is of another zone".to_owned());
    }
    let mut builder = ZoneBuilder::new(apex.clone());
    while !rest.is_empty() {
        let owner = read_name(&mut rest).ok_or(torn)?;
        let rtype = u16::from_be_bytes(read_array(&mut rest).ok_or(torn)?);
        let ttl = u32::from_be_bytes(read_array(&mut rest).ok_or(torn)?);
        let count = u32::from_be_bytes(read_array(&mut rest).ok_or(torn)?);
        for _ in 0..count {
            let length = u16::from_be_bytes(read_array(&mut rest).ok_or(torn)?);
            let rdata = rest.split_off(..usize::from(length)).ok_or(torn)?;
            builder.push(&owner, rtype, ttl, rdata).map_err(|fault| fault.to_string())?;
        }
    }
    builder.finish().map_err(|faults| super::describe(&faults))
}

fn read_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

fn read_name(rest: &mut &[u8]) -> Option<DomainName> {
    let [length] = read_array(rest)?;
    DomainName::from_wire(rest.split_off(..usize::from(length))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::embedded::testing::zone;

    fn sets(zone: &Zone) -> Vec<(DomainName, u16, u32, Vec<Vec<u8>>)> {
        let data = |set: &super::super::zone::Rrset<'_>| set.rdatas().map(<[u8]>::to_vec).collect();
        zone.rrsets().map(|set| (set.owner(), set.rtype(), set.ttl(), data(&set))).collect()
    }

    #[test]
    fn a_zone_is_read_back_with_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        for apex in ["example.org", r"a/b.example", r"\000\255.example", &"x.".repeat(120), "."] {
            let written = zone(&apex.parse().unwrap(), 7, 300);
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            disk.write(&written, then).unwrap();
            let kept = disk.read(written.apex()).unwrap().unwrap();
            assert_eq!(sets(&kept.zone), sets(&written));
            assert_eq!(kept.refreshed, then);
            let later = then + Duration::from_secs(60);
            disk.refreshed(written.apex(), later).unwrap();
            assert_eq!(disk.read(written.apex()).unwrap().unwrap().refreshed, later);
            disk.remove(written.apex()).unwrap();
            assert!(disk.read(written.apex()).unwrap().is_none());
            disk.remove(written.apex()).unwrap();
        }
    }

    #[test]
    fn a_torn_or_changed_file_is_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let apex: DomainName = "example.org".parse().unwrap();
        disk.write(&zone(&apex, 7, 3), SystemTime::now()).unwrap();
        let path = disk.path(&apex);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(disk.read(&apex).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(disk.read(&apex).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_well_sealed_file_of_nonsense_is_of_no_use() {
        let apex: DomainName = "example.org".parse().unwrap();
        let mut body = Vec::new();
        write_zone(&mut body, &zone(&apex, 7, 3)).unwrap();
        assert!(read_zone(&body, &apex).is_ok());
        assert!(read_zone(&body, &"example.net".parse().unwrap()).is_err());
        for cut in 0..body.len() {
            // Where a set ends, the zone is whole but for the sets after it; nowhere does it panic.
            let _ = read_zone(&body[..cut], &apex);
        }
        assert!(read_zone(b"shoestring zone 2\n", &apex).is_err());
    }
}
