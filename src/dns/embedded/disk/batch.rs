//! Batch: entries that are written and synced together.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::body;
use super::entry::{self, Entry, Kind};
use crate::dns::embedded::delta::Delta;
use crate::dns::embedded::zone::Zone;
use crate::names::{DomainName, Serial};

/// Entries that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) octets: Vec<u8>,
    /// Their places count from the start of the batch.
    pub(super) entries: Vec<Entry>,
    touched: HashSet<DomainName>,
}

impl Batch {
    /// Whether there is something of this zone in it.
    pub(super) fn touches(&self, apex: &DomainName) -> bool {
        self.touched.contains(apex)
    }

    /// A zone by these steps, or whole.
    pub(super) fn data(
        &mut self,
        zone: &Zone,
        steps: Option<&[Arc<Delta>]>,
        confirmed: SystemTime,
    ) -> io::Result<()> {
        let Some(steps) = steps else {
            let serials = (zone.serial(), zone.serial());
            return self.push(Kind::Whole, zone.apex(), serials, confirmed, |out| body::write(zone, out));
        };
        for step in steps {
            self.push(Kind::Step, zone.apex(), (step.from(), step.to()), confirmed, |out| {
                out.extend(step.octets())
            })?;
        }
        Ok(())
    }

    /// That a zone is not kept any more.
    pub(super) fn forget(&mut self, apex: &DomainName) -> io::Result<()> {
        self.push(Kind::Forget, apex, (Serial(0), Serial(0)), SystemTime::UNIX_EPOCH, |_| ())
    }

    fn push(
        &mut self,
        kind: Kind,
        apex: &DomainName,
        (from, to): (Serial, Serial),
        confirmed: SystemTime,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let at = self.octets.len();
        entry::encode(kind, apex, (from, to), confirmed, body, &mut self.octets)?;
        let (at, length) = (at as u64, (self.octets.len() - at) as u64);
        self.touched.insert(apex.clone());
        self.entries.push(Entry { kind, apex: apex.clone(), from, to, confirmed, at, length });
        Ok(())
    }
}
