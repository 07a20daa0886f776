//! The durable store: one port, several engines, blobs beside it.
//!
//! Invariants
//! - Only this crate knows a database.
//! - Durable means fsynced; an fsync error is fatal.
//! - Keys carry the tenant first; a guest's name for a thing is never a key.

pub mod port;

pub use port::{Commit, Doorbell, Entry, MAX_VALUE, Page, Require, Store, StoreError, Version};
