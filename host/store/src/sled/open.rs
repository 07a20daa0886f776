//! Opening: takes the directory for this process, and refuses a store that is
//! not whole.
//!
//! sled's recovery takes a damaged place in its log for the end of it and goes
//! on with what came before. So sled opening without complaint says little: we
//! read every entry and every change in the log, compare with the [`Ledger`]
//! that was committed last, and compare that with the last version that anybody
//! was told of. Only then the tree takes what the log has.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sled::Db;

use super::disk::{ACKNOWLEDGED, Disk, Note, read_acknowledged, sync_dir};
use super::layout::{self, FORMAT, LEDGER, Ledger, MARKER, MARKER_TREE};
use super::log::{self, Log, Replayed};
use super::mover::{Generation, move_into};
use super::recent::Changes;
use super::tally::{Difference, Tallies};
use crate::port::Version;

/// sled's page cache. Enough for the hot part of a machine's runs, and little
/// enough that an idle host stays small (the default is 1 GiB).
const CACHE_BYTES: u64 = 64 << 20;
/// sled keeps a page in its log only up to a quarter of this, and a leaf holds
/// up to some 20 entries: 2 MiB takes 20 of our largest with room. The default
/// of 512 KiB would spill leaves of 8 KiB values into unsynced files.
const SEGMENT_BYTES: usize = 8 << 20;
/// sled's deferred clean-up can hold its own lock a moment after the store was
/// closed; we hold ours by then, so waiting cannot race with another process.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a store could not be opened. Nothing was given up: the files are as
/// they were, but for what sled's recovery cut off.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the store in `{}` is in use by another process: stop that one, or give this one another directory",
        dir.display()
    )]
    InUse {
        /// The store.
        dir: PathBuf,
    },
    /// Another version of Wharf wrote it.
    #[error(
        "the store in `{}` has format {found}, this version reads format {FORMAT}: \
         back it up with the version that wrote it, then restore the backup with this one",
        dir.display()
    )]
    Format {
        /// The store.
        dir: PathBuf,
        /// The format in its marker.
        found: String,
    },
    /// Its files do not hold what was acknowledged.
    #[error(
        "the store in `{}` is damaged ({what}): copy the directory aside, \
         then run `wharf doctor` to restore the last backup",
        dir.display()
    )]
    Damaged {
        /// The store.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file system refused.
    #[error("cannot {doing} the store in `{}`: check that the directory is ours and the disk is not full", dir.display())]
    Io {
        /// `create`, `lock`, `read` or `sync`.
        doing: &'static str,
        /// The store.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A store that is open and whole.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) disk: Disk,
    pub(super) log: Log,
    pub(super) note: Note,
    pub(super) ledger: Ledger,
    pub(super) tallies: Tallies,
    /// Held until after the database is closed.
    pub(super) lock: File,
}

struct Opening<'a> {
    dir: &'a Path,
}

/// Opens the store in `dir`, or makes an empty one. Reads every entry once.
pub(super) fn open(dir: &Path) -> Result<Opened, OpenError> {
    let at = Opening { dir };
    fs::create_dir_all(dir).map_err(at.io("create"))?;
    let lock = at.lock()?;
    let note = lock.try_clone().map_err(at.io("lock"))?;
    let acknowledged = match read_acknowledged(&note) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(at.damaged(format!("file `{ACKNOWLEDGED}`: {error}")));
        }
        read => read.map_err(at.io("read"))?,
    };
    if acknowledged.is_some() && !dir.join("db").exists() {
        return Err(at.damaged("file `db` is missing"));
    }

    let (db, replayed, tallies) = match catch_unwind(AssertUnwindSafe(|| at.recover(acknowledged))) {
        Ok(recovered) => recovered?,
        Err(_) => return Err(at.damaged("sled panicked while it read its files")),
    };
    let Replayed { changes, ledger, generation } = replayed;
    let mut disk = Disk::open(dir).map_err(at.io("read"))?;
    let note = Note(note);
    if acknowledged.is_none() {
        at.finish_new(&mut disk, &note).map_err(at.io("sync"))?;
    }
    if !changes.is_empty() {
        let generation = Generation { changes: changes.into(), ledger };
        move_into(&db, &mut disk, &generation).map_err(|broken| at.damaged(broken.to_string()))?;
    }
    let log = Log::begin(dir, generation + 1).map_err(at.io("create"))?;
    Ok(Opened { db, disk, log, note, ledger, tallies, lock })
}

impl Opening<'_> {
    /// Takes the directory before sled looks at it: sled would otherwise start
    /// its recovery on files that another process writes.
    fn lock(&self) -> Result<File, OpenError> {
        let path = self.dir.join(ACKNOWLEDGED);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(self.io("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: self.dir.into() }),
            Err(TryLockError::Error(error)) => Err(self.io("lock")(error)),
        }
    }

    fn recover(&self, acknowledged: Option<Version>) -> Result<(Db, Replayed, Tallies), OpenError> {
        let db = self.open_sled()?;
        let marker = db.open_tree(MARKER_TREE).map_err(self.sled())?;
        let found = marker.get(MARKER).map_err(self.sled())?;
        match (found, acknowledged) {
            (Some(found), _) if found == FORMAT => {}
            (Some(found), _) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                return Err(OpenError::Format { dir: self.dir.into(), found });
            }
            (None, None) => drop(marker.insert(MARKER, FORMAT).map_err(self.sled())?),
            (None, Some(_)) => return Err(self.damaged("its format marker is lost")),
        }

        let tree = match db.get(LEDGER).map_err(self.sled())? {
            Some(bytes) => {
                Ledger::from_bytes(&bytes).ok_or_else(|| self.damaged("its ledger cannot be read"))?
            }
            None if acknowledged.is_none() => Ledger::default(),
            None => return Err(self.damaged("its ledger is lost")),
        };
        let replayed = log::replay(self.dir, tree).map_err(self.io("read"))?;
        let (counted, tallies) = self.count(&db, &replayed.changes)?;
        let ledger = replayed.ledger;
        if (counted.entries, counted.sum) != (ledger.entries, ledger.sum) {
            let (found, want) = (counted.entries, ledger.entries);
            return Err(self.damaged(format!(
                "it holds {found} entries where {want} were committed, or not their last versions"
            )));
        }
        match acknowledged {
            Some(told) if told > ledger.version => Err(self.damaged(format!(
                "it ends with commit {}, but commit {told} was acknowledged",
                ledger.version
            ))),
            None if ledger.version > 0 => Err(self.damaged(format!("file `{ACKNOWLEDGED}` is lost"))),
            Some(_) => Ok((db, replayed, tallies)),
            None => {
                db.insert(LEDGER, ledger.to_bytes()).map_err(self.sled())?;
                db.flush().map_err(self.sled())?;
                Ok((db, replayed, tallies))
            }
        }
    }

    fn open_sled(&self) -> Result<Db, OpenError> {
        let config =
            sled::Config::new().path(self.dir).cache_capacity(CACHE_BYTES).segment_size(SEGMENT_BYTES);
        let mut tries = 0;
        loop {
            match config.open() {
                Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                    if tries == LOCK_TRIES {
                        return Err(OpenError::InUse { dir: self.dir.into() });
                    }
                    tries += 1;
                    thread::sleep(LOCK_PAUSE);
                }
                opened => return opened.map_err(self.sled()),
            }
        }
    }

    /// Reads every entry, of the tree and of the log over it.
    fn count(&self, db: &Db, over: &Changes) -> Result<(Ledger, Tallies), OpenError> {
        let (mut counted, mut all) = (Ledger::default(), Difference::default());
        for (key, change) in over {
            let Some(value) = &change.value else { continue };
            counted.add(key, change.version);
            all.add(key, value.len());
        }
        for pair in db.iter() {
            let (tree_key, value) = pair.map_err(self.sled())?;
            if tree_key == LEDGER {
                continue;
            }
            let (key, version) = layout::key_of(&tree_key)
                .zip(layout::version_of(&value))
                .ok_or_else(|| self.damaged("it holds an entry that Wharf did not write"))?;
            if !over.contains_key(key) {
                counted.add(key, version);
                all.add(key, layout::value_size(&value));
            }
        }
        let tallies = Tallies::default();
        tallies.apply(all);
        Ok((counted, tallies))
    }

    /// The marker, the files' names and the first note become durable; from
    /// then on a store without them is a damaged one.
    fn finish_new(&self, disk: &mut Disk, note: &Note) -> io::Result<()> {
        disk.sync()?;
        sync_dir(self.dir)?;
        if let Some(parent) = self.dir.canonicalize()?.parent() {
            sync_dir(parent)?;
        }
        note.acknowledge(0)?;
        note.sync()
    }

    fn damaged(&self, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { dir: self.dir.into(), what: what.into() }
    }

    fn sled(&self) -> impl Fn(sled::Error) -> OpenError + use<'_> {
        |error| match error {
            // Without a number it is not the system's error but sled's: a file ends early.
            sled::Error::Io(source) if source.raw_os_error().is_some() => self.io("read")(source),
            sled::Error::Unsupported(what) => self.damaged(what),
            error => self.damaged(error.to_string()),
        }
    }

    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> OpenError + use<'_> {
        move |source| OpenError::Io { doing, dir: self.dir.into(), source }
    }
}
