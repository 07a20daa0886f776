//! Keys, and signatures against them. All cryptography is `ring`'s.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use host_model::resource::verify::{Algorithm, Encoding, SecretEncoding};
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};
use subtle::ConstantTimeEq;

use crate::Rejected;

/// The most signatures that one request may offer: each of the sender's keys
/// while they change. An ed25519 signature costs a hash of the whole body.
pub(crate) const MAX_SIGNATURES: usize = 4;

const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What shows that somebody knows a secret: a signature, a token's hash. It
/// has no `==`, which would tell by its time how much of a guess is right.
pub(crate) struct Proof(Vec<u8>);

impl Proof {
    /// Equality in constant time; only the lengths, which are no secret, show.
    pub(crate) fn shows(&self, expected: &Self) -> bool {
        self.0.ct_eq(&expected.0).into()
    }
}

impl From<Vec<u8>> for Proof {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// The key of an HMAC.
pub(crate) fn hmac_key(algorithm: Algorithm, key: &[u8]) -> hmac::Key {
    let algorithm = match algorithm {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha384 => hmac::HMAC_SHA384,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
    };
    hmac::Key::new(algorithm, key)
}

/// A key from a secret's text.
pub(crate) fn secret_bytes(secret: &str, encoding: SecretEncoding) -> Result<Vec<u8>, &'static str> {
    match encoding {
        SecretEncoding::Text => Ok(secret.as_bytes().to_vec()),
        SecretEncoding::Hex => hex::decode(secret).map_err(|_| "not hexadecimal"),
        SecretEncoding::Base64 => base64(secret).ok_or("not base64"),
    }
}

/// A signature from a header's text.
pub(crate) fn decoded(text: &str, encoding: Encoding) -> Option<Proof> {
    let other_case = |byte: u8| match encoding {
        Encoding::Hex => byte.is_ascii_uppercase(),
        _ => byte.is_ascii_lowercase(),
    };
    let bytes = match encoding {
        Encoding::Hex | Encoding::HexUpper if text.bytes().any(other_case) => None,
        Encoding::Hex | Encoding::HexUpper => hex::decode(text).ok(),
        Encoding::Base64 => base64(text),
        Encoding::Base64url => BASE64_URL.decode(text).ok(),
    };
    bytes.map(Proof)
}

/// Base64 with padding, one spelling for each value.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    general_purpose::STANDARD.decode(text).ok()
}

/// The tag of the signed parts under whichever key made one of the signatures.
pub(crate) fn matching(
    keys: &[hmac::Key],
    parts: &[&[u8]],
    signatures: &[Proof],
) -> Result<hmac::Tag, Rejected> {
    if signatures.len() > MAX_SIGNATURES {
        return Err(Rejected::Signature);
    }
    let tag = |key| {
        let mut context = hmac::Context::with_key(key);
        parts.iter().for_each(|part| context.update(part));
        context.sign()
    };
    let made = |tag: &hmac::Tag| {
        let expected = Proof(tag.as_ref().to_vec());
        signatures.iter().any(|it| it.shows(&expected))
    };
    if signatures.is_empty() {
        return Err(Rejected::Signature); // before anything is hashed
    }
    keys.iter().map(tag).find(made).ok_or(Rejected::Signature)
}

/// Whether an ed25519 key made one of the signatures.
pub(crate) fn signed_by(public: &[Vec<u8>], message: &[u8], signatures: &[Proof]) -> bool {
    let verifies = |key: &Vec<u8>| {
        let key = UnparsedPublicKey::new(&ED25519, key);
        signatures.iter().any(|signature| key.verify(message, &signature.0).is_ok())
    };
    signatures.len() <= MAX_SIGNATURES && public.iter().any(verifies)
}
