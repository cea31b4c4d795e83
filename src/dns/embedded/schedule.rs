//! Schedule: one task that starts the looks of all secondary zones, and idles at no cost to any of them.
//!
//! `TransferLimits` says how many looks go on at a time. They are counted by the zone's first source: a primary that
//! answers slowly takes up its own places, and the zones of the others go ahead. A look that takes long gives up its
//! place and goes on, so a primary that is slow with some of its zones hardly delays the rest. Of those there may be as
//! many again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinSet, spawn_blocking};
use tokio::time::sleep_until;

use super::look::look;
use super::roster::{Due, Roster};
use super::secondary::Found;
use crate::names::DomainName;

/// How many slow primaries have to come together to fill all places for looks.
const SOURCES: usize = 16;

/// After this time a look goes on without a place.
const LONG: Duration = Duration::from_secs(5);

/// Looks that wait for a place, by first source.
#[derive(Debug, Default)]
struct Queue {
    groups: BTreeMap<SocketAddr, Group>,
    /// Those that have a place.
    running: usize,
    /// Those that go on without.
    long: usize,
}

#[derive(Debug, Default)]
struct Group {
    waiting: VecDeque<DomainName>,
    running: usize,
}

impl Queue {
    fn put(&mut self, due: Due) {
        self.groups.entry(due.group).or_default().waiting.push_back(due.apex);
    }

    /// The next look to start, if there are fewer than so many; it then has a place.
    fn next(&mut self, concurrent: usize) -> Option<Due> {
        if self.running >= concurrent {
            return None;
        }
        let of_one_source = concurrent.div_ceil(SOURCES);
        // Those with the fewest places go first, so that none starves another.
        let (address, group) = self
            .groups
            .iter_mut()
            .map(|(address, group)| (*address, group))
            .filter(|(_, group)| group.running < of_one_source && !group.waiting.is_empty())
            .min_by_key(|(_, group)| group.running)?;
        let apex = group.waiting.pop_front()?;
        group.running += 1;
        self.running += 1;
        Some(Due { apex, group: address })
    }

    /// A look takes long. Whether it goes on without a place, of which so many are allowed to.
    fn takes_long(&mut self, source: SocketAddr, concurrent: usize) -> bool {
        let without = self.long < concurrent;
        if without {
            self.done(source);
            self.long += 1;
        }
        without
    }

    /// A look that had no place has ended.
    fn long_done(&mut self) {
        self.long -= 1;
    }

    /// A look that had a place has ended.
    fn done(&mut self, source: SocketAddr) {
        self.running -= 1;
        if let Some(group) = self.groups.get_mut(&source) {
            group.running -= 1;
            if group.running == 0 && group.waiting.is_empty() {
                self.groups.remove(&source);
            }
        }
    }
}

/// A look under way.
struct Running {
    due: Due,
    has_place: bool,
}

/// Runs the looks, for ever.
pub(crate) async fn run(roster: Arc<Roster>) {
    let mut queue = Queue::default();
    let mut looks = JoinSet::new();
    let mut running: HashMap<Id, Running> = HashMap::new();
    // When each that has a place will have taken long, the first to begin first.
    let mut begun: VecDeque<(Instant, Id)> = VecDeque::new();
    loop {
        let (due, next) = roster.due(Instant::now());
        due.into_iter().for_each(|due| queue.put(due));
        let concurrent = roster.config.load().transfers.concurrent;
        let now = Instant::now();
        while let Some((_, id)) = begun.pop_front_if(|(at, _)| *at <= now) {
            let Some(look) = running.get_mut(&id) else { continue };
            match queue.takes_long(look.due.group, concurrent) {
                true => look.has_place = false,
                false => begun.push_back((now + LONG, id)),
            }
        }
        while let Some(due) = queue.next(concurrent) {
            let look = looks.spawn(run_look(Arc::clone(&roster), due.apex.clone()));
            begun.push_back((now + LONG, look.id()));
            running.insert(look.id(), Running { due, has_place: true });
        }
        let long = begun.front().map(|(at, _)| *at);
        let far = now + Duration::from_secs(3600);
        let next = [next, long].into_iter().flatten().min().unwrap_or(far);
        tokio::select! {
            () = roster.wake.notified() => (),
            () = sleep_until(next.into()) => (),
            Some(ended) = looks.join_next_with_id() => {
                let id = match &ended {
                    Ok((id, ())) => *id,
                    Err(error) => error.id(),
                };
                let Some(Running { due, has_place }) = running.remove(&id) else { continue };
                match has_place {
                    true => queue.done(due.group),
                    false => queue.long_done(),
                }
                // Even a look that panicked has ended, and is tried again.
                if let Err(error) = ended
                    && let Some(wanted) = roster.look(&due.apex)
                {
                    roster.found(&due.apex, wanted.generation, Found::Failed(error.to_string()));
                }
            }
        }
    }
}

async fn run_look(roster: Arc<Roster>, apex: DomainName) {
    if let Some(wanted) = roster.look(&apex) {
        let found = look(&apex, &wanted, roster.means()).await;
        let found = with_steps(&roster, &apex, found).await;
        roster.found(&apex, wanted.generation, found);
    }
}

/// New data with the step that leads to it, for those who ask for no more than what has changed.
async fn with_steps(roster: &Arc<Roster>, apex: &DomainName, found: Found) -> Found {
    match found {
        Found::New(zone, steps) if steps.is_empty() => {
            let (roster, apex, new) = (Arc::clone(roster), apex.clone(), Arc::clone(&zone));
            let step = spawn_blocking(move || roster.step_to(&apex, &new)).await;
            // Without it they get all of the zone.
            Found::New(zone, step.ok().flatten().into_iter().collect())
        }
        found @ (Found::New(..) | Found::Current(_) | Found::Failed(_)) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_A_TIME: usize = 128;
    const OF_ONE_SOURCE: usize = 8;

    fn due(source: u8, zone: usize) -> Due {
        Due { apex: format!("z{zone}.example").parse().unwrap(), group: ([192, 0, 2, source], 53).into() }
    }

    #[test]
    fn a_slow_source_takes_up_its_own_places_only() {
        let mut queue = Queue::default();
        (0..1000).for_each(|zone| queue.put(due(1, zone)));
        let started: Vec<Due> = std::iter::from_fn(|| queue.next(AT_A_TIME)).collect();
        assert_eq!(started.len(), OF_ONE_SOURCE);
        queue.put(due(2, 2000));
        assert_eq!(queue.next(AT_A_TIME).unwrap().apex, due(2, 2000).apex);
        assert!(queue.next(AT_A_TIME).is_none());
        queue.done(started[0].group);
        assert_eq!(queue.next(AT_A_TIME).unwrap().apex, due(1, OF_ONE_SOURCE).apex);
    }

    #[test]
    fn a_look_that_takes_long_gives_up_its_place_and_so_many_may() {
        let mut queue = Queue::default();
        (0..1000).for_each(|zone| queue.put(due(1, zone)));
        let mut long = 0;
        while let Some(look) = queue.next(AT_A_TIME) {
            long += usize::from(queue.takes_long(look.group, AT_A_TIME));
        }
        assert_eq!((long, queue.running, queue.long), (AT_A_TIME, OF_ONE_SOURCE, AT_A_TIME));
        // Those of others go ahead all the same.
        queue.put(due(2, 2000));
        assert_eq!(queue.next(AT_A_TIME).unwrap().apex, due(2, 2000).apex);
        queue.long_done();
        assert!(queue.takes_long(due(1, 0).group, AT_A_TIME));
        assert_eq!((queue.running, queue.long), (OF_ONE_SOURCE, AT_A_TIME));
        assert!(queue.next(AT_A_TIME).is_some(), "its place is another's");
    }

    #[test]
    fn places_are_bounded_in_all_and_given_back() {
        let mut queue = Queue::default();
        for source in 1..=20 {
            (0..OF_ONE_SOURCE).for_each(|zone| queue.put(due(source, zone)));
        }
        let mut started = 0;
        loop {
            let batch: Vec<Due> = std::iter::from_fn(|| queue.next(AT_A_TIME)).collect();
            if batch.is_empty() {
                break;
            }
            assert!(queue.running <= AT_A_TIME);
            started += batch.len();
            batch.iter().for_each(|due| queue.done(due.group));
        }
        assert_eq!(started, 20 * OF_ONE_SOURCE);
        assert!(queue.groups.is_empty());
    }
}
