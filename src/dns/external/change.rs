//! Change: one batch of zones, changed in the daemon, read back, and noted in the ledger.
//!
//! Whatever the daemon says of it: what counts is what it then has, and what it then answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ledger::Entry;
use super::survey::{Answer, PATIENCE};
use super::{Batch, ExternalNameServer, State, is_file, words};
use crate::dns::ZoneConfig;
use crate::names::{DomainName, Serial};

/// How long a zone that was given with its file may take to be served after the one before it, and one that was removed to
/// be served no more.
const LOAD: Duration = Duration::from_secs(5);
/// Zones that are asked at once whether they are served already.
const AT_ONCE: usize = 500;

impl ExternalNameServer {
    /// Makes one batch. The error says what did not come of it.
    pub(super) async fn change(
        &self,
        state: &mut State,
        set: &[Arc<ZoneConfig>],
        remove: &[DomainName],
    ) -> Result<(), String> {
        let mut batch = Batch::default();
        let mut files = BTreeSet::new();
        let mut problems = Vec::new();
        let forms = self.forms(set);
        for zone in set {
            match state.zone_files.write(&self.place, zone) {
                Ok(true) => drop(files.insert(zone.name.clone())),
                Ok(false) => {}
                Err(why) => {
                    problems.push(format!("{}: {why}", zone.name));
                    continue;
                }
            }
            match state.listing.zones().get(&zone.name) {
                None => batch.add.push(Arc::clone(zone)),
                Some(form) if *form != forms[&zone.name] => batch.modify.push(Arc::clone(zone)),
                // A file that lies there may not have been read: what told the daemon to may have failed.
                Some(_) if is_file(zone) && (files.contains(&zone.name) || !state.is_noted(zone)) => {
                    batch.reload.push(Arc::clone(zone));
                }
                Some(_) => {}
            }
        }
        batch.remove =
            remove.iter().filter(|name| state.listing.zones().contains_key(*name)).cloned().collect();
        if !batch.is_empty() {
            let setup = state.config.as_ref().map(|config| self.setup(config));
            let setup = setup.ok_or("it is not set up")?;
            let changed = self.driver.change(&setup, &batch).await;
            // Whatever it said: what counts is what is there now.
            if changed.is_err() {
                state.listing.doubt();
            }
            self.read_back(state, batch.names()).await.map_err(|error| error.to_string())?;
            // Zones that were changed all the same are noted below.
            problems.extend(changed.err().map(|error| error.to_string()));
        }
        // A daemon may be told so before it stops to answer.
        let mut leaving = batch.remove.clone();
        let begun = Instant::now();
        while !leaving.is_empty() && begun.elapsed() < LOAD {
            if let Ok(served) = self.survey.served(&leaving).await {
                leaving = served;
            }
            if !leaving.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        problems.extend(leaving.iter().map(|name| format!("{name}: it is still served")));
        for name in remove {
            if state.listing.zones().contains_key(name) {
                problems.push(format!("{name}: it is still there"));
                continue;
            }
            state.ledger.forget(name);
            state.zone_files.remove(&self.place, name);
        }
        let mut loading = BTreeMap::new();
        for zone in set {
            match (state.listing.zones().get(&zone.name), forms[&zone.name]) {
                (Some(form), wanted) if *form == wanted => {
                    state.ledger.note(&zone.name, Entry { config: zone.fingerprint(), form: wanted });
                    if is_file(zone) {
                        loading.insert(zone.name.clone(), state.zone_files.serial(&zone.name));
                    }
                }
                (Some(_), _) => {
                    problems.push(format!("{}: it has another configuration than it was given", zone.name))
                }
                (None, _) => problems.push(format!("{}: it is not there", zone.name)),
            }
            self.survey.forget(&zone.name);
        }
        state.table = None;
        state.ledger.save().map_err(|error| format!("the ledger could not be written: {error}"))?;
        problems.extend(self.until_served(state, loading).await);
        match problems.is_empty() {
            true => Ok(()),
            false => Err(words::some(&problems)),
        }
    }

    /// Waits for zones that were given with their files: each is served as soon as the daemon comes to it, or is not good.
    /// Returns what is to be said of those that are not.
    pub(super) async fn until_served(
        &self,
        state: &mut State,
        mut loading: BTreeMap<DomainName, Option<Serial>>,
    ) -> Vec<String> {
        let mut progress = Instant::now();
        while !loading.is_empty() && progress.elapsed() < LOAD {
            let before = loading.len();
            // In which order it comes to them is not known.
            let count = if progress.elapsed() < LOAD / 10 { AT_ONCE } else { usize::MAX };
            let asked: Vec<DomainName> = loading.keys().take(count).cloned().collect();
            let _ = self.survey.ask(&asked, PATIENCE).await;
            loading.retain(|name, serial| match (self.survey.answer(name), &serial) {
                (Some(Answer::Serial(served)), Some(given)) => served != *given,
                _ => true,
            });
            if loading.len() < before {
                progress = Instant::now();
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        loading.keys().for_each(|name| state.ledger.forget(name));
        let told = |(at, name)| match (at < words::TOLD).then(|| self.said_of(name)).flatten() {
            Some(said) => format!("{name}: it is not served: {said}"),
            None => format!("{name}: it is not served"),
        };
        loading.keys().enumerate().map(told).collect()
    }
}
