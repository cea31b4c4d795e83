//! Others: what the beats of the other nodes allow this one to do.
//!
//! N nodes are meant to announce a prefix's family, this one among them; H others are known to; W are drained or
//! withdrawn. Two nodes that fail at once must not each leave because of the other, although beats take time. So
//! whoever leaves relies only on others that were *well after* it last was itself, or after it began to drain. Of nodes
//! that rely on each other in a ring each would have been well later than the one before it, so there is no such ring:
//! of those that announce, the one that was well last stays.

use std::collections::BTreeMap;
use std::time::Duration;

use super::beat::{Beat, Heard};
use super::class::Class;
use super::state::State;
use crate::desired::slice::{DesiredNode, OtherNode};
use crate::names::NodeName;
use crate::routing::Family;

/// Nodes that enter a class within this time of each other may have met the same thing.
pub(super) const TOGETHER: Duration = Duration::from_secs(60);
/// And nodes that enter it so soon after they took on the same revision.
pub const AFTER_REVISION: Duration = Duration::from_secs(300);

/// How many nodes do what, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// N: nodes that are meant to announce.
    pub meant: usize,
    /// H: other nodes that do.
    pub announcing: usize,
    /// W: nodes that are drained or withdrawn.
    pub withdrawn: usize,
}

/// What another must have shown, so that this node may rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// That its addresses answer.
    Clean,
    /// That nothing at all is wrong with it.
    Good,
}

/// The others, as they are known at one moment.
pub(super) struct Others<'a> {
    pub(super) node: &'a DesiredNode,
    pub(super) heard: &'a BTreeMap<NodeName, Heard>,
    pub(super) now: Duration,
}

impl<'a> Others<'a> {
    /// Those that the repository knows and that were heard of lately.
    pub(super) fn fresh(&self) -> impl Iterator<Item = (&'a NodeName, &'a OtherNode, &'a Heard)> {
        let (heard, now) = (self.heard, self.now);
        self.node
            .others
            .iter()
            .filter_map(move |(name, other)| Some((name, other, heard.get(name)?)))
            .filter(move |(_, _, heard)| heard.is_fresh(now))
    }

    /// Whether anybody else is meant to announce the family.
    pub(super) fn is_alone(&self, family: Family) -> bool {
        !self.node.others.values().any(|other| other.announces.contains(&family))
    }

    /// N, H and W.
    pub(super) fn counts(&self, family: Family) -> Counts {
        let meant = self.node.others.values().filter(|other| other.announces.contains(&family)).count();
        let announcing = self.fresh().filter(|(_, _, heard)| heard.beat.reach(family).announces).count();
        let is_out = |name: &NodeName, other: &OtherNode, beat: &Beat| match beat.state {
            State::Withdrawn | State::Standby | State::Maintenance | State::Fenced => true,
            // Of those on their way out together, the first by name goes on.
            State::Draining => *name < self.node.name,
            State::Announce | State::Held | State::Boot => other.drained,
        };
        let withdrawn = self
            .fresh()
            .filter(|(_, other, _)| other.drained || other.announces.contains(&family))
            .filter(|(name, other, heard)| is_out(name, other, &heard.beat))
            .count();
        Counts { meant: meant + 1, announcing, withdrawn }
    }

    /// Other nodes that announce the family and showed after this time that they may be relied on.
    pub(super) fn reliable(&self, family: Family, proof: Proof, after: Duration) -> usize {
        let is_reliable = |heard: &Heard| {
            let reach = heard.beat.reach(family);
            let age = match proof {
                Proof::Clean => reach.clean_age,
                Proof::Good => heard.beat.good_age,
            };
            reach.announces && heard.was_well(age, after, &self.node.health)
        };
        self.fresh().filter(|(_, _, heard)| is_reliable(heard)).count()
    }

    /// Why nobody may withdraw for a class now: too many nodes, this one among them, came into it together.
    pub(super) fn correlated(
        &self,
        class: Class,
        since: Duration,
        revision: u64,
        revision_since: Duration,
    ) -> Option<String> {
        let in_class = || {
            self.fresh().filter(|(_, _, heard)| heard.beat.class == Some(class)).map(|(_, _, heard)| heard)
        };
        let edges = self.node.others.values().filter(|other| !other.announces.is_empty()).count() + 1;
        let many = edges.div_ceil(2).max(2);
        let mut entered: Vec<Duration> = in_class().map(Heard::class_since).chain([since]).collect();
        entered.sort_unstable();
        let last_within = |first: &Duration| {
            entered.iter().filter(|at| **at >= *first && **at - *first <= TOGETHER).count()
        };
        let together = entered.iter().map(last_within).max().unwrap_or(0);
        if together >= many {
            return Some(format!(
                "{together} of {edges} nodes became {class} within {} s",
                TOGETHER.as_secs()
            ));
        }
        let soon = |since: Duration, revision_since: Duration| {
            since.saturating_sub(revision_since) <= AFTER_REVISION
        };
        if revision == 0 || !soon(since, revision_since) {
            return None;
        }
        let same = |heard: &&Heard| {
            heard.beat.revision == revision && soon(heard.class_since(), heard.revision_since())
        };
        let after = in_class().filter(same).count() + 1;
        (after >= many).then(|| {
            format!(
                "{after} of {edges} nodes became {class} after they took on the revision {:010x}",
                revision >> 24
            )
        })
    }

    /// Whether at least half of the others that are known, and one at least, do better in this figure.
    pub(super) fn do_better(&self, own: usize, figure: impl Fn(&Beat) -> u32) -> bool {
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        let (mut all, mut better) = (0, 0);
        for (_, _, heard) in self.fresh() {
            all += 1;
            better += usize::from(figure(&heard.beat) < own);
        }
        better > 0 && better * 2 >= all
    }
}
