//! The seam to the operating system: the addresses of the loopback interface.

use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;

/// Why the operating system could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {why}")]
pub struct HostError {
    /// What was being done, and to what.
    pub operation: String,
    /// What was met.
    pub why: String,
}

/// What the agent needs of the machine it runs on.
#[async_trait]
pub trait Host: Send + Sync {
    /// The addresses on the loopback interface, 127.0.0.0/8, ::1 and link-local ones left out.
    async fn service_addresses(&self) -> Result<BTreeSet<IpAddr>, HostError>;

    /// Puts a /32 or /128 on the loopback interface; one that stands there already is fine.
    async fn add_service_address(&self, address: IpAddr) -> Result<(), HostError>;

    /// Takes it away; one that is not there is fine.
    async fn remove_service_address(&self, address: IpAddr) -> Result<(), HostError>;
}
