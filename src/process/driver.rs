//! What drivers say alike, of name servers and of routing daemons.

use super::tool::ToolError;

/// What became of a changed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reloaded {
    /// It is in force.
    Live,
    /// The daemon can take it only when it starts.
    NeedsRestart,
}

/// Why a daemon was not controlled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DriverError {
    /// Its tool did not do it.
    #[error("{0}")]
    Tool(#[from] ToolError),
    /// It said something else than was expected, or nothing.
    #[error("{0}")]
    Said(String),
}
