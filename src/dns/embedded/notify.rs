//! Notify: telling others of a new serial (RFC 1996), until they say that they heard it.
//!
//! One task for all zones. A target that does not answer, or refuses since it has not learned of the zone yet, is told
//! again with growing pauses, and given up after some: its own refresh timer remains. A newer serial starts over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tracing::{debug, info};

use super::exchange;
use super::rdata::rtype;
use super::zone::Zone;
use crate::names::DomainName;

/// The pause after the first try; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How often a target is told: for about two minutes in all.
const TRIES: u32 = 9;
/// How many are told at a time, in all and of one target.
const AT_A_TIME: usize = 64;
const OF_ONE_TARGET: usize = 16;
/// How many notices may wait. Past that, refresh timers have to do.
const WAITING: usize = 1 << 18;

/// What is to be told to whom.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// A zone, and who is to hear of it.
type Key = (SocketAddr, DomainName);

#[derive(Debug, Default)]
struct Waiting {
    notices: BTreeMap<Key, Notice>,
    due: BTreeSet<(Instant, Key)>,
}

#[derive(Debug, Clone)]
struct Notice {
    soa: Option<Record>,
    from: Option<IpAddr>,
    tries: u32,
    /// While it is being sent it is not in `due`.
    due: Option<Instant>,
    /// Tells a notice from the one that replaced it.
    number: u64,
}

impl Notifier {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the targets of a zone's serial, from the source address of their family where there is one.
    pub(crate) fn tell(&self, zone: &Zone, targets: &BTreeSet<SocketAddr>, sources: &BTreeSet<IpAddr>) {
        let name = exchange::hickory_name(zone.apex());
        let mut waiting = self.lock();
        for target in targets {
            let from = sources.iter().find(|source| source.is_ipv4() == target.is_ipv4()).copied();
            let notice = Notice { soa: soa_record(&name, zone), from, tries: 0, due: None, number: 0 };
            waiting.put((*target, zone.apex().clone()), notice);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Forgets what is to be told of a zone that is served no more.
    pub(crate) fn forget(&self, apex: &DomainName) {
        let mut waiting = self.lock();
        waiting.notices.retain(|(_, zone), _| zone != apex);
        waiting.due.retain(|(_, (_, zone))| zone != apex);
    }

    /// Sends what is due, for ever.
    pub(crate) async fn run(&self) {
        let mut sending: JoinSet<(Key, u64, Result<(), String>)> = JoinSet::new();
        let mut busy: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        loop {
            let next = loop {
                let free = AT_A_TIME.saturating_sub(sending.len());
                match self.lock().take(Instant::now(), free, &busy) {
                    Ok((key, notice)) => {
                        *busy.entry(key.0).or_default() += 1;
                        sending.spawn(async move {
                            let told = send(&key, &notice).await;
                            (key, notice.number, told)
                        });
                    }
                    Err(next) => break next,
                }
            };
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                () = self.wake.notified() => (),
                () = sleep_until(next.unwrap_or(far).into()) => (),
                Some(sent) = sending.join_next() => {
                    if let Ok((key, number, told)) = sent {
                        busy.entry(key.0).and_modify(|count| *count -= 1);
                        busy.retain(|_, count| *count > 0);
                        self.lock().sent(key, number, told, Instant::now());
                    }
                }
            }
        }
    }
}

impl Waiting {
    fn put(&mut self, key: Key, mut notice: Notice) {
        if let Some(old) = self.notices.get(&key) {
            notice.number = old.number + 1;
            if let Some(due) = old.due {
                self.due.remove(&(due, key.clone()));
            }
        } else if self.notices.len() >= WAITING {
            debug!(target = %key.0, zone = %key.1, "too many notices wait: this one is left to the refresh timer");
            return;
        }
        let now = Instant::now();
        notice.due = Some(now);
        self.due.insert((now, key.clone()));
        self.notices.insert(key, notice);
    }

    /// The next notice to send, or when to look again; `None` to wait for an event.
    fn take(
        &mut self,
        now: Instant,
        free: usize,
        busy: &BTreeMap<SocketAddr, usize>,
    ) -> Result<(Key, Notice), Option<Instant>> {
        if free == 0 {
            return Err(None);
        }
        let is_free = |target: &SocketAddr| busy.get(target).is_none_or(|count| *count < OF_ONE_TARGET);
        // Bounded: past so many of busy targets, the end of one of theirs brings us back here.
        let found = self.due.iter().take(4096).find(|(due, key)| *due > now || is_free(&key.0)).cloned();
        match found {
            None => Err(None),
            Some((due, _)) if due > now => Err(Some(due)),
            Some((due, key)) => {
                self.due.remove(&(due, key.clone()));
                let notice = self.notices.get_mut(&key).ok_or(None)?;
                notice.due = None;
                notice.tries += 1;
                Ok((key, notice.clone()))
            }
        }
    }

    fn sent(&mut self, key: Key, number: u64, told: Result<(), String>, now: Instant) {
        let Some(notice) = self.notices.get_mut(&key).filter(|notice| notice.number == number) else {
            return;
        };
        let (target, zone) = &key;
        match told {
            Ok(()) => {
                debug!(%zone, %target, "a NOTIFY was heard");
                self.notices.remove(&key);
            }
            Err(why) if notice.tries >= TRIES => {
                info!(%zone, %target, why, "a NOTIFY was not heard: leaving it to the refresh timer");
                self.notices.remove(&key);
            }
            Err(why) => {
                debug!(%zone, %target, why, "a NOTIFY was not heard: it is sent again");
                let due = now + FIRST_PAUSE * (1 << notice.tries.saturating_sub(1).min(16));
                notice.due = Some(due);
                self.due.insert((due, key));
            }
        }
    }
}

/// Sends one NOTIFY. The error says why it may not have been heard.
async fn send((target, apex): &Key, notice: &Notice) -> Result<(), String> {
    let mut message = exchange::question(apex, RecordType::SOA);
    message.metadata.op_code = OpCode::Notify;
    message.metadata.authoritative = true;
    // RFC 1996 section 3.7: the SOA record is a hint.
    message.answers.extend(notice.soa.clone());
    let answer =
        exchange::ask_once(*target, notice.from, &message).await.map_err(|error| error.to_string())?;
    let answer = Message::from_vec(&answer).map_err(|error| error.to_string())?;
    let rcode = answer.metadata.response_code;
    if rcode == ResponseCode::NoError { Ok(()) } else { Err(format!("it answered {rcode}")) }
}

/// A zone's SOA record, owned by its apex as `name` writes it.
pub(crate) fn soa_record(name: &Name, zone: &Zone) -> Option<Record> {
    let soa = zone.soa_set();
    let data = soa.rdatas().next()?;
    Some(Record::from_rdata(name.clone(), soa.ttl(), exchange::hickory_rdata(rtype::SOA, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: u8) -> Key {
        (([192, 0, 2, host], 53).into(), "example.org".parse().unwrap())
    }

    fn notice() -> Notice {
        Notice { soa: None, from: None, tries: 0, due: None, number: 0 }
    }

    #[test]
    fn it_is_repeated_with_growing_pauses_and_given_up() {
        let mut waiting = Waiting::default();
        waiting.put(key(1), notice());
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        loop {
            let (key, notice) = match waiting.take(now, 1, &BTreeMap::new()) {
                Ok(taken) => taken,
                Err(Some(next)) => {
                    pauses.push(next - now);
                    now = next;
                    continue;
                }
                Err(None) => break,
            };
            waiting.sent(key, notice.number, Err("silence".to_owned()), now);
        }
        assert_eq!(pauses.len() as u32, TRIES - 1);
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE);
        assert!(waiting.notices.is_empty() && waiting.due.is_empty());
    }

    #[test]
    fn a_newer_serial_starts_over_and_old_answers_do_not_count() {
        let mut waiting = Waiting::default();
        waiting.put(key(1), notice());
        let (taken, first) = waiting.take(Instant::now(), 1, &BTreeMap::new()).unwrap();
        waiting.put(key(1), notice());
        waiting.sent(taken, first.number, Ok(()), Instant::now());
        let (taken, second) = waiting.take(Instant::now(), 1, &BTreeMap::new()).unwrap();
        waiting.sent(taken, second.number, Ok(()), Instant::now());
        assert!(waiting.notices.is_empty() && waiting.due.is_empty());
    }

    #[test]
    fn a_busy_target_does_not_hold_up_the_others() {
        let mut waiting = Waiting::default();
        waiting.put(key(1), notice());
        waiting.put(key(2), notice());
        let busy = BTreeMap::from([(key(1).0, OF_ONE_TARGET)]);
        assert_eq!(waiting.take(Instant::now(), 1, &busy).unwrap().0, key(2));
        assert_eq!(waiting.take(Instant::now(), 1, &busy).unwrap_err(), None);
        assert_eq!(waiting.take(Instant::now(), 0, &BTreeMap::new()).unwrap_err(), None);
    }
}
