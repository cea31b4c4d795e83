//! Health: whether the name server answers, address by address.
//!
//! `probe` asks; [`Health::fold`] is the pure hysteresis over what it met:
//!
//! ```text
//! unknown ──one good sample──→ healthy ──`failures` bad in a row──→ failing ──`recoveries` good in a row──→ healthy
//! ```
//! Unknown is not healthy: a node that has just started announces nothing until its name server has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::desired::model::HealthPolicy;

pub(crate) mod probe;

/// What one round of probes met, by address: nothing wrong, or what.
pub type Sample = BTreeMap<IpAddr, Result<(), String>>;

/// What is known of every address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    addresses: BTreeMap<IpAddr, AddressHealth>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AddressHealth {
    verdict: Verdict,
    /// Samples in a row that speak against the verdict.
    against: u32,
}

/// Whether an address answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has never answered.
    Unknown,
    /// It has just answered.
    Healthy,
    /// It has not, several times; the text says what was met last.
    Failing(String),
}

impl Health {
    /// Of one address.
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        self.addresses.get(&address).map_or(Verdict::Unknown, |health| health.verdict.clone())
    }

    /// What is known after one more round. Addresses that were not asked are forgotten.
    pub fn fold(&self, policy: &HealthPolicy, sample: &Sample) -> Self {
        let fold = |(address, result): (&IpAddr, &Result<(), String>)| {
            (*address, AddressHealth::fold(self.addresses.get(address), policy, result))
        };
        Self { addresses: sample.iter().map(fold).collect() }
    }

    /// When to ask again: sooner while a sample speaks against its verdict, or none was ever good.
    pub fn interval(&self, policy: &HealthPolicy) -> Duration {
        let calm = |health: &AddressHealth| health.against == 0 && health.verdict != Verdict::Unknown;
        if !self.addresses.is_empty() && self.addresses.values().all(calm) {
            policy.interval
        } else {
            policy.retry_interval
        }
    }

    /// Whether all these addresses are healthy, and what to say of it.
    pub fn summary(&self, addresses: &BTreeSet<IpAddr>) -> (bool, String) {
        let trouble = addresses.iter().find_map(|address| match self.verdict(*address) {
            Verdict::Healthy => None,
            Verdict::Unknown => Some(format!("{address} has not answered yet")),
            Verdict::Failing(why) => Some(format!("{address}: {why}")),
        });
        match trouble {
            Some(trouble) => (false, trouble),
            None => (true, format!("{} addresses answer", addresses.len())),
        }
    }
}

impl AddressHealth {
    fn fold(before: Option<&Self>, policy: &HealthPolicy, result: &Result<(), String>) -> Self {
        let against = before.map_or(0, |before| before.against) + 1;
        let verdict = before.map_or(&Verdict::Unknown, |before| &before.verdict);
        let (verdict, against) = match (verdict, result) {
            (Verdict::Unknown | Verdict::Healthy, Ok(())) => (Verdict::Healthy, 0),
            (Verdict::Unknown, Err(_)) => (Verdict::Unknown, 0),
            (Verdict::Healthy, Err(why)) if against >= policy.failures => (Verdict::Failing(why.clone()), 0),
            (Verdict::Healthy, Err(_)) => (Verdict::Healthy, against),
            (Verdict::Failing(_), Ok(())) if against >= policy.recoveries => (Verdict::Healthy, 0),
            (Verdict::Failing(why), Ok(())) => (Verdict::Failing(why.clone()), against),
            (Verdict::Failing(_), Err(why)) => (Verdict::Failing(why.clone()), 0),
        };
        Self { verdict, against }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn policy() -> HealthPolicy {
        HealthPolicy {
            canary: "canary.example".parse().unwrap(),
            interval: Duration::from_secs(2),
            retry_interval: Duration::from_millis(500),
            timeout: Duration::from_millis(500),
            failures: 3,
            recoveries: 4,
        }
    }

    /// Folds a run of samples, `+` good and `-` bad, and writes the verdict after each.
    fn run(samples: &str) -> String {
        let address = IpAddr::from([192, 0, 2, 53]);
        let mut health = Health::default();
        samples
            .chars()
            .map(|sample| {
                let result = if sample == '+' { Ok(()) } else { Err("no answer".to_owned()) };
                health = health.fold(&policy(), &Sample::from([(address, result)]));
                match health.verdict(address) {
                    Verdict::Unknown => '?',
                    Verdict::Healthy => 'h',
                    Verdict::Failing(_) => 'f',
                }
            })
            .collect()
    }

    #[test]
    fn a_verdict_changes_only_after_enough_samples_in_a_row() {
        assert_eq!(run("--+"), "??h");
        assert_eq!(run("+--+--+---"), "hhhhhhhhhf");
        assert_eq!(run("+---+++-++++"), "hhhffffffffh");
    }

    #[test]
    fn trouble_is_asked_about_sooner() {
        let address = IpAddr::from([192, 0, 2, 53]);
        let good = Sample::from([(address, Ok(()))]);
        let bad = Sample::from([(address, Err("no answer".to_owned()))]);
        let policy = policy();
        let calm = Health::default().fold(&policy, &good);
        assert_eq!(Health::default().interval(&policy), policy.retry_interval);
        assert_eq!(calm.interval(&policy), policy.interval);
        assert_eq!(calm.fold(&policy, &bad).interval(&policy), policy.retry_interval);
    }
}
