//! Blobs: payloads too large for the store, named by their digest.
//!
//! A blob is written to a temporary file, fsynced, renamed, and its directory
//! fsynced; only then may a commit name its digest. So a digest in the store
//! always has its blob, and a blob without one is at worst left over.
//!
//! A blob may be removed while others are put, by whoever knows who names it:
//! what is about to be named is held ([`Hold`]), and what is held stays.
//!
//! ```text
//! sha256/ab/abcdef…   the blobs
//! incoming/           temporary files; emptied when opened
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use host_model::digest::Digest;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::holds::{Claim, Hold, Holds};
use crate::sled::sync_dir;

/// The most bytes a blob may have: twice the largest package upload. A blob is
/// held in memory while it is written or read.
pub const MAX_BLOB: usize = 64 << 20;

/// Why a blob could not be kept or given.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Over [`MAX_BLOB`]; nothing was written.
    #[error("a blob of {size} bytes is over the limit of {MAX_BLOB}")]
    TooLarge {
        /// How large it is.
        size: usize,
    },
    /// The file's content is not what its name says.
    #[error(
        "blob {digest} in `{}` is damaged: put the same content again, or restore the file from a backup",
        path.display()
    )]
    Damaged {
        /// The blob.
        digest: Digest,
        /// Its file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {doing} `{}`: check that the directory is ours and the disk is not full", path.display())]
    Io {
        /// `create`, `write`, `read` or `remove`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The blobs of one place. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    place: Place,
    holds: Arc<Holds>,
}

/// A blob that may be removed: nobody holds it, and whoever wants to waits.
pub struct Removal {
    place: Place,
    claim: Claim,
}

#[derive(Clone)]
enum Place {
    Directory(Arc<Path>),
    Memory(Arc<Mutex<HashMap<Digest, Bytes>>>),
}

impl Blobs {
    /// The blobs in `dir`, which is made if it is not there. Blocks.
    pub fn open(dir: &Path) -> Result<Self, BlobError> {
        let incoming = dir.join("incoming");
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("create", &incoming)(error));
            }
            _ => fs::create_dir_all(&incoming).map_err(at("create", &incoming))?,
        }
        // All of them now, so that a put has one directory to sync and no race.
        let sha256 = dir.join("sha256");
        for first in 0..=u8::MAX {
            let shelf = shelf_in(dir, first);
            fs::create_dir_all(&shelf).map_err(at("create", &shelf))?;
        }
        for dir in [&sha256, dir] {
            sync_dir(dir).map_err(at("create", dir))?;
        }
        Ok(Self { place: Place::Directory(dir.into()), holds: Arc::default() })
    }

    /// Blobs that are gone when the last clone is: for tests.
    pub fn in_memory() -> Self {
        Self { place: Place::Memory(Arc::default()), holds: Arc::default() }
    }

    /// Keeps these bytes; durable when it returns. The same bytes again cost a
    /// read, not a write.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, BlobError> {
        let digest = named(&bytes).await?;
        self.put_as(digest, bytes).await?;
        Ok(digest)
    }

    async fn put_as(&self, digest: Digest, bytes: Bytes) -> Result<(), BlobError> {
        match &self.place {
            Place::Memory(blobs) => {
                blobs.lock().insert(digest, bytes);
                Ok(())
            }
            Place::Directory(dir) => {
                let dir = Arc::clone(dir);
                blocking(move || put(&dir, digest, &bytes)).await
            }
        }
    }

    /// As [`Self::put`], and nobody removes the blob while the hold lives. Give
    /// it to the commit that names the blob.
    pub async fn put_held(&self, bytes: Bytes) -> Result<Hold, BlobError> {
        let hold = Hold::on(&self.holds, named(&bytes).await?).await;
        self.put_as(hold.digest(), bytes).await?;
        Ok(hold)
    }

    /// The blobs of one shelf: whose digest begins with this byte.
    pub async fn on_shelf(&self, first: u8) -> Result<Vec<Digest>, BlobError> {
        match &self.place {
            Place::Memory(blobs) => {
                let all = blobs.lock();
                Ok(all.keys().filter(|digest| digest.as_bytes().first() == Some(&first)).copied().collect())
            }
            Place::Directory(dir) => {
                let shelf = shelf_in(dir, first);
                blocking(move || listed(&shelf).map_err(at("read", &shelf))).await
            }
        }
    }

    /// Asks to remove a blob; `None` if somebody is about to name it. Whether
    /// somebody names it already is to be looked up only now.
    pub fn removal(&self, digest: Digest) -> Option<Removal> {
        let claim = Claim::on(&self.holds, digest)?;
        Some(Removal { place: self.place.clone(), claim })
    }

    /// The bytes of this digest, verified; `None` if they were never put.
    pub async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, BlobError> {
        let digest = *digest;
        match &self.place {
            Place::Memory(blobs) => Ok(blobs.lock().get(&digest).cloned()),
            Place::Directory(dir) => {
                let dir = Arc::clone(dir);
                blocking(move || get(&path_in(&dir, &digest), digest)).await
            }
        }
    }

    /// How many bytes the blob of this digest has; `None` if it was never put.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match &self.place {
            Place::Memory(blobs) => Ok(blobs.lock().get(digest).map(|bytes| bytes.len() as u64)),
            Place::Directory(dir) => {
                let path = path_in(dir, digest);
                blocking(move || match fs::metadata(&path) {
                    Ok(found) => Ok(Some(found.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(at("look at", &path)(error)),
                })
                .await
            }
        }
    }

    /// Where this digest's file is or would be; `None` in memory. Whoever reads
    /// it there must verify it.
    pub fn path(&self, digest: &Digest) -> Option<PathBuf> {
        match &self.place {
            Place::Memory(_) => None,
            Place::Directory(dir) => Some(path_in(dir, digest)),
        }
    }
}

impl Removal {
    /// Removes it. After a crash it may be there all the same.
    pub async fn remove(self) -> Result<(), BlobError> {
        let Self { place, claim } = self;
        match place {
            Place::Memory(blobs) => drop(blobs.lock().remove(&claim.digest)),
            Place::Directory(dir) => {
                // The claim goes along: a caller that goes away must not free a name whose file is going.
                blocking(move || {
                    let path = path_in(&dir, &claim.digest);
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            Err(at("remove", &path)(error))
                        }
                        _ => Ok(()),
                    }
                })
                .await?;
            }
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(work).await.unwrap_or_else(|lost| {
        Err(BlobError::Io { doing: "reach", path: PathBuf::new(), source: io::Error::other(lost) })
    })
}

fn shelf_in(dir: &Path, first: u8) -> PathBuf {
    dir.join("sha256").join(hex::encode([first]))
}

fn path_in(dir: &Path, digest: &Digest) -> PathBuf {
    let first = digest.as_bytes().first().copied().unwrap_or_default();
    shelf_in(dir, first).join(digest.hex())
}

/// What is named like a blob; anything else is not ours.
fn listed(shelf: &Path) -> io::Result<Vec<Digest>> {
    let mut blobs = Vec::new();
    for entry in fs::read_dir(shelf)? {
        let name = entry?.file_name();
        blobs.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
    }
    Ok(blobs)
}

/// The digest of what may be a blob. Hashing a large one takes milliseconds.
async fn named(bytes: &Bytes) -> Result<Digest, BlobError> {
    if bytes.len() > MAX_BLOB {
        return Err(BlobError::TooLarge { size: bytes.len() });
    }
    let bytes = bytes.clone();
    blocking(move || Ok(Digest::of(&bytes))).await
}

fn put(dir: &Path, digest: Digest, bytes: &[u8]) -> Result<(), BlobError> {
    let path = path_in(dir, &digest);
    match get(&path, digest) {
        Ok(Some(_)) => {}
        // A damaged blob is healed by the right bytes.
        Ok(None) | Err(BlobError::Damaged { .. }) => {
            write(&dir.join("incoming"), &path, bytes).map_err(at("write", &path))?;
        }
        Err(error) => return Err(error),
    }
    // Also for a blob that was there: a crash may have come between its rename
    // and this.
    let shelf = path.parent().unwrap_or(dir);
    sync_dir(shelf).map_err(at("write", shelf))
}

fn write(incoming: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(incoming)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn get(path: &Path, digest: Digest) -> Result<Option<Bytes>, BlobError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("read", path)(error)),
    };
    let mut bytes = Vec::new();
    let over = MAX_BLOB as u64 + 1;
    file.take(over).read_to_end(&mut bytes).map_err(at("read", path))?;
    if Digest::of(&bytes) == digest {
        Ok(Some(bytes.into()))
    } else {
        Err(BlobError::Damaged { digest, path: path.into() })
    }
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlobError + use<> {
    let path = path.to_owned();
    move |source| BlobError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_was_put_is_given_back_by_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        for blobs in [Blobs::open(dir.path()).unwrap(), Blobs::in_memory()] {
            let bytes = Bytes::from_static(b"a long letter");
            let digest = blobs.put(bytes.clone()).await.unwrap();
            assert_eq!(digest, Digest::of(&bytes));
            assert_eq!(blobs.get(&digest).await.unwrap(), Some(bytes.clone()));
            assert_eq!(blobs.size(&digest).await.unwrap(), Some(bytes.len() as u64));
            assert_eq!(blobs.put(bytes).await.unwrap(), digest);
            assert_eq!(blobs.get(&Digest::of(b"another")).await.unwrap(), None);
            assert_eq!(blobs.size(&Digest::of(b"another")).await.unwrap(), None);
            let large = Bytes::from(vec![0; MAX_BLOB + 1]);
            assert!(matches!(blobs.put(large).await, Err(BlobError::TooLarge { .. })));
        }
    }

    #[tokio::test]
    async fn blobs_outlive_the_process_and_its_left_overs_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Blobs::open(dir.path()).unwrap().put(Bytes::from_static(b"kept")).await.unwrap();
        fs::write(dir.path().join("incoming/half"), b"hal").unwrap();

        let again = Blobs::open(dir.path()).unwrap();
        assert_eq!(again.get(&digest).await.unwrap().as_deref(), Some(&b"kept"[..]));
        assert_eq!(fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
        assert!(again.path(&digest).unwrap().ends_with(format!("{}/{}", &digest.hex()[..2], digest.hex())));
    }

    #[tokio::test]
    async fn a_damaged_blob_is_named_and_healed_by_putting_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let digest = blobs.put(Bytes::from_static(b"a contract")).await.unwrap();
        fs::write(blobs.path(&digest).unwrap(), b"a contrast").unwrap();

        let error = blobs.get(&digest).await.unwrap_err();
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
        blobs.put(Bytes::from_static(b"a contract")).await.unwrap();
        assert_eq!(blobs.get(&digest).await.unwrap().as_deref(), Some(&b"a contract"[..]));
    }

    #[tokio::test]
    async fn a_blob_is_removed_unless_somebody_is_about_to_name_it() {
        let dir = tempfile::tempdir().unwrap();
        for blobs in [Blobs::open(dir.path()).unwrap(), Blobs::in_memory()] {
            let bytes = Bytes::from_static(b"read and burn");
            let hold = blobs.put_held(bytes.clone()).await.unwrap();
            let digest = hold.digest();
            assert_eq!(blobs.on_shelf(digest.as_bytes()[0]).await.unwrap(), [digest]);
            let again = hold.clone();
            drop(hold);
            assert!(blobs.removal(digest).is_none());
            drop(again);

            let removal = blobs.removal(digest).unwrap();
            assert!(blobs.removal(digest).is_none(), "one at a time");
            // Whoever puts it meanwhile waits, and finds the place empty.
            let mut put = Box::pin(blobs.put_held(bytes.clone()));
            assert!(tokio::time::timeout(Duration::from_millis(50), &mut put).await.is_err());
            removal.remove().await.unwrap();
            assert_eq!(blobs.get(&digest).await.unwrap(), None);
            let hold = put.await.unwrap();
            assert_eq!(blobs.get(&digest).await.unwrap(), Some(bytes));
            drop(hold);
            blobs.removal(digest).unwrap().remove().await.unwrap();
            assert!(blobs.on_shelf(digest.as_bytes()[0]).await.unwrap().is_empty());
            blobs.removal(digest).unwrap().remove().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_same_blob_from_many_callers_at_once_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let bytes = Bytes::from(vec![7; 100_000]);
        let puts = (0..8).map(|_| blobs.put(bytes.clone()));
        let digests = futures::future::try_join_all(puts).await.unwrap();
        assert!(digests.iter().all(|digest| *digest == Digest::of(&bytes)));
        assert_eq!(blobs.get(&digests[0]).await.unwrap(), Some(bytes));
    }
}
