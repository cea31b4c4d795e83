//! The seam to the operating system: the addresses of the loopback interface.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

use crate::netlink::{Netlink, advise, host_prefix_length, is_automatic};

/// The number of the loopback interface: the same in every network namespace, whatever its name.
const LOOPBACK: u32 = 1;

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

/// The loopback interface of the network namespace that this process is in.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinuxHost;

#[async_trait]
impl Host for LinuxHost {
    async fn service_addresses(&self) -> Result<BTreeSet<IpAddr>, HostError> {
        let failed = failed(|| "read the addresses of the loopback interface".to_owned());
        let netlink = Netlink::open().map_err(&failed)?;
        let addresses = netlink.addresses(LOOPBACK).map_err(&failed)?;
        Ok(addresses
            .into_iter()
            .map(|(address, _)| address)
            .filter(|address| !is_automatic(*address))
            .collect())
    }

    async fn add_service_address(&self, address: IpAddr) -> Result<(), HostError> {
        let failed = failed(move || format!("put {address} on the loopback interface"));
        let netlink = Netlink::open().map_err(&failed)?;
        netlink.put_address(LOOPBACK, address).map_err(&failed)
    }

    async fn remove_service_address(&self, address: IpAddr) -> Result<(), HostError> {
        let failed = failed(move || format!("remove {address} from the loopback interface"));
        let netlink = Netlink::open().map_err(&failed)?;
        netlink.remove_address(LOOPBACK, address, host_prefix_length(address)).map_err(&failed)
    }
}

fn failed(operation: impl Fn() -> String) -> impl Fn(io::Error) -> HostError {
    move |error| HostError { operation: operation(), why: advise(&error) }
}
