//! Change: zones that come, go, and are told something else, in as few calls of nsd-control as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use super::pattern::Lines;
use super::{Nsd, SINGLY};
use crate::dns::external::{Batch, DriverError};
use crate::dns::{ZoneConfig, ZoneRecords};
use crate::names::DomainName;

/// How long zones may go over to other patterns, one by one; the rest is for the next step.
const SPELL: Duration = Duration::from_secs(10);

impl Nsd {
    pub(super) async fn change_zones(&self, batch: &Batch) -> Result<(), DriverError> {
        let Batch { add, modify, reload, remove } = batch;
        let ground = self.ground()?;
        let (mut patterns, before) = self.patterns();
        let mut unreadable = Vec::new();
        let mut add_lines = String::new();
        let mut changing = Vec::new();
        let mut told: BTreeMap<&DomainName, Lines> = BTreeMap::new();
        for zone in add.iter().chain(modify) {
            let lines = Lines::of(&self.place, zone);
            match lines.missing(&ground) {
                Some(secret) => {
                    unreadable.push(format!("{}: the TSIG key {secret} cannot be read", zone.name));
                }
                None => drop(told.insert(&zone.name, lines)),
            }
        }
        // All zones are looked through only where one of them changes or goes.
        let has = if modify.is_empty() && remove.is_empty() { None } else { Some(self.zone_list()) };
        if let Some(has) = &has {
            patterns.keep(&has.values().map(String::as_str).collect::<BTreeSet<_>>());
        }
        for zone in add {
            if let Some(lines) = told.get(&zone.name) {
                let _ = writeln!(add_lines, "{} {}", zone.name, patterns.saying(lines));
            }
        }
        for zone in modify {
            if let Some(lines) = told.remove(&zone.name) {
                changing.push((&zone.name, lines));
            }
        }
        let moving = has.as_ref().map(|has| patterns.change(&changing, has)).unwrap_or_default();
        let is_moving: BTreeSet<&DomainName> = moving.iter().map(|(name, _)| *name).collect();
        if self.put_patterns(&patterns, &ground, &before)? {
            self.reconfig().await?;
        }
        let remove_lines = remove.iter().fold(String::new(), |mut lines, name| {
            let _ = writeln!(lines, "{name}");
            lines
        });
        self.with_zones("delzones", &remove_lines).await?;
        self.with_zones("addzones", &add_lines).await?;
        if !moving.is_empty() {
            let status = self.status().await?;
            let is_transfer = |name: &DomainName| {
                let zone = modify.iter().find(|zone| zone.name == *name);
                zone.is_some_and(|zone| matches!(zone.source, ZoneRecords::Transfer(_)))
            };
            let is_written = |name: &DomainName| status.get(name).is_some_and(|status| status.is_transferred);
            let written: Vec<&DomainName> =
                is_moving.iter().copied().filter(|name| is_written(name) && is_transfer(name)).collect();
            if !written.is_empty() {
                self.write_data(&written).await?;
            }
            self.move_zones(&moving).await?;
        }
        // Those that kept their pattern: their files may be other files.
        let stayed: BTreeSet<&DomainName> =
            changing.iter().map(|(name, _)| *name).filter(|name| !is_moving.contains(name)).collect();
        let is_file = |zone: &&std::sync::Arc<ZoneConfig>| {
            matches!(zone.source, ZoneRecords::File { .. }) && stayed.contains(&zone.name)
        };
        let again: Vec<&DomainName> =
            reload.iter().chain(modify.iter().filter(is_file)).map(|zone| &zone.name).collect();
        match again.len() {
            0..=SINGLY => {
                for name in again {
                    self.control(&["reload", &name.to_string()], "").await?;
                }
            }
            _ => drop(self.control(&["reload"], "").await?),
        }
        if modify
            .iter()
            .any(|zone| stayed.contains(&zone.name) && matches!(zone.source, ZoneRecords::Transfer(_)))
        {
            self.refresh_stale(|name| stayed.contains(name)).await?;
        }
        for name in remove {
            let _ = fs::remove_file(self.data_file(name));
        }
        match unreadable.is_empty() {
            true => Ok(()),
            false => Err(DriverError::Said(unreadable.join("; "))),
        }
    }

    /// Zones go over to other patterns, each by itself. Returns why some did not.
    async fn move_zones(&self, moving: &[(&DomainName, String)]) -> Result<(), DriverError> {
        let begun = Instant::now();
        for (at, (name, pattern)) in moving.iter().enumerate() {
            if begun.elapsed() > SPELL {
                let left = moving.len() - at;
                return Err(DriverError::Said(format!("{left} zones have to wait for the next time")));
            }
            self.control(&["changezone", &name.to_string(), pattern], "").await?;
        }
        Ok(())
    }
}
