//! Queries: how many a name server has been asked, but for those that are nobody's who would miss an answer.
//!
//! What name servers ask each other to keep zones current (SOA, IXFR, AXFR), and what agents ask to see how a name server
//! is, are questions of those three types alone. Resolvers hardly ever ask them. So they are left out by their type, whoever
//! asked them: a node that nobody else asks is asked nothing at all, a hub among them, and no question of our own has to be
//! counted and taken off.

use std::time::Duration;

/// The types that are left out, as the daemons write them: NSD 4.6 knows two by their numbers only.
const LEFT_OUT: [&str; 5] = ["SOA", "IXFR", "AXFR", "TYPE251", "TYPE252"];

/// How many queries these are, of so many of each type.
pub(super) fn total<N: AsRef<str>>(types: impl IntoIterator<Item = (N, u64)>) -> u64 {
    let counted = types.into_iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_ref()));
    counted.fold(0, |total, (_, queries)| total.saturating_add(queries))
}

/// How long to wait at least before a name server is asked for its count again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// While nothing happens.
    pub calm: Duration,
    /// While the node drains.
    pub draining: Duration,
}

impl Pace {
    /// Where a count costs next to nothing: once a minute, and in every cycle.
    pub const USUAL: Self = Self { calm: Duration::from_secs(60), draining: Duration::from_secs(1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_name_servers_ask_each_other_is_left_out() {
        assert_eq!(total::<&str>([]), 0);
        let types = [("A", 3), ("SOA", 100), ("NS", 1), ("TYPE252", 100), ("IXFR", 100), ("TYPE65", 2)];
        assert_eq!(total(types), 6);
        assert_eq!(total([("A", u64::MAX), ("NS", 1)]), u64::MAX);
    }
}
