//! Vigil: whether to rest, to ask or to withdraw, as a pure fold over signs of life and answers.
//!
//! ```text
//! on guard ──no sign for SILENCE──→ asking ──ENOUGH without an answer──→ withdrawing ──done──→ spent
//!    ↑                                └ an answer: counted anew                                 │
//!    └────────────────────────────── a sign of life ────────────────────────────────────────────┘
//! ```
//! Half a minute is counted in questions, not by the clock: after a pause of the whole machine, whatever the clock says
//! then, nothing has failed that was not asked.

use std::time::Duration;

/// Between two questions.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// For so long, at least, nothing has answered when something is withdrawn.
pub(super) const UNANSWERED: Duration = Duration::from_secs(30);
/// So many questions in a row make that.
const ENOUGH: u32 = 16;
/// Without a sign of life for so long, nobody is on guard: three cycles of the agent.
const SILENCE: Duration = Duration::from_secs(6);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing, until a sign of life comes, or until this time.
    Rest(Option<Duration>),
    /// Ask every service address.
    Ask,
    /// End the routing daemons.
    Withdraw,
}

/// What is known. Times are since the watchdog began, by a clock that nobody sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vigil {
    /// When the agent last gave a sign of life.
    heard: Duration,
    /// When it was asked last, since then.
    asked: Option<Duration>,
    /// Questions in a row that nothing has answered.
    unanswered: u32,
    /// Whether it has withdrawn, and has nothing left to do until there is an agent again.
    spent: bool,
}

impl Vigil {
    /// It begins. Whoever started it is there, as far as it knows.
    pub(super) fn begin(now: Duration) -> Self {
        Self { heard: now, asked: None, unanswered: 0, spent: false }
    }

    /// The agent gave a sign of life.
    #[must_use]
    pub(super) fn heard(self, now: Duration) -> Self {
        Self::begin(now)
    }

    /// It asked, and something answered or nothing did.
    #[must_use]
    pub(super) fn asked(self, now: Duration, answered: bool) -> Self {
        let unanswered = if answered { 0 } else { self.unanswered.saturating_add(1) };
        Self { asked: Some(now), unanswered, ..self }
    }

    /// It withdrew. Where that failed, it asks once more, and tries again.
    #[must_use]
    pub(super) fn withdrew(self, done: bool) -> Self {
        Self { spent: done, unanswered: ENOUGH - 1, ..self }
    }

    /// What is to be done. `cycle` is how far the signs of life are apart where the agent is well.
    pub(super) fn duty(&self, now: Duration, cycle: Duration) -> Duty {
        let guarded = self.heard + SILENCE.max(cycle * 3);
        if now < guarded {
            return Duty::Rest(Some(guarded));
        }
        if self.spent {
            return Duty::Rest(None);
        }
        if self.unanswered >= ENOUGH {
            return Duty::Withdraw;
        }
        match self.asked.map(|asked| asked + INTERVAL) {
            Some(next) if now < next => Duty::Rest(Some(next)),
            Some(_) | None => Duty::Ask,
        }
    }

    /// Whether it watches in the agent's place.
    pub(super) fn is_watching(&self) -> bool {
        self.asked.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CYCLE: Duration = Duration::from_secs(2);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A node, and what its watchdog did. Nothing of it is known to the watchdog but by its questions.
    struct World {
        now: Duration,
        /// Whether the agent is on guard, and whether the name server answers.
        agent: bool,
        server: bool,
        vigil: Vigil,
        /// When the agent last gave a sign of life, and the server last answered a question.
        signed: Duration,
        answered: Option<Duration>,
        /// When the first question of those in a row was asked that nothing answered, and how many those are.
        failing: Option<(Duration, u32)>,
        /// Whether a try to withdraw would fail.
        stuck: bool,
        withdrawals: Vec<Duration>,
    }

    impl World {
        fn new() -> Self {
            let vigil = Vigil::begin(Duration::ZERO);
            Self {
                now: Duration::ZERO,
                agent: true,
                server: true,
                vigil,
                signed: Duration::ZERO,
                answered: None,
                failing: None,
                stuck: false,
                withdrawals: Vec::new(),
            }
        }

        /// Lets time pass in small steps; what must never happen does not.
        fn pass(&mut self, time: Duration) {
            let step = Duration::from_millis(250);
            let end = self.now + time;
            while self.now < end {
                self.now += step;
                if self.agent && self.now - self.signed >= CYCLE {
                    self.signed = self.now;
                    self.failing = None;
                    self.vigil = self.vigil.clone().heard(self.now);
                }
                match self.vigil.duty(self.now, CYCLE) {
                    Duty::Rest(until) => assert!(until.is_none_or(|until| until > self.now), "it spins"),
                    Duty::Ask => {
                        assert!(self.now - self.signed >= SILENCE, "it asks while the agent is on guard");
                        if self.server {
                            (self.answered, self.failing) = (Some(self.now), None);
                        } else {
                            let (since, count) = self.failing.unwrap_or((self.now, 0));
                            self.failing = Some((since, count + 1));
                        }
                        self.vigil = self.vigil.clone().asked(self.now, self.server);
                    }
                    Duty::Withdraw => {
                        assert!(
                            self.now - self.signed >= SILENCE,
                            "it withdraws while the agent is on guard"
                        );
                        let answered = self.answered.filter(|at| *at >= self.signed);
                        assert!(
                            answered.is_none_or(|at| self.now - at >= UNANSWERED),
                            "it withdraws while the name server answers"
                        );
                        let (since, count) = self.failing.unwrap();
                        assert!(count >= ENOUGH && self.now - since >= UNANSWERED, "it withdraws too soon");
                        self.vigil = self.vigil.clone().withdrew(!self.stuck);
                        if !self.stuck {
                            self.withdrawals.push(self.now);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nobody_on_guard_and_nothing_that_answers_is_withdrawn_once() {
        let mut world = World::new();
        world.pass(seconds(100));
        (world.agent, world.server) = (false, false);
        let died = world.now;
        world.pass(seconds(1_000));
        let [at] = world.withdrawals[..] else { panic!("{:?}", world.withdrawals) };
        assert!(at - died >= UNANSWERED && at - died <= seconds(40), "after {:?}", at - died);
        // An agent that comes back begins it all anew.
        (world.agent, world.server) = (true, true);
        world.pass(seconds(60));
        (world.agent, world.server) = (false, false);
        world.pass(seconds(100));
        assert_eq!(world.withdrawals.len(), 2);
    }

    #[test]
    fn one_of_both_is_enough() {
        for (agent, server) in [(true, false), (false, true)] {
            let mut world = World::new();
            world.pass(seconds(10));
            (world.agent, world.server) = (agent, server);
            world.pass(seconds(3_600));
            assert_eq!(world.withdrawals, []);
        }
    }

    #[test]
    fn one_good_answer_begins_the_half_minute_anew() {
        let mut world = World::new();
        (world.agent, world.server) = (false, false);
        world.pass(seconds(30));
        world.server = true;
        world.pass(seconds(3));
        world.server = false;
        world.pass(seconds(29));
        assert_eq!(world.withdrawals, []);
        world.pass(seconds(10));
        assert_eq!(world.withdrawals.len(), 1);
    }

    #[test]
    fn a_pause_of_the_machine_counts_for_nothing() {
        for pause in [seconds(3), seconds(60), seconds(86_400)] {
            let mut world = World::new();
            (world.agent, world.server) = (false, false);
            world.pass(seconds(20));
            world.now += pause;
            world.pass(seconds(10));
            assert_eq!(world.withdrawals, [], "after {pause:?}");
        }
        // Nor does it make of an agent that is there one that is not.
        let mut world = World::new();
        world.server = false;
        world.pass(seconds(10));
        world.now += seconds(3_600);
        world.pass(seconds(10));
        assert_eq!(world.withdrawals, []);
    }

    #[test]
    fn a_withdrawal_that_failed_is_tried_again() {
        let mut world = World::new();
        (world.agent, world.server, world.stuck) = (false, false, true);
        world.pass(seconds(61));
        assert_eq!(world.withdrawals, []);
        world.stuck = false;
        world.pass(seconds(3));
        assert_eq!(world.withdrawals.len(), 1);
        // Unless the name server has come back meanwhile.
        let mut world = World::new();
        (world.agent, world.server, world.stuck) = (false, false, true);
        world.pass(seconds(61));
        (world.server, world.stuck) = (true, false);
        world.pass(seconds(60));
        assert_eq!(world.withdrawals, []);
    }

    #[test]
    fn an_agent_whose_cycles_are_long_is_waited_for() {
        let vigil = Vigil::begin(Duration::ZERO);
        assert_eq!(vigil.duty(seconds(29), seconds(10)), Duty::Rest(Some(seconds(30))));
        assert_eq!(vigil.duty(seconds(30), seconds(10)), Duty::Ask);
    }

    /// Something that happens.
    #[derive(Debug, Clone)]
    enum Event {
        Agent(bool),
        Server(bool),
        Stuck(bool),
        Jump(u64),
        Pass(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            1 => any::<bool>().prop_map(Event::Agent),
            1 => any::<bool>().prop_map(Event::Server),
            1 => any::<bool>().prop_map(Event::Stuck),
            1 => (0..100_000u64).prop_map(Event::Jump),
            4 => (250..45_000u64).prop_map(Event::Pass),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_it_withdraws_when_it_must_and_only_then(
            events in proptest::collection::vec(event(), 1..60)
        ) {
            let mut world = World::new();
            for event in events {
                match event {
                    Event::Agent(is_on_guard) => world.agent = is_on_guard,
                    Event::Server(answers) => world.server = answers,
                    Event::Stuck(is_stuck) => world.stuck = is_stuck,
                    Event::Jump(time) => world.now += Duration::from_millis(time),
                    // What must never happen is looked for in here.
                    Event::Pass(time) => world.pass(Duration::from_millis(time)),
                }
            }
            // An agent that was there, and then nobody and nothing: withdrawn, exactly once.
            (world.agent, world.stuck) = (true, false);
            world.pass(seconds(3));
            (world.agent, world.server) = (false, false);
            let before = world.withdrawals.len();
            world.pass(seconds(40));
            prop_assert_eq!(world.withdrawals.len(), before + 1);
            world.pass(seconds(400));
            prop_assert_eq!(world.withdrawals.len(), before + 1);
        }
    }
}
