//! Secondary: one zone that is transferred, as a state machine without clocks or sockets.
//!
//! ```text
//!            start                     current, new
//! Waiting ─────────→ Looking ────────────────────────→ Waiting, served until SOA expire
//!    ↑                  │ failed ─→ Waiting for a retry    │ no look succeeds until then
//!    └─ NOTIFY, new sources: at once                       └→ expired: SERVFAIL until one does
//! ```
//! A *look* asks the primaries for the serial and transfers the zone if one has a newer one. A NOTIFY during a look
//! makes another follow. NOTIFYs that bring nothing new are followed by a pause, since anybody may send them in the name
//! of a primary. What a look brings back counts only if the sources have not been changed meanwhile.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::delta::Delta;
use super::timing::Timing;
use super::zone::Zone;
use crate::dns::TransferSource;
use crate::names::Serial;

/// From a look that found nothing new to the next one that a NOTIFY starts.
const CALM: Duration = Duration::from_millis(250);

/// A secondary zone.
#[derive(Debug)]
pub(crate) struct Secondary {
    sources: Arc<[TransferSource]>,
    held: Option<Held>,
    failures: u32,
    next: Instant,
    /// No NOTIFY starts a look before this.
    calm: Instant,
    looking: Looking,
    /// The source whose NOTIFY came last; it is asked first, as it knows what is new.
    notifier: Option<IpAddr>,
    problem: Option<String>,
    /// Tells its sources from those that it had, or that a former zone of this name had.
    generation: u64,
}

/// The data that a zone has.
#[derive(Debug)]
struct Held {
    zone: Arc<Zone>,
    refreshed: SystemTime,
    expires: Instant,
    expired: bool,
    /// It came from elsewhere, so its serial says nothing about the sources'.
    inherited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    No,
    Yes,
    /// Once more, because of NOTIFYs; with the serial that they told of, if it is one.
    Again(Option<Serial>),
}

/// What a look needs.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Whom to ask, in this order of preference.
    pub(crate) sources: Vec<TransferSource>,
    /// What we have of theirs.
    pub(crate) have: Option<Arc<Zone>>,
    /// To be handed back with what was found.
    pub(crate) generation: u64,
}

/// What a look found.
#[derive(Debug)]
pub(crate) enum Found {
    /// A source has what we have. If others have announced something newer, the text says why it could not be had.
    Current(Option<String>),
    /// Newer data, and the steps that led to it, if it came so.
    New(Arc<Zone>, Vec<Arc<Delta>>),
    /// No source could be used; the text says why.
    Failed(String),
}

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// The same data is to be served (again), and was refreshed.
    Refreshed,
    /// New data is to be served.
    Replaced,
}

/// Whether a secondary is served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Served,
    Empty,
    Expired,
}

impl Secondary {
    /// A zone that is looked at right away. `inherited` is data that it was served with from elsewhere.
    pub(crate) fn new(
        sources: &[TransferSource],
        inherited: Option<Arc<Zone>>,
        generation: u64,
        timing: &Timing,
        now: Instant,
        clock: SystemTime,
    ) -> Self {
        let mut new = Self {
            sources: sources.into(),
            held: None,
            failures: 0,
            next: now,
            calm: now,
            looking: Looking::No,
            notifier: None,
            problem: None,
            generation,
        };
        if let Some(zone) = inherited {
            new.restore(zone, clock, timing, now, clock);
            new.held.iter_mut().for_each(|held| held.inherited = true);
        }
        new
    }

    /// Takes the data that was kept on disk, last refreshed at `refreshed`; `clock` is the time now.
    pub(crate) fn restore(
        &mut self,
        zone: Arc<Zone>,
        refreshed: SystemTime,
        timing: &Timing,
        now: Instant,
        clock: SystemTime,
    ) {
        // A clock that was set back tells nothing of the age, so the zone counts as fresh.
        let age = clock.duration_since(refreshed).unwrap_or(Duration::ZERO);
        let left = timing.expire(zone.soa()).saturating_sub(age);
        let expired = left.is_zero();
        self.held = Some(Held { zone, refreshed, expires: now + left, expired, inherited: false });
    }

    /// Takes other sources, if they are others. Data that is there stays, and a look follows at once.
    pub(crate) fn reconfigure(&mut self, sources: &[TransferSource], generation: u64, now: Instant) {
        if *self.sources != *sources {
            self.sources = sources.into();
            self.generation = generation;
            self.looking = Looking::No;
            self.notifier = None;
            self.failures = 0;
            self.next = now;
        }
    }

    /// A NOTIFY came from this address, which is one of the sources', and told of this serial. False if nothing follows
    /// from it: it is the serial that we have.
    pub(crate) fn notified(&mut self, peer: IpAddr, told: Option<Serial>, now: Instant) -> bool {
        let fresh = self.held.as_ref().filter(|held| !held.inherited && !held.expired);
        if fresh.is_some_and(|held| told == Some(held.zone.serial())) {
            return false;
        }
        self.notifier = Some(peer);
        match self.looking {
            Looking::No => self.next = self.next.min(self.calm.max(now)),
            Looking::Yes => self.looking = Looking::Again(told),
            Looking::Again(before) => self.looking = Looking::Again(told.filter(|_| told == before)),
        }
        true
    }

    /// When something is to be done next; `None` while a look is under way on a zone that cannot expire.
    pub(crate) fn due(&self) -> Option<Instant> {
        let expires = self.held.as_ref().filter(|held| !held.expired).map(|held| held.expires);
        let look = (self.looking == Looking::No).then_some(self.next);
        [expires, look].into_iter().flatten().min()
    }

    /// Ends the serving of data that is too old. True if that happened now.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        match &mut self.held {
            Some(held) if !held.expired && held.expires <= now => {
                held.expired = true;
                true
            }
            _ => false,
        }
    }

    /// Whether a look is to be started; it then counts as under way.
    pub(crate) fn start(&mut self, now: Instant) -> bool {
        let due = self.looking == Looking::No && self.next <= now;
        if due {
            self.looking = Looking::Yes;
        }
        due
    }

    /// What the look that was started needs to know.
    pub(crate) fn look(&self) -> Look {
        let mut sources = self.sources.to_vec();
        // Stable: the others keep their order.
        sources.sort_by_key(|source| Some(source.address.ip()) != self.notifier);
        let have = self.held.as_ref().filter(|held| !held.inherited).map(|held| Arc::clone(&held.zone));
        Look { sources, have, generation: self.generation }
    }

    /// Takes what a look found.
    pub(crate) fn found(
        &mut self,
        generation: u64,
        found: Found,
        timing: &Timing,
        now: Instant,
        clock: SystemTime,
    ) -> Effect {
        if generation != self.generation {
            return Effect::None;
        }
        let looked = std::mem::replace(&mut self.looking, Looking::No);
        let effect = match found {
            Found::New(zone, _) => {
                self.restore(zone, clock, timing, now, clock);
                self.problem = None;
                Effect::Replaced
            }
            Found::Current(behind) => {
                if let Some(zone) = self.zone() {
                    self.restore(zone, clock, timing, now, clock);
                }
                self.problem = behind;
                Effect::Refreshed
            }
            Found::Failed(problem) => {
                self.failures = self.failures.saturating_add(1);
                self.problem = Some(problem);
                Effect::None
            }
        };
        let soa = self.held.as_ref().map(|held| held.zone.soa());
        let pause = match (effect, soa) {
            (Effect::None, Some(soa)) => timing.retry(soa),
            (Effect::None, None) => timing.first(self.failures),
            // It does not expire, and what is newer is tried again as soon as after a failure.
            (Effect::Refreshed, Some(soa)) if self.problem.is_some() => timing.retry(soa),
            (Effect::Refreshed | Effect::Replaced, soa) => {
                self.failures = 0;
                self.notifier = None;
                soa.map_or(timing.first(1), |soa| timing.refresh(soa))
            }
        };
        self.calm = if effect == Effect::Replaced { now } else { now + CALM };
        self.next = match (looked, &self.held) {
            // The look brought what they told of.
            (Looking::Again(Some(told)), Some(held)) if told == held.zone.serial() => now + pause,
            (Looking::Again(_), _) => self.calm,
            (Looking::Yes | Looking::No, _) => now + pause,
        };
        effect
    }

    /// Whether it is served.
    pub(crate) fn standing(&self) -> Standing {
        match &self.held {
            None => Standing::Empty,
            Some(held) if held.expired => Standing::Expired,
            Some(_) => Standing::Served,
        }
    }

    /// The data, expired or not.
    pub(crate) fn zone(&self) -> Option<Arc<Zone>> {
        self.held.as_ref().map(|held| Arc::clone(&held.zone))
    }

    /// When a primary last confirmed the data.
    pub(crate) fn refreshed(&self) -> Option<SystemTime> {
        self.held.as_ref().map(|held| held.refreshed)
    }

    /// What the last look met, if it failed.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Its sources.
    pub(crate) fn sources(&self) -> &[TransferSource] {
        &self.sources
    }
}

#[cfg(test)]
mod tests;
