//! Repositories made to harm: in each case the good part of the history stays, and the rest is refused by its rule.
//!
//! Commits are made from raw bytes where git itself would refuse to make them.

mod earlier;
mod good;
mod history;
pub mod repository;
mod trees;
