//! The crate as a whole: plain Rust closures play the guests, the clock stands
//! still, the store is in memory and fails when told to.

mod accepting;
mod backlog;
mod blobs;
mod crashing;
mod dead;
mod effects;
mod interleaving;
mod journalling;
mod looking;
mod once;
mod retaining;
mod retrying;
mod rooming;
mod searching;
mod testing;
mod waiting;
pub(crate) mod world;
