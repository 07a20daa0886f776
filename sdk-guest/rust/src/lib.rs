//! What an author of Wharf connectors and workflows in Rust imports.
//!
//! [`macro@connector`] and [`macro@workflow`] turn plain functions into a
//! component's exports; the modules wrap what the host offers. The crate hides
//! the generated [`bindings`] and adds no power.
//!
//! Invariants
//! - A guest imports only the interfaces that it calls, and `log`.
//! - A panic reaches the log, with message and place, before the trap.
//! - `wharf.toml` travels inside the component: see [`embed_manifest!`].
//!
//! `std`'s clock, environment and network do not work here, and `HashMap`'s
//! seed is the same in every instance: an outsider who chooses the keys can
//! make them collide, at the price of the call's fuel. Prefer `BTreeMap`.

mod allocator;
pub mod bindings;
pub mod clock;
pub mod connection;
mod endpoints;
mod error;
#[cfg(feature = "form")]
pub mod form;
mod headers;
pub mod http;
pub mod kv;
pub mod log;
mod manifest;
mod panic;
pub mod random;
#[doc(hidden)]
pub mod rt;
pub mod smtp;
pub mod workflow;

pub use endpoints::{Answer, Context, Draft, Received, Request};
pub use error::Error;
pub use headers::Headers;
pub use wharf_sdk_macros::{connector, workflow};
