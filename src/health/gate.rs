//! The gate: a pure fold over cycles of probes and the beats of others, which says what may be announced.
//!
//! ```text
//! sample ─→ causes ─→ class ─┐
//! beats ─→ N, H, W, frozen? ─┼─→ each prefix: state ─→ Verdict ─→ plan
//! orders, repository, fence ─┘                       └─→ Beat ─→ the others
//! ```
//! No clock and no I/O: the time comes with the cycle. *Held* means that a withdrawal is refused, since the network would
//! be worse off: nobody, or too few, would be left to announce, or so many fail alike that the fault is not theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::beat::{Beat, Reach};
use super::causes::{Cause, Causes, Standing};
use super::class::{Class, Trouble, troubles};
use super::cycle::{Cycle, ZoneCounts};
use super::fence::Fence;
use super::others::Others;
use super::prefix::{Around, PrefixGate};
use super::rate::{Meter, Rate};
use super::sample::{Answer, Transport};
use super::state::State;
use super::sweep::Sweep;
use super::verdict::{DRAINED, Verdict};
use crate::desired::model::HealthPolicy;
use crate::desired::slice::{DesiredNode, Intent};
use crate::names::Serial;
use crate::routing::{Announcement, Family};

/// More than this many of a hundred zones must fail, or be behind, before that counts.
const FEW: usize = 5;
/// How long the name server may take to serve the canary's new serial.
pub const CANARY_PATIENCE: Duration = Duration::from_secs(60);
/// How long a name server that never answered may be silent while a daemon announces for it.
pub const BOOT_PATIENCE: Duration = Duration::from_secs(30);

const ORDERED: &str = "an operator of this machine drained it";

/// What the gate remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gate {
    begun: Option<Duration>,
    causes: Causes,
    sweep: Sweep,
    fence: Fence,
    prefixes: BTreeMap<IpNet, PrefixGate>,
    /// The serials that the canary may have, and since when these.
    canary: (Vec<Serial>, Duration),
    revision: (u64, Duration),
    clean: BTreeMap<Family, Duration>,
    good: Option<Duration>,
    announces: BTreeMap<Family, bool>,
    zones: ZoneCounts,
    queries: Meter,
    verdict: Verdict,
}

impl Gate {
    /// What it says.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What an audit has found to be announced that is not ours, until that is kept elsewhere.
    pub fn breach(&self) -> Option<&str> {
        self.fence.breach.as_deref()
    }

    /// It is kept elsewhere, until a person takes it away there.
    pub fn forget_breach(&mut self) {
        self.fence.breach = None;
    }

    /// How often the node is asked, where its name server counts.
    pub fn queries_per_second(&self) -> Option<u32> {
        self.queries.rate().map(Rate::per_second)
    }

    /// When to ask again.
    pub fn interval(&self, policy: &HealthPolicy) -> Duration {
        self.causes.interval(policy)
    }

    /// What is known after one more cycle.
    pub fn fold(&self, node: &DesiredNode, cycle: &Cycle) -> Self {
        let now = cycle.now;
        let others = Others { node, heard: &cycle.heard, now };
        let mut next = self.clone();
        let begun = *next.begun.get_or_insert(now);
        if next.canary.0 != cycle.canary {
            next.canary = (cycle.canary.clone(), now);
        }
        if next.revision.0 != cycle.revision {
            next.revision = (cycle.revision, now);
        }
        next.zones = cycle.zones.unwrap_or(self.zones);
        next.queries = self.queries.fold(cycle.queries);
        let is_announced = cycle.routing.as_ref().is_some_and(|routing| !routing.originated.is_empty());
        // Between two daemons nothing is wrong yet: what the one before did says nothing of the one after, and silence is no
        // failure. Each cycle is judged by itself.
        if matches!(node.intent, Intent::Switch(_)) && cycle.routing.is_some() && !is_announced {
            (next.sweep, next.causes, next.queries) = (Sweep::default(), Causes::default(), Meter::default());
        }
        next.sweep = next.sweep.fold(now, &cycle.sample);
        next.causes = next.causes.fold(&node.health, cycle.began, &next.results(node, cycle, &others));
        if is_announced && self.verdict.state == State::Boot && now.saturating_sub(begun) >= BOOT_PATIENCE {
            next.causes.give_up();
        }
        next.remember_well(node, cycle.began);
        next.fence = self.fence.fold(now, &node.routing.prefixes, cycle.routing.as_ref());
        let troubles = troubles(&next.causes);
        next.judge(node, cycle, &others, &troubles);
        next
    }

    /// What this cycle says of each cause.
    fn results(
        &self,
        node: &DesiredNode,
        cycle: &Cycle,
        others: &Others<'_>,
    ) -> BTreeMap<Cause, Option<Result<(), String>>> {
        let mut results = BTreeMap::new();
        for address in &node.service_addresses {
            let absent = || Err("it is not on the interface".to_owned());
            let present =
                |present: &BTreeSet<IpAddr>| if present.contains(address) { Ok(()) } else { absent() };
            results.insert(Cause::Absent(*address), cycle.present.as_ref().map(present));
            for transport in Transport::ALL {
                let answer = cycle.sample.answers.get(&(*address, transport)).map(|answer| match answer {
                    Answer::Canary(_) | Answer::Wrong(_) => Ok(()),
                    Answer::Silent(why) => Err(why.clone()),
                });
                results.insert(Cause::Silent(*address, transport), answer);
            }
        }
        results.insert(Cause::Canary, self.canary_result(cycle));
        let zones = self.zones.wanted;
        let more_than_few = |count: usize| count * 100 > zones * FEW;
        let failing = self.sweep.failing();
        let too_many =
            || format!("{failing} of {zones} give no good answer, such as {}", self.sweep.example());
        results.insert(Cause::Zones, Some(if more_than_few(failing) { Err(too_many()) } else { Ok(()) }));
        // Both relative: what the others do not have either, no withdrawal makes better.
        let expired = self.zones.expired;
        let is_late = expired > 0 && others.do_better(expired, |beat| beat.expired);
        let late = || format!("{expired} are past their SOA expire time here, and fewer at the others");
        results.insert(Cause::Expired, Some(if is_late { Err(late()) } else { Ok(()) }));
        let lagging = self.sweep.lagging(cycle.now);
        let is_behind = more_than_few(lagging) && others.do_better(lagging, |beat| beat.lagging);
        let behind = || format!("{lagging} of {zones} zones are behind a hub, and the others are not");
        results.insert(Cause::Lag, Some(if is_behind { Err(behind()) } else { Ok(()) }));
        results.insert(Cause::Isolated, Some(isolation(node, cycle, others).map_or(Ok(()), Err)));
        results
    }

    fn canary_result(&self, cycle: &Cycle) -> Option<Result<(), String>> {
        let (wanted, since) = &self.canary;
        let is_new = cycle.now.saturating_sub(*since) < CANARY_PATIENCE;
        let said = cycle.sample.answers.iter().filter_map(|((address, transport), answer)| match answer {
            Answer::Silent(_) => None,
            Answer::Wrong(why) => Some(Err(format!("{address} by {transport}: {why}"))),
            Answer::Canary(serial) if wanted.is_empty() || is_new || wanted.contains(serial) => Some(Ok(())),
            Answer::Canary(serial) => Some(Err(format!("{address} by {transport}: its serial is {serial}"))),
        });
        // All have to be right; of those that are silent nothing is known.
        said.reduce(|all, one| all.and(one))
    }

    /// Notes when all was well, as the others are told.
    fn remember_well(&mut self, node: &DesiredNode, began: Duration) {
        let is_clean = |address: &IpAddr| {
            let of =
                |cause: &Cause| matches!(cause, Cause::Absent(at) | Cause::Silent(at, _) if at == address);
            self.causes.0.iter().filter(|(cause, _)| of(cause)).all(|(_, record)| record.is_clean())
        };
        let families: BTreeSet<Family> = node.service_addresses.iter().copied().map(Family::of).collect();
        let all_clean = |family: &Family| {
            node.service_addresses.iter().filter(|address| Family::of(**address) == *family).all(is_clean)
        };
        let clean: Vec<Family> = families.iter().copied().filter(all_clean).collect();
        let is_bad = |(cause, record): (&Cause, &super::causes::Record)| {
            *cause != Cause::Isolated && record.standing != Standing::Unknown && !record.is_clean()
        };
        if clean.len() == families.len() && !self.causes.0.iter().any(is_bad) {
            self.good = Some(began);
        }
        self.clean.extend(clean.into_iter().map(|family| (family, began)));
    }

    /// Each prefix's next state, and what the whole comes to.
    fn judge(&mut self, node: &DesiredNode, cycle: &Cycle, others: &Others<'_>, troubles: &[Trouble]) {
        let now = cycle.now;
        let before = std::mem::take(&mut self.verdict);
        let class = troubles.first().map(|trouble| (trouble.class, trouble.why.clone()));
        let is_same = class.as_ref().map(|class| class.0) == before.class.as_ref().map(|class| class.0);
        let class_since = if is_same { before.class_since } else { now };
        let fenced = cycle.orders.fenced.clone().or_else(|| self.fence.breach.clone());
        let planned = match (&fenced, cycle.orders.maintenance, &node.intent) {
            (Some(_), ..) => None,
            (None, true, _) => Some((State::Maintenance, ORDERED)),
            (None, false, Intent::Silent) => Some((State::Withdrawn, DRAINED)),
            (None, false, Intent::Announce | Intent::Switch(_)) => None,
        };
        let switching = match &node.intent {
            Intent::Switch(why) => Some(why.as_str()),
            Intent::Announce | Intent::Silent => None,
        };
        let originated = cycle.routing.as_ref().map(|routing| &routing.originated);
        let wanted = node.routing.prefixes.iter();
        let prefixes: BTreeSet<IpNet> =
            wanted.chain(originated.into_iter().flatten().map(|(prefix, _)| prefix)).copied().collect();
        let loading = self.loading(cycle);
        let step = |prefix: IpNet| {
            let gate = self.prefixes.get(&prefix).cloned().unwrap_or_else(|| PrefixGate::new(now));
            if let Some(why) = &fenced {
                return (prefix, gate.fenced(now, why));
            }
            let trouble = troubles.iter().find(|trouble| trouble.touches(prefix));
            let addresses = node.service_addresses.iter().filter(|address| prefix.contains(*address));
            let (revision, revision_since) = self.revision;
            let around = Around {
                prefix,
                others,
                health: &node.health,
                drain: &node.drain,
                planned,
                switching,
                is_ours: node.routing.prefixes.contains(&prefix),
                trouble,
                frozen: trouble.and_then(|trouble| {
                    // The node's class is the worst one, which its beats tell.
                    let since = if class.as_ref().is_some_and(|class| class.0 == trouble.class) {
                        class_since
                    } else {
                        now
                    };
                    others.correlated(trouble.class, since, revision, revision_since)
                }),
                answers: self.answers(addresses.clone()),
                answers_at_all: addresses.clone().any(|address| self.answers([address].into_iter()).is_ok()),
                loading,
                announced: originated.and_then(|originated| originated.get(&prefix)).copied(),
                rate: self.queries.rate(),
                clean: self.clean.get(&Family::of(prefix.addr())).copied(),
            };
            (prefix, gate.step(&around))
        };
        let stepped: BTreeMap<IpNet, PrefixGate> = prefixes.into_iter().map(step).collect();
        self.prefixes = stepped;
        let families: BTreeSet<Family> =
            self.prefixes.keys().map(|prefix| Family::of(prefix.addr())).collect();
        self.announces =
            families.iter().map(|family| (*family, self.does_announce(node, cycle, *family))).collect();
        let worst = self.prefixes.values().max_by_key(|gate| (gate.state, std::cmp::Reverse(gate.since)));
        let (revision, revision_since) = self.revision;
        let frozen = class.as_ref().filter(|class| class.0 != Class::Isolated);
        let frozen =
            frozen.and_then(|(class, _)| others.correlated(*class, class_since, revision, revision_since));
        let idle = planned.map_or(State::Withdrawn, |(state, _)| state);
        let state = worst.map_or(if fenced.is_some() { State::Fenced } else { idle }, |gate| gate.state);
        self.verdict = Verdict {
            state,
            since: if state == before.state { before.since } else { now },
            class,
            class_since,
            stances: self.prefixes.iter().map(|(prefix, gate)| (*prefix, gate.stance.clone())).collect(),
            states: self.prefixes.iter().map(|(prefix, gate)| (*prefix, gate.state)).collect(),
            counts: families.into_iter().map(|family| (family, others.counts(family))).collect(),
            fenced,
            frozen,
            maintenance: cycle.orders.maintenance,
        };
    }

    /// Whether all addresses answer, and with the right canary, by probes that were sent after this; if not, why not.
    pub fn answers_since(&self, node: &DesiredNode, after: Duration) -> Result<(), String> {
        self.answers(node.service_addresses.iter())?;
        let mut families = node.service_addresses.iter().copied().map(Family::of);
        if families.any(|family| self.clean.get(&family).is_none_or(|clean| *clean <= after)) {
            return Err("it has not been asked since".to_owned());
        }
        match self.causes.0.get(&Cause::Canary) {
            Some(record) if record.standing == Standing::Well => Ok(()),
            Some(record) => Err(format!("{}: {}", Cause::Canary, record.why)),
            None => Err("it has not been asked for the canary".to_owned()),
        }
    }

    /// Whether all these addresses answer; if not, why not.
    fn answers<'a>(&self, addresses: impl Iterator<Item = &'a IpAddr>) -> Result<(), String> {
        let mut none = true;
        for address in addresses {
            none = false;
            for transport in Transport::ALL {
                match self.causes.0.get(&Cause::Silent(*address, transport)) {
                    Some(record) if record.standing == Standing::Well => {}
                    Some(record) if !record.why.is_empty() => {
                        return Err(format!("{address} by {transport}: {}", record.why));
                    }
                    Some(_) | None => return Err(format!("{address} has not been asked yet")),
                }
            }
        }
        if none { Err("no service address of this node is in it".to_owned()) } else { Ok(()) }
    }

    /// How many of how many zones have data, where that is less than 99 %.
    fn loading(&self, cycle: &Cycle) -> Option<(usize, usize)> {
        let ZoneCounts { wanted, served, .. } = cycle.zones?;
        (served * 100 < wanted * 99).then_some((served, wanted))
    }

    /// Whether all prefixes of the family are announced to a peer, and are meant to be.
    fn does_announce(&self, node: &DesiredNode, cycle: &Cycle, family: Family) -> bool {
        let Some(routing) = &cycle.routing else { return false };
        let is_sent = |prefix: &IpNet| {
            let is_up = |session: &&crate::routing::ObservedSession| {
                session.state == crate::routing::SessionState::Established
            };
            routing.sessions.values().filter(is_up).any(|session| session.prefixes_sent.contains(prefix))
        };
        let mut prefixes =
            node.routing.prefixes.iter().filter(|prefix| Family::of(prefix.addr()) == family).peekable();
        prefixes.peek().is_some()
            && prefixes.all(|prefix| {
                let state = self.prefixes.get(prefix).map(|gate| gate.state);
                matches!(state, Some(State::Announce | State::Held))
                    && routing.originated.get(prefix) == Some(&Announcement::Normal)
                    && is_sent(prefix)
            })
    }

    /// What the others are told.
    pub fn beat(&self, now: Duration) -> Beat {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let reach = |family: Family| Reach {
            announces: self.announces.get(&family).copied().unwrap_or(false),
            clean_age: self.clean.get(&family).map(|clean| now.saturating_sub(*clean)),
        };
        Beat {
            state: self.verdict.state,
            class: self.verdict.class.as_ref().map(|class| class.0),
            class_age: now.saturating_sub(self.verdict.class_since),
            revision: self.revision.0,
            revision_age: now.saturating_sub(self.revision.1),
            digest: self.zones.digest,
            reach: Family::ALL.map(|family| (family, reach(family))).into(),
            good_age: self.good.map(|good| now.saturating_sub(good)),
            queries_per_second: self.queries_per_second(),
            zones: count(self.zones.wanted),
            failing: count(self.sweep.failing()),
            expired: count(self.zones.expired),
            lagging: count(self.sweep.lagging(now)),
            configuration: None,
        }
    }
}

/// Why the node may be cut off.
fn isolation(node: &DesiredNode, cycle: &Cycle, others: &Others<'_>) -> Option<String> {
    let mut missing = Vec::new();
    if let Some(error) = &cycle.fetch_error {
        missing.push(format!("no git: {error}"));
    }
    let fresh: Vec<_> = others.fresh().map(|(_, other, _)| other.hub).collect();
    if !node.others.is_empty() && fresh.is_empty() {
        missing.push("no other node is heard over the mesh".to_owned());
    } else if node.others.values().any(|other| other.hub) && !fresh.contains(&true) {
        missing.push("no hub is heard over the mesh".to_owned());
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}
