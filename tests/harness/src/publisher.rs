//! Whoever signs packages, as minisign does.

use std::io::Cursor;

use minisign::KeyPair;

/// A publisher with a key of its own.
pub struct Publisher(KeyPair);

impl Default for Publisher {
    fn default() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }
}

impl Publisher {
    /// Its public key, as an operator names it.
    pub fn key(&self) -> String {
        self.0.pk.to_base64()
    }

    /// What each of its signatures says about who made it.
    pub fn key_id(&self) -> &[u8] {
        self.0.pk.keynum()
    }

    /// Its signature of these bytes: a file `….minisig`.
    pub fn signs(&self, bytes: &[u8]) -> String {
        let comment = Some("file:package.wasm");
        minisign::sign(None, &self.0.sk, Cursor::new(bytes), comment, None).unwrap().into_string()
    }
}
