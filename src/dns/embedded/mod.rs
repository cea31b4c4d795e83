//! The embedded name server.
//!
//! ```text
//! zone file ─zonefile::read─┐
//!                           ├→ ZoneBuilder ─finish→ Zone ─set→ Zones ─┐
//! zone transfer ────────────┘                                         ↓
//! listen ─→ udp, tcp ─octets→ handler ─ request ─→ answer ─ response ─→ octets          what is asked of us
//!                                ├─ AXFR, IXFR ─→ outgoing
//!                                └─ NOTIFY ───────────┐
//! server ─apply→ roster ── due ─→ schedule ───────────┴→ look ─→ transfer ─→ incoming   what we ask of others
//!                  ├─ new data ─→ notify, keep ─→ disk
//!                  └─ secondary, timing: when to look, when to expire
//! ```
//!
//! Words: a *zone* is immutable once built; a *set* is an RRset (RFC 2181 section 5); a *key* is an owner name in the
//! form in which zones sort and search it; a *cut* is a name at which a zone delegates (RFC 9499). A *source* is a
//! primary that a zone is transferred from; a *look* asks the sources whether there is anything newer.
//!
//! hickory's codec makes the messages that we ask; what is asked of us is read and answered without it, and without a
//! heap: `cargo bench --bench answer` says what that saves.

pub mod answer;
mod authenticate;
mod cookie;
pub mod delta;
mod disk;
pub(crate) mod exchange;
mod expand;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
pub mod handler;
mod history;
pub(crate) mod incoming;
mod keep;
mod listen;
mod look;
mod name;
mod notify;
mod outgoing;
mod places;
mod rate_limit;
pub mod rdata;
mod request;
mod response;
mod room;
mod roster;
mod schedule;
mod secondary;
mod server;
mod tally;
mod tcp;
#[cfg(test)]
mod testing;
mod threads;
mod timing;
mod transfer;
pub(crate) mod tsig;
mod udp;
pub mod zone;
pub mod zonefile;
pub mod zones;

pub use server::EmbeddedNameServer;
pub use timing::Timing;

/// The first of a zone's faults, and how many more there are.
fn describe(faults: &[zone::ZoneFault]) -> String {
    match faults {
        [] => "it is not a zone".to_owned(),
        [only] => only.to_string(),
        [first, others @ ..] => format!("{first}, and {} more faults", others.len()),
    }
}
