//! Simulate: the whole network on one machine. The real agent, once per node, each in a network namespace of its
//! own, and a small internet between them: real BGP, real DNS, real WireGuard, a real repository.
//!
//! ```text
//! the given folder ─repository→ a bare repository ─→ every node's agent watches it
//!
//!        client ─┐                        ┌─ node: agent (name server, BGP speaker, mesh)
//!        client ─┼─ internet, forwarding ─┼─ node
//!        client ─┘   │        │           └─ node
//!            providers (BGP)  customers' primaries (DNS)
//!               │
//!             router: a client's packets go to the nearest node that announces
//! ```
//!
//! *Client*: a namespace in a region of the world that asks questions. *Provider*: a BGP speaker of the AS that a
//! node's peer file names. *Scenario*: something that happens to the network, and the conditions that must hold.

use std::fmt;

mod agent;
mod assemble;
mod catchment;
mod draft;
mod enter;
mod growth;
mod hold;
mod internet;
mod link;
mod load;
mod namespace;
mod network;
mod options;
mod primaries;
mod probe;
mod provider;
mod question;
mod region;
pub mod report;
mod repository;
mod router;
mod run;
mod sandbox;
pub mod scenario;
mod secrets;
mod show;
mod silence;

pub use enter::{enter, exec};
pub use options::Options;

/// The command as it was typed: runs the inner process and waits for it.
pub fn outer(options: &Options) -> Result<u8, SimulationError> {
    let listener = options.hold.then(hold::bind).transpose()?;
    sandbox::contain(&options.to_args(), listener)
}

/// The inner process.
pub fn inner(options: &Options) -> Result<u8, SimulationError> {
    sandbox::furnish()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context(|| "start the runtime".into())?;
    runtime.block_on(run::run(options))
}

/// Why the simulation could not go on. A scenario that does not hold is not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {why}")]
pub struct SimulationError {
    /// What was being done, and to what.
    pub operation: String,
    /// What was met.
    pub why: String,
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// Adds the operation to the error.
    fn context(self, operation: impl FnOnce() -> String) -> Result<T, SimulationError>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, operation: impl FnOnce() -> String) -> Result<T, SimulationError> {
        self.map_err(|error| SimulationError { operation: operation(), why: error.to_string() })
    }
}
