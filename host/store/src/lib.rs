//! The durable store: one port, several engines, blobs beside it.
//!
//! Invariants
//! - Only this crate knows a database.
//! - Durable means fsynced; an fsync error is fatal.
//! - Keys carry the tenant first ([`key`]); a guest's name for a thing is never a key.
//! - Each engine passes [`contract`]; [`faults`] shows that the contract can fail.

pub mod backup;
mod bells;
pub mod blobs;
pub mod contract;
pub mod faults;
mod holds;
pub mod key;
mod limits;
mod memory;
pub mod port;
mod sled;

pub use self::blobs::{BlobError, Blobs, Removal};
pub use self::holds::Hold;
pub use self::memory::MemoryStore;
pub use self::port::{Commit, Doorbell, Entry, MAX_VALUE, Page, Require, Store, StoreError, Version};
pub use self::sled::{OpenError, SledStore, Stats, Tally};
