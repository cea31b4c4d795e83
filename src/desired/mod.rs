//! Desired state: from the bytes of a verified revision to what one node should be.
//!
//! `files` (the YAML shapes) → `model` (the domain types) → `check` (all findings at once) → `slice` (one node).

pub mod model;
pub mod slice;
