//! Compiled components on disk, authenticated before they are mapped.
//!
//! `{folder}/{engine}/{digest}.cwasm` is the machine code, `.mac` beside it an
//! HMAC-SHA256 under the host-local key over engine, digest and code. The
//! engine's part covers its version and configuration, so an upgrade misses
//! instead of mapping what it should not.

use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use host_model::digest::Digest;
use sha2::Sha256;
use wasmtime::Engine;

use crate::StartError;

/// Bytes of the host-local key.
const KEY: usize = 32;

pub(crate) struct Artefacts {
    folder: PathBuf,
    engine: String,
    key: [u8; KEY],
}

/// A file whose HMAC was checked. Only this module makes one.
pub(crate) struct Authentic(PathBuf);

impl Authentic {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Artefacts {
    pub(crate) fn open(engine: &Engine, folder: &Path) -> Result<Self, StartError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Artefacts { path, source }
        };
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = format!("{:016x}", hasher.finish());
        let (key_file, folder) = (folder.join("key"), folder.join(&engine));
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(at(&folder))?;
        let key = load_or_create_key(&key_file).map_err(at(&key_file))?;
        Ok(Self { folder, engine, key })
    }

    /// The artefact of a component, if it is there and authentic. One that is
    /// not is deleted: it will be compiled again.
    pub(crate) fn find(&self, digest: &Digest) -> io::Result<Option<Authentic>> {
        let path = self.path(digest, "cwasm");
        let (Some(code), Some(mac)) = (read(&path)?, read(&self.path(digest, "mac"))?) else {
            return Ok(None);
        };
        if self.mac(digest, &code)?.verify_slice(&mac).is_ok() {
            return Ok(Some(Authentic(path)));
        }
        tracing::warn!(package.digest = %digest, "a cached artefact is not authentic; it is compiled anew");
        fs::remove_file(&path)?;
        Ok(None)
    }

    /// Keeps an artefact. A crash in between leaves code without a matching
    /// HMAC, which is the same as none.
    pub(crate) fn keep(&self, digest: &Digest, code: &[u8]) -> io::Result<Authentic> {
        let mac = self.mac(digest, code)?.finalize().into_bytes();
        let path = self.path(digest, "cwasm");
        self.write(&self.path(digest, "mac"), &mac)?;
        self.write(&path, code)?;
        Ok(Authentic(path))
    }

    fn path(&self, digest: &Digest, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", digest.hex()))
    }

    fn mac(&self, digest: &Digest, code: &[u8]) -> io::Result<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(io::Error::other)?;
        mac.update(self.engine.as_bytes());
        mac.update(digest.as_bytes());
        mac.update(code);
        Ok(mac)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(content)?;
        file.as_file().set_permissions(Permissions::from_mode(0o400))?;
        file.persist(path)?;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the host-local key, or makes one that only this user can read. Hosts
/// that share a folder and start together agree on one.
fn load_or_create_key(path: &Path) -> io::Result<[u8; KEY]> {
    if let Some(key) = read(path)? {
        return key
            .try_into()
            .map_err(|_| io::Error::other(format!("the key must have {KEY} bytes: delete it")));
    }
    let mut key = [0; KEY];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(&key)?;
    file.as_file().set_permissions(Permissions::from_mode(0o400))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => load_or_create_key(path),
        Err(failed) => Err(failed.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_artefact_is_refused_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let artefacts = Artefacts::open(&engine, dir.path()).unwrap();
        let digest = Digest::of(b"component");

        let path = artefacts.keep(&digest, b"machine code").unwrap().path().to_owned();
        assert!(artefacts.find(&digest).unwrap().is_some());
        assert!(artefacts.find(&Digest::of(b"other")).unwrap().is_none());

        fs::remove_file(&path).unwrap();
        fs::write(&path, b"evil machine code").unwrap();
        assert!(artefacts.find(&digest).unwrap().is_none());
        assert!(!path.exists());
    }

    #[test]
    fn another_host_key_does_not_open_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let digest = Digest::of(b"component");
        let open = || Artefacts::open(&engine, dir.path()).unwrap();
        open().keep(&digest, b"machine code").unwrap();
        assert!(open().find(&digest).unwrap().is_some());
        fs::remove_file(dir.path().join("key")).unwrap();
        assert!(open().find(&digest).unwrap().is_none());
    }
}
