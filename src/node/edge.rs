//! Edge: the service addresses and the routing daemon, looked at once for both who need it.
//!
//! ```text
//! guard ──look──→ left here ──take──→ reconciler
//!                    │ └ anything done to them: it is not so any more, and the reconciler looks itself
//!                    └ another one than before: the reconciler comes sooner
//! ```
//! The guard always looks itself, and waits for nobody. What it leaves serves one step.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::observed::Seen;
use crate::routing::ObservedRouting;

/// What was left longer ago is not taken: whoever leaves it hangs.
const FRESH: Duration = Duration::from_secs(3);

/// What one look saw.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    /// The addresses on the loopback interface.
    pub(super) addresses: Seen<BTreeSet<IpAddr>>,
    /// The routing daemon.
    pub(super) routing: Seen<ObservedRouting>,
}

impl Look {
    /// Whether another one saw the same, but for what moves by itself: the sessions.
    fn is_like(&self, other: &Self) -> bool {
        let settled = |look: &Self| {
            let routing = look.routing.known()?;
            Some((routing.running, routing.fault.is_some(), routing.config.is_some()))
        };
        let originated = |look: &Self| look.routing.known().map(|routing| routing.originated.clone());
        self.addresses == other.addresses
            && settled(self) == settled(other)
            && originated(self) == originated(other)
    }
}

/// The last look, for whoever is next.
#[derive(Clone, Default)]
pub(super) struct Edge(Arc<Shared>);

#[derive(Default)]
struct Shared {
    left: Mutex<Left>,
    moved: Notify,
}

#[derive(Default)]
struct Left {
    /// Counts what was done to the addresses and the routing daemon.
    acts: u64,
    last: Option<Arc<Look>>,
    /// When the last look began, until it is taken or something is done.
    since: Option<Instant>,
}

/// A look that has begun.
pub(super) struct Begun {
    acts: u64,
    at: Instant,
}

impl Edge {
    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look begins.
    pub(super) fn begin(&self) -> Begun {
        Begun { acts: self.lock().acts, at: Instant::now() }
    }

    /// What it saw. It is for others only if nothing was done meanwhile, and both were seen: who has more patience may see
    /// more.
    pub(super) fn leave(&self, begun: &Begun, look: Look) -> Arc<Look> {
        let look = Arc::new(look);
        let mut left = self.lock();
        let is_whole = look.addresses.known().is_some() && look.routing.known().is_some();
        left.since = (is_whole && left.acts == begun.acts).then_some(begun.at);
        let before = left.last.replace(Arc::clone(&look));
        if !before.is_some_and(|before| before.is_like(&look)) {
            self.0.moved.notify_one();
        }
        look
    }

    /// The last look, unless it was taken before, is old, or something was done since it began.
    pub(super) fn take(&self) -> Option<Look> {
        let mut left = self.lock();
        let since = left.since.take()?;
        left.last.as_deref().filter(|_| since.elapsed() < FRESH).cloned()
    }

    /// Something is being done, or was just done, or has happened.
    pub(super) fn acted(&self) {
        let mut left = self.lock();
        left.acts += 1;
        left.since = None;
    }

    /// Until a look sees another edge than the one before.
    pub(super) async fn moved(&self) {
        self.0.moved.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::routing::Announcement;

    fn look(addresses: &[&str]) -> Look {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Look { addresses: Seen::Known(addresses), routing: Seen::Known(ObservedRouting::default()) }
    }

    #[test]
    fn a_look_serves_one_step() {
        let edge = Edge::default();
        assert_eq!(edge.take(), None);
        edge.leave(&edge.begin(), look(&["192.0.2.53"]));
        assert_eq!(edge.take(), Some(look(&["192.0.2.53"])));
        assert_eq!(edge.take(), None);
    }

    #[test]
    fn what_was_seen_before_or_while_something_was_done_is_not_taken() {
        let edge = Edge::default();
        edge.leave(&edge.begin(), look(&[]));
        edge.acted();
        assert_eq!(edge.take(), None);
        let begun = edge.begin();
        edge.acted();
        edge.leave(&begun, look(&[]));
        assert_eq!(edge.take(), None);
        // It was being done when the look began, and when it ended.
        let begun = edge.begin();
        edge.leave(&begun, look(&[]));
        edge.acted();
        assert_eq!(edge.take(), None);
        let long_ago = Begun { at: Instant::now().checked_sub(FRESH).unwrap(), ..edge.begin() };
        edge.leave(&long_ago, look(&[]));
        assert_eq!(edge.take(), None);
        let unknown = Look { routing: Seen::Unknown { why: "late".to_owned() }, ..look(&[]) };
        edge.leave(&edge.begin(), unknown);
        assert_eq!(edge.take(), None, "who has more patience may see more");
    }

    #[test]
    fn another_edge_than_before_is_told_once() {
        let edge = Edge::default();
        let moved = || edge.moved().now_or_never().is_some();
        let leave = |look: Look| _ = edge.leave(&edge.begin(), look);
        leave(look(&["192.0.2.53"]));
        assert!(moved());
        leave(look(&["192.0.2.53"]));
        assert!(!moved());
        leave(look(&[]));
        assert!(moved());
        let announced = [("192.0.2.0/24".parse().unwrap(), Announcement::Normal)].into();
        let routing = ObservedRouting { originated: announced, ..ObservedRouting::default() };
        leave(Look { routing: Seen::Known(routing), ..look(&[]) });
        assert!(moved());
        assert!(!moved());
    }
}
