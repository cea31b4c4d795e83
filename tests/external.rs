//! External name servers: one contract that each of the daemons keeps, real ones all of them.

mod bind;
pub mod contract;
mod knot;
mod nsd;
mod powerdns;
mod selected;
mod subject;
