//! Transport: how the objects of one branch come here.
//!
//! Each way is a sibling file; none is trusted with more than bringing bytes (the signatures are, trust.md).

mod address;
mod budget;
pub(super) mod local;

pub(super) use address::Address;
pub(super) use budget::Budget;
