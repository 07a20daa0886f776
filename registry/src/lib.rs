//! Packages: a stranger's component becomes a [`VerifiedPackage`] or an error
//! that says what to do; verified ones are kept for ever under their version.
//!
//! Takes the bytes of an upload, gives [`host_model::resource::Package`] and
//! content by digest.
//!
//! Invariants
//! - Nothing is kept that [`verify()`] did not pass, and nothing is run here.
//! - The manifest is inside the component: one digest covers both.
//! - A version never changes its content.
//! - Where the operator trusts named publishers, nothing of anybody else is even parsed.
//! - An import that the manifest does not ask for is refused, before any host sees it.

mod bounds;
mod error;
mod features;
mod parse;
mod record;
mod registry;
mod signature;
mod verify;
mod world;

pub use bounds::MAX_PACKAGE;
pub use error::PackageError;
pub use record::Record;
pub use registry::{PublishError, Published, ReadError, Registry, Upload};
pub use signature::{BadKey, MAX_SIGNATURE, SameKeyId, SignatureError, TrustedKey, TrustedKeys};
pub use verify::{VerifiedPackage, verify};
