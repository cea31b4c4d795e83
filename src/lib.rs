//! shoestring: anycast DNS from a signed git repository.
//!
//! ```text
//! git ─fetch→ Revision ─verify→ VerifiedRevision ─load→ DesiredState ─slice→ DesiredNode ┐
//!                                                                       ObservedNode ─────┼→ plan → Plan → apply → observe again
//!                                                                       Health ───────────┘                        └→ Status → CLI
//! ```
//!
//! A byte of YAML is parsed only after its commit is verified; `plan` is pure; drivers hold no policy; after every
//! apply the node observes again, and a plan on a settled node is empty.

pub mod archive;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod desired;
pub mod dns;
mod exchange;
pub mod finding;
pub mod fingerprint;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod host;
pub mod keyring;
mod memory;
pub mod mesh;
pub mod names;
mod netlink;
pub mod node;
pub mod observed;
pub mod plan;
pub mod private_file;
pub mod process;
mod pulse;
pub mod review;
pub mod rollout;
pub mod routing;
pub mod rpki;
pub mod secrets;
pub mod simulate;
pub mod source;
pub mod status;
pub mod switch;
pub mod tree;
mod watchdog;
mod whole_file;
