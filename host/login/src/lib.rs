//! Login: who somebody is, as an issuer says (OpenID Connect).
//!
//! Takes an issuer's address and a client's id from the operator's config;
//! gives the URL where somebody logs in, and for the code that they come back
//! with a [`Person`]. What a person may do is decided elsewhere.
//!
//! Invariants
//! - A person is only made of an ID token that was signed by a key of the issuer
//!   with an asymmetric algorithm, for this client, for this login, and just now.
//! - Everything goes to `https`, or to loopback; nothing is redirected elsewhere.
//! - No error and no log line carries a code, a token or the client's secret.

#![forbid(unsafe_code)]

mod claims;
mod issuer;
mod settings;
mod wire;

pub use self::claims::Person;
pub use self::issuer::{Begun, Issuer, Kept, LoginError};
pub use self::settings::{BadSettings, Settings};
pub use self::wire::{Outside, WireError};
