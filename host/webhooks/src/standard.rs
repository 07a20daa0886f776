//! Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
//!
//! <https://github.com/standard-webhooks/standard-webhooks>: the id, the time
//! and the body, with full stops between them, are signed. `v1` is HMAC-SHA256
//! and `v1a` ed25519; a request may bring several signatures.

use host_model::clock::Timestamp;
use host_model::resource::verify::{Algorithm, StandardHeaders, StandardSpec, TimeFormat};
use http::HeaderName;
use ring::hmac;

use crate::event::EventId;
use crate::key::{Proof, base64, hmac_key, matching, signed_by};
use crate::request::timely;
use crate::{Rejected, Request, Secrets};

const SECRET: &str = "whsec_";
const PUBLIC: &str = "whpk_";
const PRIVATE: &str = "whsk_";
/// Bytes of an ed25519 public key.
const PUBLIC_BYTES: usize = 32;

/// What verifies: the form of the secret says by which scheme, never the request.
enum Key {
    Shared(hmac::Key),
    Public(Vec<u8>),
}

pub(crate) fn verify(
    spec: &StandardSpec,
    secrets: &Secrets,
    now: Timestamp,
    request: &Request<'_>,
) -> Result<EventId, Rejected> {
    let [id_header, time_header, signature_header] = headers(spec.headers);
    let id = request.one(&id_header)?;
    // A full stop in it would let bytes move between id, time and body.
    if id.is_empty() || id.contains('.') {
        return Err(Rejected::Malformed(id_header));
    }
    let timestamp = request.one(&time_header)?;
    let signatures = request.one(&signature_header)?;
    timely(timestamp, TimeFormat::Unix, &time_header, now, spec.tolerance_s)?;

    let of = |version: &str| -> Vec<Proof> {
        let each = signatures.split(' ').filter_map(|it| it.split_once(','));
        each.filter(|(it, _)| *it == version).filter_map(|(_, text)| base64(text).map(Proof::from)).collect()
    };
    let (mut shared, mut public) = (Vec::new(), Vec::new());
    for key in secrets.keys(&spec.secrets, key)? {
        match key {
            Key::Shared(key) => shared.push(key),
            Key::Public(key) => public.push(key),
        }
    }
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body];
    let signed = matching(&shared, &parts, &of("v1")).is_ok() || {
        let signatures = of("v1a");
        !public.is_empty() && !signatures.is_empty() && signed_by(&public, &parts.concat(), &signatures)
    };
    if signed { Ok(EventId::given(id)) } else { Err(Rejected::Signature) }
}

fn key(secret: &str) -> Result<Key, &'static str> {
    if let Some(public) = secret.strip_prefix(PUBLIC) {
        let public = base64(public).filter(|key| key.len() == PUBLIC_BYTES);
        return public.map(Key::Public).ok_or("not an ed25519 key after its `whpk_`");
    }
    if secret.starts_with(PRIVATE) {
        return Err("the sender's private key, which is nobody else's: the public one starts with `whpk_`");
    }
    let shared = base64(secret.strip_prefix(SECRET).unwrap_or(secret)).filter(|key| !key.is_empty());
    shared
        .map(|key| Key::Shared(hmac_key(Algorithm::Sha256, &key)))
        .ok_or("not base64, after `whsec_` or whole")
}

fn headers(of: StandardHeaders) -> [HeaderName; 3] {
    let names = match of {
        StandardHeaders::Webhook => ["webhook-id", "webhook-timestamp", "webhook-signature"],
        StandardHeaders::Svix => ["svix-id", "svix-timestamp", "svix-signature"],
    };
    names.map(HeaderName::from_static)
}
