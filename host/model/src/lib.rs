//! The words of Wharf as types: names, manifests, grants, messages, bounds,
//! outcomes, runs, and the clock.
//!
//! Every other crate may use this one; it knows none of them.
//!
//! Invariants
//! - No tokio, no wasmtime, no I/O: a value here can be made in any test.
//! - Text becomes a name, an id or a pattern only by parsing.
//! - The default of anything that permits is: nothing.

pub mod asks;
pub mod bounds;
pub mod clock;
pub mod digest;
pub mod effects;
pub mod forbidden;
pub mod grants;
pub mod http_types;
pub mod id;
pub mod manifest;
pub mod message;
pub mod name;
pub mod notice;
pub mod outcome;
pub mod problem;
pub mod quota;
pub mod resource;
pub mod retention;
pub mod retry;
pub mod run;
pub mod search;
pub mod suggest;
