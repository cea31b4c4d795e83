//! Tending: what it does not do by itself, from what its database says.
//!
//! Expiry (RFC 1035 section 3.3.13): it notes when it last heard from a primary, but serves on whatever that says. The SOA
//! record of an expired zone is disabled, upon which it answers REFUSED as if it had no data of the zone, and the zone is
//! asked for again and again, since it would itself wait for up to an hour. A transfer brings an enabled record.
//!
//! It puts its note back to zero at each NOTIFY and at each change of primaries. From then on the time counts since this
//! agent first saw the zero: later than it should be, never before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use super::control;
use super::database::{self, Database, quoted};
use super::freshness::Freshness;
use super::herald::Herald;
use crate::dns::external::{DriverError, Place};
use crate::names::DomainName;

/// Between two looks at what has expired, at least.
const PAUSE: Duration = Duration::from_secs(5);
/// The same at most, while anything has expired or may have.
const LONGEST: Duration = Duration::from_secs(60);
/// The same where nothing expires sooner.
const CALM: Duration = Duration::from_secs(300);
/// A look takes at most one part in so many of the time: it reads a row for each zone.
const SHARE: u32 = 1_000;
/// Between two tries to get an expired zone.
const RETRY: Duration = Duration::from_secs(30);
/// When a zone by transfer expires. The sixth word of the SOA record is looked at by way of a list in JSON.
const EXPIRY: &str = r#"d.last_check
    + json_extract('["' || replace(replace(replace(r.content, '\', '/'), '"', '/'), ' ', '","') || '"]', '$[5]')"#;

/// In how many seconds the first zone expires, if any does; then the zones by transfer that have expired, or of which it is
/// not known when they do: name, last check, whether it is made so already, SOA record.
fn question() -> String {
    let zones = "FROM domains d
  JOIN records r ON r.domain_id = d.id AND r.name = d.name AND r.type = 'SOA' WHERE d.type = 'SLAVE'";
    let now = "CAST(strftime('%s', 'now') AS INTEGER)";
    format!(
        "SELECT min({EXPIRY}) - {now} {zones} AND NOT r.disabled AND d.last_check > 0;
SELECT d.name, coalesce(d.last_check, 0), r.disabled, r.content {zones}
  AND (r.disabled OR coalesce(d.last_check, 0) = 0 OR {EXPIRY} < {now});\n"
    )
}

/// When to look again, after a look that took so long.
fn pause(took: Duration, soonest: Option<i64>, suspects: usize) -> Duration {
    let least = (took * SHARE).clamp(PAUSE, LONGEST);
    let until = soonest.map_or(CALM, |seconds| Duration::from_secs(seconds.max(0).cast_unsigned()));
    if suspects > 0 { least } else { until.clamp(least, CALM) }
}

/// What is tended.
pub(super) struct Tending {
    place: Place,
    database: Database,
    freshness: Arc<Freshness>,
    herald: Arc<Herald>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When to look again.
    next: Option<Instant>,
    /// When zones without a last check were first seen so.
    unchecked: BTreeMap<DomainName, Instant>,
    /// When expired zones were last tried.
    tried: BTreeMap<DomainName, Instant>,
}

/// One row of what may have expired.
struct Suspect {
    name: DomainName,
    checked: u64,
    is_disabled: bool,
    soa: String,
}

impl Suspect {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (name, checked) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { name, checked, is_disabled: fields.next()? != "0", soa: fields.next()?.to_owned() })
    }

    /// How long it may be served without hearing from a primary.
    fn expire(&self) -> Option<Duration> {
        self.soa.split(' ').nth(5)?.parse().ok().map(Duration::from_secs)
    }
}

impl State {
    /// The zones to make expired, and those to try to get; `now` is the time.
    fn judge(&mut self, suspects: Vec<Suspect>, now: Instant) -> (Vec<Suspect>, Vec<DomainName>) {
        let is_unchecked = |suspect: &&Suspect| suspect.checked == 0 && !suspect.is_disabled;
        let unchecked = suspects.iter().filter(is_unchecked).map(|suspect| {
            let since = self.unchecked.get(&suspect.name).copied().unwrap_or(now);
            (suspect.name.clone(), since)
        });
        self.unchecked = unchecked.collect();
        let (gone, rest): (Vec<Suspect>, Vec<Suspect>) =
            suspects.into_iter().partition(|suspect| suspect.is_disabled);
        let due = |name: &DomainName| self.tried.get(name).is_none_or(|at| now.duration_since(*at) >= RETRY);
        let due: Vec<DomainName> = gone.iter().map(|suspect| suspect.name.clone()).filter(due).collect();
        self.tried.retain(|name, _| gone.iter().any(|suspect| suspect.name == *name));
        self.tried.extend(due.iter().map(|name| (name.clone(), now)));
        let has_expired = |suspect: &Suspect| match self.unchecked.get(&suspect.name) {
            Some(since) => suspect.expire().is_some_and(|expire| now.duration_since(*since) > expire),
            // The database said so.
            None => suspect.expire().is_some(),
        };
        (rest.into_iter().filter(has_expired).collect(), due)
    }
}

impl Tending {
    pub(super) fn new(place: &Place, database: Database) -> Self {
        let freshness = Arc::new(Freshness::new(place, database.clone()));
        let herald = Arc::new(Herald::new(place, Arc::clone(&freshness)));
        Self { place: place.clone(), database, freshness, herald, state: Mutex::default() }
    }

    /// Zones were changed: what expires first may be another one.
    pub(super) fn reconsider(&self) {
        self.state().next = None;
    }

    /// Does what is due. Whatever has to wait for primaries goes on without being waited for.
    pub(super) async fn look(&self) -> Result<(), DriverError> {
        Herald::look(&self.herald).await?;
        Freshness::look(&self.freshness).await?;
        let begun = Instant::now();
        if self.state().next.is_some_and(|next| begun < next) {
            return Ok(());
        }
        let text = self.database.run(&question()).await?;
        let mut lines = text.lines();
        let soonest = lines.next().and_then(|seconds| seconds.parse().ok());
        let suspects: Vec<Suspect> = lines.filter_map(Suspect::read).collect();
        let (expired, due) = {
            let mut state = self.state();
            state.next = Some(Instant::now() + pause(begun.elapsed(), soonest, suspects.len()));
            state.judge(suspects, begun)
        };
        self.expire(&expired).await?;
        let commands = due.iter().map(|name| format!("RETRIEVE {}", database::name(name)));
        // What is not taken now is tried again.
        let _ = control::commands(&self.place, commands).await;
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes zones expired, unless they were heard of meanwhile.
    async fn expire(&self, zones: &[Suspect]) -> Result<(), DriverError> {
        let mut statements = String::new();
        for Suspect { name, checked, .. } in zones {
            warn!(zone = %name, "no primary was reached within its SOA expire time; it is not served any more");
            let apex = quoted(&database::name(name));
            statements.push_str(&format!(
                "UPDATE records SET disabled = 1 WHERE name = {apex} AND type = 'SOA' AND domain_id IN\n  \
                 (SELECT id FROM domains WHERE name = {apex} AND type = 'SLAVE' AND coalesce(last_check, 0) = {checked});\n"
            ));
        }
        self.database.transaction(&statements).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(checked: u64, disabled: u8) -> Suspect {
        Suspect::read(&format!("a.example\t{checked}\t{disabled}\tns.example h.example 1 2 3 100 5")).unwrap()
    }

    #[test]
    fn nobody_looks_again_before_anything_can_have_expired() {
        let (quick, seconds) = (Duration::from_millis(6), Duration::from_secs);
        assert_eq!(pause(quick, None, 0), seconds(300));
        assert_eq!(pause(quick, Some(86_400), 0), seconds(300));
        assert_eq!(pause(quick, Some(40), 0), seconds(40));
        assert_eq!(pause(quick, Some(2), 0), seconds(6));
        assert_eq!(pause(quick, Some(40), 1), seconds(6));
        assert_eq!(pause(seconds(1), Some(-3), 1), seconds(60));
    }

    #[test]
    fn a_zone_expires_after_its_time_and_not_before() {
        let (mut state, start) = (State::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // What is not known to have been checked counts from when it was seen so.
        assert!(state.judge(vec![suspect(0, 0)], at(0)).0.is_empty());
        assert!(state.judge(vec![suspect(0, 0)], at(100)).0.is_empty());
        assert_eq!(state.judge(vec![suspect(0, 0)], at(101)).0.len(), 1);
        // It was checked meanwhile.
        assert!(state.judge(vec![], at(102)).0.is_empty());
        assert!(state.judge(vec![suspect(0, 0)], at(103)).0.is_empty());
        assert_eq!(state.judge(vec![suspect(7, 0)], at(104)).0.len(), 1);
    }

    #[test]
    fn an_expired_zone_is_tried_again_and_again() {
        let (mut state, start) = (State::default(), Instant::now());
        let tries: Vec<u64> = (0..70)
            .filter(|seconds| {
                let now = start + Duration::from_secs(*seconds);
                let (expired, due) = state.judge(vec![suspect(7, 1)], now);
                assert!(expired.is_empty());
                !due.is_empty()
            })
            .collect();
        assert_eq!(tries, [0, 30, 60]);
    }
}
