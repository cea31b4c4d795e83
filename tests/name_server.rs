//! The embedded name server as its clients and its neighbours see it: over sockets, on loopback addresses.

mod bind;
pub mod broken;
mod datagrams;
mod killed;
mod load;
pub mod network;
mod notifies;
mod primaries;
mod private;
mod queries;
mod rate_limit;
mod secondaries;
mod sizes;
mod transfers;
mod transports;
