//! Routing: whose request is this, and what should serve it?
//!
//! Takes the names in a path, gives back a [`Routed`] request or [`NoRoute`].
//! It looks names up in a [`Snapshot`] of what the tenants have set up; it
//! never sees a body, a header or the store.
//!
//! Invariants
//! - Only this crate makes a `Routed`, so who holds one has been found a tenant.
//! - A tenant's names lead to that tenant's things, never to another's.
//! - Unknown tenant, connection, endpoint and workflow get one and the same answer.
//! - A look-up reads one snapshot: a change is seen whole or not at all.

#![forbid(unsafe_code)]

mod routed;
mod routes;
mod snapshot;
#[cfg(test)]
mod tests;

pub use routed::{NoRoute, Routed, Target};
pub use routes::Routes;
pub use snapshot::{Snapshot, Wanted};
