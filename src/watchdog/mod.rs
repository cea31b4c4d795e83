//! The watchdog: a small process beside the agent, for when there is no agent and no name server, and a routing daemon
//! announces on.
//!
//! ```text
//! guard ─sign of life, every cycle→ socket ─┐
//! the clock ────────────────────────────────┼→ Vigil ─→ rest · ask · withdraw: end the routing daemons
//! probes, while there is no such sign ──────┘
//! ```
//! The agent is *on guard* while its gate judges, and says so with a datagram that holds the [`Mandate`]: what to ask, and
//! what to end. An agent that hangs says nothing, and one that has just started says nothing until its name server has
//! answered: until then it leaves everything as it is, so one that keeps dying puts nothing off. While nobody is on guard,
//! the watchdog asks every service address by UDP and by TCP, and once nothing at all has answered for half a minute, it
//! ends the routing daemons, which is what withdraws. It starts nothing, ever: that is for the next agent, which announces
//! once its name server has answered.
//!
//! The last mandate is on disk, too, for a watchdog that is started again while there is no agent; written when it changes.
//! So is what was withdrawn last ([`Withdrawal`]), for the agent to show.

mod keeper;
mod vigil;
mod watch;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::desired::model::HealthPolicy;
use crate::routing::{RoutingDaemonKind, RoutingDaemons};
use crate::whole_file;

pub(crate) use keeper::Keeper;
pub(crate) use watch::watch;

/// Where the agent's signs of life come in.
const SOCKET: &str = "watchdog.sock";
/// The last mandate.
const MANDATE: &str = "mandate.json";
/// What was withdrawn last.
const WITHDRAWAL: &str = "withdrawal.json";
/// So long the last withdrawal is shown.
const SHOWN: Duration = Duration::from_secs(24 * 3600);

/// What is to be done while nobody is on guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mandate {
    /// Where this node's name server answers.
    pub(crate) service_addresses: BTreeSet<IpAddr>,
    /// By what its answers are known (NSID, RFC 5001).
    pub(crate) identity: String,
    /// What it is asked, and how long an answer may take.
    pub(crate) health: HealthPolicy,
    /// What to end.
    pub(crate) daemons: RoutingDaemons,
}

/// What the watchdog withdrew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Withdrawal {
    /// When, in seconds since 1970.
    pub(crate) at_s: u64,
    /// The routing daemons that it ended.
    pub(crate) ended: Vec<RoutingDaemonKind>,
    /// What was met.
    pub(crate) why: String,
}

impl Withdrawal {
    /// The last one, unless it is long ago; how many seconds.
    pub(crate) fn last(folder: &Path) -> Option<(Self, u64)> {
        let last: Option<Self> = whole_file::read_json(&folder.join(WITHDRAWAL)).ok()?;
        let last = last?;
        let age = now_s().saturating_sub(last.at_s);
        (age < SHOWN.as_secs()).then_some((last, age))
    }

    /// The names of what was ended.
    pub(crate) fn names(&self) -> String {
        self.ended.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_withdrawal_is_shown_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Withdrawal::last(folder.path()), None);
        let keep = |at_s| {
            let withdrawal = Withdrawal { at_s, ended: vec![RoutingDaemonKind::Bird], why: "nothing".into() };
            whole_file::write_json(&folder.path().join(WITHDRAWAL), &withdrawal).unwrap();
        };
        keep(now_s() - 60);
        let (last, age) = Withdrawal::last(folder.path()).unwrap();
        assert!((60..120).contains(&age) && last.names() == "bird", "{last:?}");
        keep(now_s() - SHOWN.as_secs());
        assert_eq!(Withdrawal::last(folder.path()), None);
        std::fs::write(folder.path().join(WITHDRAWAL), "{").unwrap();
        assert_eq!(Withdrawal::last(folder.path()), None);
    }
}
