//! Integration tests: scenarios are modules of this one binary.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed `unwrap` is how a test fails"
)]

mod reconcile;
mod world;
