//! Whose packages a host takes: the publishers whom its operator trusts, and
//! their signatures, as minisign makes them, over an upload's exact bytes.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};
use serde::Deserialize;

/// The most bytes of a signature file: minisign writes some 300, the rest is
/// for a trusted comment that says more.
pub const MAX_SIGNATURE: usize = 4096;

/// The public key of a publisher whom the operator trusts, as it stands in the
/// second line of `minisign.pub`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TrustedKey {
    text: Box<str>,
    id: [u8; 8],
    key: PublicKey,
}

/// A text that is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no public key of minisign: write the second line of `minisign.pub`, which starts with `RW`"
)]
pub struct BadKey(String);

impl FromStr for TrustedKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let bad = || BadKey(text.chars().take(80).collect());
        let bytes = STANDARD.decode(text).map_err(|_| bad())?;
        let id = bytes.get(2..10).and_then(|id| id.try_into().ok()).ok_or_else(bad)?;
        let key = PublicKey::from_base64(text).map_err(|_| bad())?;
        Ok(Self { text: text.into(), id, key })
    }
}

impl TryFrom<String> for TrustedKey {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        text.parse()
    }
}

impl TrustedKey {
    /// The key as the operator wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Two trusted keys of which a signature could mean either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` and `{1}` have the same key id: name one of them")]
pub struct SameKeyId(Box<str>, Box<str>);

/// The publishers whom a host trusts. With none, it takes packages of anybody
/// who may publish and checks no signature.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys(Vec<TrustedKey>);

/// Why an upload's signature is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error(
        "the package is not signed, and this host takes packages of publishers that it trusts only: sign the file with `minisign -Sm FILE` and publish it with `--signature FILE.minisig`"
    )]
    Missing,
    /// Too long.
    #[error(
        "the signature has {0} bytes, the limit is {MAX_SIGNATURE}: send the file that `minisign -S` makes"
    )]
    TooLarge(usize),
    /// No signature at all.
    #[error(
        "this is no signature of minisign: send the whole file `….minisig` that `minisign -Sm FILE` makes"
    )]
    Malformed,
    /// One that does not hash the file first.
    #[error(
        "the signature is of minisign's legacy form: sign with minisign 0.10 or later, or pass `-H` to an older one"
    )]
    Legacy,
    /// By somebody else.
    #[error(
        "the package is signed with a key that this host does not trust: sign it with one that is, or ask the operator to add yours to `[packages] trusted-keys`"
    )]
    Untrusted,
    /// Something was changed.
    #[error(
        "the signature is not of these bytes, not by the key that it names, or its trusted comment was changed: sign the very file that you publish, anew"
    )]
    Wrong,
}

impl TrustedKeys {
    /// These, each with a key id of its own.
    pub fn new(keys: Vec<TrustedKey>) -> Result<Self, SameKeyId> {
        for (at, key) in keys.iter().enumerate() {
            if let Some(twin) = keys.iter().skip(at + 1).find(|other| other.id == key.id) {
                return Err(SameKeyId(key.text.clone(), twin.text.clone()));
            }
        }
        Ok(Self(keys))
    }

    /// Whether nobody is named, and so nothing is checked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    pub fn trusts(&self, key: &str) -> bool {
        self.0.iter().any(|trusted| &*trusted.text == key)
    }

    /// Whose signature of these bytes this is; `None` if nothing is checked.
    /// Hashes all of them, so not on a thread that serves requests.
    pub(crate) fn check(
        &self,
        bytes: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<Option<&TrustedKey>, SignatureError> {
        if self.is_empty() {
            return Ok(None);
        }
        let file = signature.ok_or(SignatureError::Missing)?;
        if file.len() > MAX_SIGNATURE {
            return Err(SignatureError::TooLarge(file.len()));
        }
        let text = str::from_utf8(file).map_err(|_| SignatureError::Malformed)?;
        let signature = Signature::decode(text).map_err(|_| SignatureError::Malformed)?;
        for key in &self.0 {
            match key.key.verify(bytes, &signature, false) {
                Ok(()) => return Ok(Some(key)),
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(minisign_verify::Error::UnexpectedAlgorithm) => return Err(SignatureError::Legacy),
                Err(_) => return Err(SignatureError::Wrong),
            }
        }
        Err(SignatureError::Untrusted)
    }
}
