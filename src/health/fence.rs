//! Fence: what is really announced, beside what may be.
//!
//! Every ten seconds. What is found to be too much at one audit was perhaps ours a moment ago, and the plan takes it
//! back; what is still there at the next is not under our control, and the fence goes up.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use crate::routing::ObservedRouting;

/// Between two audits.
pub const AUDIT: Duration = Duration::from_secs(10);

/// What the audits have found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fence {
    audited: Option<Duration>,
    foreign: BTreeSet<IpNet>,
    /// What was announced that is not ours, once it is certain.
    pub(super) breach: Option<String>,
}

impl Fence {
    /// What is known after one more look; nothing new where it was looked at a short while ago, or nothing was seen.
    pub(super) fn fold(
        &self,
        now: Duration,
        allowed: &BTreeSet<IpNet>,
        routing: Option<&ObservedRouting>,
    ) -> Self {
        let Some(routing) = routing else { return self.clone() };
        if self.audited.is_some_and(|at| now.saturating_sub(at) < AUDIT) {
            return self.clone();
        }
        let sent = routing.sessions.values().flat_map(|session| &session.prefixes_sent);
        let foreign: BTreeSet<IpNet> = routing
            .originated
            .keys()
            .chain(sent)
            .filter(|prefix| !allowed.contains(*prefix))
            .copied()
            .collect();
        let stayed: Vec<String> = foreign.intersection(&self.foreign).map(ToString::to_string).collect();
        let breach =
            (!stayed.is_empty()).then(|| format!("{} is announced and is not ours", stayed.join(", ")));
        Self { audited: Some(now), foreign, breach: self.breach.clone().or(breach) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Announcement;

    #[test]
    fn what_stays_over_two_audits_raises_the_fence() {
        let (own, other): (IpNet, IpNet) =
            ("192.0.2.0/24".parse().unwrap(), "198.51.100.0/24".parse().unwrap());
        let originates = |prefixes: &[IpNet]| ObservedRouting {
            originated: prefixes.iter().map(|prefix| (*prefix, Announcement::Normal)).collect(),
            ..ObservedRouting::default()
        };
        let allowed = BTreeSet::from([own]);
        let run = |seen: &[(u64, &[IpNet])]| {
            let fold = |fence: Fence, (at, prefixes): &(u64, &[IpNet])| {
                fence.fold(Duration::from_secs(*at), &allowed, Some(&originates(prefixes)))
            };
            seen.iter().fold(Fence::default(), fold).breach
        };
        assert_eq!(run(&[(0, &[own]), (10, &[own])]), None);
        assert_eq!(run(&[(0, &[own, other]), (9, &[own, other])]), None, "that was one audit");
        assert_eq!(run(&[(0, &[own, other]), (10, &[own]), (20, &[own, other])]), None, "it was taken back");
        let breach = run(&[(0, &[own, other]), (10, &[own, other]), (20, &[own])]);
        assert_eq!(breach.as_deref(), Some("198.51.100.0/24 is announced and is not ours"));
        assert_eq!(Fence::default().fold(Duration::ZERO, &allowed, None), Fence::default());
    }
}
