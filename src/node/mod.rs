//! Node: the agent. It follows the repository, judges its name server, and reconciles.
//!
//! The loop is level-triggered: every step starts from what is observed, and events (a push, a probe that changed
//! its mind) only make the next one come sooner.

mod agent;
mod catalogs;
mod follow;
mod parts;
mod reconcile;
mod snapshot;
mod unlock;

pub use agent::run;
pub use follow::{FollowError, Followed, Follower, Pass};
pub use parts::{Failure, Parts};
pub use reconcile::{Reconciler, Step};
