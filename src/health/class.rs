//! Class: how bad it is, out of the causes that count.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::causes::{Cause, Causes, Record, Standing};

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing here answers, or a service address is gone.
    Hard,
    /// One address or transport does not answer.
    Partial,
    /// The canary is wrong, too many zones fail, or one is past its SOA expire time.
    Data,
    /// Too many zones are behind the hubs, and behind the others.
    Stale,
    /// No git, no hub or no mesh. It never changes what is announced.
    Isolated,
}

impl Class {
    /// All of them, as they are numbered on the wire from 1.
    pub(super) const ALL: [Self; 5] = [Self::Hard, Self::Partial, Self::Data, Self::Stale, Self::Isolated];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hard => "HARD",
            Self::Partial => "PARTIAL",
            Self::Data => "DATA",
            Self::Stale => "STALE",
            Self::Isolated => "ISOLATED",
        })
    }
}

/// Something that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) class: Class,
    /// When the last of what makes it up began.
    pub(super) began: Duration,
    /// What was met.
    pub(super) why: String,
    /// The addresses that it concerns; `None` for all.
    addresses: Option<BTreeSet<IpAddr>>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.why)
    }
}

impl Trouble {
    /// Whether a prefix is concerned.
    pub(super) fn touches(&self, prefix: IpNet) -> bool {
        self.class != Class::Isolated
            && self
                .addresses
                .as_ref()
                .is_none_or(|addresses| addresses.iter().any(|address| prefix.contains(address)))
    }
}

/// What counts, the worst first.
pub(super) fn troubles(causes: &Causes) -> Vec<Trouble> {
    let failing = |of: &dyn Fn(&Cause) -> bool| -> Vec<(Cause, &Record)> {
        let counts =
            causes.0.iter().filter(|(cause, record)| of(cause) && record.standing == Standing::Failing);
        counts.map(|(cause, record)| (*cause, record)).collect()
    };
    let is_answer = |cause: &Cause| matches!(cause, Cause::Silent(..));
    let absent = failing(&|cause| matches!(cause, Cause::Absent(_)));
    let silent = failing(&is_answer);
    let all = causes.0.keys().filter(|cause| is_answer(cause)).count();
    let addresses = |of: &[(Cause, &Record)]| {
        let address = |cause: &Cause| match cause {
            Cause::Absent(address) | Cause::Silent(address, _) => Some(*address),
            Cause::Canary | Cause::Zones | Cause::Expired | Cause::Lag | Cause::Isolated => None,
        };
        Some(of.iter().filter_map(|(cause, _)| address(cause)).collect())
    };
    let mut troubles = Vec::new();
    let mut push = |class, of: Vec<(Cause, &Record)>, addresses| {
        let Some(began) = of.iter().map(|(_, record)| record.began).max() else { return };
        let said = of.iter().map(|(cause, record)| format!("{cause}: {}", record.why));
        let why = said.collect::<Vec<_>>().join("; ");
        troubles.push(Trouble { class, began, why, addresses });
    };
    let gone = addresses(&absent);
    push(Class::Hard, absent, gone);
    if silent.len() == all {
        push(Class::Hard, silent, None);
    } else {
        let quiet = addresses(&silent);
        push(Class::Partial, silent, quiet);
    }
    push(Class::Data, failing(&|cause| matches!(cause, Cause::Canary | Cause::Zones | Cause::Expired)), None);
    push(Class::Stale, failing(&|cause| *cause == Cause::Lag), None);
    push(Class::Isolated, failing(&|cause| *cause == Cause::Isolated), None);
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::sample::Transport;
    use crate::health::testing::{V4, V6, policy};

    #[test]
    fn the_class_says_how_much_is_wrong_and_where() {
        let (v4, v6): (IpAddr, IpAddr) = (V4.parse().unwrap(), V6.parse().unwrap());
        let answers = |address| Transport::ALL.map(|transport| Cause::Silent(address, transport)).to_vec();
        let both = [answers(v4), answers(v6)].concat();
        let all =
            [both.clone(), vec![Cause::Canary, Cause::Zones, Cause::Expired, Cause::Lag, Cause::Isolated]];
        let all = [all.concat(), vec![Cause::Absent(v4), Cause::Absent(v6)]].concat();
        for (bad, class, touched) in [
            (vec![], None, ""),
            (both, Some(Class::Hard), "46"),
            (answers(v6), Some(Class::Partial), "6"),
            (vec![Cause::Silent(v4, Transport::Tcp)], Some(Class::Partial), "4"),
            (vec![Cause::Absent(v4)], Some(Class::Hard), "4"),
            (vec![Cause::Canary], Some(Class::Data), "46"),
            (vec![Cause::Zones], Some(Class::Data), "46"),
            (vec![Cause::Expired, Cause::Lag], Some(Class::Data), "46"),
            (vec![Cause::Lag, Cause::Isolated], Some(Class::Stale), "46"),
            (vec![Cause::Isolated], Some(Class::Isolated), ""),
        ] {
            let mut causes = Causes::default();
            for second in 0..4 {
                let result =
                    |cause| if second > 0 && bad.contains(cause) { Err("it".to_owned()) } else { Ok(()) };
                let results = all.iter().map(|cause| (*cause, Some(result(cause)))).collect();
                causes = causes.fold(&policy(), Duration::from_secs(second), &results);
            }
            let troubles = troubles(&causes);
            assert_eq!(troubles.first().map(|trouble| trouble.class), class, "{bad:?}");
            let prefixes = [("4", "192.0.2.0/24"), ("6", "2001:db8:53::/48")];
            let touches =
                |prefix: &str| troubles.iter().any(|trouble| trouble.touches(prefix.parse().unwrap()));
            let seen: String =
                prefixes.iter().filter(|(_, prefix)| touches(prefix)).map(|(name, _)| *name).collect();
            assert_eq!(seen, touched, "{bad:?}");
        }
    }
}
