//! Webhooks: did this request come from whom the connection takes requests from?
//!
//! Takes a connection's policy, its secrets, the time and a request as it
//! arrived; gives a [`Verified`] with the event's id, or a [`Rejected`]. Pure:
//! whoever calls brings secrets, clock and bytes.
//!
//! Invariants
//! - Nothing is taken for verified that no secret, key, authority or range vouches for;
//!   a secret that is missing or unusable vouches for nothing.
//! - The bytes that are signed are those that arrived.
//! - Secrets and signatures are compared in constant time, by libraries.
//! - A [`Rejected`] holds no secret and nothing of the body; it is for the
//!   log, and the sender is told that it was refused, not which part failed.

#![forbid(unsafe_code)]

mod certificate;
mod event;
mod key;
mod request;
mod shared;
mod signed;
mod standard;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use host_model::clock::Timestamp;
use host_model::name::SecretName;
use host_model::resource::Verify;
use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};

pub use event::EventId;
pub use request::Request;

/// The stored secrets that a policy names, as far as they are set.
#[derive(Default)]
pub struct Secrets(BTreeMap<SecretName, SecretString>);

/// A request that comes from whom the policy says. Only [`verify`] makes one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// What tells its event from others; none if its sender gives nothing for that.
    pub event: Option<EventId>,
}

/// Why a request is not verified. For the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A header is not there.
    #[error("the header `{0}` is missing")]
    Missing(HeaderName),
    /// A header is there twice: which one counts?
    #[error("the header `{0}` is there more than once")]
    Repeated(HeaderName),
    /// A header does not have the scheme's form.
    #[error("the header `{0}` is malformed")]
    Malformed(HeaderName),
    /// Its time is over, or a replay.
    #[error("it was signed {0} s ago")]
    Old(u64),
    /// Its time has not come.
    #[error("it was signed {0} s from now")]
    Early(u64),
    /// No signature matches any secret.
    #[error("no signature matches")]
    Signature,
    /// The token or the password matches no secret.
    #[error("the token or password is wrong")]
    Credential,
    /// It comes from elsewhere.
    #[error("it comes from {0}, which is in none of the ranges")]
    Address(IpAddr),
    /// It is not known where it comes from.
    #[error("it is not known where it comes from")]
    NoAddress,
    /// No client certificate was shown, or there was no TLS to show one in.
    #[error("no client certificate was shown to the host's own TLS")]
    NoCertificate,
    /// None of the connection's authorities vouches for the certificate now.
    #[error("no authority vouches for the client certificate: {0}")]
    Chain(String),
    /// An authority vouches for the certificate, and it is not the right one.
    #[error("the client certificate is not the right one: {0}")]
    Certificate(&'static str),
    /// The connection cannot verify anything: no secret is set.
    #[error("no secret is set: `wharf secret set {0}`")]
    NoSecret(SecretName),
    /// The connection cannot verify anything: no secret is of the scheme's form.
    #[error("secret `{0}` is {1}: set it again")]
    BadSecret(SecretName, &'static str),
    /// The policy is one that cannot be done.
    #[error("the connection's `verify` cannot be done")]
    Policy,
}

impl Rejected {
    /// Whether the connection is at fault, not the request.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::NoSecret(_) | Self::BadSecret(..) | Self::Policy)
    }
}

impl Secrets {
    /// These.
    pub fn new(secrets: impl IntoIterator<Item = (SecretName, SecretString)>) -> Self {
        Self(secrets.into_iter().collect())
    }

    /// What `make` makes of each named secret that is set; at least one.
    fn keys<K>(
        &self,
        names: &[SecretName],
        make: impl Fn(&str) -> Result<K, &'static str>,
    ) -> Result<Vec<K>, Rejected> {
        let (mut keys, mut rejected) = (Vec::new(), None);
        for name in names {
            match self.0.get(name).map(|secret| make(secret.expose_secret())) {
                Some(Ok(key)) => keys.push(key),
                Some(Err(why)) => rejected = Some(Rejected::BadSecret(name.clone(), why)),
                None => rejected = rejected.or_else(|| Some(Rejected::NoSecret(name.clone()))),
            }
        }
        if keys.is_empty() { Err(rejected.unwrap_or(Rejected::Policy)) } else { Ok(keys) }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

/// Whether the request comes from whom the policy says.
pub fn verify(
    policy: &Verify,
    secrets: &Secrets,
    now: Timestamp,
    request: &Request<'_>,
) -> Result<Verified, Rejected> {
    let event = match policy {
        Verify::None => None,
        Verify::StandardWebhooks(spec) => Some(standard::verify(spec, secrets, now, request)?),
        Verify::Github(spec) => Some(signed::github(spec, secrets, request)?),
        Verify::Stripe(spec) => Some(signed::stripe(spec, secrets, now, request)?),
        Verify::Slack(spec) => Some(signed::slack(spec, secrets, now, request)?),
        Verify::Hmac(spec) => Some(signed::hmac(spec, secrets, now, request)?),
        Verify::Bearer(spec) => {
            shared::bearer(spec, secrets, request)?;
            None
        }
        Verify::Basic(spec) => {
            shared::basic(spec, secrets, request)?;
            None
        }
        Verify::IpRanges(ranges) => {
            let peer = request.peer.ok_or(Rejected::NoAddress)?;
            if !ranges.iter().any(|range| range.contains(peer)) {
                return Err(Rejected::Address(peer));
            }
            None
        }
        Verify::Mtls(spec) => {
            certificate::verify(spec, now, request)?;
            None
        }
        Verify::All(parts) if !parts.is_empty() => {
            // What costs no hash first.
            let (dear, cheap): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.reads_body());
            let mut event = None;
            for part in cheap.into_iter().chain(dear) {
                event = event.or(verify(part, secrets, now, request)?.event);
            }
            event
        }
        Verify::All(_) => return Err(Rejected::Policy),
    };
    Ok(Verified { event })
}
