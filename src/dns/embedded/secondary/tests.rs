use super::*;
use crate::dns::embedded::testing;

const TIMING: Timing = Timing {
    refresh: (Duration::from_secs(1), Duration::from_secs(86_400)),
    retry: (Duration::from_secs(1), Duration::from_secs(3600)),
    first: (Duration::from_millis(500), Duration::from_secs(60)),
    forget: Duration::from_secs(600),
};

fn sources(count: u8) -> Vec<TransferSource> {
    let source = |n| TransferSource { address: ([192, 0, 2, n], 53).into(), from: None, tsig_key: None };
    (1..=count).map(source).collect()
}

/// Refresh 3600, retry 600, expire 86400.
fn data(serial: u32) -> Arc<Zone> {
    Arc::new(testing::zone(&"example.org".parse().unwrap(), serial, 1))
}

struct Fixture {
    zone: Secondary,
    start: Instant,
    clock: SystemTime,
}

impl Fixture {
    fn new() -> Self {
        let (start, clock) = (Instant::now(), SystemTime::now());
        Self { zone: Secondary::new(&sources(2), None, 1, &TIMING, start, clock), start, clock }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// A look at this second, with this result.
    fn look(&mut self, seconds: u64, found: Found) -> Effect {
        let (now, clock) = (self.at(seconds), self.clock + Duration::from_secs(seconds));
        assert!(self.zone.start(now), "no look is due at {seconds} s");
        let generation = self.zone.look().generation;
        self.zone.found(generation, found, &TIMING, now, clock)
    }
}

#[test]
fn a_new_zone_is_looked_at_at_once_and_then_as_its_soa_says() {
    let mut f = Fixture::new();
    assert_eq!(f.zone.standing(), Standing::Empty);
    assert_eq!(f.look(0, Found::New(data(1), Vec::new())), Effect::Replaced);
    assert_eq!(f.zone.standing(), Standing::Served);
    assert_eq!(f.zone.look().have, Some(data(1)));
    assert!(!f.zone.start(f.at(3200)));
    assert_eq!(f.look(3600, Found::Current(None)), Effect::Refreshed);
    // Failing is not refreshing, and is tried again sooner.
    assert_eq!(f.look(7200, Found::Failed("gone".into())), Effect::None);
    assert_eq!(f.zone.problem(), Some("gone"));
    assert_eq!(f.look(7800, Found::Current(None)), Effect::Refreshed);
    assert_eq!(f.zone.problem(), None);
}

#[test]
fn what_is_newer_and_cannot_be_had_is_a_problem_but_no_reason_to_expire() {
    let mut f = Fixture::new();
    f.look(0, Found::New(data(1), Vec::new()));
    for at in (3600..200_000).step_by(3600) {
        assert_eq!(f.look(at, Found::Current(Some("broken".into()))), Effect::Refreshed);
        assert_eq!(f.zone.problem(), Some("broken"));
        assert!(!f.zone.expire(f.at(at + 3599)));
        assert!(f.zone.due().unwrap() <= f.at(at + 600), "tried again after the retry time");
    }
    assert_eq!(f.look(200_000, Found::Current(None)), Effect::Refreshed);
    assert_eq!(f.zone.problem(), None);
}

#[test]
fn it_is_served_until_it_expires_and_again_when_confirmed() {
    let mut f = Fixture::new();
    f.look(0, Found::New(data(1), Vec::new()));
    for at in (3600..86_400).step_by(3600) {
        f.look(at, Found::Failed("gone".into()));
        assert!(!f.zone.expire(f.at(at)));
    }
    assert!(!f.zone.expire(f.at(86_399)));
    assert!(f.zone.due().unwrap() <= f.at(86_400));
    assert!(f.zone.expire(f.at(86_400)));
    assert!(!f.zone.expire(f.at(86_401)), "it expires once");
    assert_eq!(f.zone.standing(), Standing::Expired);
    assert_eq!(f.look(90_000, Found::Current(None)), Effect::Refreshed);
    assert_eq!(f.zone.standing(), Standing::Served);
    assert!(!f.zone.expire(f.at(90_000 + 86_399)));
}

#[test]
fn expire_runs_on_across_restarts() {
    for (age, standing) in [(86_000, Standing::Served), (86_400, Standing::Expired)] {
        let mut f = Fixture::new();
        let refreshed = f.clock - Duration::from_secs(age);
        f.zone.restore(data(1), refreshed, &TIMING, f.start, f.clock);
        assert_eq!(f.zone.standing(), standing, "{age} s old");
        assert_eq!(f.zone.expire(f.at(400)), standing == Standing::Served);
    }
    // A clock that was set back.
    let mut f = Fixture::new();
    f.zone.restore(data(1), f.clock + Duration::from_secs(1_000_000), &TIMING, f.start, f.clock);
    assert_eq!(f.zone.standing(), Standing::Served);
}

#[test]
fn notify_makes_a_look_now_and_another_when_one_is_under_way() {
    let mut f = Fixture::new();
    f.look(0, Found::New(data(1), Vec::new()));
    let second = sources(2)[1].address.ip();
    assert!(!f.zone.notified(second, Some(Serial(1)), f.at(9)), "what it tells of is here");
    assert!(f.zone.due().unwrap() > f.at(10));
    assert!(f.zone.notified(second, Some(Serial(2)), f.at(10)));
    assert_eq!(f.zone.look().sources[0].address.ip(), second, "who notified is asked first");
    assert!(f.zone.start(f.at(10)));
    f.zone.notified(second, None, f.at(11));
    f.zone.notified(second, None, f.at(11));
    assert!(!f.zone.start(f.at(11)), "one look at a time");
    f.zone.found(1, Found::Current(None), &TIMING, f.at(12), f.clock);
    assert!(!f.zone.start(f.at(12)), "after a pause, where nothing was new");
    assert_eq!(f.look(13, Found::New(data(2), Vec::new())), Effect::Replaced);
    assert!(!f.zone.start(f.at(14)), "two NOTIFYs during one look make one more");
    f.zone.notified(second, None, f.at(14));
    assert!(f.zone.start(f.at(14)), "at once, where something was");
    f.zone.notified(second, Some(Serial(3)), f.at(14));
    f.zone.notified(sources(1)[0].address.ip(), Some(Serial(3)), f.at(14));
    f.zone.found(1, Found::New(data(3), Vec::new()), &TIMING, f.at(15), f.clock);
    assert!(!f.zone.start(f.at(15)), "it brought what both told of");
}

#[test]
fn no_flood_of_notifies_makes_a_flood_of_looks() {
    let mut f = Fixture::new();
    f.look(0, Found::New(data(1), Vec::new()));
    let peer = sources(1)[0].address.ip();
    let mut looks = 0;
    // Ten seconds, a NOTIFY a millisecond; a look takes one.
    for at in 0..10_000 {
        let now = f.at(10) + Duration::from_millis(at);
        f.zone.notified(peer, [None, Some(Serial(0)), Some(Serial(9))][at as usize % 3], now);
        if f.zone.start(now) {
            looks += 1;
            f.zone.found(1, Found::Failed("broken".into()), &TIMING, now + Duration::from_millis(1), f.clock);
        }
    }
    assert!((30..=41).contains(&looks), "{looks}");
}

#[test]
fn an_expired_zone_is_looked_at_whatever_serial_is_told_of() {
    let mut f = Fixture::new();
    f.look(0, Found::New(data(1), Vec::new()));
    assert!(f.zone.expire(f.at(86_400)));
    assert!(f.zone.notified(sources(1)[0].address.ip(), Some(Serial(1)), f.at(86_401)));
    assert!(f.zone.start(f.at(86_401)));
}

#[test]
fn a_look_at_former_sources_counts_for_nothing() {
    let mut f = Fixture::new();
    assert!(f.zone.start(f.at(0)));
    f.zone.reconfigure(&sources(2), 2, f.at(1));
    assert!(!f.zone.start(f.at(1)), "the same sources change nothing");
    f.zone.reconfigure(&sources(1), 3, f.at(1));
    assert!(f.zone.start(f.at(1)));
    assert_eq!(f.zone.found(1, Found::New(data(1), Vec::new()), &TIMING, f.at(2), f.clock), Effect::None);
    assert_eq!(f.zone.standing(), Standing::Empty);
    assert_eq!(f.zone.found(3, Found::New(data(1), Vec::new()), &TIMING, f.at(2), f.clock), Effect::Replaced);
}

#[test]
fn inherited_data_is_served_but_its_serial_is_not_compared() {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let zone = Secondary::new(&sources(1), Some(data(9)), 1, &TIMING, now, clock);
    assert_eq!(zone.standing(), Standing::Served);
    assert_eq!(zone.look().have, None);
}
