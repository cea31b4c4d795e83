//! Node: the agent. It follows the repository, guards what is announced, and reconciles.
//!
//! The loop is level-triggered: every step starts from what is observed, and events (a push, a probe that changed
//! its mind) only make the next one come sooner.

mod agent;
mod archives;
mod beats;
mod catalogs;
mod edge;
mod follow;
mod guard;
mod manager;
mod orders;
mod parts;
mod queries;
mod reconcile;
mod rollout;
mod round;
mod snapshot;
mod switch;
mod unlock;
mod zones;

pub use agent::run;
pub use follow::{FollowError, Followed, Follower, Pass};
pub use parts::{Failure, Parts};
pub use reconcile::{Reconciler, Step};
