//! A token as it is stored, and its text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::TokenId;
use host_store::key;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Token, TokenError, TokenText};

const PREFIX: &str = "wharf_";
const SECRET_BYTES: usize = 32;

/// What is kept of a secret. It has no `==`, which would tell by its time how
/// much of a guess is right.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SecretHash(Digest);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(Digest::of(secret.as_bytes()))
    }

    fn shows(&self, expected: &Self) -> bool {
        self.0.as_bytes().ct_eq(expected.0.as_bytes()).into()
    }
}

/// What is stored of a token. Records without the later fields are read too.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) token: Token,
    pub(super) secret_sha256: SecretHash,
    /// The secret before the last rotation, good until its overlap ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Before>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) secret_sha256: SecretHash,
    pub(super) until: Timestamp,
}

impl Record {
    pub(super) fn encode(&self) -> Result<Vec<u8>, TokenError> {
        serde_json::to_vec(self).map_err(|_| TokenError::Damaged(self.token.id.to_string()))
    }

    pub(super) fn decode(id: &str, value: &[u8]) -> Result<Self, TokenError> {
        serde_json::from_slice(value).map_err(|_| TokenError::Damaged(id.to_owned()))
    }

    /// Whether this secret opens it now. Both hashes are compared in constant time.
    pub(super) fn opens_to(&self, secret: &str, now: Timestamp) -> bool {
        let shown = SecretHash::of(secret);
        let now_good = shown.shows(&self.secret_sha256);
        let still_good =
            self.before.as_ref().is_some_and(|it| shown.shows(&it.secret_sha256) && now < it.until);
        let expired = self.token.expires_at.is_some_and(|at| at <= now);
        (now_good || still_good) && !expired
    }
}

pub(super) fn space() -> key::Key {
    key::host().kind("token")
}

pub(super) fn slot(id: TokenId) -> key::RawKey {
    space().bytes(&id.to_bytes())
}

/// A new secret: its hash, and the text that has it.
pub(super) fn new_secret(id: TokenId) -> Result<(SecretHash, TokenText), TokenError> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(TokenError::Random)?;
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let text = format!("{PREFIX}{}_{secret}", id.to_string().trim_start_matches("tok_"));
    Ok((SecretHash::of(&secret), TokenText(text.into())))
}

/// The id and the secret of a token's text.
pub(super) fn parse(text: &str) -> Option<(TokenId, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let id = format!("tok_{id}").parse().ok()?;
    // 32 bytes in base64 without padding.
    (secret.len() == 43).then_some((id, secret))
}
