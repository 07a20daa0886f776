//! A host for tests: the real binary in a process of its own, with the real
//! store, real sockets and real components; stand-in outside systems beside it.
//!
//! A test is a story: a host, a guest, a grant, what happened. The harness
//! keeps the set-up out of the story and has no opinion about the outcome.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up must fail"
)]

mod contract;
mod eventually;
mod host;
mod lead;
mod names;
mod publisher;
mod tls;
mod wire;
mod yaml;

use std::path::PathBuf;

pub use contract::{Function, functions};
pub use eventually::eventually;
pub use host::{Answer, Host, HostBuilder, Tenant};
pub use lead::{LeadIntake, form};
pub use names::Names;
pub use publisher::Publisher;
pub use tls::{Authority, HOST_NAME, Identity, Line, Sender};
pub use wire::{Seen, Wire};
pub use yaml::Connection;

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The host's binary, beside the test's own: built by the same `cargo`.
pub fn wharf() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own program");
    let folder = test.ancestors().find(|folder| folder.join("wharf").is_file());
    folder.expect("`wharf` is built: run `make test`, or `cargo build --bins` first").join("wharf")
}

fn guests() -> PathBuf {
    root().join("target/wasm32-unknown-unknown/guest")
}

/// An example's component: `example("crm")`.
pub fn example(name: &str) -> PathBuf {
    guests().join(format!("example_{}.wasm", name.replace('-', "_")))
}

/// A probe's component: `probe("loop-forever")`.
pub fn probe(name: &str) -> PathBuf {
    guests().join("examples").join(format!("{}.wasm", name.replace('-', "_")))
}

/// A probe's component as Rust's target `wasm32-wasip2` makes it: with what
/// the language's runtime drags in. Only those that the Makefile names.
pub fn wasi_probe(name: &str) -> PathBuf {
    root().join("target/wasm32-wasip2/guest/examples").join(format!("{}.wasm", name.replace('-', "_")))
}
