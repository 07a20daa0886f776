//! What may be typed to consent.

use clap::{Args, ValueEnum};
use host_model::digest::Digest;

/// Consent, or taking it back.
#[derive(Args, Debug)]
pub struct Consent {
    /// The kind
    pub kind: Consents,
    /// Which one
    pub name: String,
    /// Consent without being asked, if this is still the digest of what was shown
    #[arg(long, value_name = "DIGEST")]
    pub yes: Option<Digest>,
    /// Take back all that was consented to, and drop what waits
    #[arg(long, conflicts_with = "yes")]
    pub withdraw: bool,
}

/// Kinds that somebody consents to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consents {
    /// A connector set up
    #[value(alias = "connections")]
    Connection,
    /// What composes endpoints
    #[value(alias = "workflows")]
    Workflow,
}
