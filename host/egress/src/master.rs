//! The master keys: what wraps every tenant's data keys. One is current, older
//! ones are known so that what they wrapped can be read until it is re-wrapped.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::zeroize::Zeroizing;

use crate::key_file::MasterKeyError;
use crate::seal::{KEY, KeyId, SealingKey};

/// Base64 with or without its padding: programs differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that wraps tenants' data keys. Kept apart from the store, so that a
/// copy of the store alone tells no secret.
#[derive(Clone)]
pub struct MasterKey(pub(crate) Arc<SealingKey>);

/// A text that is no master key. Does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not {KEY} bytes, nor those as {} hex digits or in base64 (`openssl rand -hex {KEY}` makes one)",
    2 * KEY
)]
pub struct BadKey;

impl MasterKey {
    /// A fresh key that is stored nowhere.
    pub fn generate() -> Result<Self, MasterKeyError> {
        SealingKey::generate().map(|key| Self(Arc::new(key))).map_err(MasterKeyError::Random)
    }

    /// A key as a file, a variable or a program gives it: 32 bytes, or those
    /// as hex digits or in base64, with white space around.
    pub fn read(given: &[u8]) -> Result<Self, BadKey> {
        let mut key = Box::new([0; KEY]);
        if given.len() == KEY {
            key.copy_from_slice(given);
            return Ok(Self(Arc::new(SealingKey::of(key))));
        }
        let text = given.trim_ascii();
        let decoded = match text.len() {
            len if len == 2 * KEY => hex::decode(text).ok(),
            _ => BASE64.decode(text).ok(),
        };
        let decoded = Zeroizing::new(decoded.ok_or(BadKey)?);
        if decoded.len() != KEY {
            return Err(BadKey);
        }
        key.copy_from_slice(&decoded);
        Ok(Self(Arc::new(SealingKey::of(key))))
    }

    /// Its public name.
    pub fn id(&self) -> KeyId {
        self.0.id()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// The key that wraps from now on, and older ones that still open.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    /// What wraps.
    pub current: MasterKey,
    /// What opens besides.
    pub older: Vec<MasterKey>,
}

impl MasterKeys {
    /// The key of this name.
    pub(crate) fn find(&self, id: KeyId) -> Option<&SealingKey> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.id() == id).map(|key| &*key.0)
    }
}

impl From<MasterKey> for MasterKeys {
    fn from(current: MasterKey) -> Self {
        Self { current, older: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

    use super::*;

    #[test]
    fn a_key_reads_the_same_raw_in_hex_and_in_base64() {
        let raw = [7; KEY];
        let want = MasterKey::read(&raw).unwrap().id();
        for text in [hex::encode(raw), BASE64_STANDARD.encode(raw), BASE64_STANDARD_NO_PAD.encode(raw)] {
            assert_eq!(MasterKey::read(format!(" {text}\n").as_bytes()).unwrap().id(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        for bad in [&b""[..], b"hunter22", &[1; 31], &[1; 33], &[b'z'; 64], &[b'a'; 63]] {
            let error = MasterKey::read(bad).unwrap_err().to_string();
            assert!(error.contains("openssl rand -hex 32") && !error.contains("hunter22"), "{error}");
        }
    }
}
