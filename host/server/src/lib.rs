//! The server.
mod clock;
pub use clock::SystemClock;
