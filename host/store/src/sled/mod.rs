//! The embedded engine: sled 0.34.7 in a directory of its own, behind a log.
//!
//! One thread writes ([`writer`]): it takes every commit that waits, writes
//! them to the [`log`] as one frame with one fsync, shows them ([`recent`]) and
//! answers. Another moves what the log has gathered into sled's tree
//! ([`mover`]). Reads look at what is recent, then at the tree ([`shared`]).
//!
//! Invariants
//! - Acknowledged means fsynced by us: sled's own flush is not enough.
//! - A commit or a read that fails for the disk's sake is the last one: the
//!   kernel may have dropped what it could not write, so nothing can be
//!   trusted until the store is opened, and checked ([`open`]), again.
//! - Dropping a commit's future does not take the commit back.

mod disk;
mod layout;
mod log;
mod mover;
mod open;
mod recent;
mod shared;
mod tally;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use host_model::effects::BoxFuture;
use parking_lot::RwLock;
use sled::Db;
use tokio::sync::{mpsc, oneshot};

pub use self::open::OpenError;
use self::recent::{Recent, merged};
use self::shared::{Broken, Shared};
pub use self::tally::Tally;
use self::writer::{Job, QUEUE, Writer};
use crate::limits;
use crate::port::{Commit, Doorbell, Entry, MAX_PAGE, Page, Store, StoreError, Version};

pub(crate) use self::disk::sync_dir;

/// Up to this many entries are read where the caller runs: some 10 us from the
/// cache, as much as handing the work to another thread would cost.
const INLINE_PAGE: usize = 32;

/// A durable store in a directory.
pub struct SledStore {
    /// `None` only while the store is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    /// The writer first: the mover ends when it has.
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// Declared last, freed last: whoever gets it finds the database closed.
    _lock: File,
}

/// What the store did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits that are durable.
    pub commits: u64,
    /// Fsyncs that made them so; fewer, because commits that come together share one.
    pub fsyncs: u64,
}

impl SledStore {
    /// Opens the store in `dir`, or makes an empty one there. Checks every
    /// entry, so it takes about a second for a million of them; blocks.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let opened = open::open(dir)?;
        tracing::info!(
            dir = %dir.display(),
            entries = opened.ledger.entries,
            version = opened.ledger.version,
            "store opened"
        );
        let (mut store, parts) = Self::assemble(opened);
        let failed = |source| OpenError::Io { doing: "start the threads of", dir: dir.into(), source };
        store.threads = parts.start().map_err(failed)?;
        Ok(store)
    }

    fn assemble(opened: open::Opened) -> (Self, Parts) {
        let shared = Arc::new(Shared::new(opened.db, opened.tallies));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (generations, to_move) = std::sync::mpsc::sync_channel(1);
        let (done, moved) = std::sync::mpsc::channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            log: opened.log,
            note: opened.note,
            ledger: opened.ledger,
            generations,
            moved,
            moving: false,
        };
        let parts = Parts { writer, queue, disk: opened.disk, to_move, done };
        (Self { jobs: Some(jobs), threads: Vec::new(), shared, _lock: opened.lock }, parts)
    }

    /// How much there is under this prefix: that of a tenant's keys, or of the
    /// [`RUN_PENDING`](crate::key::RUN_PENDING) ones of a tenant. Nothing else is counted.
    pub fn tally(&self, prefix: &[u8]) -> Tally {
        self.shared.tallies.of(prefix)
    }

    /// Counters since the store was opened.
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            fsyncs: self.shared.fsyncs.load(Ordering::Relaxed),
        }
    }
}

/// What the store's threads are made of.
struct Parts {
    writer: Writer,
    queue: mpsc::Receiver<Job>,
    disk: disk::Disk,
    to_move: std::sync::mpsc::Receiver<mover::Generation>,
    done: std::sync::mpsc::Sender<()>,
}

impl Parts {
    fn start(self) -> std::io::Result<Vec<JoinHandle<()>>> {
        let Self { writer, queue, disk, to_move, done } = self;
        let shared = Arc::clone(&writer.shared);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        Ok(vec![
            named("store-writer").spawn(move || writer.run(queue))?,
            named("store-mover").spawn(move || mover::run(&shared, disk, &to_move, &done))?,
        ])
    }
}

impl Drop for SledStore {
    /// What was handed in is finished, then the files are closed.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // They catch their panics; there is nothing left to report.
            let _ = thread.join();
        }
        self.shared.bells.close();
    }
}

fn get(db: &Db, recent: &RwLock<Recent>, key: &[u8]) -> Result<Option<Entry>, Broken> {
    if let Some((key, change)) = recent.read().get(key) {
        return Ok(change.entry(key));
    }
    let tree_key = layout::tree_key(key);
    match db.get(&tree_key)? {
        Some(value) => layout::entry_of(&tree_key, &value).map(Some).ok_or_else(Broken::garbled),
        None => Ok(None),
    }
}

fn scan(
    db: &Db,
    recent: &RwLock<Recent>,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, Broken> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    // Kept to the end: see `shared`.
    let recent = recent.read();
    let over = recent
        .range(from)
        .take_while(|(key, _)| key.starts_with(prefix))
        .map(|(key, change)| Ok((key.clone(), change.entry(key))));
    let tree = db
        .range((from.map(layout::tree_key), Bound::Unbounded))
        .map(|pair| {
            let (tree_key, value) = pair?;
            let entry = layout::entry_of(&tree_key, &value).ok_or_else(Broken::garbled)?;
            Ok((entry.key.clone(), Some(entry)))
        })
        .take_while(|found| found.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)));
    // An error sorts first, and so ends the page at once.
    let all = merged(over, tree, |found: &Result<(Bytes, _), Broken>| {
        found.as_ref().ok().map(|(key, _)| key.clone())
    });
    all.filter_map(|found| found.map(|(_, entry)| entry).transpose()).take(limit).collect()
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        let key = Bytes::copy_from_slice(key);
        Box::pin(async move {
            // On the worker: 2.5 us from the cache, less than a change of thread.
            self.shared.read(|db, recent| get(db, recent, &key))
        })
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, StoreError>> {
        let prefix = Bytes::copy_from_slice(prefix);
        let after = after.map(Bytes::copy_from_slice);
        let limit = limit.min(MAX_PAGE);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let read = move || shared.read(|db, recent| scan(db, recent, &prefix, after.as_deref(), limit));
            if limit <= INLINE_PAGE {
                read()
            } else {
                tokio::task::spawn_blocking(read).await.map_err(|_| self.shared.refusal())?
            }
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            limits::check(&commit)?;
            self.shared.usable()?;
            let (answer, answered) = oneshot::channel();
            let jobs = self.jobs.as_ref().ok_or_else(|| self.shared.refusal())?;
            jobs.send(Job { commit, answer }).await.map_err(|_| self.shared.refusal())?;
            answered.await.unwrap_or_else(|_| Err(self.shared.refusal()))
        })
    }

    fn watch(&self, prefix: &[u8]) -> Doorbell {
        self.shared.bells.hang(prefix)
    }
}
