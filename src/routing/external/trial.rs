//! Trial: a changed configuration that has yet to prove that it does not cut the node off.
//!
//! The files that counted before lie in `etc.good` until then, with the names of the sessions that have to be established
//! again; so an agent that starts in the middle of a trial goes on with it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Place;
use crate::process::files::{make_folder, write_private};
use crate::routing::{ObservedSession, RoutingConfig, SessionName, SessionState, TakenBack};

/// A session may seem established for a moment after the change that resets it.
const SOONEST: Duration = Duration::from_secs(3);
/// How long a change that was taken back is not tried again.
const HOLD_OFF: Duration = Duration::from_secs(900);
/// The names of the sessions, in `etc.good`.
const AWAITED: &str = "awaited-sessions";

/// A change on trial.
#[derive(Debug)]
pub(super) struct Trial {
    begun: Instant,
    /// How long it may take.
    patience: Duration,
    /// What the daemon had before; `None` where that is not known.
    pub(super) before: Option<RoutingConfig>,
    /// The names of the sessions that were established before and are to stay.
    awaited: BTreeSet<String>,
}

/// What a trial has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Open,
    /// Everything is back.
    Good,
    /// These are not, and the time is over.
    Bad(String),
}

/// Where the files are that counted before.
pub(super) fn good(place: &Place) -> PathBuf {
    place.folder.join("etc.good")
}

impl Trial {
    /// Keeps the files that count now, and begins. A trial that was going on is gone on with: what is good is what was
    /// good then.
    pub(super) fn begin(
        place: &Place,
        before: Option<RoutingConfig>,
        established: impl Iterator<Item = SessionName>,
        open: Option<Self>,
        config: &RoutingConfig,
    ) -> io::Result<Self> {
        let mut awaited: BTreeSet<String> = established.map(|name| name.to_string()).collect();
        let before = match open {
            Some(open) => {
                awaited.extend(open.awaited);
                open.before
            }
            None => {
                keep(place)?;
                before
            }
        };
        let wanted: BTreeSet<String> = config.sessions.keys().map(ToString::to_string).collect();
        awaited.retain(|name| wanted.contains(name));
        let names: String = awaited.iter().map(|name| format!("{name}\n")).collect();
        write_private(&good(place).join(AWAITED), names.as_bytes(), place.user.as_ref())?;
        Ok(Self { begun: Instant::now(), patience: config.trial, before, awaited })
    }

    /// The one that an agent before this one did not see the end of.
    pub(super) fn left_open(place: &Place) -> Option<Self> {
        let names = fs::read_to_string(good(place).join(AWAITED)).ok()?;
        let awaited = names.lines().map(str::to_owned).collect();
        Some(Self { begun: Instant::now(), patience: RoutingConfig::TRIAL, before: None, awaited })
    }

    /// The daemon has been given it by now, and its time begins.
    pub(super) fn given(&mut self) {
        self.begun = Instant::now();
    }

    /// What it has come to, by the sessions as they were when they were asked for.
    pub(super) fn verdict<'a>(
        &self,
        sessions: impl IntoIterator<Item = (&'a SessionName, &'a ObservedSession)>,
        asked: Instant,
    ) -> Verdict {
        let back: BTreeSet<String> = sessions
            .into_iter()
            .filter(|(_, session)| session.state == SessionState::Established)
            .map(|(name, _)| name.to_string())
            .collect();
        let missing: Vec<&str> = self.awaited.difference(&back).map(String::as_str).collect();
        let waited = asked.saturating_duration_since(self.begun);
        match missing.is_empty() {
            true if waited >= SOONEST.min(self.patience) => Verdict::Good,
            false if waited >= self.patience => Verdict::Bad(format!(
                "{} did not come back within {} s",
                missing.join(" and "),
                self.patience.as_secs()
            )),
            _ => Verdict::Open,
        }
    }
}

/// Copies the files that count now.
fn keep(place: &Place) -> io::Result<()> {
    let good = good(place);
    forget(place)?;
    make_folder(&good, place.user.as_ref())?;
    copy(&place.etc(), &good, place)
}

/// Puts the files back that counted before, and removes what was not there then.
pub(super) fn restore(place: &Place) -> io::Result<()> {
    let (etc, good) = (place.etc(), good(place));
    for entry in fs::read_dir(&etc)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !good.join(entry.file_name()).exists() {
            fs::remove_file(entry.path())?;
        }
    }
    copy(&good, &etc, place)?;
    let _ = fs::remove_file(etc.join(AWAITED));
    forget(place)
}

/// Ends the trial: what counts now is good.
pub(super) fn forget(place: &Place) -> io::Result<()> {
    match fs::remove_dir_all(good(place)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path, place: &Place) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            write_private(&to.join(entry.file_name()), &fs::read(entry.path())?, place.user.as_ref())?;
        }
    }
    Ok(())
}

/// A change that was taken back.
#[derive(Debug)]
pub(super) struct Undone {
    config: RoutingConfig,
    why: String,
    at: Instant,
}

impl Undone {
    pub(super) fn new(config: RoutingConfig, why: String) -> Self {
        Self { config, why, at: Instant::now() }
    }

    /// As others are told of it.
    pub(super) fn told(&self) -> TakenBack {
        TakenBack { config: self.config.clone(), why: self.why.clone() }
    }

    /// Why this configuration is not tried again yet, if it is the one.
    pub(super) fn forbids(&self, config: &RoutingConfig) -> Option<String> {
        let left = HOLD_OFF.checked_sub(self.at.elapsed())?;
        (self.config == *config).then(|| {
            format!(
                "it was taken back, since {}; change it, or wait for the next try in {} s",
                self.why,
                left.as_secs()
            )
        })
    }
}
