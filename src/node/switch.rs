//! The switcher: what a node is to be for now, while another daemon takes the place of one (`switch`).
//!
//! ```text
//! DesiredNode ─┐                  ┌→ DesiredNode for now: which daemons run, and whether it leaves
//! last step ───┼→ Kept::step ─────┤
//! switch.json ─┘                  └→ switch.json
//! ```

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::reconcile::Step;
use crate::config::LocalConfig;
use crate::desired::model::DesiredState;
use crate::desired::slice::{DesiredNode, Intent};
use crate::dns::{Daemons, NameServerKind, ZoneState};
use crate::health::Gate;
use crate::observed::Seen as Sight;
use crate::plan::Action;
use crate::routing::{RoutingDaemonKind, RoutingDaemons, SessionState};
use crate::switch::{Before, Course, Kept, Seen, linger};
use crate::whole_file;

/// Between two looks for a daemon that was not installed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Steers one node through its switches.
pub(super) struct Switcher {
    path: PathBuf,
    name_servers: Daemons,
    routing_daemons: RoutingDaemons,
    name_server: Part<NameServerKind>,
    routing: Part<RoutingDaemonKind>,
    /// Since when nothing is announced.
    silent_since: Option<Duration>,
    /// How long a trial may take.
    patience: Duration,
}

/// What has come of switches for now.
#[derive(Default)]
pub(super) struct Switches {
    /// What the node waits for.
    pub(super) waits: Vec<String>,
    /// What failed, so that another daemon runs than is wanted.
    pub(super) failed: Option<String>,
}

/// What is known of one part.
struct Part<K> {
    kept: Kept<K>,
    /// When the one on trial was begun with.
    trial: Option<(K, Duration)>,
    /// Since when it is set up as wanted.
    set_up: Option<Duration>,
    /// When it was last looked whether one is installed, and whether it is.
    installed: Option<(K, Duration, bool)>,
    runs: Option<(K, K)>,
    does: Before,
    ready: Result<(), String>,
}

/// `switch.json`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct File {
    name_server: Kept<NameServerKind>,
    routing: Kept<RoutingDaemonKind>,
}

impl Switcher {
    /// Goes on where the agent before this one was.
    pub(super) fn open(config: &LocalConfig) -> Self {
        let path = config.state.join("switch.json");
        let File { name_server, routing } = read(&path);
        Self {
            path,
            name_servers: config.daemons(),
            routing_daemons: config.routing_daemons(),
            name_server: Part::new(name_server),
            routing: Part::new(routing),
            silent_since: None,
            patience: Duration::MAX,
        }
    }

    /// What the node is to be for now, and what it waits for beside that.
    pub(super) async fn steer(
        &mut self,
        state: &DesiredState,
        node: &Arc<DesiredNode>,
        now: Duration,
    ) -> (Arc<DesiredNode>, Switches) {
        self.patience = state.network.switch_trial;
        let at = At {
            file: node.file.to_string(),
            now,
            patience: self.patience,
            is_silent: self
                .silent_since
                .is_some_and(|since| now.saturating_sub(since) >= linger(node.drain.wait)),
        };
        let (wanted_server, wanted_routing) = (node.name_server.daemon, node.routing.daemon);
        if self.name_server.must_look(wanted_server, now) {
            let is_installed = self.name_servers.is_installed(wanted_server).await;
            self.name_server.looked(wanted_server, now, is_installed);
        }
        if self.routing.must_look(wanted_routing, now) {
            let is_installed = self.routing_daemons.is_installed(wanted_routing).await;
            self.routing.looked(wanted_routing, now, is_installed);
        }
        let (server, is_new) = self.name_server.step("name server", wanted_server, &at);
        let (routing, is_newer) = self.routing.step("routing daemon", wanted_routing, &at);
        if is_new || is_newer {
            self.keep();
        }
        let failed = self.name_server.failed().or_else(|| self.routing.failed());
        let switches = Switches { waits: server.wait.iter().chain(&routing.wait).cloned().collect(), failed };
        let leave: Vec<String> = server.leave.iter().chain(&routing.leave).cloned().collect();
        if leave.is_empty() && (server.run, routing.run) == (wanted_server, wanted_routing) {
            return (Arc::clone(node), switches);
        }
        let mut steered = DesiredNode::clone(node);
        steered.name_server.daemon = server.run;
        steered.routing.daemon = routing.run;
        if !leave.is_empty() && steered.intent == Intent::Announce {
            steered.intent = Intent::Switch(leave.join(", "));
        }
        (Arc::new(steered), switches)
    }

    /// How long the next step may wait at most, whatever it has to wait for: a trial ends in time.
    pub(super) fn left(&self, now: Duration) -> Duration {
        let begun = [self.name_server.trial.map(|trial| trial.1), self.routing.trial.map(|trial| trial.1)];
        let left = |begun: Duration| self.patience.saturating_sub(now.saturating_sub(begun));
        begun.into_iter().flatten().map(left).filter(|left| !left.is_zero()).min().unwrap_or(Duration::MAX)
    }

    /// Notes what a step for such a node has come to.
    pub(super) fn look(&mut self, node: &DesiredNode, step: &Step, gate: &Gate, now: Duration) {
        let is_silent = step.observed.routing.known().is_some_and(|routing| routing.originated.is_empty());
        self.silent_since = is_silent.then(|| self.silent_since.unwrap_or(now));
        self.look_at_name_server(node, step, gate, now);
        self.look_at_routing(node, step);
    }

    fn look_at_name_server(&mut self, node: &DesiredNode, step: &Step, gate: &Gate, now: Duration) {
        let part = &mut self.name_server;
        let seen = match &step.observed.name_server {
            Sight::Known(seen) => seen,
            Sight::Unknown { why } => return part.unseen(why),
        };
        part.runs = seen.config.as_ref().map(|config| (config.daemon, seen.running));
        part.does = Before { unserved: Some(seen.zones.standing_out().len()), ..Before::default() };
        let is_ours = |action: &Action| match action {
            Action::ConfigureNameServer { .. } | Action::ChangeZones(_) => true,
            Action::Drain { .. }
            | Action::Withdraw { .. }
            | Action::RemoveAddress(_)
            | Action::ConfigureMesh { .. }
            | Action::RerouteMesh { .. }
            | Action::AddAddress(_)
            | Action::ConfigureRouting { .. }
            | Action::Announce { .. } => false,
        };
        let unserved = seen.zones.standing_out();
        let allowed = part.kept.trial.as_ref().and_then(|trial| trial.before.unserved);
        let missing = || {
            let example = unserved.first().and_then(|name| Some((name, &seen.zones.get(name)?.state)));
            let why = match example {
                Some((name, ZoneState::Empty(why) | ZoneState::Expired(why))) => format!("{name}: {why}"),
                Some((name, ZoneState::Served)) => name.to_string(),
                None => String::new(),
            };
            format!("{} of {} zones have no data, such as {why}", unserved.len(), node.zones.len())
        };
        let is_set_up = match undone(step, is_ours) {
            Some(why) => Err(why),
            None if allowed.is_some_and(|allowed| unserved.len() > allowed) => Err(missing()),
            None => Ok(()),
        };
        part.set_up = is_set_up.is_ok().then(|| part.set_up.unwrap_or(now));
        part.ready = is_set_up.and_then(|()| gate.answers_since(node, part.set_up.unwrap_or(now)));
    }

    fn look_at_routing(&mut self, node: &DesiredNode, step: &Step) {
        let part = &mut self.routing;
        let seen = match &step.observed.routing {
            Sight::Known(seen) => seen,
            Sight::Unknown { why } => return part.unseen(why),
        };
        part.runs = seen.config.as_ref().map(|config| (config.daemon, seen.running));
        let established = seen.sessions.iter().filter(|(_, of)| of.state == SessionState::Established);
        let sessions: BTreeSet<String> = established.map(|(name, _)| name.to_string()).collect();
        let wanted: BTreeSet<String> = node.routing.sessions.keys().map(ToString::to_string).collect();
        let awaited = part.kept.trial.iter().flat_map(|trial| trial.before.sessions.intersection(&wanted));
        let missing: Vec<&str> =
            awaited.filter(|name| !sessions.contains(*name)).map(String::as_str).collect();
        part.ready = match undone(step, |action| matches!(action, Action::ConfigureRouting { .. })) {
            Some(why) => Err(why),
            None if !missing.is_empty() => Err(format!("{} is not established", missing.join(" and "))),
            None => Ok(()),
        };
        part.does = Before { sessions, ..Before::default() };
    }

    fn keep(&self) {
        let file = File { name_server: self.name_server.kept.clone(), routing: self.routing.kept.clone() };
        if let Err(error) = whole_file::write_json(&self.path, &file) {
            error!(path = %self.path.display(), %error, "an agent that starts would not know how far this switch is");
        }
    }
}

/// What of a part is still to be done, and what the last try met.
fn undone(step: &Step, is_ours: impl Fn(&Action) -> bool) -> Option<String> {
    let action = step.plan.actions.iter().find(|action| is_ours(action))?.to_string();
    let failure = step.failures.iter().find(|failure| failure.action == action);
    Some(failure.or(step.failures.first()).map_or(action, |failure| failure.why.clone()))
}

/// When one step is made, and by which rules.
struct At {
    file: String,
    now: Duration,
    patience: Duration,
    is_silent: bool,
}

impl<K: Copy + Eq + Default + Display> Part<K> {
    fn new(kept: Kept<K>) -> Self {
        let ready = Err("it was not looked at yet".to_owned());
        let does = Before::default();
        Self { kept, trial: None, set_up: None, installed: None, runs: None, does, ready }
    }

    /// Why the one before runs.
    fn failed(&self) -> Option<String> {
        let failed = self.kept.failed.as_ref()?;
        Some(format!("the switch to {} failed: {}", failed.to, failed.why))
    }

    fn unseen(&mut self, why: &str) {
        self.runs = None;
        self.set_up = None;
        self.does = Before::default();
        self.ready = Err(why.to_owned());
    }

    /// Whether it has to be looked whether the wanted one is installed: what runs is, as far as it matters.
    fn must_look(&self, wanted: K, now: Duration) -> bool {
        let is_known = |(kind, at, is_installed): (K, Duration, bool)| {
            kind == wanted && (is_installed || now.saturating_sub(at) < LOOK_AGAIN)
        };
        self.kept.good != Some(wanted) && !self.installed.is_some_and(is_known)
    }

    fn looked(&mut self, wanted: K, now: Duration, is_installed: bool) {
        if !is_installed && self.installed.is_none_or(|(kind, ..)| kind != wanted) {
            warn!(selected = %wanted, "it is not installed; what runs goes on until it is");
        }
        self.installed = Some((wanted, now, is_installed));
    }

    /// One step. Whether it has to be written down.
    fn step(&mut self, what: &str, wanted: K, at: &At) -> (Course<K>, bool) {
        if let Some((set_up, runs)) = self.runs
            && set_up != runs
        {
            self.installed = Some((set_up, at.now, false));
        }
        let begun =
            self.trial.filter(|(of, _)| self.kept.trial.as_ref().is_some_and(|trial| trial.of == *of));
        let is_installed = self.kept.good == Some(wanted)
            || self.installed.is_some_and(|(kind, _, is_installed)| kind == wanted && is_installed);
        let seen = Seen {
            runs: self.runs,
            is_installed,
            is_silent: at.is_silent,
            does: self.does.clone(),
            ready: self.ready.clone(),
            is_late: begun.is_some_and(|(_, begun)| at.now.saturating_sub(begun) >= at.patience),
        };
        let (next, course) = self.kept.step(wanted, &at.file, &seen);
        let trial = next.trial.as_ref().map(|trial| trial.of);
        if self.kept.trial.as_ref().map(|trial| trial.of) != trial {
            // It has yet to be looked at.
            self.unseen("it does not run yet");
        }
        self.trial = trial.map(|of| begun.filter(|(before, _)| *before == of).unwrap_or((of, at.now)));
        let is_new = next != self.kept;
        tell(what, &self.kept, &next, &course);
        self.kept = next;
        (course, is_new)
    }
}

/// Says what changed, to whoever reads the log.
fn tell<K: Copy + Eq + Display>(what: &str, before: &Kept<K>, after: &Kept<K>, course: &Course<K>) {
    match (&before.failed, &after.failed) {
        (before, Some(failed)) if before.as_ref() != Some(failed) => {
            warn!(what, to = %failed.to, why = failed.why, "the switch failed; going back");
        }
        _ if before.trial != after.trial => match &course.leave {
            Some(leave) => info!(what, leave, "nothing is announced; setting it up"),
            None => info!(what, runs = %course.run, "it is ready; the switch is over"),
        },
        _ => {}
    }
}

fn read(path: &Path) -> File {
    whole_file::read_json(path).unwrap_or_else(|error| {
        warn!(path = %path.display(), %error, "what it says of switches of daemons is forgotten");
        File::default()
    })
}
