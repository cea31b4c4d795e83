//! State: where the gate is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the gate is: of one prefix, or of the node, which is where the prefix is that is furthest from announcing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Announced.
    Announce,
    /// Announced although something is wrong, since a withdrawal would do more harm.
    Held,
    /// The name server has not answered since the agent started; what a daemon announces is left as it is.
    Boot,
    /// It answers, and waits: for its zones, or for the end of the hold-down.
    Standby,
    /// Announced in a way that others are preferred, before the withdrawal.
    Draining,
    /// Not announced.
    Withdrawn,
    /// Not announced, since an operator of this machine said so.
    Maintenance,
    /// Not announced and all sessions shut, since something that is not ours was announced. A person clears it.
    Fenced,
}

impl State {
    /// All of them, as they are numbered on the wire.
    pub(super) const ALL: [Self; 8] = [
        Self::Announce,
        Self::Held,
        Self::Boot,
        Self::Standby,
        Self::Draining,
        Self::Withdrawn,
        Self::Maintenance,
        Self::Fenced,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announce => "ANNOUNCE",
            Self::Held => "HELD",
            Self::Boot => "BOOT",
            Self::Standby => "STANDBY",
            Self::Draining => "DRAINING",
            Self::Withdrawn => "WITHDRAWN",
            Self::Maintenance => "MAINT",
            Self::Fenced => "FENCED",
        })
    }
}
