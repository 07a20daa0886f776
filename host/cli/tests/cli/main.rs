//! The CLI against a server of canned answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod consent;
mod fake;
mod refusals;
mod runs;
