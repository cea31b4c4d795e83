//! Routing daemons of their own: one contract that each of them keeps, with a real BIRD as the peer.

mod archives;
mod bfd;
mod bird;
mod contract;
mod frr;
mod generated;
mod gobgp;
mod openbgpd;
mod provider;
mod selected;
mod subject;
