//! Merge: the zones of the files, and the members of the catalogs beside them. Pure.
//!
//! A name belongs to whoever has it. A file comes first; then the catalog that has it already; then the first of those
//! that list it, by account and name. A member that is new must not lie inside of another account's zone, nor have one
//! inside of it: whoever fills one account's catalog must not take over names of another account.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::memory::{Holding, Memory};
use super::offer::offer;
use super::{Catalogs, Consumed, Member};
use crate::desired::slice::DesiredNode;
use crate::dns::ZoneConfig;
use crate::names::{AccountName, DomainName};

/// How many refused members are named.
const NAMED: usize = 100;

/// What became of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Whether we offer it; else we consume it.
    pub is_offered: bool,
    /// Its version; `None` for one that was never read.
    pub serial: Option<u32>,
    /// Members that are zones of ours.
    pub taken: usize,
    /// Members that are not, and why: the first hundred.
    pub refused: BTreeMap<DomainName, String>,
    /// How many those are in all.
    pub refusals: usize,
}

/// The node with the members of its catalogs and the catalogs that it offers; what is to be remembered from now on; and
/// what became of each catalog. `now` is in seconds since 1970.
pub fn merge(
    files: &DesiredNode,
    memory: &Memory,
    now: u32,
) -> (DesiredNode, Memory, BTreeMap<DomainName, Outcome>) {
    let catalogs = &files.catalogs;
    if **catalogs == Catalogs::default() {
        return (files.clone(), Memory::default(), BTreeMap::new());
    }
    let mut taking = Taking { catalogs, memory, taken: BTreeMap::new(), outcomes: BTreeMap::new() };
    taking.take_all();
    let Taking { taken, mut outcomes, .. } = taking;

    let mut next = Memory {
        consumed: memory.consumed.clone(),
        holdings: taken.iter().map(|(name, taken)| ((*name).clone(), taken.holding())).collect(),
        leaving: memory.leaving.clone(),
        offered: BTreeMap::new(),
    };
    next.consumed.retain(|catalog, _| catalogs.consumed.contains_key(catalog));
    next.leaving.extend(
        taken.iter().filter(|(name, taken)| is_another(memory, name, taken)).map(|(name, _)| (*name).clone()),
    );
    next.leaving.retain(|name| taken.contains_key(name));

    let mut zones = (*files.zones).clone();
    for (name, taken) in taken.iter().filter(|(name, _)| !next.leaving.contains(*name)) {
        let Consumed { source, notify, transfer_to, .. } = taken.config;
        let (notify, transfer_to) = (Arc::clone(notify), Arc::clone(transfer_to));
        let zone = ZoneConfig {
            name: (*name).clone(),
            source: source.clone(),
            notify,
            transfer_to,
            is_private: false,
        };
        zones.insert((*name).clone(), Arc::new(zone));
    }
    for (catalog, offered) in &catalogs.offered {
        let is_catalog =
            |name: &DomainName| catalogs.consumed.contains_key(name) || catalogs.offered.contains_key(name);
        let own = |(name, account): (_, &AccountName)| (*account == offered.account).then_some(name);
        let of_files = catalogs.owners.iter().filter_map(own).filter(|name| !is_catalog(name));
        let members = taken.iter().filter_map(|(name, taken)| own((*name, &taken.config.account)));
        let listed: BTreeSet<&DomainName> = of_files.chain(members).collect();
        let before = memory.offered.get(catalog);
        let (zone, edition) = offer(catalog, offered, listed.iter().copied(), before, now);
        let (serial, taken) = (Some(edition.serial), listed.len());
        outcomes.insert(catalog.clone(), Outcome { is_offered: true, serial, taken, ..Outcome::default() });
        zones.insert(catalog.clone(), zone);
        next.offered.insert(catalog.clone(), edition);
    }
    (DesiredNode { zones: zones.into(), ..files.clone() }, next, outcomes)
}

/// Whether a member is another zone than the one of its name that was there before (RFC 9432 sections 5.4 and 5.6).
fn is_another(memory: &Memory, name: &DomainName, taken: &Taken<'_>) -> bool {
    let Some(before) = memory.holdings.get(name) else { return false };
    let went_over = memory.goes_to(&before.catalog, name) == Some(taken.catalog);
    before.id != taken.member.id || before.catalog != *taken.catalog && !went_over
}

impl Memory {
    fn lists(&self, catalog: &DomainName, name: &DomainName) -> Option<&Member> {
        self.consumed.get(catalog)?.members.get(name)
    }

    /// The catalog that a member goes over to: one that lists it.
    pub(super) fn goes_to(&self, catalog: &DomainName, name: &DomainName) -> Option<&DomainName> {
        let heir = self.lists(catalog, name)?.goes_to.as_ref()?;
        self.lists(heir, name).map(|_| heir)
    }
}

/// A member that is a zone of ours.
struct Taken<'a> {
    catalog: &'a DomainName,
    config: &'a Consumed,
    member: &'a Member,
}

impl Taken<'_> {
    fn holding(&self) -> Holding {
        Holding { catalog: self.catalog.clone(), id: self.member.id.clone() }
    }
}

/// When a member has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The catalog has it, and keeps it.
    Kept,
    /// It is new here.
    New,
    /// The catalog has it, and gives it away; it stays if the other one may not take it.
    GivenAway,
}

struct Taking<'a> {
    catalogs: &'a Catalogs,
    memory: &'a Memory,
    taken: BTreeMap<&'a DomainName, Taken<'a>>,
    outcomes: BTreeMap<DomainName, Outcome>,
}

impl<'a> Taking<'a> {
    fn take_all(&mut self) {
        let mut order: Vec<_> = self.catalogs.consumed.iter().collect();
        order.sort_by_key(|(catalog, config)| (&config.account, *catalog));
        for (catalog, _) in &order {
            let serial = self.memory.consumed.get(*catalog).map(|known| known.serial);
            self.outcomes.insert((*catalog).clone(), Outcome { serial, ..Outcome::default() });
        }
        for turn in [Turn::Kept, Turn::New, Turn::GivenAway] {
            for (catalog, config) in &order {
                self.take(catalog, config, turn);
            }
        }
    }

    fn take(&mut self, catalog: &'a DomainName, config: &'a Consumed, turn: Turn) {
        let (memory, mut outcome) = (self.memory, self.outcomes.remove(catalog).unwrap_or_default());
        let members = memory.consumed.get(catalog).into_iter().flat_map(|known| &known.members);
        for (name, member) in members {
            if self.turn(catalog, name) != turn {
                continue;
            }
            let judged = self.judge(catalog, config, name, turn).and_then(|()| match outcome.taken {
                taken if taken >= config.limit => {
                    Err(format!("the catalog may have {taken} members at most"))
                }
                _ => Ok(()),
            });
            match judged {
                Ok(()) => {
                    outcome.taken += 1;
                    self.taken.insert(name, Taken { catalog, config, member });
                }
                // It went over to where it was to go.
                Err(_) if turn == Turn::GivenAway && self.taken.contains_key(name) => {}
                Err(why) => {
                    outcome.refusals += 1;
                    if outcome.refused.len() < NAMED {
                        outcome.refused.insert(name.clone(), why);
                    }
                }
            }
        }
        self.outcomes.insert(catalog.clone(), outcome);
    }

    fn turn(&self, catalog: &DomainName, name: &DomainName) -> Turn {
        match self.memory.holdings.get(name) {
            Some(holding) if holding.catalog == *catalog => match self.memory.goes_to(catalog, name) {
                Some(heir) if heir != catalog => Turn::GivenAway,
                Some(_) | None => Turn::Kept,
            },
            Some(_) | None => Turn::New,
        }
    }

    /// Whether a catalog's member may be a zone of ours.
    fn judge(
        &self,
        catalog: &DomainName,
        config: &Consumed,
        name: &DomainName,
        turn: Turn,
    ) -> Result<(), String> {
        if *name == DomainName::root() {
            return Err("the root is not a zone that a network can serve".to_owned());
        }
        if let Some(account) = self.catalogs.owners.get(name) {
            return Err(format!("zones/{account}/{name}.yaml has it"));
        }
        if !config.within.is_empty() && !config.within.iter().any(|above| name.is_within(above)) {
            return Err("it lies in nothing that `within` names".to_owned());
        }
        if let Some(other) = self.taken.get(name) {
            return Err(format!("the catalog {} of account {} has it", other.catalog, other.config.account));
        }
        if turn != Turn::New {
            return Ok(());
        }
        // Whoever has it keeps it for as long as it lists it, and gives it to whom it wants.
        if let Some(holding) = self.memory.holdings.get(name)
            && self.memory.lists(&holding.catalog, name).is_some()
            && self.catalogs.consumed.contains_key(&holding.catalog)
            && self.memory.goes_to(&holding.catalog, name) != Some(catalog)
        {
            return Err(format!("the catalog {} has it", holding.catalog));
        }
        let mut above = std::iter::successors(name.parent(), DomainName::parent);
        if let Some((account, above)) = above.find_map(|above| Some((self.owner(&above)?, above)))
            && *account != config.account
        {
            return Err(format!("it lies inside {above} of account {account}"));
        }
        match self.inside(name, &config.account) {
            Some((other, account)) => Err(format!("{other} of account {account} lies inside it")),
            None => Ok(()),
        }
    }

    fn owner(&self, name: &DomainName) -> Option<&AccountName> {
        let taken = self.taken.get(name).map(|taken| &taken.config.account);
        self.catalogs.owners.get(name).or(taken)
    }

    /// The first of another account's zones that lies inside.
    fn inside(&self, name: &DomainName, account: &AccountName) -> Option<(&DomainName, &AccountName)> {
        // In canonical order what lies inside comes right after.
        let after = (Bound::Excluded(name), Bound::Unbounded);
        let of_files = self.catalogs.owners.range::<DomainName, _>(after);
        let of_files = of_files.take_while(|(other, _)| other.is_within(name));
        let taken =
            self.taken.range::<DomainName, _>(after).map(|(other, taken)| (*other, &taken.config.account));
        let taken = taken.take_while(|(other, _)| other.is_within(name));
        of_files.chain(taken).find(|(_, other)| *other != account)
    }
}

#[cfg(test)]
mod tests;
