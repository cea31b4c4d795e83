//! Seed: many zones for a daemon that has none, given to it before it starts.
//!
//! Nobody misses a daemon that serves nothing, and some read all their zones at once much quicker than one by one.

use std::sync::Arc;

use tracing::{info, warn};

use super::ledger::Entry;
use super::{END, ExternalNameServer, State, is_file};
use crate::dns::{NameServerError, ZoneConfig};

impl ExternalNameServer {
    /// Gives the daemon these zones, if it has none and is better given so many before it starts. Returns those that it does
    /// not have then; `None` where it was not.
    pub(super) async fn seed(
        &self,
        state: &mut State,
        zones: &[Arc<ZoneConfig>],
    ) -> Result<Option<Vec<Arc<ZoneConfig>>>, NameServerError> {
        if zones.len() < self.driver.seeds_from() || !state.listing.zones().is_empty() {
            return Ok(None);
        }
        let Some(config) = state.config.clone() else { return Ok(None) };
        let setup = self.setup(&config);
        info!(daemon = self.driver.title(), zones = zones.len(), "starting it with many zones");
        let mut given = Vec::new();
        for some in zones.chunks(self.driver.batch()) {
            // What cannot be written is told of when it is tried again.
            let good = |zone: &&Arc<ZoneConfig>| state.zone_files.write(&self.place, zone).is_ok();
            given.extend(some.iter().filter(good).cloned());
            // Others have to go on meanwhile.
            tokio::task::yield_now().await;
        }
        self.process.end(END).await.map_err(|error| self.failed("end", error))?;
        self.driver.seed(&setup, &given).map_err(|error| self.failed("give zones to", error))?;
        // It has read nothing before these files.
        let forms = self.forms(&given);
        for zone in &given {
            let entry = Entry { config: zone.fingerprint(), form: forms[&zone.name] };
            state.ledger.note(&zone.name, entry);
        }
        state.ledger.save().map_err(|error| self.failed("write the ledger of", error))?;
        // One that does not want them starts without.
        self.launch().await?;
        self.driver.unseed();
        state.listing.doubt();
        state.table = None;
        self.list(state).await.map_err(|error| self.failed("list the zones of", error))?;
        let has = |zone: &Arc<ZoneConfig>| {
            forms.get(&zone.name).is_some_and(|form| state.listing.zones().get(&zone.name) == Some(form))
        };
        let (had, left): (Vec<_>, Vec<_>) = zones.iter().cloned().partition(has);
        let loading = had.iter().filter(|zone| is_file(zone));
        let loading = loading.map(|zone| (zone.name.clone(), state.zone_files.serial(&zone.name))).collect();
        // What is not served is told of, and no longer noted: the next change has it loaded once more.
        let unserved = self.until_served(state, loading).await;
        if let Some(first) = unserved.first() {
            warn!(daemon = self.driver.title(), count = unserved.len(), first, "zones are not served");
        }
        Ok(Some(left))
    }
}
