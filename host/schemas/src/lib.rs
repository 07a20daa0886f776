//! Schemas: what a message's data must look like, as named, versioned things
//! (`lead@1`), in JSON Schema 2020-12.
//!
//! Takes a schema and a text; gives every violation with its path.
//!
//! Invariants
//! - Schemas and data come from strangers and are looked at in the host's own
//!   process: a [`Schema`] exists only if the work that it can cause is bounded,
//!   and a check whose work would pass its bound is refused before it begins.
//! - Nothing is fetched: a reference leads into its own document.
//! - A violation tells a place and what was expected, never the value that was
//!   there: it may be personal, and it ends up in journals and answers.

#![forbid(unsafe_code)]

mod cache;
mod guard;
mod instance;
mod schema;
mod shipped;
#[cfg(test)]
mod tests;
mod violations;

pub use cache::Schemas;
pub use guard::{BadSchema, MAX_DEPTH, MAX_SCHEMA};
pub use instance::{MAX_DATA_DEPTH, MAX_WORK};
pub use schema::Schema;
pub use shipped::{is_shipped, shipped, shipped_names};
pub use violations::{MAX_VIOLATIONS, Violation, Violations};
