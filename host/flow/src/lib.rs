//! YAML workflows as a language: reading, checking, and the tree that the
//! built-in guest interprets.
//!
//! [`read`] makes a [`Flow`] of a text or says what is wrong with it, each
//! [`Problem`] with its line; [`check`] holds it against its [`Surroundings`];
//! [`Flow::to_json`] is what a run reads. [`Template`]s and their jq
//! ([`Program`]) are evaluated here too, for checker and interpreter alike.
//!
//! Invariants
//! - Pure: no clock, no environment, no I/O; it compiles for guests, and a
//!   stranger's text is read only there.
//! - The same values give the same result: nothing depends on a hash's order.
//! - What is read is bounded: its size, depth, aliases and number of steps.

mod check;
mod duration;
mod jq;
mod jq_parts;
mod json;
mod prelude;
mod problem;
mod read;
mod render;
mod starts;
mod suggest;
mod template;
mod tree;
mod uses;
mod yaml;

pub use check::{Endpoint, Surroundings, check};
pub use duration::{instant_ms, parse_duration, span_ms};
pub use jaq_json::Val;
pub use jq::{BadJq, Program};
pub use json::{from_json, to_json};
pub use problem::{Level, Problem};
pub use read::{MAX_STEPS, MAX_TEXT, read};
pub use render::{BadValue, Values, text_of};
pub use starts::{By, Start};
pub use template::{Expression, Part, Template};
pub use tree::{BadDefinition, Call, Flow, Kind, Step, What, names_in};
pub use uses::Use;

#[cfg(test)]
mod tests;
