//! The embedded name server as its clients and its neighbours see it: over sockets, on loopback addresses.

mod network;
mod queries;
