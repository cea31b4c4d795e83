//! The fold: what a node runs, after what it has just seen and heard. Pure: no clock and no I/O.

use std::time::Duration;

use super::{ConfigurationId, Expected, Look, Memory, Rejected, Runs};
use crate::health::AFTER_REVISION;
use crate::health::beat::ConfigurationBeat;
use crate::names::Revision;

/// How far a node is with the configuration that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It has not been well for long enough.
    Trying {
        /// Since when it is well.
        well_since: Option<Duration>,
        /// Why it is not, if it is not.
        lacks: Option<String>,
    },
    /// It was, and others may still reject it.
    Good {
        /// When it, or another node that is heard, was last trying it.
        tried: Duration,
    },
    /// It was, before the agent was started.
    Settled,
}

const BEGUN: Phase = Phase::Trying { well_since: None, lacks: None };

/// What a node knows of its rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    memory: Memory,
    /// Since when it runs what it runs.
    since: Duration,
    /// Since when the deadline runs.
    begun: Duration,
    phase: Phase,
    /// Whether the gate was not frozen at some time since. One that was before says nothing of what runs.
    calm: bool,
    /// Why it does not run the candidate, or goes on running what is rejected.
    wait: Option<String>,
}

impl Rollout {
    /// With what was remembered. A trial that was going on begins anew.
    pub fn new(memory: Memory) -> Self {
        let is_proven = memory.runs.as_ref().is_some_and(|runs| runs.proven);
        let before = memory.before.filter(|_| !is_proven);
        let phase = if is_proven { Phase::Settled } else { BEGUN };
        Self {
            memory: Memory { before, ..memory },
            since: Duration::ZERO,
            begun: Duration::ZERO,
            phase,
            calm: false,
            wait: None,
        }
    }

    /// What is to be remembered.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What the node is to run.
    pub fn runs(&self) -> Option<ConfigurationId> {
        self.memory.runs.as_ref().map(|runs| runs.of)
    }

    /// How far it is with that.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Since when it runs that.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Why it does not run the candidate, or goes on running what is rejected.
    pub fn wait(&self) -> Option<&str> {
        self.wait.as_deref()
    }

    /// What the others are told.
    pub fn beat(&self) -> ConfigurationBeat {
        let Memory { runs, before: _, rejected } = &self.memory;
        let rejected = rejected.as_ref();
        let is_rejected = |of: &ConfigurationId| rejected.is_some_and(|it| it.of.digest == of.digest);
        let is_good = !matches!(self.phase, Phase::Trying { .. });
        ConfigurationBeat {
            runs: runs.as_ref().map_or(0, |runs| runs.of.digest.start()),
            good: is_good && runs.as_ref().is_some_and(|runs| !is_rejected(&runs.of)),
            rejects: rejected.filter(|it| it.own).map_or(0, |it| it.of.digest.start()),
        }
    }

    /// A configuration that was remembered has this name now, or cannot be had any more. A node that cannot have what it
    /// ran is one that never ran any.
    pub fn resolve(&mut self, remembered: Revision, now: Option<ConfigurationId>) {
        let Memory { runs, before, rejected } = &mut self.memory;
        let is_it = |of: &ConfigurationId| of.revision == remembered;
        if runs.as_ref().is_some_and(|runs| is_it(&runs.of)) {
            *runs = now.and_then(|now| Some(Runs { of: now, ..runs.clone()? }));
        }
        if before.as_ref().is_some_and(is_it) {
            *before = now;
        }
        if let (Some(rejected), Some(now)) = (rejected.as_mut().filter(|it| is_it(&it.of)), now) {
            rejected.of = now;
        }
    }

    /// What is known after one more look.
    #[must_use]
    pub fn fold(&self, look: &Look<'_>) -> Self {
        let mut next = Self { wait: None, ..self.clone() };
        next.calm |= look.own.frozen.is_none();
        next.listen(look);
        next.judge(look);
        next.advance(look);
        next
    }

    /// Whether others reject the candidate.
    fn listen(&mut self, look: &Look<'_>) {
        let of = look.candidate;
        let rejected = &mut self.memory.rejected;
        // Another configuration is another matter.
        *rejected = rejected.take().filter(|it| it.of.digest == of.digest);
        if rejected.is_some() || self.is_over(look) {
            return;
        }
        if let Some(node) = look.rejected_by(of.digest) {
            self.memory.rejected = Some(Rejected { of, own: false, why: format!("{node} rejects it") });
        }
    }

    /// Whether the candidate is good here, and no later wave can still be at it: each has the deadline.
    fn is_over(&self, look: &Look<'_>) -> bool {
        let later = look.waves.map(|waves| waves.deadline * (waves.count - waves.own + 1));
        self.runs().is_some_and(|of| of.digest == look.candidate.digest)
            && match self.phase {
                Phase::Trying { .. } => false,
                Phase::Good { tried } => look.now.saturating_sub(tried) > later.unwrap_or(AFTER_REVISION),
                Phase::Settled => true,
            }
    }

    /// What becomes of the configuration that runs.
    fn judge(&mut self, look: &Look<'_>) {
        let Some(Runs { of, expected, .. }) = self.memory.runs.clone() else { return };
        let rejected = self.memory.rejected.clone().filter(|it| it.of.digest == of.digest);
        let is_soon = look.now.saturating_sub(self.since) <= AFTER_REVISION;
        let frozen = look.own.frozen.clone().filter(|_| is_soon && self.calm);
        if look.own.switching.is_some() {
            self.begun = look.now;
        }
        let is_over = self.is_over(look);
        match &mut self.phase {
            Phase::Trying { well_since, lacks } => {
                let well = look.own.is_well(&expected);
                let since = *well_since.get_or_insert(look.now);
                *well_since = well.is_ok().then_some(since);
                lacks.clone_from(&well.clone().err());
                let (soak, is_told) = (look.waves.map(|waves| waves.soak), look.waves.is_none());
                if let Some(it) = rejected {
                    self.go_back(look, it.why, false);
                } else if let Some(why) =
                    frozen.or_else(|| self.failure(look, &expected, well.as_ref().err()))
                {
                    self.go_back(look, why, true);
                } else if is_told || well.is_ok() && soak.is_some_and(|soak| look.now - since >= soak) {
                    self.prove(look.now);
                }
            }
            Phase::Good { tried } => {
                if !is_over && look.is_tried(of.digest) {
                    *tried = look.now;
                }
                if let Some(why) = frozen {
                    self.go_back(look, why, true);
                } else if let Some(Rejected { why, .. }) = rejected {
                    match look.are_back(of.digest) {
                        Ok(()) => self.go_back(look, why, false),
                        Err(first) => self.wait = Some(format!("{of} is given up, {first}: {why}")),
                    }
                }
            }
            Phase::Settled => {}
        }
    }

    /// Why the node is not well with what it tries, and will not be.
    fn failure(&self, look: &Look<'_>, expected: &Expected, lacks: Option<&String>) -> Option<String> {
        let (waves, own) = (look.waves?, look.own);
        // What was wrong before is not its fault, unless it stays so.
        let is_new = |(_, since): &&(String, Duration)| *since >= self.since;
        let class = own.class.as_ref().filter(is_new).map(|(why, _)| why.clone());
        let late = || {
            let is_late = look.now.saturating_sub(self.begun) >= waves.deadline && !expected.ill;
            lacks
                .filter(|_| is_late)
                .map(|why| format!("not well within {} s: {why}", waves.deadline.as_secs()))
        };
        own.failed(expected).cloned().or(class).or_else(late)
    }

    fn prove(&mut self, now: Duration) {
        self.phase = Phase::Good { tried: now };
        if let Some(runs) = &mut self.memory.runs {
            runs.proven = true;
        }
    }

    /// Runs the one before, for what was met here or what others say. Where there is none the node stays, and does not call
    /// rejected what it has to run: all that its waves do then is wait until it is well.
    fn go_back(&mut self, look: &Look<'_>, why: String, own: bool) {
        let Some(Runs { of, expected, .. }) = self.memory.runs.clone() else { return };
        let Some(before) = self.memory.before.take() else {
            self.wait = Some(format!("{of} stays, since there is none to go back to: {why}"));
            return;
        };
        if own && of.digest == look.candidate.digest {
            self.memory.rejected = Some(Rejected { of, own, why });
        }
        self.memory.runs = Some(Runs { of: before, proven: true, expected });
        self.begin(look);
    }

    /// Whether the candidate is to run now.
    fn advance(&mut self, look: &Look<'_>) {
        let candidate = look.candidate;
        let Some(Runs { of, proven, expected }) = self.memory.runs.clone() else {
            return self.take_on(look, None, false, Expected::default());
        };
        if of.digest == candidate.digest {
            return;
        }
        if let Some(rejected) = &self.memory.rejected {
            self.wait = Some(format!("{candidate} is rejected: {}; {of} runs", rejected.why));
            return;
        }
        if let Err(why) = look.is_ready(candidate.digest) {
            self.wait = Some(format!("{candidate} waits: {why}; {of} runs"));
            return;
        }
        // One that has not been good is nothing to go back to, and what the node did with it is nothing to expect.
        let before = if proven { Some(of) } else { self.memory.before };
        let expected = match self.phase {
            Phase::Trying { .. } => expected,
            Phase::Good { .. } | Phase::Settled => look.own.expected(),
        };
        let is_before = before.is_some_and(|before| before.digest == candidate.digest);
        self.take_on(look, before.filter(|_| !is_before), is_before, expected);
    }

    fn take_on(
        &mut self,
        look: &Look<'_>,
        before: Option<ConfigurationId>,
        proven: bool,
        expected: Expected,
    ) {
        self.memory.runs = Some(Runs { of: look.candidate, proven, expected });
        self.memory.before = before;
        self.begin(look);
    }

    fn begin(&mut self, look: &Look<'_>) {
        (self.since, self.begun, self.phase) = (look.now, look.now, BEGUN);
        self.calm = look.own.frozen.is_none();
    }
}
