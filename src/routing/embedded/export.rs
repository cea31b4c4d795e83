//! What one session announces: pure, from the configuration and what is originated.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::desired::model::Relation;
use crate::names::Community;
use crate::routing::{Announcement, Family, Origination, RoutingConfig, SessionConfig};

/// What is said of a prefix. ORIGIN is always IGP, MED never sent, and the next hop is the session's own address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    /// Our AS number, once and once more for each prepend.
    pub(super) as_path: Vec<u32>,
    /// Standard and large communities.
    pub(super) communities: BTreeSet<Community>,
    /// The Only-to-Customer attribute (RFC 9234 section 5).
    pub(super) only_to_customer: Option<u32>,
}

/// Everything that a session should announce.
pub(super) type Wanted = BTreeMap<IpNet, Route>;

/// What `session` should announce. Never more than `config.prefixes`, whatever `origination` says.
pub(super) fn wanted(config: &RoutingConfig, session: &SessionConfig, origination: &Origination) -> Wanted {
    let family = Family::of(session.local);
    origination
        .iter()
        .filter(|(prefix, _)| Family::of(prefix.addr()) == family && config.prefixes.contains(prefix))
        .map(|(prefix, announcement)| (*prefix, route(config, session, *announcement)))
        .collect()
}

fn route(config: &RoutingConfig, session: &SessionConfig, announcement: Announcement) -> Route {
    let mut communities = session.communities.clone();
    let mut length = 1 + usize::from(session.prepend);
    match announcement {
        Announcement::Normal => {}
        // RFC 8326 section 3.1.
        Announcement::Draining { prepend } => {
            communities.insert(Community::GRACEFUL_SHUTDOWN);
            length += usize::from(prepend);
        }
    }
    let only_to_customer = match session.relation {
        // RFC 9234 section 5, on egress: added towards a peer; towards a provider or a route server it is not.
        Relation::Peer => Some(config.asn.get()),
        Relation::Provider | Relation::RouteServer => None,
    };
    Route { as_path: vec![config.asn.get(); length], communities, only_to_customer }
}
