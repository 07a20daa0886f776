//! A signature by an HMAC, over what the manifest says of the request.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use bytes::Bytes;
use host_model::clock::Timestamp;
use host_model::manifest::{HmacPlace, MessagePart};
use host_model::name::SecretName;
use host_model::resource::verify::{Algorithm, Encoding, SecretEncoding, TimeFormat};
use http::{HeaderName, Request};
use ring::{digest, hmac};
use secrecy::zeroize::Zeroizing;

use super::place::{put_header, unfit};
use crate::body::Body;
use crate::error::EgressError;
use crate::scrub::Needles;

/// Signs a request whose body, if that is signed, is `body`.
pub(super) fn sign(
    secret: &SecretName,
    value: &str,
    place: &HmacPlace,
    request: &mut Request<Body>,
    body: &Bytes,
    now: Timestamp,
    needles: &mut Needles,
) -> Result<(), EgressError> {
    let key = key(place.secret_encoding, value)
        .ok_or_else(|| unfit(secret, "is not in the encoding that the package says (`secret-encoding`)"))?;
    let time = time(place.timestamp_format, now);
    if let Some(header) = &place.timestamp_header {
        put_header(secret, request, header.clone(), time.clone())?;
    }
    let mut signing = hmac::Context::with_key(&hmac::Key::new(algorithm(place.algorithm), &key));
    for part in place.message.parts() {
        signing.update(&piece(part, place.algorithm, request, body, &time));
    }
    let signature = write(place.encoding, signing.sign().as_ref());
    // Whoever has it can send the same request again.
    needles.add_secret(&signature);
    put_header(secret, request, place.header.clone(), format!("{}{signature}", place.prefix))
}

fn piece(part: &MessagePart, by: Algorithm, request: &Request<Body>, body: &Bytes, time: &str) -> Bytes {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let uri = request.uri();
    match part {
        MessagePart::Text(words) => text(words),
        MessagePart::Method => text(request.method().as_str()),
        MessagePart::Path => text(uri.path()),
        MessagePart::Query => text(uri.query().unwrap_or_default()),
        MessagePart::Host => text(uri.authority().map_or("", |authority| authority.as_str())),
        MessagePart::Timestamp => text(time),
        MessagePart::Body => body.clone(),
        MessagePart::BodyHash => hex::encode(digest::digest(hash(by), body)).into(),
        MessagePart::Header(name) => header(request, name),
    }
}

fn header(request: &Request<Body>, name: &HeaderName) -> Bytes {
    request.headers().get(name).map(|value| Bytes::copy_from_slice(value.as_bytes())).unwrap_or_default()
}

fn key(encoding: SecretEncoding, value: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = match encoding {
        SecretEncoding::Text => value.as_bytes().to_vec(),
        SecretEncoding::Hex => hex::decode(value).ok()?,
        SecretEncoding::Base64 => BASE64_STANDARD.decode(value).ok()?,
    };
    Some(Zeroizing::new(key))
}

fn time(format: TimeFormat, now: Timestamp) -> String {
    match format {
        TimeFormat::Unix => now.timestamp().to_string(),
        TimeFormat::UnixMs => now.timestamp_millis().to_string(),
        TimeFormat::Rfc3339 => now.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

fn write(encoding: Encoding, signature: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(signature),
        Encoding::HexUpper => hex::encode_upper(signature),
        Encoding::Base64 => BASE64_STANDARD.encode(signature),
        Encoding::Base64url => BASE64_URL_SAFE.encode(signature),
    }
}

fn algorithm(by: Algorithm) -> hmac::Algorithm {
    match by {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha384 => hmac::HMAC_SHA384,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
    }
}

fn hash(by: Algorithm) -> &'static digest::Algorithm {
    match by {
        Algorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => &digest::SHA256,
        Algorithm::Sha384 => &digest::SHA384,
        Algorithm::Sha512 => &digest::SHA512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::empty_body;

    fn signed(place: &str, value: &str, request: Request<()>, body: &'static [u8]) -> Request<Body> {
        let place: HmacPlace = toml::from_str(place).unwrap();
        let (secret, body) = ("key".parse().unwrap(), Bytes::from_static(body));
        let mut request = request.map(|()| empty_body());
        let now = Timestamp::from_timestamp(1_492_774_577, 0).unwrap();
        sign(&secret, value, &place, &mut request, &body, now, &mut Needles::default()).unwrap();
        request
    }

    fn post(uri: &str) -> Request<()> {
        Request::post(uri).header("x-id", "p5jXN8AQM9LWM0D4loKWxJek").body(()).unwrap()
    }

    #[test]
    fn what_rfc_4231_publishes_comes_out() {
        let jefe = "message = '{body}'\nheader = 'x-signature'\n";
        let body = b"what do ya want for nothing?";
        for (algorithm, want) in [
            ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                "sha384",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ] {
            let request =
                signed(&format!("{jefe}algorithm = '{algorithm}'"), "Jefe", post("http://a/"), body);
            assert_eq!(request.headers()["x-signature"], want, "{algorithm}");
            assert!(request.headers()["x-signature"].is_sensitive());
        }
    }

    #[test]
    fn a_message_of_slack_is_signed_as_slack_documents_it() {
        // The example of Slack's "Verifying requests", with its own time.
        let place = "message = 'v0:{timestamp}:{body}'\nheader = 'x-slack-signature'\nprefix = 'v0='\n\
                     timestamp-header = 'x-slack-request-timestamp'";
        let request = signed(place, "8f742231b10e8888abcd99yyyzzz85a5", post("http://a/"), b"token=x");
        let by_hand = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, b"8f742231b10e8888abcd99yyyzzz85a5"),
            b"v0:1492774577:token=x",
        );
        assert_eq!(request.headers()["x-slack-signature"], format!("v0={}", hex::encode(by_hand)).as_str());
        assert_eq!(request.headers()["x-slack-request-timestamp"], "1492774577");
    }

    #[test]
    fn every_part_of_a_request_can_be_signed_as_it_is_sent() {
        let place = "message = \"{method}\\n{host}\\n{path}\\n{query}\\n{timestamp}\\n{header:x-id}\\n{body-hash}\"\n\
                     header = 'x-signature'\ntimestamp-header = 'x-time'\ntimestamp-format = 'rfc3339'\n\
                     encoding = 'base64'\nsecret-encoding = 'hex'";
        let request = signed(place, "0a0b", post("http://a.example:81/p%20q?b=1&a=%41"), b"");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let message = format!(
            "POST\na.example:81\n/p%20q\nb=1&a=%41\n2017-04-21T11:36:17Z\np5jXN8AQM9LWM0D4loKWxJek\n{empty}"
        );
        let by_hand = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[10, 11]), message.as_bytes());
        assert_eq!(request.headers()["x-signature"], BASE64_STANDARD.encode(by_hand).as_str());
    }
}
