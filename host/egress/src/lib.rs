//! Egress: the one way out for a guest's HTTP request, and the vault.
//!
//! Takes a guest's frozen request and its connection; gives back the answer,
//! scrubbed of the connection's credentials, or a refusal that names its rule.
//!
//! Invariants
//! - The name passes a gate before anything is looked up; then every address
//!   that it became passes another, and only those addresses are dialled.
//! - A credential enters a request after the first gate, on the way to an
//!   origin that both its manifest entry and the grants name, and nowhere else.
//! - No error, log line or record here carries a credential: `reveal_` has one caller.
//! - Sockets are never shared between two connections, nor between tenants.

mod address;
mod answer;
mod body;
mod ceilings;
mod client;
mod conduct;
mod dial;
mod error;
mod exchange;
mod gate;
mod inject;
mod journey;
mod kept;
mod key_file;
mod mail;
mod master;
mod meters;
mod oauth;
mod own;
mod policy;
mod pool;
mod reads;
mod resolve;
mod scrub;
mod seal;
mod standing;
mod vault;

pub use address::is_public;
pub use answer::AnswerBody;
pub use body::{Body, BoxError, empty_body, full_body, streamed_body};
pub use ceilings::Ceilings;
pub use client::{Egress, EgressConfig, EgressSetupError, SendLimits, Sent, Toll};
pub use error::EgressError;
pub use exchange::{Exchange, ExchangeInfo, Refusal, Source};
pub use gate::parse_url;
pub use key_file::MasterKeyError;
pub use mail::{Attachment, Mail, MailError};
pub use master::{BadKey, MasterKey, MasterKeys};
pub use oauth::{AuthorizeError, Begun, Pending, refused_grants};
pub use policy::{BadRange, Closing, Denied, HostRule, Opening, Policy, gate};
pub use resolve::{Resolver, SystemResolver};
pub use seal::KeyId;
pub use vault::{KeyReport, MAX_SECRET, MAX_SECRETS, RotateError, Vault, VaultError};
