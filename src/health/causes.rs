//! Causes: each thing that can be wrong by itself, and whether it counts.
//!
//! ```text
//! unknown ──one good cycle──→ well ──`failures` bad in a row──→ failing ──`recoveries` good in a row──→ well
//! ```
//! Unknown is not well: a node that has just started announces nothing until its name server has answered. Nor is it
//! failing: what never worked here yet takes nothing away.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::sample::Transport;
use crate::desired::model::HealthPolicy;

/// One thing that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A service address is not on the interface.
    Absent(IpAddr),
    /// This node's name server does not answer there.
    Silent(IpAddr, Transport),
    /// The canary's SOA is not the one that it should be.
    Canary,
    /// Too many of the zones that are asked for do not answer.
    Zones,
    /// A zone is past its SOA expire time here, and not at the others.
    Expired,
    /// The hubs have newer zones, and so have the others.
    Lag,
    /// No git, no hub, no mesh.
    Isolated,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(address) => write!(f, "{address}"),
            Self::Silent(address, transport) => write!(f, "{address} by {transport}"),
            Self::Canary => f.write_str("canary"),
            Self::Zones => f.write_str("zones"),
            Self::Expired => f.write_str("expired zones"),
            Self::Lag => f.write_str("lag"),
            Self::Isolated => f.write_str("isolation"),
        }
    }
}

/// Whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was never good.
    Unknown,
    /// It was good, and not bad often enough since.
    Well,
    /// It counts as wrong.
    Failing,
}

/// What is known of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) standing: Standing,
    /// Cycles in a row that speak against the standing.
    against: u32,
    /// When the run of bad cycles began that the last bad one belongs to.
    pub(super) began: Duration,
    /// What the last bad one met.
    pub(super) why: String,
}

impl Record {
    /// Well, and the last cycle was good.
    pub(super) fn is_clean(&self) -> bool {
        self.standing == Standing::Well && self.against == 0
    }

    fn fold(
        before: Option<&Self>,
        policy: &HealthPolicy,
        began: Duration,
        result: &Result<(), String>,
    ) -> Self {
        let unknown = Self { standing: Standing::Unknown, against: 0, began, why: String::new() };
        let Self { standing, against, began: run, why } = before.unwrap_or(&unknown);
        let (next, count) = (against + 1, *against);
        match (standing, result) {
            (Standing::Unknown | Standing::Well, Ok(())) => {
                Self { standing: Standing::Well, against: 0, began, why: why.clone() }
            }
            (Standing::Unknown, Err(why)) => Self { why: why.clone(), ..unknown },
            (Standing::Well, Err(why)) => {
                let began = if count == 0 { began } else { *run };
                let counts = next >= policy.failures;
                let (standing, against) =
                    if counts { (Standing::Failing, 0) } else { (Standing::Well, next) };
                Self { standing, against, began, why: why.clone() }
            }
            (Standing::Failing, Ok(())) if next >= policy.recoveries => {
                Self { standing: Standing::Well, against: 0, began, why: why.clone() }
            }
            (Standing::Failing, Ok(())) => {
                Self { standing: Standing::Failing, against: next, began: *run, why: why.clone() }
            }
            (Standing::Failing, Err(why)) => {
                let began = if count == 0 { *run } else { began };
                Self { standing: Standing::Failing, against: 0, began, why: why.clone() }
            }
        }
    }
}

/// What is known of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Causes(pub(super) BTreeMap<Cause, Record>);

impl Causes {
    /// What is known after one more cycle, which began at this time. One that is not mentioned is forgotten; one of
    /// which nothing could be seen stays as it was.
    pub(super) fn fold(
        &self,
        policy: &HealthPolicy,
        began: Duration,
        results: &BTreeMap<Cause, Option<Result<(), String>>>,
    ) -> Self {
        let fold = |(cause, result): (&Cause, &Option<Result<(), String>>)| {
            let before = self.0.get(cause);
            let after = match result {
                Some(result) => Record::fold(before, policy, began, result),
                None => before?.clone(),
            };
            Some((*cause, after))
        };
        Self(results.iter().filter_map(fold).collect())
    }

    /// What never answered counts from now on.
    pub(super) fn give_up(&mut self) {
        for (cause, record) in &mut self.0 {
            if matches!(cause, Cause::Silent(..)) && record.standing == Standing::Unknown {
                record.standing = Standing::Failing;
            }
        }
    }

    /// When to ask again: sooner after a first failure, and until everything has answered once.
    pub(super) fn interval(&self, policy: &HealthPolicy) -> Duration {
        let calm = |(cause, record): (&Cause, &Record)| match record.standing {
            Standing::Unknown => !matches!(cause, Cause::Silent(..)),
            Standing::Well => record.against == 0,
            Standing::Failing => true,
        };
        if !self.0.is_empty() && self.0.iter().all(calm) { policy.interval } else { policy.retry_interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::policy;

    /// Folds a run of cycles, `+` good and `-` bad, and writes the standing after each.
    fn run(cycles: &str) -> (String, Causes) {
        let mut causes = Causes::default();
        let policy = HealthPolicy { recoveries: 4, ..policy() };
        let written = (0..)
            .zip(cycles.chars())
            .map(|(second, cycle)| {
                let result = if cycle == '+' { Ok(()) } else { Err("no answer".to_owned()) };
                causes = causes.fold(
                    &policy,
                    Duration::from_secs(second),
                    &[(Cause::Canary, Some(result))].into(),
                );
                match causes.0[&Cause::Canary].standing {
                    Standing::Unknown => '?',
                    Standing::Well => 'w',
                    Standing::Failing => 'f',
                }
            })
            .collect();
        (written, causes)
    }

    #[test]
    fn a_standing_changes_only_after_enough_cycles_in_a_row() {
        assert_eq!(run("--+").0, "??w");
        assert_eq!(run("+--+--+---").0, "wwwwwwwwwf");
        assert_eq!(run("+---+++-++++").0, "wwwffffffffw");
    }

    #[test]
    fn a_failure_began_with_the_first_bad_cycle_of_its_run() {
        for (cycles, began) in [("++---", 2), ("+-+---", 3), ("+-----", 1), ("+----+-", 6)] {
            assert_eq!(run(cycles).1.0[&Cause::Canary].began, Duration::from_secs(began), "{cycles}");
        }
    }

    #[test]
    fn trouble_is_asked_about_sooner_until_it_counts() {
        let policy = policy();
        for (cycles, soon) in [("+", false), ("+-", true), ("+--", true), ("+---", false), ("+---+", false)] {
            let wanted = if soon { policy.retry_interval } else { policy.interval };
            assert_eq!(run(cycles).1.interval(&policy), wanted, "{cycles}");
        }
        assert_eq!(Causes::default().interval(&policy), policy.retry_interval);
    }

    #[test]
    fn what_could_not_be_seen_stays_as_it_was() {
        let (_, causes) = run("+--");
        let after = causes.fold(&policy(), Duration::from_secs(9), &[(Cause::Canary, None)].into());
        assert_eq!(after, causes);
        assert_eq!(causes.fold(&policy(), Duration::from_secs(9), &BTreeMap::new()), Causes::default());
    }
}
