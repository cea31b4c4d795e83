//! What one session announces: pure, from the configuration and what is originated.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::desired::model::Relation;
use crate::names::Community;
use crate::routing::{Announcement, Family, Origination, RoutingConfig, RoutingError, SessionConfig};

/// Communities of a session at most: so that an UPDATE of 4,096 octets holds them beside the longest path.
const MOST_COMMUNITIES: usize = 64;

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

/// Refuses what this speaker must not be given.
pub(super) fn check_config(config: &RoutingConfig) -> Result<(), RoutingError> {
    let refuse = |why: String| RoutingError { operation: "configure the BGP speaker".to_owned(), why };
    for (name, session) in &config.sessions {
        if Family::of(session.local) != Family::of(session.neighbor) {
            return Err(refuse(format!(
                "session {name}: {} and {} are of different families; use a session for each family",
                session.local, session.neighbor
            )));
        }
        if session.asn == config.asn {
            return Err(refuse(format!(
                "session {name}: the peer has our own AS number {}; only external sessions are spoken",
                config.asn
            )));
        }
        if session.communities.contains(&Community::BLACKHOLE) {
            return Err(refuse(format!(
                "session {name}: community {} asks the peer to discard our traffic; remove it",
                Community::BLACKHOLE
            )));
        }
        if session.communities.len() > MOST_COMMUNITIES {
            return Err(refuse(format!(
                "session {name}: {} communities; at most {MOST_COMMUNITIES} fit a message beside the prefixes",
                session.communities.len()
            )));
        }
        if config.sessions.iter().any(|(other, twin)| {
            other != name && (twin.local, twin.neighbor) == (session.local, session.neighbor)
        }) {
            return Err(refuse(format!(
                "session {name}: another session has the same addresses {} and {}",
                session.local, session.neighbor
            )));
        }
    }
    Ok(())
}

/// Refuses to originate anything but our own prefixes, exactly.
pub(super) fn check_origination(
    config: Option<&RoutingConfig>,
    origination: &Origination,
) -> Result<(), RoutingError> {
    let foreign = |prefix: &&IpNet| !config.is_some_and(|config| config.prefixes.contains(*prefix));
    match origination.keys().find(foreign) {
        None => Ok(()),
        Some(prefix) => Err(RoutingError {
            operation: format!("originate {prefix}"),
            why: "it is not one of our prefixes as configured; nothing was changed".to_owned(),
        }),
    }
}
