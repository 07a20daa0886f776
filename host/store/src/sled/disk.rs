//! What makes the tree durable, and the note that remembers how far commits went.
//!
//! `sled::Db::flush` hands its bytes to the device with `sync_file_range` and
//! waits for that, which neither empties the device's cache nor writes the
//! file's size. The `fdatasync` here does both. Our file was opened before the
//! first write and is ours alone, so the kernel reports a failed write-back
//! here even if sled's background thread saw and only logged it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::port::Version;

/// Remembers the last commit that anybody was told of. Also the file that the
/// process locks.
pub(super) const ACKNOWLEDGED: &str = "acknowledged";

/// The tree's files.
pub(super) struct Disk {
    db: File,
    overflow: PathBuf,
    overflow_synced: HashSet<OsString>,
}

/// The note of the last commit that anybody was told of.
pub(super) struct Note(pub(super) File);

impl Disk {
    /// The files of a sled database that is open in `dir`.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let mut disk = Self {
            db: File::open(dir.join("db"))?,
            overflow: dir.join("blobs"),
            overflow_synced: HashSet::new(),
        };
        disk.sync_overflow()?;
        Ok(disk)
    }

    /// Makes everything durable that sled has flushed.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.sync_overflow()?;
        self.db.sync_data()
    }

    /// sled moves a page that has grown over a quarter of a segment into a file
    /// of its own and never syncs it. Segments are large enough that this
    /// needs dozens of the largest values side by side; if it happens all the
    /// same, it is made durable here. Looking costs 3 us when there are none.
    fn sync_overflow(&mut self) -> io::Result<()> {
        let mut present = HashSet::new();
        let mut grown = false;
        for file in fs::read_dir(&self.overflow)? {
            let name = file?.file_name();
            if !self.overflow_synced.contains(&name) {
                grown = true;
                match File::open(self.overflow.join(&name)) {
                    Ok(file) => file.sync_all()?,
                    // Collected as garbage since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            present.insert(name);
        }
        if grown {
            sync_dir(&self.overflow)?;
        }
        self.overflow_synced = present;
        Ok(())
    }
}

impl Note {
    /// Notes that commits up to `version` are durable and about to be
    /// acknowledged. Not synced: it is allowed to lag after a power cut, never
    /// to lead.
    pub(super) fn acknowledge(&self, version: Version) -> io::Result<()> {
        let mark = [version, !version].map(u64::to_be_bytes).concat();
        self.0.write_all_at(&mark, 0)
    }

    /// Makes the note itself durable: when a store is made and when it is closed.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// What the note says: nothing yet, or a version.
pub(super) fn read_acknowledged(mut file: &File) -> io::Result<Option<Version>> {
    let mut mark = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut file, 64), &mut mark)?;
    if mark.is_empty() {
        return Ok(None);
    }
    let garbled = || io::Error::new(io::ErrorKind::InvalidData, "it does not hold a version");
    let (version, check) = mark.split_first_chunk().ok_or_else(garbled)?;
    let check = check.try_into().map_err(|_| garbled())?;
    let [version, check] = [*version, check].map(u64::from_be_bytes);
    if version == !check { Ok(Some(version)) } else { Err(garbled()) }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
