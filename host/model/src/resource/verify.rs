//! How a connection's webhooks are verified: what a tenant writes under
//! `verify:`, checked once. `host/webhooks` does it.

mod hmac;
mod mtls;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::name::SecretName;

pub use self::hmac::{
    Algorithm, Encoding, EventIdAt, HmacSpec, Part, SecretEncoding, Signed, TimeFormat, TimestampSpec,
};
pub use self::mtls::{AltName, Authority, BadMtls, MtlsSpec, Subject};

/// The most secrets of one scheme: an old and a new one, with room. A body of
/// the largest size is hashed once for each.
pub const MAX_KEYS: usize = 4;
/// The most address ranges: GitHub publishes some tens.
pub const MAX_RANGES: usize = 100;
/// The most schemes that must hold together.
pub const MAX_ALL: usize = 4;
/// The longest tolerance of a timestamp. Twice that, an hour each way, is far
/// less than event ids are remembered, so within it no replay starts a run.
pub const MAX_TOLERANCE_S: u32 = 3_600;
/// The tolerance if none is written: what the senders' own libraries use.
const TOLERANCE_S: u32 = 300;

/// How a request to a connection's hooks must show where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Not at all: anybody may send anything. Must be written out, and is warned of.
    None,
    /// Standard Webhooks, `v1` (HMAC) and `v1a` (ed25519).
    StandardWebhooks(StandardSpec),
    /// GitHub: `X-Hub-Signature-256`.
    Github(KeysSpec),
    /// Stripe: `Stripe-Signature`.
    Stripe(TimedSpec),
    /// Slack: `X-Slack-Signature`.
    Slack(TimedSpec),
    /// An HMAC of any other sender's.
    Hmac(Box<HmacSpec>),
    /// A shared token.
    Bearer(BearerSpec),
    /// A user and a password.
    Basic(BasicSpec),
    /// Where the request comes from. Shows less than a signature does.
    IpRanges(Vec<IpRange>),
    /// A client certificate, shown to the host's own TLS.
    Mtls(Box<MtlsSpec>),
    /// Each of these.
    All(Vec<Verify>),
}

/// Secrets of which any one will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeysSpec {
    /// Stored secrets: one, or the old and the new while they change.
    pub secrets: Vec<SecretName>,
}

/// Secrets, and how far a timestamp may be off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimedSpec {
    /// Stored secrets: one, or the old and the new while they change.
    pub secrets: Vec<SecretName>,
    /// Seconds that the sender's clock may differ from the host's, either way.
    #[serde(default = "tolerance")]
    pub tolerance_s: u32,
}

/// Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StandardSpec {
    /// Stored secrets: `whsec_...` for `v1`, the public key `whpk_...` for `v1a`.
    pub secrets: Vec<SecretName>,
    /// Seconds that the sender's clock may differ from the host's, either way.
    #[serde(default = "tolerance")]
    pub tolerance_s: u32,
    /// What the three headers start with; `svix` for senders that predate the standard.
    #[serde(default)]
    pub headers: StandardHeaders,
}

/// What the headers of Standard Webhooks start with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandardHeaders {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    Webhook,
    /// `svix-id`, `svix-timestamp`, `svix-signature`.
    Svix,
}

/// A shared token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BearerSpec {
    /// Stored secrets: one, or the old and the new while they change.
    pub secrets: Vec<SecretName>,
    /// The header whose value is the token: `x-gitlab-token`. If left out,
    /// `Authorization: Bearer ...`. No guest gets to see it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_header")]
    pub header: Option<HeaderName>,
}

/// HTTP basic authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BasicSpec {
    /// The user.
    pub user: String,
    /// Stored passwords: one, or the old and the new while they change.
    pub secrets: Vec<SecretName>,
}

/// A range of addresses: `192.30.252.0/22`, `2606:50c0::/32`, `203.0.113.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpRange(ipnet::IpNet);

/// A text that is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{got}` is not a range of addresses: {why}; write `192.30.252.0/22`, `2606:50c0::/32` or one address"
)]
pub struct BadIpRange {
    got: String,
    why: &'static str,
}

/// Why a `verify:` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVerify {
    /// No secret, or too many.
    #[error("verify: `secrets` names {0}, it takes 1 to {MAX_KEYS}")]
    Keys(usize),
    /// A timestamp may be too far off.
    #[error("verify: `tolerance-s` is {0}, it takes 1 to {MAX_TOLERANCE_S}")]
    Tolerance(u32),
    /// No address range, or too many.
    #[error("verify: `ip-ranges` lists {0}, it takes 1 to {MAX_RANGES}")]
    Ranges(usize),
    /// A user that cannot be told from the password.
    #[error("verify: the `user` of `basic` is empty or has a colon")]
    User,
    /// Client certificates.
    #[error(transparent)]
    Mtls(#[from] BadMtls),
    /// `all` of nothing, of too much, or of what cannot be part of it.
    #[error("verify: `all` takes 1 to {MAX_ALL} schemes, not `none` and not another `all`")]
    All,
    /// What an HMAC covers.
    #[error("verify: hmac: {0}")]
    Hmac(&'static str),
}

impl Verify {
    /// Whether it can be done at all.
    pub fn check(&self) -> Result<(), BadVerify> {
        match self {
            Self::None => Ok(()),
            Self::StandardWebhooks(StandardSpec { secrets, tolerance_s, .. })
            | Self::Stripe(TimedSpec { secrets, tolerance_s })
            | Self::Slack(TimedSpec { secrets, tolerance_s }) => {
                keys(secrets)?;
                in_tolerance(*tolerance_s)
            }
            Self::Github(KeysSpec { secrets }) | Self::Bearer(BearerSpec { secrets, .. }) => keys(secrets),
            Self::Hmac(spec) => {
                keys(&spec.secrets)?;
                spec.timestamp.as_ref().map_or(Ok(()), |it| in_tolerance(it.tolerance_s))?;
                spec.check().map_err(BadVerify::Hmac)
            }
            Self::Basic(BasicSpec { user, secrets }) => {
                keys(secrets)?;
                if user.is_empty() || user.contains(':') { Err(BadVerify::User) } else { Ok(()) }
            }
            Self::IpRanges(ranges) if (1..=MAX_RANGES).contains(&ranges.len()) => Ok(()),
            Self::IpRanges(ranges) => Err(BadVerify::Ranges(ranges.len())),
            Self::Mtls(spec) => Ok(spec.check()?),
            Self::All(parts) => {
                let nested = parts.iter().any(|part| matches!(part, Self::None | Self::All(_)));
                if nested || !(1..=MAX_ALL).contains(&parts.len()) {
                    return Err(BadVerify::All);
                }
                parts.iter().try_for_each(Self::check)
            }
        }
    }

    /// The stored secrets that it takes.
    pub fn secrets(&self) -> Vec<&SecretName> {
        match self {
            Self::None | Self::IpRanges(_) | Self::Mtls(_) => Vec::new(),
            Self::StandardWebhooks(StandardSpec { secrets, .. })
            | Self::Github(KeysSpec { secrets })
            | Self::Stripe(TimedSpec { secrets, .. })
            | Self::Slack(TimedSpec { secrets, .. })
            | Self::Bearer(BearerSpec { secrets, .. })
            | Self::Basic(BasicSpec { secrets, .. }) => secrets.iter().collect(),
            Self::Hmac(spec) => spec.secrets.iter().collect(),
            Self::All(parts) => parts.iter().flat_map(Self::secrets).collect(),
        }
    }

    /// Whether the body has to be read for it.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::None | Self::Bearer(_) | Self::Basic(_) | Self::IpRanges(_) | Self::Mtls(_) => false,
            Self::All(parts) => parts.iter().any(Self::reads_body),
            _ => true,
        }
    }

    /// The headers in which it takes a secret itself, for no guest to see.
    /// `authorization` no guest sees anyway.
    pub fn secret_headers(&self) -> Vec<&HeaderName> {
        match self {
            Self::Bearer(BearerSpec { header, .. }) => header.iter().collect(),
            Self::All(parts) => parts.iter().flat_map(Self::secret_headers).collect(),
            _ => Vec::new(),
        }
    }
}

fn keys(secrets: &[SecretName]) -> Result<(), BadVerify> {
    if (1..=MAX_KEYS).contains(&secrets.len()) { Ok(()) } else { Err(BadVerify::Keys(secrets.len())) }
}

fn in_tolerance(tolerance_s: u32) -> Result<(), BadVerify> {
    if (1..=MAX_TOLERANCE_S).contains(&tolerance_s) { Ok(()) } else { Err(BadVerify::Tolerance(tolerance_s)) }
}

fn tolerance() -> u32 {
    TOLERANCE_S
}

impl IpRange {
    /// Whether an address is in it, a v4-mapped one as the IPv4 address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for IpRange {
    type Err = BadIpRange;

    fn from_str(text: &str) -> Result<Self, BadIpRange> {
        let bad = |why| BadIpRange { got: text.chars().take(100).collect(), why };
        let net = match text.parse::<IpAddr>() {
            Ok(address) => ipnet::IpNet::from(address),
            Err(_) => text.parse().map_err(|_| bad("it is no address with a prefix"))?,
        };
        if net.addr().to_canonical() != net.addr() {
            return Err(bad("a v4-mapped address is judged as IPv4: write that"));
        }
        if net.trunc() != net {
            return Err(bad("the address has bits below its prefix"));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for IpRange {
    type Error = BadIpRange;
    fn try_from(text: String) -> Result<Self, BadIpRange> {
        text.parse()
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> Self {
        range.to_string()
    }
}

pub(crate) mod optional_header {
    use http::HeaderName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(name: &Option<HeaderName>, to: S) -> Result<S::Ok, S::Error> {
        match name {
            Some(name) => to.serialize_some(name.as_str()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HeaderName>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests;
