//! The choices: where NSD, Knot and BIND differ among themselves, whom we are like and why.
//!
//! A choice is about one aspect of a response, and the first that fits decides. It is an error if we are not like those
//! that it names, or if a difference has no choice.

use super::daemons::Kind;
use super::questions::Case;
use super::wire::{Aspect, Seen};

/// What the three said, in the order of `Kind::ALL`.
pub type Theirs<'a> = [&'a Seen; 3];

/// One choice.
pub struct Choice {
    pub name: &'static str,
    pub why: &'static str,
    pub aspects: &'static [Aspect],
    pub when: fn(&Case, &Theirs<'_>) -> bool,
    pub like: Like,
}

/// Whom we are like.
pub enum Like {
    /// These, in this aspect.
    All(&'static [Kind]),
    /// None of them: what must be true of ours.
    Own(fn(&Case, &Seen, &Theirs<'_>) -> bool),
}

use Aspect::{Additional, Answer, Authority, Header, Question};
use Kind::{Bind, Knot, Nsd};

pub const CHOICES: &[Choice] = &[
    Choice {
        name: "sections of a truncated response",
        why: "whoever sees TC asks again over TCP, so what is in it does not matter (RFC 2181 section 9)",
        aspects: &[Answer, Authority, Additional],
        when: |_, theirs| theirs.iter().any(|seen| seen.truncated()),
        like: Like::Own(|_, ours, theirs| {
            ours.truncated() || theirs.iter().any(|seen| !seen.truncated() && same(seen, ours, Answer))
        }),
    },
    Choice {
        name: "NS records beside a positive answer",
        why: "NSD adds the zone's NS records, and their addresses, to every answer; nobody needs them",
        aspects: &[Authority],
        when: |_, theirs| {
            same(theirs[1], theirs[2], Authority)
                && theirs[0].section(Authority).iter().any(|record| of_type(record, 2))
        },
        like: Like::All(&[Knot, Bind]),
    },
    Choice {
        name: "addresses of the NS records beside a positive answer",
        why: "the same",
        aspects: &[Additional],
        when: |_, theirs| {
            same(theirs[1], theirs[2], Additional)
                && theirs[0].section(Authority).iter().any(|record| of_type(record, 2))
        },
        like: Like::All(&[Knot, Bind]),
    },
    Choice {
        name: "question of an opcode that is not implemented",
        why: "Knot repeats it, which lets the asker match the response; NSD and BIND leave it out",
        aspects: &[Question],
        when: |case, _| case.opcode() != 0,
        like: Like::All(&[Knot]),
    },
    Choice {
        name: "RD with an opcode that is not implemented",
        why: "it is copied into every response (RFC 1035 section 4.1.1); BIND clears it",
        aspects: &[Header],
        when: |case, _| case.opcode() != 0,
        like: Like::All(&[Nsd, Knot]),
    },
];

/// Whether two say the same in an aspect.
fn same(one: &Seen, other: &Seen, aspect: Aspect) -> bool {
    one.get(aspect) == other.get(aspect)
}

/// Whether a record, as text, has this type.
fn of_type(record: &str, rtype: u16) -> bool {
    record.split(' ').nth(3) == Some(&rtype.to_string())
}
