//! Where received routes go: a node counts and discards them, the simulated internet hears of each.

use std::collections::BTreeSet;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::provider::{Change, Customer, ProviderEvent};
use super::update::Offer;

/// Where received routes go.
pub(super) enum Sink {
    /// A node is a stub: nothing is kept.
    Discard,
    /// Each change is reported.
    Report(Reporter),
}

impl Sink {
    /// The session was established.
    pub(super) async fn up(&mut self) {
        match self {
            Self::Discard => {}
            Self::Report(reporter) => reporter.say(Change::Up).await,
        }
    }

    /// The peer offers something else; returns how many routes were discarded.
    pub(super) async fn offer(&mut self, offer: Offer) -> usize {
        match self {
            Self::Discard => offer.announced.len(),
            Self::Report(reporter) => {
                reporter.offer(offer).await;
                0
            }
        }
    }

    /// The session is over, and with it everything offered on it: there is no graceful restart.
    pub(super) async fn down(&mut self, why: &str) {
        match self {
            Self::Discard => {}
            Self::Report(reporter) => reporter.down(why).await,
        }
    }
}

/// Reports the changes of one session.
pub(super) struct Reporter {
    customer: Customer,
    events: mpsc::Sender<ProviderEvent>,
    offered: BTreeSet<IpNet>,
}

impl Reporter {
    pub(super) fn new(customer: Customer, events: mpsc::Sender<ProviderEvent>) -> Self {
        Self { customer, events, offered: BTreeSet::new() }
    }

    async fn say(&self, change: Change) {
        // Nobody listens any more: then nobody misses it.
        let _ = self.events.send(ProviderEvent { customer: self.customer, change }).await;
    }

    async fn offer(&mut self, offer: Offer) {
        for prefix in offer.withdrawn {
            if self.offered.remove(&prefix) {
                self.say(Change::Withdrawn { prefix }).await;
            }
        }
        let Some(route) = offer.route else { return };
        for prefix in offer.announced {
            self.offered.insert(prefix);
            self.say(Change::Announced { prefix, route: route.clone() }).await;
        }
    }

    async fn down(&mut self, why: &str) {
        for prefix in std::mem::take(&mut self.offered) {
            self.say(Change::Withdrawn { prefix }).await;
        }
        self.say(Change::Down { why: why.to_owned() }).await;
    }
}
