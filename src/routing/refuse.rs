//! What no routing daemon of a node is given, whichever it is.

use ipnet::IpNet;

use crate::names::Community;
use crate::routing::{Family, Origination, RoutingConfig, RoutingError};

/// Communities of a session at most: so that an UPDATE of 4,096 octets holds them beside the longest path.
const MOST_COMMUNITIES: usize = 64;

/// Refuses what no routing daemon may be given.
pub(super) fn check_config(config: &RoutingConfig) -> Result<(), RoutingError> {
    let refuse = |why: String| RoutingError { operation: "configure BGP".to_owned(), why };
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
