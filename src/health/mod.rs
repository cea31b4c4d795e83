//! Health: what is wrong with this node, and whether that is a reason to stop announcing.
//!
//! ```text
//! probe ─Sample→ ┐
//! beats ─Heard─→ ┼→ Gate::fold ─Verdict→ plan
//! observed ────→ ┘            └─Beat──→ the other nodes
//! ```
//! A *cycle* is one round of probes with all that was seen beside them. A *cause* is one thing that can be wrong; it
//! counts after some bad cycles in a row, and the causes that count make up the *class*. The *gate* sets that against
//! what the other nodes say of themselves, and *holds* a withdrawal that would leave the network worse off.

pub mod beat;
mod causes;
mod class;
mod cycle;
mod fence;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod gate;
mod others;
mod prefix;
pub(crate) mod probe;
mod rate;
pub mod sample;
mod state;
pub mod sweep;
mod verdict;

pub use class::Class;
pub use cycle::{Cycle, Orders, ZoneCounts};
pub use fence::AUDIT;
pub use gate::Gate;
pub use others::{AFTER_REVISION, Counts};
pub use prefix::Stance;
pub use rate::Count;
pub use state::State;
pub use verdict::Verdict;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
