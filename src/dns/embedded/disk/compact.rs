//! Compacting: what is alive in a segment that is mostly dead is written anew at the end, and the segment goes.

use std::io;
use std::sync::{Arc, PoisonError};

use tracing::warn;

use super::batch::Batch;
use super::{BATCH, Change, Disk};
use crate::names::DomainName;

impl Disk {
    /// Does a part of what there is to do, and says whether there is more. Nothing else may be kept meanwhile.
    pub(crate) fn compact(&self) -> io::Result<bool> {
        let Some(number) = self.mostly_dead() else { return Ok(false) };
        let mut changes = Vec::new();
        let mut octets = 0;
        for apex in self.alive_in(number) {
            if octets >= BATCH {
                return self.keep(&changes).map(|()| true);
            }
            match self.read(&apex) {
                Ok(Some(kept)) => {
                    octets += kept.zone.heap_bytes();
                    changes.push(Change::Data(Arc::new(kept.zone), Vec::new(), kept.refreshed));
                }
                Ok(None) => (),
                Err(problem) => {
                    warn!(zone = %apex, problem, "forgot what was kept of a zone: it is transferred again");
                    changes.push(Change::Forget(apex));
                }
            }
        }
        self.keep(&changes)?;
        self.drop_segment(number)?;
        Ok(self.mostly_dead().is_some())
    }

    /// The first segment that is worth compacting, and does not grow.
    fn mostly_dead(&self) -> Option<u32> {
        let state = self.lock();
        let last = *state.segments.keys().next_back()?;
        let mut others = state.segments.iter().filter(|(number, _)| **number != last);
        others.find(|(_, segment)| segment.dead() >= segment.live).map(|(number, _)| *number)
    }

    /// The zones of which something alive is in a segment.
    fn alive_in(&self, number: u32) -> Vec<DomainName> {
        let state = self.lock();
        let here =
            state.zones.iter().filter(|(_, chain)| chain.places().any(|place| place.segment == number));
        here.map(|(apex, _)| apex.clone()).collect()
    }

    /// Removes a segment in which nothing is alive. What was forgotten in it is forgotten anew, unless nothing is before
    /// it that could come back.
    fn drop_segment(&self, number: u32) -> io::Result<()> {
        let mut batch = Batch::default();
        {
            let state = self.lock();
            let is_first = state.segments.keys().next() == Some(&number);
            let forgotten = state.segments.get(&number).map_or(&[][..], |segment| &segment.forgotten);
            for apex in forgotten.iter().filter(|apex| !is_first && !state.zones.contains_key(*apex)) {
                batch.forget(apex)?;
            }
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(batch)?;
        drop(writer);
        self.lock().segments.remove(&number);
        std::fs::remove_file(self.path(number))
    }
}
