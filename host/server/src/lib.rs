//! The server: puts the stages together and runs them as one process.
//!
//! Takes a [`Config`], gives a [`Server`] that listens. Nothing is decided
//! here: [`stages`] says in which order the stages are passed, the rest fits
//! one crate's port to another's.
//!
//! Invariants
//! - Only this crate and the CLI read arguments and the environment.
//! - Nothing is served before everything that a crash left is taken up.

mod args;
mod authorize;
mod border;
mod builtin;
mod ceilings;
mod clock;
mod config;
mod doctor;
mod fire;
mod guests;
mod health;
mod logins;
mod master_keys;
mod notices;
mod ports;
mod quotas;
mod repair;
mod server;
mod stages;
mod step_tests;
mod tls;
mod triggers;
mod verification;
mod vitals;

pub use args::{Args, Command};
pub use clock::SystemClock;
pub use config::Config;
pub use doctor::examine;
pub use host_ingress::Drained;
pub use server::Server;
pub use tls::TlsListener;
pub use vitals::Reserves;
