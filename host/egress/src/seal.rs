//! Sealing: the master key, and authenticated encryption with a header that
//! names the key, so that keys can be rotated while old values stay readable.
//!
//! A sealed value is `version (1) · key id (8) · nonce (24) · ciphertext and
//! tag`, XChaCha20-Poly1305. Nonces are random: 192 bits make a repeat
//! negligible without any counter to keep. Header and context are bound as
//! associated data, so a value moved to another tenant or name does not open.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use host_model::digest::Digest;
use secrecy::{ExposeSecret, SecretBox};

/// The format that this code writes.
const VERSION: u8 = 1;
const KEY: usize = 32;
const KEY_ID: usize = 8;
const NONCE: usize = 24;
const HEADER: usize = 1 + KEY_ID;

/// A value does not open: another key, another context, or damage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOpened;

/// A key and its public name.
pub(crate) struct SealingKey {
    bytes: SecretBox<[u8; KEY]>,
    id: [u8; KEY_ID],
}

impl SealingKey {
    /// A fresh one.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Box::new([0; KEY]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self::of(bytes))
    }

    fn of(bytes: Box<[u8; KEY]>) -> Self {
        // Hashed under a label of its own: the id tells nothing about the key.
        let mut labelled = b"wharf key id\0".to_vec();
        labelled.extend_from_slice(bytes.as_ref());
        let digest = Digest::of(&labelled);
        labelled.fill(0);
        let mut id = [0; KEY_ID];
        id.iter_mut().zip(digest.as_bytes()).for_each(|(id, byte)| *id = *byte);
        Self { bytes: SecretBox::new(bytes), id }
    }

    /// Encrypts `plain` for this `context`.
    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, getrandom::Error> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(HEADER + NONCE + plain.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        let aad = [sealed.as_slice(), context].concat();
        #[expect(clippy::expect_used, reason = "it fails only for plaintexts of 256 GiB")]
        let ciphertext = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .expect("a secret is small");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Decrypts what [`Self::seal`] made for the same `context`.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let (header, rest) = sealed.split_at_checked(HEADER).ok_or(NotOpened)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(NotOpened)?;
        if header.first() != Some(&VERSION) || header.get(1..) != Some(&self.id) {
            return Err(NotOpened);
        }
        let aad = [header, context].concat();
        let payload = Payload { msg: ciphertext, aad: &aad };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| NotOpened)
    }

    /// Another key, sealed by this one.
    pub(crate) fn wrap(&self, context: &[u8], other: &Self) -> Result<Vec<u8>, getrandom::Error> {
        self.seal(context, other.bytes.expose_secret())
    }

    /// The key that [`Self::wrap`] sealed.
    pub(crate) fn unwrap_key(&self, context: &[u8], wrapped: &[u8]) -> Result<Self, NotOpened> {
        let plain = SecretBox::new(Box::new(self.open(context, wrapped)?));
        let bytes: [u8; KEY] = plain.expose_secret().as_slice().try_into().map_err(|_| NotOpened)?;
        Ok(Self::of(Box::new(bytes)))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.bytes.expose_secret()))
    }
}

/// The key that wraps every tenant's data key. Lives in a file of its own, so
/// that a copy of the store alone tells no secret.
pub struct MasterKey(pub(crate) SealingKey);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file, or its folder, could not be read or written.
    #[error("cannot {what} the master key `{}`: {source}", path.display())]
    Io {
        /// `read` or `create`.
        what: &'static str,
        /// The key's file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the master key `{path}` is readable by others (mode {mode:o}): run `chmod 400 {path}`", path = path.display())]
    Open {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key.
    #[error(
        "the master key `{}` is not {KEY} bytes: restore it from your backup; without it no stored secret can be read",
        path.display()
    )]
    Damaged {
        /// The key's file.
        path: PathBuf,
    },
    /// No random bytes.
    #[error("the system gives no random bytes for a master key: {0}")]
    Random(getrandom::Error),
}

impl MasterKey {
    /// A fresh key that is stored nowhere.
    pub fn generate() -> Result<Self, MasterKeyError> {
        SealingKey::generate().map(Self).map_err(MasterKeyError::Random)
    }

    /// Reads the key at `path`, or creates one there that only its owner may
    /// read. Two hosts that start at once agree on one key; it is on disk when
    /// this returns.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let fresh = SealingKey::generate().map_err(MasterKeyError::Random)?;
        let failed = |source| MasterKeyError::Io { what: "create", path: path.to_owned(), source };
        match create(path, fresh.bytes.expose_secret()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(failed(error)),
            Ok(()) => Ok(Self(fresh)),
        }
    }

    fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::Io { what: "read", path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::Open { path: path.to_owned(), mode });
        }
        let mut bytes = SecretBox::<Vec<u8>>::new(Box::default());
        // One more than a key has, so that a longer file is seen.
        let read =
            file.take(KEY as u64 + 1).read_to_end(secrecy::ExposeSecretMut::expose_secret_mut(&mut bytes));
        read.map_err(failed)?;
        let key = <[u8; KEY]>::try_from(bytes.expose_secret().as_slice());
        key.map(|key| Self(SealingKey::of(Box::new(key))))
            .map_err(|_| MasterKeyError::Damaged { path: path.to_owned() })
    }
}

/// Writes the whole file or none: a temporary beside it, synced, then linked
/// to its name only if nobody else was first.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o400)).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|refused| refused.error)?;
    std::fs::File::open(folder)?.sync_all()
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_with_its_key_in_its_context_only() {
        let key = SealingKey::generate().unwrap();
        let sealed = key.seal(b"a", b"value").unwrap();
        assert_eq!(key.open(b"a", &sealed).unwrap(), b"value");
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

    #[test]
    fn a_master_key_is_created_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
        assert_eq!(MasterKey::load_or_create(&path).unwrap().0.id, first.0.id);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary stays");
        assert_eq!(format!("{first:?}"), "MasterKey(***)");
    }

    #[test]
    fn hosts_that_start_at_once_agree_on_one_master_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let ids: std::collections::HashSet<_> = std::thread::scope(|scope| {
            let hosts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| MasterKey::load_or_create(&path).unwrap().0.id)).collect();
            hosts.into_iter().map(|host| host.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn a_master_key_that_is_damaged_or_open_to_others_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let check = |bytes: &[u8], mode: u32, want: &str| {
            std::fs::remove_file(&path).ok();
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        };
        check(&[1; 31], 0o400, "restore it from your backup");
        check(&[1; 33], 0o400, "restore it from your backup");
        check(&[1; 32], 0o444, "chmod 400");
        let nowhere = folder.path().join("missing/master.key");
        assert!(matches!(
            MasterKey::load_or_create(&nowhere),
            Err(MasterKeyError::Io { what: "create", .. })
        ));
    }
}
