//! Hold: a version of a catalog that would take too many members away at once is not believed until somebody confirms it.
//! Pure.
//!
//! A generator that fails lists nothing or half of what there is, and every node would drop the customer's zones within
//! seconds. So such a version is *held*: the members from before stay until the catalog lists them again, or until its file
//! names the serial of that version as meant.

use std::fmt;

use super::members::Members;
use super::memory::Memory;
use crate::names::{DomainName, Serial};

/// As many may always go at once, unless none stays.
const FEW: usize = 10;

/// How many members a new version may take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalPolicy {
    /// Per cent of the members that there were.
    pub most: u8,
    /// The version that may take any number away.
    pub confirmed: Option<Serial>,
}

impl Default for RemovalPolicy {
    fn default() -> Self {
        Self { most: 50, confirmed: None }
    }
}

/// Why a version is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    serial: Serial,
    /// Members that it would take away, of so many.
    lost: usize,
    of: usize,
    most: u8,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial, lost, of, most } = self;
        write!(
            f,
            "serial {serial} is held: it would take away {lost} of {of} members, more than {most} % at once (`most_removed`); \
             they stay. Have the catalog mended; or, where that is meant, write `confirmed: {serial}` below `members:` in its \
             file and push"
        )
    }
}

/// Whether what a catalog says now is held, and why.
pub fn is_held(
    memory: &Memory,
    catalog: &DomainName,
    serial: Serial,
    members: &Members,
    policy: RemovalPolicy,
) -> Option<Held> {
    let RemovalPolicy { most, confirmed } = policy;
    let before = &memory.consumed.get(catalog)?.members;
    // With another id it is another zone, of which there is no data yet; one that is handed over does not go.
    let is_lost = |(name, member): &(&DomainName, &super::Member)| {
        members.get(*name).is_none_or(|now| now.id != member.id) && memory.goes_to(catalog, name).is_none()
    };
    let (lost, of) = (before.iter().filter(is_lost).count(), before.len());
    let is_much = lost > FEW || lost > 1 && members.is_empty();
    let is_held = is_much && lost * 100 > of * usize::from(most) && confirmed != Some(serial);
    is_held.then_some(Held { serial, lost, of, most })
}

#[cfg(test)]
mod tests {
    use super::super::{Known, Member};
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    /// Members with these numbers, whose ids are of this edition.
    fn members(numbers: std::ops::Range<usize>, edition: &str) -> Members {
        let member = |number| {
            let member = Member { id: name(&format!("{edition}{number}")), goes_to: None };
            (name(&format!("z{number}.example")), member)
        };
        numbers.map(member).collect()
    }

    #[test]
    fn what_would_take_too_many_members_away_is_held() {
        let catalog = name("catalog.example");
        let policy = RemovalPolicy::default();
        let all = RemovalPolicy { most: 100, ..policy };
        let none = RemovalPolicy { most: 0, ..policy };
        let confirmed = RemovalPolicy { confirmed: Some(Serial(7)), ..policy };
        let other = RemovalPolicy { confirmed: Some(Serial(6)), ..policy };
        for (before, after, id, policy, is_wanted) in [
            (40, 0..0, "a", policy, true),
            (40, 0..19, "a", policy, true),
            (40, 0..20, "a", policy, false),
            // Those that are new make up for none.
            (40, 30..90, "a", policy, true),
            (40, 0..40, "b", policy, true),
            // A few may go, but not the last of several.
            (11, 0..1, "a", policy, false),
            (12, 0..1, "a", policy, true),
            (2, 0..0, "a", policy, true),
            (1, 0..0, "a", policy, false),
            (0, 0..0, "a", policy, false),
            (0, 0..90, "a", policy, false),
            (40, 0..0, "a", all, false),
            (40, 0..30, "a", none, false),
            (40, 0..29, "a", none, true),
            (40, 0..0, "a", confirmed, false),
            (40, 0..0, "a", other, true),
        ] {
            let mut memory = Memory::default();
            memory.consumed.insert(catalog.clone(), Known { serial: 5, members: members(0..before, "a") });
            let held = is_held(&memory, &catalog, Serial(7), &members(after.clone(), id), policy);
            assert_eq!(held.is_some(), is_wanted, "{before} became {after:?} with ids {id}, {policy:?}");
        }
        assert_eq!(is_held(&Memory::default(), &catalog, Serial(7), &Members::new(), policy), None);
    }

    #[test]
    fn members_that_are_handed_over_do_not_go() {
        let (catalog, heir) = (name("catalog.example"), name("heir.example"));
        let mut memory = Memory::default();
        let mut leaving = members(0..20, "a");
        leaving.values_mut().for_each(|member| member.goes_to = Some(heir.clone()));
        memory.consumed.insert(catalog.clone(), Known { serial: 5, members: leaving });
        let judge =
            |memory: &Memory| is_held(memory, &catalog, Serial(7), &Members::new(), RemovalPolicy::default());
        let why = judge(&memory).unwrap().to_string();
        assert!(why.starts_with("serial 7 is held: it would take away 20 of 20 members"), "{why}");
        memory.consumed.insert(heir, Known { serial: 1, members: members(0..20, "h") });
        assert_eq!(judge(&memory), None);
    }
}
