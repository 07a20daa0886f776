//! Sealing: authenticated encryption with a header that names the key, so that
//! keys can be rotated while old values stay readable.
//!
//! A sealed value is `version (1) · key id (8) · nonce (24) · ciphertext and
//! tag`, XChaCha20-Poly1305. Nonces are random: 192 bits make a repeat
//! negligible without any counter to keep. Header and context are bound as
//! associated data, so a value moved to another tenant or name does not open.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use host_model::digest::Digest;
use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretBox};

/// The format that this code writes.
const VERSION: u8 = 1;
pub(crate) const KEY: usize = 32;
const KEY_ID: usize = 8;
const NONCE: usize = 24;
const TAG: usize = 16;
const HEADER: usize = 1 + KEY_ID;

/// A value does not open: another key, another context, or damage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOpened;

/// A key's public name: it tells nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID]);

impl KeyId {
    /// The key that sealed this value; `None` if it is no sealed value.
    pub(crate) fn of_sealed(sealed: &[u8]) -> Option<Self> {
        let (version, rest) = sealed.split_first()?;
        let id = rest.first_chunk::<KEY_ID>()?;
        (*version == VERSION).then_some(Self(*id))
    }
}

/// Sixteen hex digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A key and its public name. Wiped when dropped.
pub(crate) struct SealingKey {
    bytes: SecretBox<[u8; KEY]>,
    id: KeyId,
}

impl SealingKey {
    /// A fresh one.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Box::new([0; KEY]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self::of(bytes))
    }

    pub(crate) fn of(bytes: Box<[u8; KEY]>) -> Self {
        // Hashed under a label of its own.
        let labelled = Zeroizing::new([b"wharf key id\0".as_slice(), bytes.as_ref()].concat());
        let digest = Digest::of(&labelled);
        let mut id = [0; KEY_ID];
        id.iter_mut().zip(digest.as_bytes()).for_each(|(id, byte)| *id = *byte);
        Self { bytes: SecretBox::new(bytes), id: KeyId(id) }
    }

    /// Its public name.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn expose(&self) -> &[u8; KEY] {
        self.bytes.expose_secret()
    }

    /// Encrypts `plain` for this `context`.
    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, getrandom::Error> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        // Room for all of it at once: a buffer that grew would leave the plaintext behind.
        let mut sealed = Vec::with_capacity(HEADER + NONCE + plain.len() + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id.0);
        let aad = [sealed.as_slice(), context].concat();
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let body = sealed.split_at_mut(HEADER + NONCE).1;
        #[expect(clippy::expect_used, reason = "it fails only for plaintexts of 256 GiB")]
        let tag = self
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), &aad, body.into())
            .expect("a secret is small");
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Decrypts what [`Self::seal`] made for the same `context`.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let (header, rest) = sealed.split_at_checked(HEADER).ok_or(NotOpened)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(NotOpened)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(NotOpened)?;
        if KeyId::of_sealed(sealed) != Some(self.id) {
            return Err(NotOpened);
        }
        let aad = [header, context].concat();
        let mut plain = Zeroizing::new(ciphertext.to_vec());
        self.cipher()
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &aad,
                plain.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| NotOpened)?;
        Ok(plain)
    }

    /// Another key, sealed by this one.
    pub(crate) fn wrap(&self, context: &[u8], other: &Self) -> Result<Vec<u8>, getrandom::Error> {
        self.seal(context, other.bytes.expose_secret())
    }

    /// The key that [`Self::wrap`] sealed.
    pub(crate) fn unwrap_key(&self, context: &[u8], wrapped: &[u8]) -> Result<Self, NotOpened> {
        let plain = self.open(context, wrapped)?;
        let bytes: Box<[u8; KEY]> =
            plain.as_slice().to_vec().into_boxed_slice().try_into().map_err(|mut other: Box<[u8]>| {
                other.zeroize();
                NotOpened
            })?;
        Ok(Self::of(bytes))
    }

    /// Wiped when dropped, like the copy that it is made of.
    fn cipher(&self) -> XChaCha20Poly1305 {
        let mut key = Key::from(*self.bytes.expose_secret());
        let cipher = XChaCha20Poly1305::new(&key);
        key.as_mut_slice().zeroize();
        cipher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_with_its_key_in_its_context_only() {
        let key = SealingKey::generate().unwrap();
        let sealed = key.seal(b"a", b"value").unwrap();
        assert_eq!(**key.open(b"a", &sealed).unwrap(), *b"value");
        assert_eq!(key.open(b"b", &sealed), Err(NotOpened));
        assert_eq!(SealingKey::generate().unwrap().open(b"a", &sealed), Err(NotOpened));
        assert_ne!(key.seal(b"a", b"value").unwrap(), sealed, "each has its own nonce");
    }

    #[test]
    fn a_flipped_bit_or_a_cut_anywhere_is_noticed() {
        let key = SealingKey::generate().unwrap();
        let sealed = key.seal(b"", b"value").unwrap();
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(key.open(b"", &bent), Err(NotOpened), "byte {at}");
            assert_eq!(key.open(b"", &sealed[..at]), Err(NotOpened), "cut at {at}");
        }
    }
}
