//! Repair: what a person does to runs, and who may carry them.
//!
//! Takes a run's id and an order from the API; changes its record, halts its
//! attempt if it is in memory, or makes a new run of it.
//!
//! Invariants
//! - An order and its trace (who, why) are one commit.
//! - An order is a change of the run's record at the version that it was read
//!   at: whoever carries the run learns of it at its next write at the latest.
//! - Of several processes, only the one that a run's record names carries it,
//!   and only a process without a lease loses its runs to another.

mod decide;
mod intervene;
mod lease;
mod live;
mod make;
mod replay;
mod take_over;
#[cfg(test)]
mod tests;
mod trace;
mod undo;

pub use self::decide::{Action, Unfit};
pub use self::intervene::InterveneError;
pub(crate) use self::lease::{Grip, Lease};
pub(crate) use self::live::Live;
pub use self::replay::{From, On, Replay, ReplayError, Replayed};
pub use self::trace::By;
pub(crate) use self::trace::trace;
pub(crate) use self::undo::undoes;
