//! One prefix at the gate: its state, and what comes next.
//!
//! ```text
//! BOOT → STANDBY → ANNOUNCE ⇄ HELD
//!                  ANNOUNCE → DRAINING → WITHDRAWN → STANDBY
//!                  ANNOUNCE → WITHDRAWN (HARD)
//! ```

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use super::beat::STALE;
use super::class::{Class, Trouble};
use super::others::{Counts, Others, Proof};
use super::rate::{Rate, WINDOW};
use super::state::State;
use crate::desired::model::{DrainPolicy, HealthPolicy};
use crate::routing::{Announcement, Family};

/// How long a node waits for its zones before it announces without the missing ones: one dead primary keeps no node
/// silent for ever.
pub(super) const LOADING_PATIENCE: Duration = Duration::from_secs(60);
/// After this long without a withdrawal the hold-down begins at its shortest again.
pub(super) const FORGIVEN: Duration = Duration::from_secs(3600);
/// A node that could announce waits this long while nobody does, before it does so in spite of everything.
pub(super) const LONELY: Duration = Duration::from_secs(10);
/// The least that a drain takes, however quickly the queries cease: routers need a few seconds to choose other routes, and a
/// node that was asked nothing cannot see that they have. Within it the rate would be that of before, too.
pub(super) const LEAST_DRAIN: Duration = WINDOW;
/// Each hold-down, as a multiple of the first; the last one repeats.
const HOLD_DOWNS: [u32; 4] = [1, 2, 4, 15];

/// What is to be done about one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stance {
    /// Announce it; where something is wrong all the same, why.
    Announce(Option<String>),
    /// Leave it as it is, since nothing is known yet.
    Keep(String),
    /// Announce it in a way that others are preferred.
    Drain {
        /// Why the node leaves.
        why: String,
        /// How long this may still take.
        left: Duration,
        /// Why it takes longer.
        held: Option<String>,
    },
    /// Do not announce it; why, and whether that is being waited for to change.
    Silent {
        /// Why not.
        why: String,
        /// Whether the node would rather announce.
        waits: bool,
    },
}

impl fmt::Display for Stance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announce(None) => f.write_str("announced"),
            Self::Announce(Some(why)) => write!(f, "announced in spite of {why}"),
            Self::Keep(why) => write!(f, "left as it is: {why}"),
            Self::Drain { why, left, held: None } => write!(f, "draining for {} s: {why}", left.as_secs()),
            Self::Drain { why, left: _, held: Some(held) } => write!(f, "draining: {why}; held: {held}"),
            Self::Silent { why, waits: _ } => write!(f, "not announced: {why}"),
        }
    }
}

/// One prefix at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrefixGate {
    pub(super) state: State,
    pub(super) since: Duration,
    pub(super) stance: Stance,
    /// How often the node was asked when it began to drain.
    rate: Option<Rate>,
    /// Which hold-down comes next.
    level: usize,
    /// When the last one ends.
    held_down: Duration,
    /// Since when nobody announces although this node could.
    lonely: Option<Duration>,
}

/// What one step has to go on.
pub(super) struct Around<'a> {
    pub(super) prefix: IpNet,
    pub(super) others: &'a Others<'a>,
    pub(super) health: &'a HealthPolicy,
    pub(super) drain: &'a DrainPolicy,
    /// Why it should leave, by the repository or by an operator of the machine.
    pub(super) planned: Option<(State, &'a str)>,
    /// Why it should leave for another daemon: planned work, too, which waits until the others can spare it.
    pub(super) switching: Option<&'a str>,
    /// Whether it is ours to announce.
    pub(super) is_ours: bool,
    /// The worst that concerns it.
    pub(super) trouble: Option<&'a Trouble>,
    /// Why nobody may withdraw for that.
    pub(super) frozen: Option<String>,
    /// Whether all its addresses answer; if not, why not.
    pub(super) answers: Result<(), String>,
    /// Whether any of them does.
    pub(super) answers_at_all: bool,
    /// Too few zones have data: how many of how many.
    pub(super) loading: Option<(usize, usize)>,
    /// How it is announced, as far as that could be seen.
    pub(super) announced: Option<Announcement>,
    /// How often it is asked now.
    pub(super) rate: Option<Rate>,
    /// When this node was last clean in the prefix's family, as it told the others.
    pub(super) clean: Option<Duration>,
}

impl PrefixGate {
    pub(super) fn new(now: Duration) -> Self {
        let stance = Stance::Keep("nothing was asked yet".to_owned());
        Self {
            state: State::Boot,
            since: now,
            stance,
            rate: None,
            level: 0,
            held_down: Duration::ZERO,
            lonely: None,
        }
    }

    /// The next state, and the stance that belongs to it.
    pub(super) fn step(&self, around: &Around<'_>) -> Self {
        let now = around.others.now;
        let (state, stance) = self.next(around);
        let mut next = Self { state, stance, ..self.clone() };
        if state != self.state {
            next.since = now;
        }
        if state == State::Draining && self.state != State::Draining {
            next.rate = around.rate;
        }
        if state == State::Announce && now.saturating_sub(next.since) >= FORGIVEN {
            next.level = 0;
        }
        // What was planned is no flapping.
        let is_planned = around.planned.is_some() || around.switching.is_some();
        if state == State::Withdrawn && self.is_out_there() && !is_planned && around.is_ours {
            let times = HOLD_DOWNS[next.level.min(HOLD_DOWNS.len() - 1)];
            next.held_down = now + around.health.hold_down * times;
            next.level += 1;
        }
        let nobody = around.others.counts(around.family()).announcing == 0;
        next.lonely = (nobody && !next.is_out_there()).then(|| self.lonely.unwrap_or(now));
        next
    }

    /// Behind the fence.
    pub(super) fn fenced(self, now: Duration, why: &str) -> Self {
        let stance = Stance::Silent { why: format!("the fence is up: {why}"), waits: true };
        let since = if self.state == State::Fenced { self.since } else { now };
        Self { state: State::Fenced, since, stance, ..self }
    }

    fn is_out_there(&self) -> bool {
        matches!(self.state, State::Announce | State::Held | State::Draining)
    }

    fn next(&self, around: &Around<'_>) -> (State, Stance) {
        let now = around.others.now;
        if !around.is_ours && around.planned.is_none() {
            return silent(State::Withdrawn, "it is not ours", false);
        }
        match (self.state, around.planned) {
            (State::Draining, Some(_)) => self.draining(around),
            (State::Announce | State::Held, Some(planned)) => drain(planned.1, around.drain.wait),
            // Found announced after a restart of the agent.
            (_, Some(planned)) if around.announced.is_some() && self.state == State::Boot => {
                drain(planned.1, around.drain.wait)
            }
            (_, Some((state, why))) => silent(state, why, false),
            (State::Boot, None) => boot(around),
            (State::Announce | State::Held, None) => self.announced(around),
            (State::Draining, None) => match (around.trouble, around.switching) {
                (Some(trouble), _) if trouble.class != Class::Hard => self.draining(around),
                (None, Some(_)) => self.draining(around),
                (Some(_), _) | (None, None) => self.announced(around),
            },
            (State::Standby | State::Withdrawn | State::Maintenance | State::Fenced, None) => {
                self.silent(now, around)
            }
        }
    }

    /// What becomes of it while it is announced.
    fn announced(&self, around: &Around<'_>) -> (State, Stance) {
        let (said, after) = match (around.trouble, around.switching) {
            (Some(trouble), _) => (trouble.to_string(), around.unwell_since(trouble)),
            (None, Some(why)) => (why.to_owned(), around.others.now.saturating_sub(STALE)),
            (None, None) => return (State::Announce, Stance::Announce(None)),
        };
        match around.may_leave(after) {
            Err(why) => (State::Held, Stance::Announce(Some(format!("{said}; held: {why}")))),
            Ok(()) if around.is_hard() => silent(State::Withdrawn, &said, true),
            Ok(()) => drain(&said, around.drain.wait),
        }
    }

    /// What becomes of it on its way out.
    fn draining(&self, around: &Around<'_>) -> (State, Stance) {
        let spent = around.others.now.saturating_sub(self.since);
        let left = around.drain.wait.saturating_sub(spent);
        let why = match (around.planned, around.trouble, around.switching) {
            (Some((_, why)), ..) => why.to_owned(),
            (None, Some(trouble), _) => trouble.to_string(),
            (None, None, Some(why)) => why.to_owned(),
            (None, None, None) => return (State::Announce, Stance::Announce(None)),
        };
        // Of those that began together, all but the first by name come back at once.
        if around.planned.is_none()
            && around.trouble.is_none()
            && let Err(held) = around.may_one_more()
        {
            return (State::Held, Stance::Announce(Some(format!("{why}; held: {held}"))));
        }
        let has_ceased = around.rate.is_some_and(|rate| rate.has_ceased(self.rate));
        let is_over = left.is_zero() || has_ceased && spent >= LEAST_DRAIN;
        if !is_over {
            return (State::Draining, Stance::Drain { why, left, held: None });
        }
        let drained = || format!("{why}; drained for {} s, {}", spent.as_secs(), self.left_over(around.rate));
        match (around.may_leave(self.since), around.planned) {
            (Ok(()), Some((state, _))) => silent(state, &drained(), false),
            (Ok(()), None) => silent(State::Withdrawn, &drained(), around.trouble.is_some()),
            (Err(held), Some(_)) => (State::Draining, Stance::Drain { why, left, held: Some(held) }),
            // They have yet to say that they were well since.
            (Err(held), None) if spent < around.drain.wait + STALE => {
                (State::Draining, Stance::Drain { why, left, held: Some(held) })
            }
            (Err(held), None) => (State::Held, Stance::Announce(Some(format!("{why}; held: {held}")))),
        }
    }

    /// What is left of the queries at the end of a drain.
    fn left_over(&self, rate: Option<Rate>) -> String {
        match (rate, self.rate) {
            (Some(rate), Some(before)) => format!("{rate} of {before} queries a second are left"),
            (Some(rate), None) => format!("{rate} queries a second are left"),
            (None, _) => "and how many queries are left is not known".to_owned(),
        }
    }

    /// What becomes of it while it is not announced.
    fn silent(&self, now: Duration, around: &Around<'_>) -> (State, Stance) {
        if let Some(why) = around.switching {
            return silent(State::Withdrawn, why, false);
        }
        let is_lonely = self.lonely.is_some_and(|since| now.saturating_sub(since) >= LONELY);
        let was_out = self.level > 0;
        if was_out && is_lonely && around.answers_at_all {
            return match around.trouble {
                Some(trouble) => {
                    let why = format!("{trouble}; held: nobody else announces");
                    (State::Held, Stance::Announce(Some(why)))
                }
                None => (State::Announce, Stance::Announce(None)),
            };
        }
        if let Some(trouble) = around.trouble {
            return silent(State::Withdrawn, &trouble.to_string(), true);
        }
        if let Err(why) = &around.answers {
            let state = if self.state == State::Standby { State::Standby } else { State::Withdrawn };
            return silent(state, why, true);
        }
        let left = self.held_down.saturating_sub(now);
        if !left.is_zero() {
            let why = format!("it was withdrawn lately, and stays so for {} s more", left.as_secs());
            return silent(State::Standby, &why, true);
        }
        match around.loading {
            Some((served, of))
                if self.state != State::Standby || now.saturating_sub(self.since) < LOADING_PATIENCE =>
            {
                silent(State::Standby, &format!("{served} of {of} zones have data"), true)
            }
            Some(_) | None => (State::Announce, Stance::Announce(None)),
        }
    }
}

/// What becomes of it before the name server has answered.
fn boot(around: &Around<'_>) -> (State, Stance) {
    if let (Some(why), None) = (around.switching, around.announced) {
        return (State::Boot, Stance::Keep(why.to_owned()));
    }
    match (&around.answers, around.announced, around.trouble) {
        // A daemon that announced while the agent was away goes on; one that was draining comes back.
        (Ok(()), Some(_), _) => (State::Announce, Stance::Announce(None)),
        (Ok(()), None, _) => match around.loading {
            Some((served, of)) => silent(State::Standby, &format!("{served} of {of} zones have data"), true),
            None => (State::Announce, Stance::Announce(None)),
        },
        (Err(_), Some(_), Some(trouble)) => match around.may_leave(around.unwell_since(trouble)) {
            Ok(()) => silent(State::Withdrawn, &trouble.why, true),
            Err(held) => (State::Held, Stance::Announce(Some(format!("{}; held: {held}", trouble.why)))),
        },
        (Err(why), _, _) => (State::Boot, Stance::Keep(why.clone())),
    }
}

fn silent(state: State, why: &str, waits: bool) -> (State, Stance) {
    (state, Stance::Silent { why: why.to_owned(), waits })
}

fn drain(why: &str, left: Duration) -> (State, Stance) {
    (State::Draining, Stance::Drain { why: why.to_owned(), left, held: None })
}

impl Around<'_> {
    fn family(&self) -> Family {
        Family::of(self.prefix.addr())
    }

    /// Since when the others cannot rely on this node any more, as far as it told them. With a trouble that leaves its
    /// addresses answering they can, until it drains; so what counts is asked again at the end of the drain.
    fn unwell_since(&self, trouble: &Trouble) -> Duration {
        match trouble.class {
            Class::Hard => self.clean.map_or(trouble.began, |clean| clean.max(trouble.began)),
            Class::Partial | Class::Data | Class::Stale | Class::Isolated => trouble.began,
        }
    }

    /// Whether the others allow that it is not announced any more; if not, why not. `after` is since when they do not
    /// rely on this node.
    fn may_leave(&self, after: Duration) -> Result<(), String> {
        let (others, family) = (self.others, self.family());
        let is_planned = self.planned.is_some();
        // Where nobody else could announce, there is no better moment.
        if (is_planned || self.switching.is_some()) && others.is_alone(family) {
            return Ok(());
        }
        if let Some(why) = self.frozen.as_ref().filter(|_| !is_planned) {
            return Err(format!("{why}; that is hardly each one's own fault"));
        }
        let Counts { meant, announcing, withdrawn: _ } = others.counts(family);
        let known = format!("of {meant} nodes meant to announce {}", self.prefix);
        if is_planned || self.is_hard() {
            let reliable = others.reliable(family, Proof::Clean, after);
            return match reliable {
                0 => Err(format!("{known}, {announcing} others do, and none has shown that it answers")),
                _ => Ok(()),
            };
        }
        let (reliable, need) = (others.reliable(family, Proof::Good, after), meant.div_ceil(2));
        if reliable < need {
            return Err(format!("{known}, {reliable} others do and are well; {need} are needed"));
        }
        self.may_one_more()
    }

    /// Whether few enough are withdrawn or drained that this one may be, too; if not, how many are.
    fn may_one_more(&self) -> Result<(), String> {
        if self.switching.is_some() && self.others.is_alone(self.family()) {
            return Ok(());
        }
        let Counts { meant, announcing: _, withdrawn } = self.others.counts(self.family());
        let most = (meant / 3).max(1);
        if withdrawn < most {
            return Ok(());
        }
        Err(format!(
            "of {meant} nodes meant to announce {}, {withdrawn} are withdrawn or drained; no more than {most} may be",
            self.prefix
        ))
    }

    /// Whether nothing here answers.
    fn is_hard(&self) -> bool {
        self.trouble.is_some_and(|trouble| trouble.class == Class::Hard)
    }
}
