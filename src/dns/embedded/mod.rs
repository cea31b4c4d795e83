//! The embedded name server.
//!
//! ```text
//! zone file ─zonefile::read─┐
//!                           ├→ ZoneBuilder ─finish→ Zone ─set→ Zones ─answer→ Answer ─encode→ records of a response
//! zone transfer ────────────┘
//! ```
//!
//! Words: a *zone* is immutable once built; a *set* is an RRset (RFC 2181 section 5); a *key* is an owner name in the
//! form in which zones sort and search it; a *cut* is a name at which a zone delegates (RFC 9499).

pub mod answer;
pub mod encode;
pub mod rdata;
pub mod zone;
pub mod zonefile;
pub mod zones;
