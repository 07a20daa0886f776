//! ID tokens, right and wrong.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{hmac, rand};
use serde_json::{Map, Value, json};

use super::{LOGIN_CLIENT, LOGIN_CLIENT_SECRET};

/// How an ID token is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is of another login.
    Nonce,
    /// It has no nonce.
    NoNonce,
    /// It is for another client.
    Audience,
    /// It is for another client too.
    Audiences,
    /// It was given to another client.
    Party,
    /// It is another issuer's.
    Issuer,
    /// It has expired.
    Expired,
    /// It was made before the login began.
    Old,
    /// It was made in an hour's time.
    Early,
    /// It is not signed, and says so.
    Unsigned,
    /// It is signed by what the client proves itself with.
    BySecret,
    /// It is signed by the public key, as if that were a secret.
    ByPublicKey,
    /// It is signed by a key of somebody else, under the issuer's key's name.
    ByAnother,
    /// It is signed by a key that the issuer does not name.
    ByUnknown,
    /// It was changed after it was signed.
    Changed,
    /// It is no ID token by its type.
    Type,
}

/// A key that signs.
enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The issuer's key, and its name.
pub(super) struct Keys {
    key: Key,
    number: usize,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { key: p256(), number: 1 }
    }

    pub(super) fn rotate(&mut self) {
        let number = self.number + 1;
        *self = Self { key: if number.is_multiple_of(2) { ed25519() } else { p256() }, number };
    }

    fn name(&self) -> String {
        format!("key-{}", self.number)
    }

    fn public_bytes(&self) -> &[u8] {
        match &self.key {
            Key::P256(key) => key.public_key().as_ref(),
            Key::Ed25519(key) => key.public_key().as_ref(),
        }
    }

    /// The key as a JSON Web Key.
    pub(super) fn public(&self) -> Value {
        let bytes = self.public_bytes();
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match &self.key {
            // An uncompressed point: a mark, then two halves.
            Key::P256(_) => {
                let (x, y) = bytes.get(1..).unwrap_or_default().split_at(32);
                json!({
                    "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y),
                    "use": "sig", "alg": "ES256", "kid": self.name(),
                })
            }
            Key::Ed25519(_) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": text(bytes), "use": "sig", "alg": "EdDSA", "kid": self.name(),
            }),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }
}

impl Key {
    fn sign(&self, message: &str) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signed = key.sign(&SystemRandom::new(), message.as_bytes());
                signed.map(|signature| signature.as_ref().to_vec()).unwrap_or_default()
            }
            Self::Ed25519(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        }
    }
}

#[expect(clippy::expect_used, reason = "a stand-in without a key is none")]
fn p256() -> Key {
    let (random, kind) = (rand::SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let made = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("randomness");
    Key::P256(EcdsaKeyPair::from_pkcs8(kind, made.as_ref(), &random).expect("a key that was just made"))
}

#[expect(clippy::expect_used, reason = "a stand-in without a key is none")]
fn ed25519() -> Key {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
    Key::Ed25519(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key that was just made"))
}

#[expect(clippy::disallowed_methods, reason = "an outside system has a clock of its own")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

/// An ID token for this login with these claims, wrong in this way.
#[expect(clippy::indexing_slicing, reason = "a key of a JSON object that is not there is made")]
pub(super) fn sign(
    keys: &Keys,
    issuer: &str,
    nonce: &str,
    claims: &Map<String, Value>,
    wrong: Option<Wrong>,
) -> String {
    let now = now();
    let mut payload = json!({
        "iss": issuer, "aud": LOGIN_CLIENT, "nonce": nonce, "iat": now, "exp": now + 60,
    });
    let mut head = json!({ "alg": keys.algorithm(), "kid": keys.name(), "typ": "JWT" });
    match wrong {
        Some(Wrong::Nonce) => payload["nonce"] = json!("another"),
        Some(Wrong::NoNonce) => drop(payload.as_object_mut().and_then(|fields| fields.remove("nonce"))),
        Some(Wrong::Audience) => payload["aud"] = json!("another"),
        Some(Wrong::Audiences) => payload["aud"] = json!([LOGIN_CLIENT, "another"]),
        Some(Wrong::Party) => payload["azp"] = json!("another"),
        Some(Wrong::Issuer) => payload["iss"] = json!("http://127.0.0.1:1"),
        Some(Wrong::Expired) => payload["exp"] = json!(now - 60),
        Some(Wrong::Old) => payload["iat"] = json!(now - 3_600),
        Some(Wrong::Early) => payload["iat"] = json!(now + 3_600),
        Some(Wrong::Unsigned) => head["alg"] = json!("none"),
        Some(Wrong::BySecret | Wrong::ByPublicKey) => head["alg"] = json!("HS256"),
        Some(Wrong::ByUnknown) => head["kid"] = json!("key-0"),
        Some(Wrong::Type) => head["typ"] = json!("at+jwt"),
        Some(Wrong::ByAnother | Wrong::Changed) | None => {}
    }
    if let Some(payload) = payload.as_object_mut() {
        payload.extend(claims.clone());
    }
    let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", text(&head), text(&payload));
    let signature = match wrong {
        Some(Wrong::Unsigned) => Vec::new(),
        Some(Wrong::BySecret) => hs256(LOGIN_CLIENT_SECRET.as_bytes(), &message),
        Some(Wrong::ByPublicKey) => hs256(keys.public_bytes(), &message),
        Some(Wrong::ByAnother | Wrong::ByUnknown) => p256().sign(&message),
        _ => keys.key.sign(&message),
    };
    if wrong == Some(Wrong::Changed) {
        payload["sub"] = json!("somebody-else");
    }
    format!("{}.{}.{}", text(&head), text(&payload), BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(secret: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
}
