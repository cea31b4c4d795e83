//! The rollout of this node: folds what it sees and hears (`crate::rollout`), remembers what came of it, and puts the
//! configuration that runs together with all else of the newest revision.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::follow::Followed;
use super::reconcile::Step;
use super::switch::Switches;
use crate::config::LocalConfig;
use crate::desired::slice::{DesiredNode, Intent};
use crate::desired::verified::{VerifiedConfiguration, VerifiedState};
use crate::fingerprint::Fingerprint;
use crate::health::beat::{ConfigurationBeat, Heard};
use crate::health::{Class, State, Verdict};
use crate::names::NodeName;
use crate::plan::Wait;
use crate::rollout::{ConfigurationId, Look, Memory, Own, Phase, Rollout, Waves};
use crate::routing::{Announcement, SessionState};
use crate::status::{ConfigurationStatus, RolloutStatus};

/// What is known of the rollout, and where it is kept.
pub(super) struct KeptRollout {
    node: NodeName,
    state: PathBuf,
    rollout: Rollout,
    waves: Option<Waves>,
    /// Configurations that may be run.
    known: BTreeMap<Fingerprint, Arc<VerifiedConfiguration>>,
    /// What the node looked like after the last step.
    own: Own,
    /// The newest state with another configuration than its own.
    mixed: Option<Arc<VerifiedState>>,
    beat: watch::Sender<ConfigurationBeat>,
    /// Why the memory could not be written.
    unsaved: Option<String>,
}

impl KeptRollout {
    /// With what was remembered.
    pub(super) fn open(config: &LocalConfig) -> Result<Self, String> {
        let rollout = Rollout::new(Memory::load(&config.state)?);
        Ok(Self {
            node: config.node.clone(),
            state: config.state.clone(),
            beat: watch::Sender::new(rollout.beat()),
            rollout,
            waves: None,
            known: BTreeMap::new(),
            own: Own { undone: Some("it has not been looked at yet".to_owned()), ..Own::default() },
            mixed: None,
            unsaved: None,
        })
    }

    /// The configurations that may have to be loaded again.
    pub(super) fn remembered(&self) -> Vec<ConfigurationId> {
        let Memory { runs, before, rejected: _ } = self.rollout.memory();
        runs.iter().map(|runs| runs.of).chain(*before).collect()
    }

    /// What the others are told.
    pub(super) fn beat(&self) -> watch::Receiver<ConfigurationBeat> {
        self.beat.subscribe()
    }

    /// The state that the node is to run now, where this is the newest. What is remembered is on disk before anybody acts on
    /// it.
    pub(super) fn decide(
        &mut self,
        newest: &Arc<VerifiedState>,
        followed: &Followed,
        heard: &BTreeMap<NodeName, Heard>,
        now: Duration,
    ) -> Arc<VerifiedState> {
        self.learn(followed, newest);
        let candidate = id(newest.configuration());
        self.waves = Waves::of(newest.state(), &self.node);
        let look = Look { now, candidate, waves: self.waves.as_ref(), heard, own: &self.own };
        let next = self.rollout.fold(&look);
        tell(&self.rollout, &next);
        if next.memory() != self.rollout.memory() || self.unsaved.is_some() {
            self.unsaved = next.memory().save(&self.state).err();
            if let Some(why) = &self.unsaved {
                warn!(why, "what is known of the rollout could not be written");
            }
        }
        self.rollout = next;
        let beat = self.rollout.beat();
        self.beat.send_if_modified(|before| std::mem::replace(before, beat) != beat);

        let kept = self.remembered();
        self.known.retain(|digest, _| {
            *digest == candidate.digest || kept.iter().any(|kept| kept.digest == *digest)
        });
        let runs = self.rollout.runs().map(|runs| runs.digest);
        let other = runs.filter(|runs| *runs != candidate.digest).and_then(|runs| self.known.get(&runs));
        let Some(other) = other else {
            self.mixed = None;
            return Arc::clone(newest);
        };
        let wanted = (newest.revision(), newest.zones(), other.digest());
        let mixed = self.mixed.take().filter(|mixed| mixed.id() == wanted);
        let mixed = mixed.unwrap_or_else(|| Arc::new(newest.with_configuration(other)));
        self.mixed = Some(Arc::clone(&mixed));
        mixed
    }

    /// Takes in the configurations that came. Of one that was remembered, the digest is made anew: another version of this
    /// agent may have made another.
    fn learn(&mut self, followed: &Followed, newest: &Arc<VerifiedState>) {
        let newest = newest.configuration();
        self.known.entry(newest.digest()).or_insert_with(|| Arc::clone(newest));
        for remembered in self.remembered() {
            if self.known.contains_key(&remembered.digest) {
                continue;
            }
            let loaded = followed.earlier.get(&remembered.revision).and_then(Option::as_ref);
            if let Some(loaded) = loaded {
                self.known.insert(loaded.digest(), Arc::clone(loaded));
            } else {
                warn!("{remembered} was in use and cannot be loaded any more");
            }
            self.rollout.resolve(remembered.revision, loaded.map(id));
        }
    }

    /// Looks at the node after a step.
    pub(super) fn look(&mut self, node: &DesiredNode, step: &Step, verdict: &Verdict, switches: &Switches) {
        self.own = own(node, step, verdict, switches);
    }

    /// Whether what others say, or the time, may soon change what runs.
    pub(super) fn is_under_way(&self) -> bool {
        let is_trying = matches!(self.rollout.phase(), Phase::Trying { .. });
        is_trying || self.rollout.wait().is_some() && self.rollout.memory().rejected.is_none()
    }

    /// Why the node is not as the newest revision has it, or would forget what it is.
    pub(super) fn waits(&self) -> impl Iterator<Item = String> {
        let unsaved = self
            .unsaved
            .as_ref()
            .map(|why| format!("what is known of the rollout would be lost if the agent ended now: {why}"));
        self.rollout.wait().map(str::to_owned).into_iter().chain(unsaved)
    }

    /// For people.
    pub(super) fn status(&self, now: Duration) -> Option<RolloutStatus> {
        let runs = self.rollout.runs()?;
        let since = now.saturating_sub(self.rollout.since()).as_secs();
        let (state, lacks) = match self.rollout.phase() {
            Phase::Trying { lacks, .. } => ("trying", lacks.clone()),
            Phase::Good { .. } | Phase::Settled => ("good", None),
        };
        let named = |of: ConfigurationId| ConfigurationStatus {
            revision: of.revision,
            digest: format!("{:016x}", of.digest.start()),
        };
        let Memory { runs: _, before, rejected } = self.rollout.memory();
        Some(RolloutStatus {
            runs: named(runs),
            state: state.to_owned(),
            since_s: since,
            lacks,
            wave: self.waves.as_ref().map(|waves| (waves.own, waves.count)),
            before: before.map(named),
            rejected: rejected.as_ref().map(|rejected| named(rejected.of)),
            why: rejected.as_ref().map(|rejected| rejected.why.clone()),
            waits: self.rollout.wait().map(str::to_owned),
        })
    }
}

fn id(configuration: &Arc<VerifiedConfiguration>) -> ConfigurationId {
    ConfigurationId { revision: configuration.revision(), digest: configuration.digest() }
}

/// Says what changed, to whoever reads the log.
fn tell(before: &Rollout, after: &Rollout) {
    let is_good = |rollout: &Rollout| !matches!(rollout.phase(), Phase::Trying { .. });
    match (before.runs(), after.runs()) {
        (from, Some(to)) if from != Some(to) => info!("{to} runs from now on"),
        (_, Some(runs)) if is_good(after) && !is_good(before) => info!("{runs} is good"),
        _ => {}
    }
    let (was, is) = (&before.memory().rejected, &after.memory().rejected);
    if let Some(rejected) = is.as_ref().filter(|_| was != is) {
        warn!(why = rejected.why, found_here = rejected.own, "{} is rejected", rejected.of);
    }
    if let Some(wait) = after.wait().filter(|wait| before.wait() != Some(*wait)) {
        info!("{wait}");
    }
}

/// What a step and the gate say of the node.
fn own(node: &DesiredNode, step: &Step, verdict: &Verdict, switches: &Switches) -> Own {
    let Step { observed, plan, failures } = step;
    let unseen = |wait: &&Wait| matches!(wait, Wait::Unobserved { .. });
    let failed = failures.first().map(|failure| format!("failed: {failure}"));
    let open = || plan.actions.first().map(|action| format!("still to do: {action}"));
    let undone = failed.or_else(open).or_else(|| plan.waits.iter().find(unseen).map(ToString::to_string));
    let undone = undone.or_else(|| switches.waits.first().cloned());
    let (is_meant, switching) = match &node.intent {
        Intent::Announce => (true, None),
        Intent::Switch(why) => (true, Some(why.clone())),
        Intent::Silent => (false, None),
    };
    let class = verdict.class.as_ref().filter(|(class, _)| *class != Class::Isolated);
    let class = class.map(|(class, why)| (format!("{class}: {why}"), verdict.class_since));
    let fenced = verdict.fenced.as_ref().filter(|_| verdict.state == State::Fenced);
    let fenced = fenced.map(|why| (format!("{}: {why}", State::Fenced), verdict.since));
    let is_meant = is_meant && !verdict.maintenance;
    let mut own = Own {
        undone,
        switching,
        class: fenced.or(class),
        frozen: verdict.frozen.clone(),
        meant: if is_meant { node.routing.prefixes.clone() } else { Default::default() },
        ..Own::default()
    };
    if let Some(routing) = observed.routing.known() {
        let established =
            routing.sessions.values().filter(|session| session.state == SessionState::Established);
        let announced = routing.originated.iter().filter(|(_, how)| **how == Announcement::Normal);
        own.configured = node.routing.sessions.len();
        own.established = established.count();
        own.announced = announced.map(|(prefix, _)| *prefix).collect();
        let taken_back = routing.taken_back.as_ref().filter(|taken_back| taken_back.config == node.routing);
        own.failed = taken_back.map(|taken_back| format!("its BGP was taken back: {}", taken_back.why));
    }
    own.failed = own.failed.or_else(|| switches.failed.clone());
    own
}
