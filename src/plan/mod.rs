//! Plan: what a node should do next, and why it does not do the rest.
//!
//! [`plan`] is pure: no clock, no I/O, no async. The desired node, the observed node, health and the time go in; a
//! [`Plan`] comes out: *actions*, so specific that carrying them out leaves no choice, and *waits*, the reasons why
//! something is not being done. A plan on a settled node is empty.
//!
//! Order: withdraw, remove, mesh, addresses, name server, zones, routing configuration, announce last. What could
//! not be observed is left alone: unknown is not absent.

use std::fmt;
use std::time::Duration;

use crate::desired::slice::DesiredNode;
use crate::health::Health;
use crate::mesh::PublicKey;
use crate::observed::{ObservedNode, Seen};

mod action;
mod addresses;
mod announce;
mod mesh;
mod name_server;
mod routing;

pub use action::Action;

/// What to do, in this order, and what is being waited for.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use]
pub struct Plan {
    /// In the order in which they are carried out.
    pub actions: Vec<Action>,
    /// Why something is not being done.
    pub waits: Vec<Wait>,
}

impl Plan {
    /// Nothing to do and nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.actions.is_empty() && self.waits.is_empty()
    }
}

/// A reason for not acting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// A part of the node could not be observed, so it is left as it is.
    Unobserved {
        /// Which part.
        what: &'static str,
        /// What was met.
        why: String,
    },
    /// A prefix is not announced, since its addresses have not answered.
    Health {
        /// Which prefix.
        prefix: ipnet::IpNet,
        /// What the probes met.
        why: String,
    },
    /// Too few zones have data; the node has just started.
    Loading {
        /// Zones that answer.
        served: usize,
        /// Zones there should be.
        of: usize,
    },
    /// A zone has no data to answer with.
    Zone {
        /// Which zone.
        zone: crate::names::DomainName,
        /// What the last try met.
        why: String,
    },
    /// The others know this node by a key that is not its own, so they do not answer it.
    MeshKey {
        /// The key of this machine.
        own: PublicKey,
        /// The key in the node's file.
        known: PublicKey,
    },
    /// The graceful-shutdown community stands for a while before the withdrawal.
    Draining {
        /// How long still.
        left: Duration,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unobserved { what, why } => write!(f, "{what} left as it is: {why}"),
            Self::Health { prefix, why } => write!(f, "{prefix} not announced: {why}"),
            Self::Loading { served, of } => write!(f, "nothing announced: {served} of {of} zones have data"),
            Self::Zone { zone, why } => write!(f, "zone {zone} has no data: {why}"),
            Self::MeshKey { own, known } => write!(
                f,
                "the mesh does not know this machine: its key is {own}, the node's file has {known}; commit the right one"
            ),
            Self::Draining { left } => write!(f, "draining for {} s more", left.as_secs()),
        }
    }
}

/// The time, and what the agent remembers of earlier times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Since the agent started.
    pub now: Duration,
    /// When the prefixes were first seen draining.
    pub draining_since: Option<Duration>,
}

impl Moment {
    /// The moment of a new observation: remembers when draining began, and forgets it once it is over.
    pub fn next(self, now: Duration, observed: &ObservedNode) -> Self {
        let draining = observed.routing.known().is_some_and(announce::is_draining);
        Self { now, draining_since: draining.then(|| self.draining_since.unwrap_or(now)) }
    }
}

/// What the node should do now.
pub fn plan(desired: &DesiredNode, observed: &ObservedNode, health: &Health, moment: Moment) -> Plan {
    let mut plan = Plan::default();
    let announce = announce::decide(desired, observed, health, moment);
    if announce::is_leaving(desired, observed) {
        // Withdraw first, remove after: it answers for as long as anything may still be sent to it.
        return Plan { actions: announce.withdraw, waits: announce.waits };
    }

    plan.actions.extend(announce.withdraw);
    addresses::remove(desired, observed, &mut plan);
    mesh::configure(desired, observed, &mut plan);
    addresses::add(desired, observed, &mut plan);
    name_server::configure(desired, observed, &mut plan);
    routing::configure(desired, observed, &mut plan);
    plan.actions.extend(announce.announce);
    plan.waits.extend(announce.waits);
    plan
}

/// What was seen of one part; where it was not seen, the plan says that it waits.
fn seen<'a, T>(part: &'a Seen<T>, what: &'static str, plan: &mut Plan) -> Option<&'a T> {
    match part {
        Seen::Known(value) => Some(value),
        Seen::Unknown { why } => {
            plan.waits.push(Wait::Unobserved { what, why: why.clone() });
            None
        }
    }
}
