//! HMACs: of three senders that everybody knows, and of any other.

use host_model::clock::Timestamp;
use host_model::resource::verify::{
    Algorithm, Encoding, EventIdAt, HmacSpec, KeysSpec, Part, Signed, TimeFormat, TimedSpec,
};
use http::HeaderName;

use crate::event::{EventId, json_field};
use crate::key::{MAX_SIGNATURES, Proof, decoded, hmac_key, matching, secret_bytes};
use crate::request::timely;
use crate::{Rejected, Request, Secrets};

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>:
/// the body alone is signed, neither a time nor the delivery's id.
pub(crate) fn github(spec: &KeysSpec, secrets: &Secrets, request: &Request<'_>) -> Result<EventId, Rejected> {
    let header = HeaderName::from_static("x-hub-signature-256");
    let signature = signature(request, &header, "sha256=", Encoding::Hex)?;
    let delivery = request.any(&HeaderName::from_static("x-github-delivery"))?;
    let keys = secrets.keys(&spec.secrets, sha256)?;
    let tag = matching(&keys, &[request.body], &[signature])?;
    let delivery = delivery.filter(|id| !id.is_empty());
    Ok(delivery.map_or_else(|| EventId::signature(tag.as_ref()), EventId::given))
}

/// <https://docs.stripe.com/webhooks#verify-manually>: `t=...,v1=...`, of the
/// time, a full stop and the body. The secret is the key as it is, `whsec_` too.
pub(crate) fn stripe(
    spec: &TimedSpec,
    secrets: &Secrets,
    now: Timestamp,
    request: &Request<'_>,
) -> Result<EventId, Rejected> {
    let header = HeaderName::from_static("stripe-signature");
    let malformed = || Rejected::Malformed(header.clone());
    let (mut timestamp, mut signatures) = (None, Vec::new());
    for item in request.one(&header)?.split(',') {
        match item.split_once('=').ok_or_else(malformed)? {
            ("t", text) if timestamp.is_none() => timestamp = Some(text),
            ("t", _) => return Err(malformed()),
            ("v1", text) if signatures.len() < MAX_SIGNATURES => {
                signatures.extend(decoded(text, Encoding::Hex))
            }
            ("v1", _) => return Err(malformed()),
            _ => {} // `v0` is for Stripe's own tests, others are to come
        }
    }
    let timestamp = timestamp.ok_or_else(malformed)?;
    timely(timestamp, TimeFormat::Unix, &header, now, spec.tolerance_s)?;
    let keys = secrets.keys(&spec.secrets, sha256)?;
    let tag = matching(&keys, &[timestamp.as_bytes(), b".", request.body], &signatures)?;
    Ok(from_body(request, "id").unwrap_or_else(|| EventId::signature(tag.as_ref())))
}

/// <https://api.slack.com/authentication/verifying-requests-from-slack>: `v0=...`,
/// of `v0`, the time and the body, with colons between them. Events have an id,
/// commands and buttons have none.
pub(crate) fn slack(
    spec: &TimedSpec,
    secrets: &Secrets,
    now: Timestamp,
    request: &Request<'_>,
) -> Result<EventId, Rejected> {
    let header = HeaderName::from_static("x-slack-signature");
    let signature = signature(request, &header, "v0=", Encoding::Hex)?;
    let header = HeaderName::from_static("x-slack-request-timestamp");
    let timestamp = request.one(&header)?;
    timely(timestamp, TimeFormat::Unix, &header, now, spec.tolerance_s)?;
    let keys = secrets.keys(&spec.secrets, sha256)?;
    let tag = matching(&keys, &[b"v0:", timestamp.as_bytes(), b":", request.body], &[signature])?;
    Ok(from_body(request, "event_id").unwrap_or_else(|| EventId::signature(tag.as_ref())))
}

/// As the tenant describes it.
pub(crate) fn hmac(
    spec: &HmacSpec,
    secrets: &Secrets,
    now: Timestamp,
    request: &Request<'_>,
) -> Result<EventId, Rejected> {
    let signature = signature(request, &spec.header, &spec.prefix, spec.encoding)?;
    let timestamp = match &spec.timestamp {
        Some(at) => {
            let text = request.one(&at.header)?;
            timely(text, at.format, &at.header, now, at.tolerance_s)?;
            text
        }
        None => "",
    };
    let id = match &spec.event_id {
        Some(EventIdAt::Header(header)) => {
            let id = request.one(header)?;
            if id.is_empty() || (spec.signed.has_id() && !Signed::takes_id(id)) {
                return Err(Rejected::Malformed(header.clone()));
            }
            Some(id)
        }
        Some(EventIdAt::Json(_)) | None => None,
    };
    let parts: Vec<&[u8]> = spec
        .signed
        .parts()
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Body => request.body,
            Part::Timestamp => timestamp.as_bytes(),
            Part::Id => id.unwrap_or_default().as_bytes(),
        })
        .collect();
    let key = |secret: &str| Ok(hmac_key(spec.algorithm, &secret_bytes(secret, spec.secret_encoding)?));
    let tag = matching(&secrets.keys(&spec.secrets, key)?, &parts, &[signature])?;
    let given = match &spec.event_id {
        Some(EventIdAt::Json(field)) => from_body(request, field),
        _ => id.map(EventId::given),
    };
    Ok(given.unwrap_or_else(|| EventId::signature(tag.as_ref())))
}

/// The one signature that a header holds.
fn signature(
    request: &Request<'_>,
    header: &HeaderName,
    prefix: &str,
    encoding: Encoding,
) -> Result<Proof, Rejected> {
    let text = request.one(header)?.strip_prefix(prefix);
    text.and_then(|it| decoded(it, encoding)).ok_or_else(|| Rejected::Malformed(header.clone()))
}

fn sha256(secret: &str) -> Result<ring::hmac::Key, &'static str> {
    Ok(hmac_key(Algorithm::Sha256, secret.as_bytes()))
}

fn from_body(request: &Request<'_>, field: &str) -> Option<EventId> {
    json_field(request.body, field).map(|id| EventId::given(&id))
}
