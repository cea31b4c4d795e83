//! What a daemon writes of the routes that it hears, for `archive` to look after.

use std::time::Duration;

use serde::Serialize;

use super::RoutingDaemonKind;

/// What a daemon writes of the routes that it hears (MRT, RFC 6396).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Archive {
    /// Between two tables; and what a file of updates covers. Whole seconds.
    pub interval: Duration,
    /// Whether it writes what peers say as they say it, beside the tables that come of it.
    pub updates: bool,
}

impl Archive {
    /// Why a daemon writes no updates, if it does not.
    pub(crate) fn updates_lacked_by(daemon: RoutingDaemonKind) -> Option<&'static str> {
        match daemon {
            RoutingDaemonKind::Bird | RoutingDaemonKind::Frr | RoutingDaemonKind::Openbgpd => None,
            RoutingDaemonKind::Embedded => Some("the embedded speaker keeps no routes"),
            RoutingDaemonKind::Gobgp => Some("GoBGP writes archives of tables only"),
        }
    }
}
