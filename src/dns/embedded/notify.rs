//! Notify: telling others of a new serial (RFC 1996), until they say that they heard it.
//!
//! One task for all zones. A target that does not answer, or refuses since it has not learned of the zone yet, is told
//! again with growing pauses, and given up after some: its own refresh timer remains. A newer serial starts over.
//!
//! *News* is a serial that nobody has yet. An *introduction* tells a server that has come to a zone's targets of the
//! serial that the others have: many at once, when the server is to have many zones, and none of them urgent. So news
//! goes first, and introductions have few places. What was kept on disk is no news to anybody, so a restart says
//! nothing. Neither who waits nor who is told holds more than a name: what is sent is what is served at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tracing::{debug, info};

use super::exchange;
use super::tsig::Request;
use super::zones::{ZoneEntry, Zones};
use crate::dns::NotifyTarget;
use crate::keyring::Keyring;
use crate::names::DomainName;

/// The pause after the first try; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How often a target is told: for about two minutes in all.
const TRIES: u8 = 9;
/// How many are told at a time: in all, of one target, and of these introductions.
const AT_A_TIME: usize = 64;
const OF_ONE_TARGET: usize = 16;
const INTRODUCTIONS: usize = 16;
/// How many notices may wait, each some 200 octets. Past that, refresh timers have to do.
const WAITING: usize = 1 << 16;
/// How many of them may be introductions.
const WAITING_INTRODUCTIONS: usize = WAITING / 2;

/// What is to be told to whom.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// Who is to hear of which zone.
type Key = (SocketAddr, Arc<DomainName>);

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    News,
    Introduction,
}

#[derive(Debug, Default)]
struct Waiting {
    notices: BTreeMap<Key, Notice>,
    /// Those that are not being sent: news first, by when they are due.
    due: BTreeMap<Kind, BTreeSet<(Instant, Key)>>,
    /// How many of the notices are introductions.
    introductions: usize,
}

#[derive(Debug, Clone)]
struct Notice {
    target: Arc<NotifyTarget>,
    kind: Kind,
    tries: u8,
    /// While it is being sent it is not in `due`.
    due: Option<Instant>,
    /// Tells a notice from the one that replaced it.
    number: u32,
}

/// What is being sent, counted.
#[derive(Debug, Default)]
struct Sending {
    of_target: BTreeMap<SocketAddr, usize>,
    introductions: usize,
    all: usize,
}

impl Notifier {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all targets of a zone's new serial.
    pub(crate) fn tell<'a>(&self, apex: &DomainName, targets: impl IntoIterator<Item = &'a NotifyTarget>) {
        self.put(apex, targets, Kind::News);
    }

    /// Tells targets that are new to a zone of its serial, when there is time.
    pub(crate) fn introduce<'a>(
        &self,
        apex: &DomainName,
        targets: impl IntoIterator<Item = &'a NotifyTarget>,
    ) {
        self.put(apex, targets, Kind::Introduction);
    }

    fn put<'a>(&self, apex: &DomainName, targets: impl IntoIterator<Item = &'a NotifyTarget>, kind: Kind) {
        let apex = Arc::new(apex.clone());
        let mut waiting = self.lock();
        for target in targets {
            let target = Arc::new(target.clone());
            let notice = Notice { target, kind, tries: 0, due: None, number: 0 };
            waiting.put((notice.target.address, Arc::clone(&apex)), notice, Instant::now());
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Sends what is due, for ever.
    pub(crate) async fn run(&self, zones: &Zones, keyring: &Keyring) {
        let mut tasks: JoinSet<(Key, Notice, Result<(), String>)> = JoinSet::new();
        let mut sending = Sending::default();
        loop {
            let next = loop {
                match self.lock().take(Instant::now(), &sending) {
                    Ok((key, notice)) => {
                        sending.start(&key, &notice);
                        let request = request(&key.1, &notice, zones, keyring);
                        tasks.spawn(async move {
                            let told = send(request, &notice).await;
                            (key, notice, told)
                        });
                    }
                    Err(next) => break next,
                }
            };
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                () = self.wake.notified() => (),
                () = sleep_until(next.unwrap_or(far).into()) => (),
                Some(sent) = tasks.join_next() => {
                    if let Ok((key, notice, told)) = sent {
                        sending.end(&key, &notice);
                        self.lock().sent(key, &notice, told, Instant::now());
                    }
                }
            }
        }
    }
}

impl Sending {
    fn start(&mut self, key: &Key, notice: &Notice) {
        *self.of_target.entry(key.0).or_default() += 1;
        self.introductions += usize::from(notice.kind == Kind::Introduction);
        self.all += 1;
    }

    fn end(&mut self, key: &Key, notice: &Notice) {
        self.of_target.entry(key.0).and_modify(|count| *count -= 1);
        self.of_target.retain(|_, count| *count > 0);
        self.introductions -= usize::from(notice.kind == Kind::Introduction);
        self.all -= 1;
    }

    fn has_place_for(&self, kind: Kind) -> bool {
        self.all < AT_A_TIME && (kind == Kind::News || self.introductions < INTRODUCTIONS)
    }

    fn is_free(&self, target: &SocketAddr) -> bool {
        self.of_target.get(target).is_none_or(|count| *count < OF_ONE_TARGET)
    }
}

impl Waiting {
    fn put(&mut self, key: Key, mut notice: Notice, now: Instant) {
        if let Some(old) = self.notices.get(&key) {
            notice.number = old.number.wrapping_add(1);
            notice.kind = notice.kind.min(old.kind);
            self.remove(&key);
        }
        let full = match notice.kind {
            Kind::News => self.notices.len() >= WAITING,
            Kind::Introduction => self.introductions >= WAITING_INTRODUCTIONS,
        };
        if full {
            debug!(target = %key.0, zone = %key.1, "too many notices wait: this one is left to the refresh timer");
            return;
        }
        self.introductions += usize::from(notice.kind == Kind::Introduction);
        self.due_at(&key, &mut notice, now);
        self.notices.insert(key, notice);
    }

    fn due_at(&mut self, key: &Key, notice: &mut Notice, at: Instant) {
        notice.due = Some(at);
        self.due.entry(notice.kind).or_default().insert((at, key.clone()));
    }

    fn remove(&mut self, key: &Key) {
        let Some(notice) = self.notices.remove(key) else { return };
        self.introductions -= usize::from(notice.kind == Kind::Introduction);
        if let (Some(due), Some(all)) = (notice.due, self.due.get_mut(&notice.kind)) {
            all.remove(&(due, key.clone()));
        }
    }

    /// The next notice to send, or when to look again; `None` to wait for an event.
    fn take(&mut self, now: Instant, sending: &Sending) -> Result<(Key, Notice), Option<Instant>> {
        let mut next: Option<Instant> = None;
        for (kind, all) in &mut self.due {
            if !sending.has_place_for(*kind) {
                continue;
            }
            // Bounded: past so many of busy targets, the end of one of theirs brings us back here.
            let ready = |(due, key): &&(Instant, Key)| *due > now || sending.is_free(&key.0);
            match all.iter().take(4096).find(ready).cloned() {
                None => (),
                Some((due, _)) if due > now => next = Some(next.map_or(due, |next| next.min(due))),
                Some((due, key)) => {
                    all.remove(&(due, key.clone()));
                    let notice = self.notices.get_mut(&key).ok_or(None)?;
                    notice.due = None;
                    notice.tries += 1;
                    return Ok((key, notice.clone()));
                }
            }
        }
        Err(next)
    }

    fn sent(&mut self, key: Key, sent: &Notice, told: Result<(), String>, now: Instant) {
        let Some(mut notice) = self.notices.get(&key).filter(|notice| notice.number == sent.number).cloned()
        else {
            return;
        };
        let (target, zone) = &key;
        match told {
            Ok(()) => {
                debug!(%zone, %target, "a NOTIFY was heard");
                self.remove(&key);
            }
            Err(why) if notice.tries >= TRIES => {
                info!(%zone, %target, why, "a NOTIFY was not heard: leaving it to the refresh timer");
                self.remove(&key);
            }
            Err(why) => {
                debug!(%zone, %target, why, "a NOTIFY was not heard: it is sent again");
                let pause = FIRST_PAUSE * (1 << (notice.tries.max(1) - 1).min(16));
                self.due_at(&key, &mut notice, now + pause);
                self.notices.insert(key, notice);
            }
        }
    }
}

/// The NOTIFY of what is served now: `None` if that is nothing. The error says what is missing for it.
fn request(
    apex: &DomainName,
    notice: &Notice,
    zones: &Zones,
    keyring: &Keyring,
) -> Result<Option<Request>, String> {
    let Some(ZoneEntry::Served(zone)) = zones.get(apex) else { return Ok(None) };
    let key = match &notice.target.tsig_key {
        None => None,
        Some(name) => {
            Some(keyring.tsig(name).ok_or_else(|| format!("this node cannot read the TSIG key {name}"))?)
        }
    };
    let soa = zone.soa_set();
    let rdata = soa.rdatas().next().expect("a set has a record");
    Ok(Some(Request::notify(exchange::id(), apex, Some((rdata, soa.ttl())), key.as_ref())))
}

/// Sends one NOTIFY. The error says why it may not have been heard.
async fn send(request: Result<Option<Request>, String>, notice: &Notice) -> Result<(), String> {
    let Some(Request { octets, mut verifier }) = request? else { return Ok(()) };
    let NotifyTarget { address, from, tsig_key: _ } = &*notice.target;
    let answer = exchange::ask_once(*address, *from, &octets).await.map_err(|error| error.to_string())?;
    verifier.message(&answer).map_err(|fault| fault.to_string())?;
    match answer.get(3).map(|flags| flags & 0xf) {
        Some(0) => Ok(()),
        rcode => Err(format!("it answered with the code {}", rcode.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: u8) -> Key {
        (([192, 0, 2, host], 53).into(), Arc::new("example.org".parse().unwrap()))
    }

    fn notice(host: u8, kind: Kind) -> Notice {
        let target = NotifyTarget { address: key(host).0, from: None, tsig_key: None };
        Notice { target: Arc::new(target), kind, tries: 0, due: None, number: 0 }
    }

    fn put(waiting: &mut Waiting, host: u8, kind: Kind) {
        waiting.put(key(host), notice(host, kind), Instant::now());
    }

    fn is_empty(waiting: &Waiting) -> bool {
        waiting.notices.is_empty()
            && waiting.due.values().all(BTreeSet::is_empty)
            && waiting.introductions == 0
    }

    #[test]
    fn it_is_repeated_with_growing_pauses_and_given_up() {
        let mut waiting = Waiting::default();
        put(&mut waiting, 1, Kind::Introduction);
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        loop {
            let (key, notice) = match waiting.take(now, &Sending::default()) {
                Ok(taken) => taken,
                Err(Some(next)) => {
                    pauses.push(next - now);
                    now = next;
                    continue;
                }
                Err(None) => break,
            };
            waiting.sent(key, &notice, Err("silence".to_owned()), now);
        }
        assert_eq!(pauses.len(), usize::from(TRIES) - 1);
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE);
        assert!(is_empty(&waiting));
    }

    #[test]
    fn a_newer_serial_starts_over_and_old_answers_do_not_count() {
        let mut waiting = Waiting::default();
        put(&mut waiting, 1, Kind::Introduction);
        let (taken, first) = waiting.take(Instant::now(), &Sending::default()).unwrap();
        put(&mut waiting, 1, Kind::News);
        waiting.sent(taken, &first, Ok(()), Instant::now());
        let (taken, second) = waiting.take(Instant::now(), &Sending::default()).unwrap();
        assert_eq!(second.kind, Kind::News);
        waiting.sent(taken, &second, Ok(()), Instant::now());
        assert!(is_empty(&waiting));
    }

    #[test]
    fn a_busy_target_does_not_hold_up_the_others() {
        let mut waiting = Waiting::default();
        put(&mut waiting, 1, Kind::News);
        put(&mut waiting, 2, Kind::News);
        let mut sending = Sending::default();
        (0..OF_ONE_TARGET).for_each(|_| sending.start(&key(1), &notice(1, Kind::News)));
        assert_eq!(waiting.take(Instant::now(), &sending).unwrap().0, key(2));
        assert_eq!(waiting.take(Instant::now(), &sending).unwrap_err(), None);
        (0..OF_ONE_TARGET).for_each(|_| sending.end(&key(1), &notice(1, Kind::News)));
        assert_eq!(waiting.take(Instant::now(), &sending).unwrap().0, key(1));
    }

    #[test]
    fn introductions_are_many_and_wait_for_news() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        for number in 0..100_000 {
            let apex = Arc::new(format!("z{number}.example").parse().unwrap());
            waiting.put((key(1).0, apex), notice(1, Kind::Introduction), now);
        }
        assert_eq!(waiting.notices.len(), WAITING_INTRODUCTIONS);
        put(&mut waiting, 2, Kind::News);
        let mut sending = Sending::default();
        let mut taken = Vec::new();
        while let Ok((key, notice)) = waiting.take(Instant::now(), &sending) {
            sending.start(&key, &notice);
            taken.push((key, notice));
        }
        assert_eq!((taken[0].0.0, taken.len()), (key(2).0, 1 + INTRODUCTIONS));
        for number in 0..100_000 {
            let apex = Arc::new(format!("z{number}.example").parse().unwrap());
            waiting.put((key(3).0, apex), notice(3, Kind::News), now);
        }
        assert_eq!(waiting.notices.len(), WAITING);
    }
}
