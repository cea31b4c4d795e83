//! Source: from the git host to a revision that may be loaded.
//!
//! `repository` fetches a *candidate* (a commit nobody has judged yet), `verify` judges it, `history` reads the files
//! of what was verified, `ledger` remembers what was verified and applied, `watch` says when to look again.
//!
//! ```text
//! watch ─trigger→ repository::fetch ─candidate→ verify ─VerifiedRevision→ history::read_tree ─Tree→ load
//!                                                 │
//!                                   ledger ←──────┘ verified, applied
//! ```
//!
//! What `verify` stands on, from the bytes up: `objects` (raw, with limits), `commit` (a strict reader), `signature`
//! (who signed), `trust` and `glob` (who may sign what), `hygiene` (what a tree may hold, and what changed in it).
//! *Principal*: a person with one or more keys. *Pin*: what the local configuration says the history must begin with.
//! *Refusal*: where verification stopped, by which rule (R1 to R8 of the trust model), and what to do.

mod clone;
pub mod commit;
mod error;
#[cfg(any(fuzzing, test))]
pub(crate) use transport::fuzzing;
mod glob;
pub mod history;
pub mod hygiene;
pub mod ledger;
mod objects;
pub mod repository;
pub mod sign;
pub mod signature;
mod transport;
pub mod trust;
pub mod verify;
pub mod watch;

pub use error::{Class, SourceError};
