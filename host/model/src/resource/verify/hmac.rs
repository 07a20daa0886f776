//! An HMAC of any sender's: how it is made, and where its parts are.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::tolerance;
use crate::manifest::header_name;
use crate::name::SecretName;

/// What of a signed text is not there: the id, the time and the body have
/// places, and there is room for what stands between them.
const MAX_SIGNED: usize = 200;

/// `hmac:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HmacSpec {
    /// Stored secrets: one, or the old and the new while they change.
    pub secrets: Vec<SecretName>,
    /// How a secret's text gives the key.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,
    /// The hash.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The header that has the signature.
    #[serde(with = "header_name")]
    pub header: HeaderName,
    /// What stands before the signature: `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What is signed.
    #[serde(default)]
    pub signed: Signed,
    /// Where the time is. It must be part of what is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampSpec>,
    /// Where the event's id is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventIdAt>,
}

/// A hash for an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// SHA-1, for senders that know nothing better; sound in an HMAC still.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a signature is written. One spelling each, so that no two headers are the same signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    #[default]
    Hex,
    /// Upper-case hexadecimal.
    HexUpper,
    /// Base64 with padding.
    Base64,
    /// Base64 for URLs, with or without padding.
    Base64url,
}

/// How a secret's text gives the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretEncoding {
    /// Its bytes are the key.
    #[default]
    Text,
    /// Hexadecimal.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// Where the time is, and how far it may be off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimestampSpec {
    /// The header.
    #[serde(with = "header_name")]
    pub header: HeaderName,
    /// How it is written.
    #[serde(default)]
    pub format: TimeFormat,
    /// Seconds that the sender's clock may differ from the host's, either way.
    #[serde(default = "tolerance")]
    pub tolerance_s: u32,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeFormat {
    /// Seconds since 1970.
    #[default]
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// `2026-11-21T12:00:00Z`.
    Rfc3339,
}

/// Where an event's id is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventIdAt {
    /// The value of a header.
    Header(#[serde(with = "header_name")] HeaderName),
    /// A field of the body, which is a JSON object.
    Json(String),
}

/// What is signed: text with `{body}` once, and perhaps `{timestamp}` and `{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signed(Vec<Part>);

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// The body, as it arrived.
    Body,
    /// The timestamp, as it arrived.
    Timestamp,
    /// The event's id, as it arrived.
    Id,
}

/// A text that does not say what is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` does not say what is signed: {why}; write `{{body}}` or `{{timestamp}}.{{body}}`")]
pub struct BadSigned {
    got: String,
    why: &'static str,
}

/// What an id that is signed is made of: nothing that ends it elsewhere.
pub(crate) fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl HmacSpec {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let has = |part| self.signed.0.contains(&part);
        let id_header = matches!(self.event_id, Some(EventIdAt::Header(_)));
        if has(Part::Timestamp) != self.timestamp.is_some() {
            return Err(
                "`{timestamp}` in `signed` and the key `timestamp` go together: a time that is not signed shows nothing",
            );
        }
        if has(Part::Id) && !id_header {
            return Err("`{id}` in `signed` takes an `event-id` with a `header`");
        }
        if matches!(&self.event_id, Some(EventIdAt::Json(field)) if field.is_empty()) {
            return Err("the field of `event-id` is empty");
        }
        Ok(())
    }
}

impl Signed {
    /// Its parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether the id is part of it, and so what [`Signed::takes_id`] says of it.
    pub fn has_id(&self) -> bool {
        self.0.contains(&Part::Id)
    }

    /// Whether an id can be part of it without running into what stands beside it.
    pub fn takes_id(id: &str) -> bool {
        !id.is_empty() && id.bytes().all(is_of_id)
    }
}

impl Default for Signed {
    fn default() -> Self {
        Self(vec![Part::Body])
    }
}

impl FromStr for Signed {
    type Err = BadSigned;

    fn from_str(text: &str) -> Result<Self, BadSigned> {
        let bad = |why| BadSigned { got: text.chars().take(MAX_SIGNED).collect(), why };
        if text.len() > MAX_SIGNED {
            return Err(bad("it is too long"));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| bad("a brace is not closed"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name {
                "body" => Part::Body,
                "timestamp" => Part::Timestamp,
                "id" => Part::Id,
                _ => return Err(bad("only `body`, `timestamp` and `id` stand in braces")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let count = |part: &Part| parts.iter().filter(|it| *it == part).count();
        if count(&Part::Body) != 1 || count(&Part::Timestamp) > 1 || count(&Part::Id) > 1 {
            return Err(bad("it takes `{body}` once, the others at most once"));
        }
        // A digit more or less makes a time one far off; an id has no such guard.
        let ends_id = |part: Option<&Part>, edge: fn(&[u8]) -> Option<&u8>| match part {
            None => true,
            Some(Part::Text(text)) => edge(text.as_bytes()).is_some_and(|byte| !is_of_id(*byte)),
            Some(_) => false,
        };
        if let Some(at) = parts.iter().position(|part| *part == Part::Id) {
            let before = at.checked_sub(1).and_then(|at| parts.get(at));
            if !ends_id(before, <[u8]>::last) || !ends_id(parts.get(at + 1), <[u8]>::first) {
                return Err(bad("`{id}` takes a `.`, a `:` or the like between it and its neighbours"));
            }
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Body => f.write_str("{body}"),
            Part::Timestamp => f.write_str("{timestamp}"),
            Part::Id => f.write_str("{id}"),
        })
    }
}

impl TryFrom<String> for Signed {
    type Error = BadSigned;
    fn try_from(text: String) -> Result<Self, BadSigned> {
        text.parse()
    }
}

impl From<Signed> for String {
    fn from(signed: Signed) -> Self {
        signed.to_string()
    }
}
