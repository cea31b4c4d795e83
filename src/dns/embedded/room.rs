//! Room: the memory that all zone transfers together may take while they come in.
//!
//! A transfer takes room as it grows, so a slow primary holds no more than it has sent. All together there is as much
//! as the largest transfer may take, so that this one can always end: who finds none left waits until others are done.
//! When the wait gets long, or everybody waits for somebody else, the slowest transfer *gives way*: it ends with an
//! error, what it held is free, and its zone is asked for again after its retry time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a transfer waits before the slowest gives way, though others might end meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all transfers share.
#[derive(Debug, Default)]
pub(crate) struct Room {
    held: Mutex<Held>,
    /// Somebody has ended.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    holders: BTreeMap<u64, Holder>,
    next: u64,
}

#[derive(Debug)]
struct Holder {
    octets: usize,
    /// When it began; the time that it waited for others does not count.
    began: Instant,
    waits_since: Option<Instant>,
    standing: Standing,
    told: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Receiving,
    /// All of it has come: what is left to do depends on nobody else.
    Received,
    /// It was told to give way.
    Told,
}

/// What one transfer holds of the room. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    room: &'a Room,
    number: u64,
    told: Arc<Notify>,
}

/// Others need the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivesWay;

impl Room {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transfer that begins, and holds nothing yet.
    pub(crate) fn enter(&self) -> Share<'_> {
        let told = Arc::new(Notify::new());
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        let holder = Holder {
            octets: 0,
            began: Instant::now(),
            waits_since: None,
            standing: Standing::Receiving,
            told: Arc::clone(&told),
        };
        held.holders.insert(number, holder);
        Share { room: self, number, told }
    }
}

impl Share<'_> {
    /// Holds so many octets in all from now on, of `all` that there are. Waits until that many are free.
    pub(crate) async fn grow(&self, octets: usize, all: usize) -> Result<(), GivesWay> {
        loop {
            let freed = self.room.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let grown = self.room.lock().grow(self.number, octets, all, Instant::now());
            let left = match grown {
                Grown::Yes => return Ok(()),
                Grown::GivesWay => return Err(GivesWay),
                Grown::NotYet(left) => left,
            };
            tokio::select! {
                _ = timeout(left, freed) => (),
                () = self.told.notified() => return Err(GivesWay),
            }
        }
    }

    /// Ends when others need what it holds.
    pub(crate) async fn is_told(&self) -> GivesWay {
        self.told.notified().await;
        GivesWay
    }

    /// Everything has come: it is not told to give way any more.
    pub(crate) fn received(&self) {
        if let Some(holder) = self.room.lock().holders.get_mut(&self.number) {
            holder.standing = Standing::Received;
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.room.lock().holders.remove(&self.number);
        self.room.freed.notify_waiters();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Grown {
    Yes,
    /// Look again when somebody has ended, or after this time.
    NotYet(Duration),
    GivesWay,
}

impl Held {
    fn grow(&mut self, number: u64, octets: usize, all: usize, now: Instant) -> Grown {
        let others: usize =
            self.holders.iter().filter(|(other, _)| **other != number).map(|(_, other)| other.octets).sum();
        let Some(holder) = self.holders.get_mut(&number) else { return Grown::GivesWay };
        if holder.standing == Standing::Told {
            return Grown::GivesWay;
        }
        if others == 0 || others + octets <= all {
            if let Some(since) = holder.waits_since.take() {
                holder.began += now.saturating_duration_since(since);
            }
            holder.octets = octets;
            return Grown::Yes;
        }
        let waited = now.saturating_duration_since(*holder.waits_since.get_or_insert(now));
        let leaves = |holder: &Holder| holder.standing == Standing::Told;
        // Somebody is on the way out already.
        if self.holders.values().any(leaves) {
            return Grown::NotYet(PATIENCE);
        }
        let goes_on = |holder: &Holder| holder.octets > 0 && holder.waits_since.is_none();
        if waited < PATIENCE && self.holders.values().any(goes_on) {
            return Grown::NotYet(PATIENCE - waited);
        }
        let receiving = self
            .holders
            .iter_mut()
            .filter(|(_, holder)| holder.octets > 0 && holder.standing == Standing::Receiving);
        match receiving.min_by(|(_, a), (_, b)| a.speed(now).total_cmp(&b.speed(now))) {
            Some((slowest, _)) if *slowest == number => Grown::GivesWay,
            Some((_, slowest)) => {
                slowest.standing = Standing::Told;
                slowest.told.notify_one();
                Grown::NotYet(PATIENCE)
            }
            None => Grown::NotYet(PATIENCE),
        }
    }
}

impl Holder {
    /// Octets a second, as long as it did not wait for others.
    fn speed(&self, now: Instant) -> f64 {
        let until = self.waits_since.unwrap_or(now);
        self.octets as f64 / until.saturating_duration_since(self.began).as_secs_f64().max(1e-3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 1000;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn there_is_as_much_as_there_is() {
        let room = Room::default();
        let (one, two, three) = (room.enter(), room.enter(), room.enter());
        let now = Instant::now();
        let grow = |share: &Share<'_>, octets| room.lock().grow(share.number, octets, ALL, now);
        assert_eq!(grow(&one, 600), Grown::Yes);
        assert_eq!(grow(&two, 400), Grown::Yes);
        assert_eq!(grow(&three, 1), Grown::NotYet(PATIENCE));
        drop(one);
        assert_eq!(grow(&three, 600), Grown::Yes);
        assert_eq!(grow(&two, 401), Grown::NotYet(PATIENCE));
        drop(three);
        // More than there is, since nobody else wants any: the limits of one transfer are not checked here.
        assert_eq!(grow(&two, 2 * ALL), Grown::Yes);
    }

    #[test]
    fn the_slowest_gives_way_after_a_while() {
        let room = Room::default();
        let (slow, fast, third) = (room.enter(), room.enter(), room.enter());
        let start = Instant::now();
        let grow =
            |share: &Share<'_>, octets, at| room.lock().grow(share.number, octets, ALL, after(start, at));
        assert_eq!(grow(&slow, 300, 0), Grown::Yes);
        assert_eq!(grow(&fast, 600, 10), Grown::Yes);
        assert_eq!(grow(&third, 200, 10), Grown::NotYet(PATIENCE));
        assert_eq!(grow(&third, 200, 11), Grown::NotYet(Duration::from_secs(1)));
        assert_eq!(grow(&third, 200, 12), Grown::NotYet(PATIENCE));
        assert_eq!(room.lock().holders[&slow.number].standing, Standing::Told);
        assert_eq!(grow(&slow, 301, 12), Grown::GivesWay);
        assert_eq!(grow(&third, 200, 15), Grown::NotYet(PATIENCE), "one is enough");
        assert_eq!(room.lock().holders[&fast.number].standing, Standing::Receiving);
        drop(slow);
        assert_eq!(grow(&third, 200, 15), Grown::Yes);
    }

    #[test]
    fn nobody_waits_where_nobody_goes_on() {
        let room = Room::default();
        let (one, two) = (room.enter(), room.enter());
        let start = Instant::now();
        let grow =
            |share: &Share<'_>, octets, at| room.lock().grow(share.number, octets, ALL, after(start, at));
        assert_eq!(grow(&one, 500, 10), Grown::Yes);
        assert_eq!(grow(&two, 400, 10), Grown::Yes);
        assert_eq!(grow(&one, 700, 10), Grown::NotYet(PATIENCE));
        assert_eq!(grow(&two, 600, 10), Grown::GivesWay, "it is the slower one");
        drop(two);
        assert_eq!(grow(&one, 700, 11), Grown::Yes);
        assert_eq!(room.lock().holders[&one.number].waits_since, None);
    }

    #[test]
    fn what_has_been_received_does_not_give_way() {
        let room = Room::default();
        let (whole, other) = (room.enter(), room.enter());
        let start = Instant::now();
        let grow =
            |share: &Share<'_>, octets, at| room.lock().grow(share.number, octets, ALL, after(start, at));
        assert_eq!(grow(&whole, 900, 1), Grown::Yes);
        whole.received();
        for at in [1, 10, 20] {
            assert!(matches!(grow(&other, 200, at), Grown::NotYet(_)));
        }
        drop(whole);
        assert_eq!(grow(&other, 200, 21), Grown::Yes);
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_somebody_has_ended_and_who_is_told_hears_it() {
        let room = Room::default();
        let (one, two) = (room.enter(), room.enter());
        assert_eq!(one.grow(900, ALL).await, Ok(()));
        let wait = two.grow(500, ALL);
        let told = async {
            assert_eq!(one.is_told().await, GivesWay);
            drop(one);
        };
        assert_eq!(tokio::join!(wait, told).0, Ok(()));
    }
}
