//! Plan: what a node should do next, and why it does not do the rest.
//!
//! [`plan`] is pure: no clock, no I/O, no async. The desired node, the observed node and what the gate says go in; a
//! [`Plan`] comes out: *actions*, so specific that carrying them out leaves no choice, and *waits*, the reasons why
//! something is not being done. A plan on a settled node is empty.
//!
//! Order: withdraw, remove, mesh, addresses, name server, zones, routing configuration, announce last. What could
//! not be observed is left alone: unknown is not absent.

use std::fmt;
use std::time::Duration;

use crate::desired::slice::DesiredNode;
use crate::health::Verdict;
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
    /// A prefix is not announced, although it should be.
    Health {
        /// Which prefix.
        prefix: ipnet::IpNet,
        /// What the gate says.
        why: String,
    },
    /// A prefix stays announced, although it should not be: the network would be worse off without.
    Held {
        /// Which prefix.
        prefix: ipnet::IpNet,
        /// What is wrong, and what the gate says.
        why: String,
    },
    /// An operator drained the node on its machine.
    Maintenance,
    /// Something was announced that is not ours: all sessions are shut.
    Fenced {
        /// What it was.
        why: String,
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
        /// Why it leaves.
        why: String,
        /// How long still, at most.
        left: Duration,
    },
    /// Another daemon takes the place of one, and nothing is announced meanwhile.
    Switching {
        /// Which one.
        why: String,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unobserved { what, why } => write!(f, "{what} left as it is: {why}"),
            Self::Health { prefix, why } => write!(f, "{prefix} not announced: {why}"),
            Self::Held { prefix, why } => write!(f, "{prefix} held: {why}"),
            Self::Maintenance => write!(
                f,
                "an operator drained this node here; `shoestring undrain` on this machine ends that"
            ),
            Self::Fenced { why } => write!(
                f,
                "all sessions are shut: {why}; find out why, then `shoestring undrain --fence` on this machine"
            ),
            Self::Zone { zone, why } => write!(f, "zone {zone} has no data: {why}"),
            Self::MeshKey { own, known } => write!(
                f,
                "the mesh does not know this machine: its key is {own}, the node's file has {known}; commit the right one"
            ),
            Self::Draining { why, left } => {
                write!(f, "draining for {} s more at most: {why}", left.as_secs())
            }
            Self::Switching { why } => write!(f, "not announced: {why}"),
        }
    }
}

/// What the node should do now.
pub fn plan(desired: &DesiredNode, observed: &ObservedNode, verdict: &Verdict) -> Plan {
    let mut plan = Plan::default();
    let announce = announce::decide(desired, observed, verdict);
    if announce::is_leaving(desired, observed) {
        // Withdraw first, remove after: it answers for as long as anything may still be sent to it.
        return Plan { actions: announce.withdraw, waits: announce.waits };
    }

    plan.actions.extend(announce.withdraw);
    addresses::remove(desired, observed, &mut plan);
    mesh::configure(desired, observed, &mut plan);
    addresses::add(desired, observed, &mut plan);
    name_server::configure(desired, observed, &mut plan);
    routing::configure(desired, observed, verdict, &mut plan);
    plan.actions.extend(announce.announce);
    plan.waits.extend(announce.waits);
    plan
}

/// What of the plan cannot wait for the rest: withdrawals, and the fence. Needs nothing of the observation but the
/// routing daemon.
pub fn urgent(desired: &DesiredNode, observed: &ObservedNode, verdict: &Verdict) -> Plan {
    let actions = announce::decide(desired, observed, verdict).withdraw;
    let mut plan = Plan { actions, waits: Vec::new() };
    if verdict.fenced.is_some() {
        routing::configure(desired, observed, verdict, &mut plan);
    }
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
