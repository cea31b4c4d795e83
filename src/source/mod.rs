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

mod error;
pub mod history;
pub mod ledger;
pub mod repository;
mod transport;
pub mod watch;

pub use error::{Class, SourceError};
