//! Switch: another name server or routing daemon takes the place of the one that a node runs.
//!
//! ```text
//! wanted by the node's file ─┐
//! seen of the node ──────────┼→ Kept::step → Course: which one runs for now, and whether the node has to leave for that
//! kept of what went before ──┘            └→ Kept
//!
//! runs ──another is wanted──→ leaves ──silent──→ on trial ──ready──→ runs
//!                                                   └──not in time──→ failed: the one before, on trial in its turn
//! ```
//! A node never switches while it announces: it *leaves* first, as for any planned work, and the gate may refuse that for
//! as long as the others need it. The new one is on *trial* until it is ready: it does all that the one before did. What
//! failed is not tried again until the node's file changes.
//!
//! Pure: no clock, no I/O. What is kept is written down before it is acted on, so that an agent that starts in the middle
//! of a switch goes on with it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a node knows of its switches of one part, whether or not its agent was restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kept<K> {
    /// The one that was ready last; `None` before there was any.
    pub good: Option<K>,
    /// The one on trial.
    pub trial: Option<Trial<K>>,
    /// The one that was not ready in time.
    pub failed: Option<Failed<K>>,
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self { good: None, trial: None, failed: None }
    }
}

/// One that runs, and has yet to show that it does what the one before did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial<K> {
    /// Which one.
    pub of: K,
    /// What it has to do.
    pub before: Before,
}

/// What the one before did when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Before {
    /// How many zones it did not serve; `None` if that could not be seen.
    pub unserved: Option<usize>,
    /// Its established sessions.
    pub sessions: BTreeSet<String>,
}

/// One that was not ready in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed<K> {
    /// Which one.
    pub to: K,
    /// The node's file that selected it: another one is a reason to try again.
    pub file: String,
    /// What was met.
    pub why: String,
}

/// What one step has to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<K> {
    /// Which one was set up last, and which one runs since: the embedded one where the other was not there to be started.
    pub runs: Option<(K, K)>,
    /// Whether the wanted one is installed.
    pub is_installed: bool,
    /// Whether nothing has been announced for long enough that nobody relies on it.
    pub is_silent: bool,
    /// What the one that runs does.
    pub does: Before,
    /// Whether the one on trial is ready; if not, why not.
    pub ready: Result<(), String>,
    /// Whether its time is over.
    pub is_late: bool,
}

/// What to do for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course<K> {
    /// Which one runs.
    pub run: K,
    /// Why the node must not announce meanwhile.
    pub leave: Option<String>,
    /// What is being waited for, or why nothing is.
    pub wait: Option<String>,
}

impl<K: Copy + Eq + Default + Display> Kept<K> {
    /// What is kept from now on, and what to do. `file` stands for the node's file.
    pub fn step(&self, wanted: K, file: &str, seen: &Seen<K>) -> (Self, Course<K>) {
        let mut next = self.clone();
        // One that was not there to be started is not what runs.
        let replaced = seen.runs.filter(|(set_up, runs)| set_up != runs);
        if let Some((set_up, runs)) = replaced {
            if next.good == Some(set_up) {
                next.good = Some(runs);
            }
            next.trial = next.trial.filter(|trial| trial.of != set_up);
        }
        let good = *next.good.get_or_insert(if seen.is_installed { wanted } else { K::default() });
        next.failed = next.failed.filter(|failed| failed.to == wanted && failed.file == file);
        let is_possible = next.failed.is_none() && seen.is_installed;
        let target = if wanted == good || is_possible { wanted } else { good };
        next.trial = match next.trial.take() {
            None if target == good || !seen.is_silent => None,
            None => Some(Trial { of: target, before: seen.does.clone() }),
            // The file says something else by now.
            Some(trial) if trial.of != target => Some(Trial { of: target, ..trial }),
            Some(_) if seen.ready.is_ok() => {
                next.good = Some(target);
                None
            }
            Some(trial) if !seen.is_late => Some(trial),
            // What cannot be done any more is no reason to be silent for ever.
            Some(_) if target == good => None,
            Some(trial) => {
                let why = seen.ready.clone().err().unwrap_or_default();
                next.failed = Some(Failed { to: target, file: file.to_owned(), why });
                Some(Trial { of: good, ..trial })
            }
        };
        let course = next.course(target, seen);
        (next, course)
    }

    fn course(&self, target: K, seen: &Seen<K>) -> Course<K> {
        let good = self.good.unwrap_or(target);
        let (run, leave) = match &self.trial {
            Some(trial) if trial.of == good => (good, Some(format!("going back to {good}"))),
            Some(trial) => (trial.of, Some(format!("switching from {good} to {}", trial.of))),
            None if target == good => (good, None),
            None => (good, Some(format!("switching from {good} to {target}"))),
        };
        let wait = match (&self.failed, &self.trial) {
            (Some(Failed { to, why, .. }), _) => {
                Some(format!("the switch to {to} failed: {why}; {good} runs until the node's file changes"))
            }
            (None, Some(_)) => seen.ready.clone().err().map(|why| format!("{run} is not ready: {why}")),
            (None, None) => None,
        };
        Course { run, leave, wait }
    }
}

/// How long nothing has to have been announced before a switch: a withdrawal takes a while to be everywhere. A network
/// that gives its resolvers more time to leave has more of them on the way.
pub fn linger(drain: Duration) -> Duration {
    drain / 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::NameServerKind::{self, Bind, Embedded, Knot, Nsd};

    type Case = (&'static str, Kept<NameServerKind>, NameServerKind, Seen<NameServerKind>);

    fn kept(
        good: Option<NameServerKind>,
        trial: Option<NameServerKind>,
        failed: Option<(NameServerKind, &str)>,
    ) -> Kept<NameServerKind> {
        let before = || Before { unserved: Some(1), ..Before::default() };
        Kept {
            good,
            trial: trial.map(|of| Trial { of, before: before() }),
            failed: failed.map(|(to, file)| Failed { to, file: file.to_owned(), why: "silence".to_owned() }),
        }
    }

    /// Of a node that announces, and on which nothing is wrong.
    fn seen() -> Seen<NameServerKind> {
        Seen {
            runs: None,
            is_installed: true,
            is_silent: false,
            does: Before { unserved: Some(1), ..Before::default() },
            ready: Err("silence".to_owned()),
            is_late: false,
        }
    }

    #[test]
    fn each_step_of_a_switch() {
        let silent = || Seen { is_silent: true, ..seen() };
        let late = || Seen { is_late: true, ..silent() };
        let ready = || Seen { ready: Ok(()), ..silent() };
        let missing = || Seen { is_installed: false, ..seen() };
        let replaced = || Seen { runs: Some((Knot, Embedded)), ..missing() };
        let ended = |seen: Seen<_>| Seen { ready: Ok(()), is_late: true, ..seen };
        let (bind, knot) = (Some(Bind), Some(Knot));
        let old = Some((Knot, "file"));
        // What is kept, wanted and seen; then what is kept next, what runs, and whether the node leaves.
        let cases: [(Case, Kept<_>, NameServerKind, Option<&str>); 18] = [
            // There was none, so there is none to leave.
            (("first", kept(None, None, None), Bind, seen()), kept(bind, None, None), Bind, None),
            (
                ("none", kept(None, None, None), Bind, missing()),
                kept(Some(Embedded), None, None),
                Embedded,
                None,
            ),
            (("same", kept(bind, None, None), Bind, seen()), kept(bind, None, None), Bind, None),
            // Another is wanted: it leaves, and switches once it is silent.
            (
                ("wanted", kept(bind, None, None), Knot, seen()),
                kept(bind, None, None),
                Bind,
                Some("switching from bind to knot"),
            ),
            (
                ("silent", kept(bind, None, None), Knot, silent()),
                kept(bind, knot, None),
                Knot,
                Some("switching from bind to knot"),
            ),
            (
                ("trial", kept(bind, knot, None), Knot, silent()),
                kept(bind, knot, None),
                Knot,
                Some("switching from bind to knot"),
            ),
            (("ready", kept(bind, knot, None), Knot, ready()), kept(knot, None, None), Knot, None),
            // In the very last moment.
            (("ended", kept(bind, knot, None), Knot, ended(silent())), kept(knot, None, None), Knot, None),
            // It fails, and is not tried again.
            (
                ("late", kept(bind, knot, None), Knot, late()),
                kept(bind, bind, old),
                Bind,
                Some("going back to bind"),
            ),
            (
                ("back", kept(bind, bind, old), Knot, silent()),
                kept(bind, bind, old),
                Bind,
                Some("going back to bind"),
            ),
            (("is back", kept(bind, bind, old), Knot, ready()), kept(bind, None, old), Bind, None),
            (("not all", kept(bind, bind, old), Knot, late()), kept(bind, None, old), Bind, None),
            (("failed", kept(bind, None, old), Knot, seen()), kept(bind, None, old), Bind, None),
            // The file says something else.
            (
                ("third", kept(bind, knot, None), Nsd, silent()),
                kept(bind, Some(Nsd), None),
                Nsd,
                Some("switching from bind to nsd"),
            ),
            (
                ("undone", kept(bind, knot, None), Bind, silent()),
                kept(bind, bind, None),
                Bind,
                Some("going back to bind"),
            ),
            // It is not there.
            (("missing", kept(bind, None, None), Knot, missing()), kept(bind, None, None), Bind, None),
            (
                ("replaced", kept(knot, None, None), Knot, replaced()),
                kept(Some(Embedded), None, None),
                Embedded,
                None,
            ),
            (("gone", kept(bind, knot, None), Knot, replaced()), kept(bind, None, None), Bind, None),
        ];
        for ((name, before, wanted, seen), after, run, leave) in cases {
            let (next, course) = before.step(wanted, "file", &seen);
            assert_eq!(next, after, "{name}");
            assert_eq!((course.run, course.leave.as_deref()), (run, leave), "{name}");
            let said = course.wait.unwrap_or_default();
            let wanted = if next.failed.is_some() { "the switch to knot failed: silence" } else { "" };
            assert!(said.contains(wanted), "{name}: {said}");
        }
    }

    #[test]
    fn what_failed_is_tried_again_once_the_file_changes() {
        let failed = kept(Some(Bind), None, Some((Knot, "file")));
        let (next, course) = failed.step(Knot, "file", &seen());
        assert_eq!(
            course.wait.unwrap(),
            "the switch to knot failed: silence; bind runs until the node's file changes"
        );
        assert_eq!(next, failed);
        for (wanted, file) in [(Knot, "another file"), (Nsd, "file")] {
            let (next, course) = failed.step(wanted, file, &seen());
            assert_eq!((next.failed, course.wait), (None, None));
            assert!(course.leave.is_some());
        }
        let (next, course) = failed.step(Bind, "another file", &seen());
        assert_eq!((next, course.leave), (kept(Some(Bind), None, None), None));
    }

    #[test]
    fn whenever_the_agent_is_killed_the_switch_ends_in_the_same_way() {
        // What is kept is all that the next agent has: it takes every step anew from there, and time begins again.
        for works in [true, false] {
            for killed in 0..6 {
                let mut now = kept(Some(Bind), None, None);
                let mut ran = Bind;
                for step in 0..20 {
                    let late = step % 4 == 3 && step != killed;
                    let seen = Seen {
                        is_silent: step > 2 || now.trial.is_some(),
                        ready: if ran == Bind || works { Ok(()) } else { Err("silence".to_owned()) },
                        is_late: late,
                        ..seen()
                    };
                    let written = serde_json::to_string(&now).unwrap();
                    let (next, course) = now.step(Knot, "file", &seen);
                    // Killed before it was written, or after.
                    now = if step == killed { serde_json::from_str(&written).unwrap() } else { next };
                    ran = course.run;
                }
                let wanted = if works { Knot } else { Bind };
                assert_eq!((now.good, now.trial.is_none(), ran), (Some(wanted), true, wanted), "{killed}");
                assert_eq!(now.failed.is_some(), !works);
            }
        }
    }
}
