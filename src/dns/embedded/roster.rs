//! Roster: the zones that this server was given, and what stands of each.
//!
//! One lock, held for moments and never across a wait. Answering queries does not touch it; it is for transfers,
//! NOTIFYs, the timers of secondary zones, and changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};
use tracing::{debug, info, warn};

use super::delta::Delta;
use super::disk::Kept;
use super::handler::ZonePolicy;
use super::history::{self, History};
use super::keep::Keeper;
use super::notify::Notifier;
use super::room::Room;
use super::secondary::{Effect, Found, Look, Secondary, Standing};
use super::timing::Timing;
use super::transfer::Means;
use super::zone::Zone;
use super::zones::{ZoneEntry, Zones};
use crate::dns::{
    NameServerConfig, ObservedZone, TransferClient, TransferSource, ZoneConfig, ZoneRecords, ZoneTable,
};
use crate::fingerprint::Fingerprint;
use crate::keyring::{CookieSecret, Keyring, TsigKey};
use crate::names::{DomainName, SecretName, Serial};

mod observe;

/// How many zones are gone through before others get the lock.
const AT_A_TIME: usize = 256;

/// The zones, and those who act on their changes.
pub(crate) struct Roster {
    /// What queries are answered from.
    pub(crate) zones: Arc<Zones>,
    /// How the server is set up.
    pub(crate) config: ArcSwap<NameServerConfig>,
    /// How its zones came to be what they are.
    history: History,
    /// Tells others of new serials.
    pub(crate) notifier: Notifier,
    /// Writes transferred zones to disk.
    pub(crate) keeper: Keeper,
    /// Wakes the task that starts looks.
    pub(crate) wake: Notify,
    /// How long things take.
    pub(crate) timing: Timing,
    /// Where TSIG keys are found.
    pub(crate) keyring: Arc<Keyring>,
    /// The memory that transfers share.
    room: Room,
    /// Held by the one transfer that makes a large zone.
    builder: Semaphore,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: BTreeMap<DomainName, Entry>,
    /// When each secondary zone has something to do next: at most one entry a zone.
    due: BTreeSet<(Instant, DomainName)>,
    /// Counts the configurations of secondary zones.
    generation: u64,
    /// What was last observed, until something changes.
    observed: Option<ZoneTable<ObservedZone>>,
    /// Counts the changes that can be observed.
    changes: u64,
}

struct Entry {
    config: Arc<ZoneConfig>,
    fingerprint: Fingerprint,
    records: Records,
    /// Its place in `due`.
    due: Option<Instant>,
}

enum Records {
    /// From a zone file; the text says what was wrong with the last one.
    Primary {
        problem: Option<String>,
    },
    Secondary(Secondary),
}

/// A zone's records, read and ready to be served under a new configuration.
pub(crate) enum Prepared {
    /// Of a zone file: the zone and the step that leads to it, or what is wrong with it.
    File(Result<(Arc<Zone>, Option<Arc<Delta>>), String>),
    /// Of a secondary zone: what was kept on disk.
    Kept(Option<Kept>),
}

/// What a task is to do for a secondary zone.
pub(crate) struct Due {
    /// Which zone.
    pub(crate) apex: DomainName,
    /// Its first source, by which looks are counted.
    pub(crate) group: std::net::SocketAddr,
}

impl Roster {
    pub(crate) fn new(timing: Timing, keyring: Arc<Keyring>) -> Self {
        Self {
            zones: Arc::new(Zones::new()),
            config: ArcSwap::default(),
            history: History::default(),
            notifier: Notifier::default(),
            keeper: Keeper::default(),
            wake: Notify::new(),
            timing,
            keyring,
            room: Room::default(),
            builder: Semaphore::new(1),
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a zone's data has to be looked for on disk before it is set: it is to be transferred, and it is not
    /// served from a transfer yet.
    pub(crate) fn wants_disk(&self, apex: &DomainName) -> bool {
        match self.lock().entries.get(apex) {
            Some(Entry { records: Records::Secondary(secondary), .. }) => secondary.zone().is_none(),
            Some(Entry { records: Records::Primary { .. }, .. }) | None => true,
        }
    }

    /// Whether it is a secondary zone.
    pub(crate) fn is_secondary(&self, apex: &DomainName) -> bool {
        self.lock().secondary(apex).is_some()
    }

    /// Adds or changes a zone. The error says why its records could not be taken; what was served before stays.
    pub(crate) fn set(&self, config: &Arc<ZoneConfig>, prepared: Prepared) -> Result<(), String> {
        let apex = &config.name;
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut table = self.lock();
        table.changed();
        table.generation += 1;
        let generation = table.generation;
        let old = table.take(apex);
        let told_before = old.as_ref().map(|old| Arc::clone(&old.config.notify)).unwrap_or_default();
        let serial_before = self.served(apex).map(|zone| zone.serial());
        self.zones.set_private(apex, config.is_private);
        let mut result = Ok(());
        let records = match (&config.source, prepared, old.map(|old| old.records)) {
            (ZoneRecords::Transfer(sources), prepared, old) => {
                let mut secondary = match old {
                    Some(Records::Secondary(secondary)) => secondary,
                    Some(Records::Primary { .. }) | None => {
                        Secondary::new(sources, self.served(apex), generation, &self.timing, now, clock)
                    }
                };
                secondary.reconfigure(sources, generation, now);
                if let (Prepared::Kept(Some(kept)), None) = (prepared, secondary.zone()) {
                    let Kept { zone, refreshed } = kept;
                    secondary.restore(Arc::new(zone), refreshed, &self.timing, now, clock);
                    debug!(zone = %apex, state = ?secondary.standing(), "took up the zone that was kept on disk");
                }
                self.publish(apex, &secondary);
                Records::Secondary(secondary)
            }
            (ZoneRecords::File { .. }, Prepared::File(Ok((zone, step))), _) => {
                self.history.replaced(&zone, step);
                self.zones.serve(zone);
                Records::Primary { problem: None }
            }
            (ZoneRecords::File { .. }, prepared, _) => {
                let problem = match prepared {
                    Prepared::File(Err(problem)) => problem,
                    Prepared::File(Ok(_)) | Prepared::Kept(_) => "its zone file was not read".to_owned(),
                };
                warn!(zone = %apex, problem, "kept what was served before");
                if self.zones.get(apex).is_none() {
                    self.zones.set(apex, ZoneEntry::Empty);
                }
                result = Err(problem.clone());
                Records::Primary { problem: Some(problem) }
            }
        };
        if let Some(zone) = self.served(apex) {
            match serial_before {
                Some(before) if before != zone.serial() => self.notifier.tell(apex, &*config.notify),
                // Taken up from disk: it was told before it was kept.
                None if matches!(config.source, ZoneRecords::Transfer(_)) => (),
                _ => self.notifier.introduce(apex, config.notify.difference(&told_before)),
            }
        }
        let entry =
            Entry { config: Arc::clone(config), fingerprint: config.fingerprint(), records, due: None };
        table.entries.insert(apex.clone(), entry);
        table.requeue(apex);
        drop(table);
        self.wake.notify_one();
        result
    }

    /// Stops serving a zone.
    pub(crate) fn remove(&self, apex: &DomainName) {
        let mut table = self.lock();
        table.changed();
        table.take(apex);
        drop(table);
        self.zones.remove(apex);
        self.zones.set_private(apex, false);
        self.history.forget(apex);
    }

    fn served(&self, apex: &DomainName) -> Option<Arc<Zone>> {
        match self.zones.get(apex)? {
            ZoneEntry::Served(zone) => Some(zone),
            ZoneEntry::Empty | ZoneEntry::Expired => None,
        }
    }

    /// The step from what is served of a zone to what is to be served, if anybody may transfer it. Takes as long as the
    /// zone is large.
    pub(crate) fn step_to(&self, apex: &DomainName, new: &Zone) -> Option<Arc<Delta>> {
        let wanted = self.lock().entries.get(apex).is_some_and(|entry| !entry.config.transfer_to.is_empty());
        if wanted { history::step(self.served(apex).as_deref(), new) } else { None }
    }

    /// Makes queries be answered as a secondary stands.
    fn publish(&self, apex: &DomainName, secondary: &Secondary) {
        match (secondary.standing(), secondary.zone()) {
            (Standing::Served, Some(zone)) => self.zones.serve(zone),
            (Standing::Expired, _) => self.zones.set(apex, ZoneEntry::Expired),
            (Standing::Served | Standing::Empty, _) => self.zones.set(apex, ZoneEntry::Empty),
        }
    }

    /// Ends what has expired, and takes the zones whose look is due, some at a time. Also says when to come again.
    pub(crate) fn due(&self, now: Instant) -> (Vec<Due>, Option<Instant>) {
        let mut looks = Vec::new();
        let mut table = self.lock();
        while let Some((at, apex)) = table.due.first().cloned() {
            if at > now || looks.len() >= AT_A_TIME {
                return (looks, Some(at));
            }
            let mut expired = false;
            if let Some(secondary) = table.secondary(&apex) {
                if secondary.expire(now) {
                    warn!(zone = %apex, problem = secondary.problem(), "the zone has expired: it is not answered for");
                    self.zones.set(&apex, ZoneEntry::Expired);
                    expired = true;
                }
                if secondary.start(now)
                    && let Some(source) = secondary.sources().first()
                {
                    looks.push(Due { apex: apex.clone(), group: source.address });
                }
            }
            if expired {
                table.changed();
            }
            table.requeue(&apex);
        }
        (looks, None)
    }

    /// What transfers share.
    pub(crate) fn means(&self) -> Means<'_> {
        let limits = self.config.load().transfers;
        Means { keyring: &self.keyring, limits, room: &self.room, builder: &self.builder }
    }

    /// What a look that was taken needs; `None` if the zone is gone.
    pub(crate) fn look(&self, apex: &DomainName) -> Option<Look> {
        self.lock().secondary(apex).map(|secondary| secondary.look())
    }

    /// Takes what a look found.
    pub(crate) fn found(&self, apex: &DomainName, generation: u64, mut found: Found) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let steps = match &mut found {
            Found::New(_, steps) => std::mem::take(steps),
            Found::Current(_) | Found::Failed(_) => Vec::new(),
        };
        let mut table = self.lock();
        let Some(Entry { config, records: Records::Secondary(secondary), .. }) = table.entries.get_mut(apex)
        else {
            return;
        };
        let before = secondary.problem().map(str::to_owned);
        let stood = secondary.standing();
        let effect = secondary.found(generation, found, &self.timing, now, clock);
        if secondary.problem().is_some() && secondary.problem() != before.as_deref() {
            warn!(zone = %apex, problem = secondary.problem(), "the zone could not be refreshed");
        }
        match (effect, secondary.zone()) {
            (Effect::None, _) | (_, None) => (),
            (Effect::Refreshed, Some(zone)) => {
                debug!(zone = %apex, serial = %zone.serial(), "the zone is current");
                self.publish(apex, secondary);
                self.keeper.refreshed(apex);
            }
            (Effect::Replaced, Some(zone)) => {
                info!(zone = %apex, serial = %zone.serial(), records = zone.record_count(), steps = steps.len(), "transferred the zone");
                self.keeper.replaced(apex, &steps);
                self.history.replaced(&zone, steps);
                self.publish(apex, secondary);
                self.notifier.tell(apex, &*config.notify);
            }
        }
        let same = effect != Effect::Replaced
            && secondary.standing() == stood
            && secondary.problem() == before.as_deref();
        if !same {
            table.changed();
        }
        table.requeue(apex);
        drop(table);
        self.wake.notify_one();
    }

    /// Whether a request that was signed with `key` has the key that it has to have.
    fn is_signed(&self, wanted: Option<&SecretName>, key: Option<&TsigKey>) -> bool {
        wanted.is_none_or(|name| key.is_some() && self.keyring.tsig(name).as_ref() == key)
    }

    /// What is to be kept on disk of a zone: its data, and when it was last refreshed.
    pub(crate) fn to_keep(&self, apex: &DomainName) -> Option<(Arc<Zone>, SystemTime)> {
        let mut table = self.lock();
        let secondary = table.secondary(apex)?;
        secondary.zone().zip(secondary.refreshed())
    }
}

impl Table {
    fn secondary(&mut self, apex: &DomainName) -> Option<&mut Secondary> {
        match self.entries.get_mut(apex)?.records {
            Records::Secondary(ref mut secondary) => Some(secondary),
            Records::Primary { .. } => None,
        }
    }

    fn changed(&mut self) {
        self.changes += 1;
        self.observed = None;
    }

    fn take(&mut self, apex: &DomainName) -> Option<Entry> {
        let entry = self.entries.remove(apex)?;
        if let Some(due) = entry.due {
            self.due.remove(&(due, apex.clone()));
        }
        Some(entry)
    }

    /// Puts a zone at its place in `due`.
    fn requeue(&mut self, apex: &DomainName) {
        let Some(entry) = self.entries.get_mut(apex) else { return };
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, apex.clone()));
        }
        if let Records::Secondary(secondary) = &entry.records {
            entry.due = secondary.due();
            self.due.extend(entry.due.map(|due| (due, apex.clone())));
        }
    }
}

impl ZonePolicy for Roster {
    fn config(&self) -> Arc<NameServerConfig> {
        self.config.load_full()
    }

    fn cookie_secret(&self) -> Option<CookieSecret> {
        let config = self.config.load();
        self.keyring.cookie(&config.cookie_secret.as_ref()?.name)
    }

    fn keys(&self, name: &DomainName) -> Vec<TsigKey> {
        self.keyring.tsig_named(name)
    }

    fn may_transfer(&self, apex: &DomainName, peer: IpAddr, key: Option<&TsigKey>) -> bool {
        let Some(config) = self.lock().entries.get(apex).map(|entry| Arc::clone(&entry.config)) else {
            return false;
        };
        config.transfer_to.iter().any(|TransferClient { network, tsig_key }| {
            network.is_none_or(|network| network.contains(&peer)) && self.is_signed(tsig_key.as_ref(), key)
        })
    }

    fn steps(&self, zone: &Zone, from: Serial) -> Option<Vec<Arc<Delta>>> {
        self.history.since(zone, from)
    }

    fn notified(&self, apex: &DomainName, peer: IpAddr, key: Option<&TsigKey>, told: Option<Serial>) -> bool {
        let mut table = self.lock();
        let Some(secondary) = table.secondary(apex) else { return false };
        let from = |source: &TransferSource| {
            source.address.ip() == peer && self.is_signed(source.tsig_key.as_ref(), key)
        };
        if !secondary.sources().iter().any(from) {
            return false;
        }
        if !secondary.notified(peer, told, Instant::now()) {
            return true;
        }
        table.requeue(apex);
        drop(table);
        self.wake.notify_one();
        true
    }
}
