//! Admission: may this call run now?
//!
//! Takes a [`host_routing::Routed`] request, gives back an [`Admitted`] one or
//! a reason to come again later. It counts; it never looks inside a request.
//!
//! Invariants
//! - A place taken is given back exactly once, by `Drop`.
//! - One tenant's backlog never delays another's call, and its backlog of runs
//!   never delays its own calls: the two have places of their own.
//! - Who came first goes first; nobody overtakes those who wait.
//! - What is about to be committed is booked: callers at the same moment do not
//!   pass a quota together.
//! - Nothing here awaits I/O, and a tenant without calls costs no memory.

#![forbid(unsafe_code)]

mod admission;
mod decide;
mod place;
mod pools;
mod quotas;
#[cfg(test)]
mod tests;

pub use admission::{Admission, Admitted, Draining, Limits, Refused};
pub use decide::{Decision, Line, decide};
pub use place::Place;
pub use pools::Counts;
pub use quotas::{Booking, Day, Quotas, Stock};
