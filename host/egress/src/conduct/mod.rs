//! How a connection behaves towards an outside system: how often it asks,
//! when it asks again, and when it leaves the system alone.
//!
//! Decisions only. Each is a function of what was set, what was seen and what
//! time it is; whoever calls does the waiting and the sending.
//!
//! Invariants
//! - Nothing here reads a clock, takes a lock, rolls dice or does I/O.
//! - What an outside system says of its limits makes us slower, never faster.

pub(crate) mod breaker;
pub(crate) mod bucket;
pub(crate) mod provider;
pub(crate) mod redirect;
pub(crate) mod retry;
