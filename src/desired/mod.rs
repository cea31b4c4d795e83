//! Desired state: from the bytes of a verified revision to what one node should be.
//!
//! `files` (the YAML shapes) → `model` (the domain types) → `check` (all findings at once) → `slice` (one node).
//! `load` is the whole of that line; `verified` is the only way to a state that a node may apply.

pub mod audience;
pub mod check;
pub mod configuration;
pub mod files;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
pub mod load;
pub mod model;
pub mod needs;
pub mod slice;
pub mod verified;
