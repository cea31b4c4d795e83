//! Queries: has the name server say how many it had, now and then, without anybody waiting for it.
//!
//! ```text
//! cycle ─is it due?─→ asks, beside the cycles ─┐
//! cycle ←─────────── what it has said by then ─┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::dns::{NameServer, Pace};
use crate::health::{Count, State};

/// How long it may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for one node's count.
#[derive(Default)]
pub(super) struct Counter {
    /// When it was last asked.
    asked: Option<Duration>,
    under_way: Option<JoinHandle<Result<(Duration, u64), String>>>,
    /// Whether it was said already that it is not known.
    is_unknown: bool,
}

impl Counter {
    /// How long after the last time it is to be asked again, where the prefixes are in these states; `None` while nothing is
    /// known of it yet.
    pub(super) fn due(&self, pace: Pace, prefixes: &BTreeMap<IpNet, State>) -> Option<Duration> {
        let is = |state| prefixes.values().any(|prefix| *prefix == state);
        match prefixes.values().all(|state| *state == State::Boot) {
            true => None,
            false if is(State::Draining) => Some(pace.draining),
            // It was not there, or had no time.
            false if self.is_unknown => Some(pace.calm.min(Pace::USUAL.calm)),
            false => Some(pace.calm),
        }
    }

    /// Asks if that is due, and waits no longer than this for what it says: else that is for a later cycle.
    pub(super) async fn count(
        &mut self,
        name_server: &Arc<dyn NameServer>,
        started: Instant,
        due: Option<Duration>,
        patience: Duration,
    ) -> Count {
        let now = started.elapsed();
        let is_due = |due| self.asked.is_none_or(|asked| now.saturating_sub(asked) >= due);
        if self.under_way.is_none() && due.is_some_and(is_due) {
            self.asked = Some(now);
            let name_server = Arc::clone(name_server);
            self.under_way = Some(tokio::spawn(async move {
                match timeout(PATIENCE, name_server.queries()).await {
                    Ok(Ok(queries)) => Ok((started.elapsed(), queries)),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
                }
            }));
        }
        let Some(task) = &mut self.under_way else { return Count::NotAsked };
        let Ok(said) = timeout(patience, task).await else { return Count::NotAsked };
        self.under_way = None;
        match said.unwrap_or_else(|error| Err(error.to_string())) {
            Ok((at, queries)) => {
                self.is_unknown = false;
                Count::Known { at, queries }
            }
            Err(why) if self.is_unknown => {
                debug!(why, "the name server does not say how often it is asked");
                Count::Unknown
            }
            Err(why) => {
                warn!(
                    why,
                    "the name server does not say how often it is asked; a drain takes its whole time"
                );
                self.is_unknown = true;
                Count::Unknown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::dns::embedded::zone::Zone;
    use crate::dns::{NameServerConfig, NameServerError, ObservedNameServer, Serials, ZoneChanges};
    use crate::names::{DomainName, Serial};

    /// Says how often it was asked, after so long.
    struct Slow(Duration, AtomicU64);

    #[async_trait]
    impl NameServer for Slow {
        async fn observe(&self) -> Result<ObservedNameServer, NameServerError> {
            Ok(ObservedNameServer::default())
        }

        async fn configure(&self, _: &NameServerConfig) -> Result<(), NameServerError> {
            Ok(())
        }

        async fn apply(&self, _: &ZoneChanges) -> Result<(), NameServerError> {
            Ok(())
        }

        async fn serials(&self, _: &[DomainName], _: Duration) -> Result<Serials, NameServerError> {
            Ok(Serials::new())
        }

        async fn queries(&self) -> Result<u64, NameServerError> {
            tokio::time::sleep(self.0).await;
            match self.1.fetch_add(1, Ordering::Relaxed) {
                2 => Err(NameServerError { operation: "count".to_owned(), why: "it is dead".to_owned() }),
                asked => Ok(asked),
            }
        }

        fn pace(&self) -> Pace {
            Pace::USUAL
        }

        async fn zone(
            &self,
            _: &DomainName,
            _: Option<Serial>,
        ) -> Result<Option<Arc<Zone>>, NameServerError> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn a_slow_answer_is_for_a_later_cycle() {
        let slow = Slow(Duration::from_millis(200), AtomicU64::new(0));
        let (server, started) = (Arc::new(slow) as Arc<dyn NameServer>, Instant::now());
        let mut counter = Counter::default();
        let (calm, draining) = (Some(Duration::from_secs(3_600)), Some(Duration::ZERO));
        let long = Duration::from_secs(60);
        let first = counter.count(&server, started, calm, Duration::ZERO).await;
        assert_eq!(first, Count::NotAsked, "it has not said it yet");
        let Count::Known { at, queries: 0 } = counter.count(&server, started, calm, long).await else {
            panic!("it has said it by now")
        };
        assert!(at >= Duration::from_millis(200));
        assert_eq!(counter.count(&server, started, calm, long).await, Count::NotAsked, "not so soon again");
        assert!(matches!(
            counter.count(&server, started, draining, long).await,
            Count::Known { queries: 1, .. }
        ));
        assert_eq!(counter.count(&server, started, draining, long).await, Count::Unknown);
        assert!(matches!(
            counter.count(&server, started, draining, long).await,
            Count::Known { queries: 3, .. }
        ));
    }

    #[test]
    fn it_is_asked_often_while_the_node_drains_and_not_before_it_has_answered() {
        let pace = Pace { calm: Duration::from_secs(600), draining: Duration::from_secs(11) };
        let mut counter = Counter::default();
        let prefixes: [IpNet; 2] = ["192.0.2.0/24".parse().unwrap(), "2001:db8::/48".parse().unwrap()];
        let due = |counter: &Counter, states: [State; 2]| {
            let due = counter.due(pace, &prefixes.into_iter().zip(states).collect());
            due.map(|due| due.as_secs())
        };
        assert_eq!(counter.due(pace, &BTreeMap::new()), None);
        assert_eq!(due(&counter, [State::Boot; 2]), None);
        assert_eq!(due(&counter, [State::Boot, State::Announce]), Some(600));
        assert_eq!(due(&counter, [State::Announce, State::Draining]), Some(11));
        // A drained node is looked at before somebody works on it.
        assert_eq!(due(&counter, [State::Withdrawn; 2]), Some(600));
        counter.is_unknown = true;
        assert_eq!(due(&counter, [State::Announce; 2]), Some(60));
        assert_eq!(due(&counter, [State::Draining; 2]), Some(11));
    }
}
