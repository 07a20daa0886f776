//! A master key in a file of its own, made at the first start and replaced by
//! a rotation; those that it replaced lie in a folder beside it.
//!
//! ```text
//! master.key                       the current key, 32 bytes, mode 400
//! master.older/0123456789abcdef.key   one that it replaced, by its public name
//! ```

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use crate::master::{MasterKey, MasterKeys};

/// The most bytes of a file that may be a key: one in base64, with room.
const MAX_FILE: u64 = 256;
/// The most older keys beside a current one: a rotation each month for years.
const MAX_OLDER: usize = 100;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file, or its folder, could not be read or written.
    #[error("cannot {what} the master key `{}`: {source}", path.display())]
    Io {
        /// `read`, `create` or `keep`.
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
        "the master key `{}` is damaged: {}; restore it from your backup, for without it no stored secret can be read",
        path.display(), crate::master::BadKey
    )]
    Damaged {
        /// The key's file.
        path: PathBuf,
    },
    /// More older keys than anybody needs.
    #[error("`{}` holds more than {MAX_OLDER} older master keys: remove those that `wharf doctor` does not name", .0.display())]
    TooMany(PathBuf),
    /// No random bytes.
    #[error("the system gives no random bytes for a master key: {0}")]
    Random(getrandom::Error),
}

impl MasterKey {
    /// Reads the key at `path`, which must be readable by its owner alone.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::Io { what: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::Open { path: path.to_owned(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
        Self::read(&bytes).map_err(|_| MasterKeyError::Damaged { path: path.to_owned() })
    }

    /// Reads the key at `path`, or creates one there that only its owner may
    /// read. Two hosts that start at once agree on one key; it is on disk when
    /// this returns.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let fresh = Self::generate()?;
        let failed = |source| MasterKeyError::Io { what: "create", path: path.to_owned(), source };
        let created = write_beside(path, &fresh).and_then(|file| match file.persist_noclobber(path) {
            Ok(_) => sync(folder_of(path)),
            Err(refused) => Err(refused.error),
        });
        match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(failed(error)),
            Ok(()) => Ok(fresh),
        }
    }
}

impl MasterKeys {
    /// The key at `path`, made if it is not there, and those that it replaced.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        Self::beside(MasterKey::load_or_create(path)?, path)
    }

    /// The key at `path` and those that it replaced.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        Self::beside(MasterKey::load(path)?, path)
    }

    fn beside(current: MasterKey, path: &Path) -> Result<Self, MasterKeyError> {
        let folder = older_folder(path);
        let failed = |source| MasterKeyError::Io { what: "read", path: folder.clone(), source };
        let mut older = Vec::new();
        let found = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(current.into()),
            found => found.map_err(failed)?,
        };
        for entry in found {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "key") {
                older.push(MasterKey::load(&file)?);
            }
            if older.len() > MAX_OLDER {
                return Err(MasterKeyError::TooMany(folder));
            }
        }
        // After a crash in `replace_file` the current one is among them.
        older.retain(|key| key.id() != current.id());
        Ok(Self { current, older })
    }

    /// Puts a fresh key at `path` in place of the one that is there, which is
    /// kept first: wherever this is cut off, both or the old one are on disk.
    pub fn replace_file(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::Io { what: "keep", path: path.to_owned(), source };
        let replaced = Self::load_or_create(path)?;
        let folder = older_folder(path);
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(failed)?;
        match fs::hard_link(path, folder.join(format!("{}.key", replaced.current.id()))) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        sync(&folder).and_then(|()| sync(folder_of(path))).map_err(failed)?;

        let fresh = MasterKey::generate()?;
        write_beside(path, &fresh)
            .and_then(|file| file.persist(path).map_err(|refused| refused.error))
            .and_then(|_| sync(folder_of(path)))
            .map_err(|source| MasterKeyError::Io { what: "create", path: path.to_owned(), source })?;
        let older = std::iter::once(replaced.current).chain(replaced.older).collect();
        Ok(Self { current: fresh, older })
    }
}

fn older_folder(path: &Path) -> PathBuf {
    path.with_extension("older")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A synced temporary, ready to take the key's name: the whole file or none is seen there.
fn write_beside(path: &Path, key: &MasterKey) -> io::Result<tempfile::NamedTempFile> {
    let mode = Permissions::from_mode(0o400);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder_of(path))?;
    file.write_all(key.0.expose())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_created_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
        assert_eq!(MasterKey::load_or_create(&path).unwrap().id(), first.id());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary stays");
        assert_eq!(format!("{first:?}"), "MasterKey(***)");
    }

    #[test]
    fn hosts_that_start_at_once_agree_on_one_master_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let ids: std::collections::HashSet<_> = std::thread::scope(|scope| {
            let hosts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| MasterKey::load_or_create(&path).unwrap().id())).collect();
            hosts.into_iter().map(|host| host.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn a_master_key_that_is_damaged_or_open_to_others_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let check = |bytes: &[u8], mode: u32, want: &str| {
            fs::remove_file(&path).ok();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
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

    #[test]
    fn a_replaced_key_stays_beside_the_new_one_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKeys::load_or_create(&path).unwrap().current.id();
        let second = MasterKeys::replace_file(&path).unwrap().current.id();
        let third = MasterKeys::replace_file(&path).unwrap().current.id();
        let found = MasterKeys::load_or_create(&path).unwrap();
        assert_eq!(found.current.id(), third);
        assert!([first, second].iter().all(|id| found.find(*id).is_some()), "both open");
        let kept = folder.path().join(format!("master.older/{first}.key"));
        assert_eq!(fs::metadata(kept).unwrap().mode() & 0o777, 0o400);
    }

    #[test]
    fn a_rotation_that_was_cut_off_before_the_new_key_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKeys::load_or_create(&path).unwrap().current.id();
        fs::create_dir(folder.path().join("master.older")).unwrap();
        fs::hard_link(&path, folder.path().join(format!("master.older/{first}.key"))).unwrap();
        let found = MasterKeys::load_or_create(&path).unwrap();
        assert_eq!((found.current.id(), found.older.len()), (first, 0));
        let replaced = MasterKeys::replace_file(&path).unwrap();
        assert!(replaced.current.id() != first && replaced.find(first).is_some());
    }
}
