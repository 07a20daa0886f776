//! The embedded engine: sled 0.34.7 in a directory of its own.
//!
//! One thread writes ([`writer`]): it takes every commit that waits, applies
//! them as one batch, makes them durable with one fsync ([`disk`]) and then
//! answers. Reads go to sled's cache directly ([`shared`]).
//!
//! Invariants
//! - Acknowledged means fsynced by us: sled's own flush is not enough.
//! - A commit or a read that fails for the disk's sake is the last one: the
//!   kernel may have dropped what it could not write, so nothing can be
//!   trusted until the store is opened, and checked ([`open`]), again.
//! - Dropping a commit's future does not take the commit back.

mod disk;
mod layout;
mod open;
mod shared;
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
use sled::Db;
use tokio::sync::{mpsc, oneshot};

pub use self::open::OpenError;
use self::shared::{Broken, InFlight, Seen, Shared};
use self::writer::{Job, QUEUE, Writer};
use crate::limits;
use crate::port::{Commit, Doorbell, Entry, MAX_PAGE, Page, Store, StoreError, Version};

pub(crate) use self::disk::sync_dir;

/// Up to this many entries are read where the caller runs: some 10 us from the
/// cache, as much as handing the work to another thread would cost.
const INLINE_PAGE: usize = 32;

/// A durable store in a directory.
pub struct SledStore {
    /// Both are `None` only while the store is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
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
        let shared = Arc::new(Shared::new(opened.db, opened.ledger.version));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = Writer { shared: Arc::clone(&shared), disk: opened.disk, ledger: opened.ledger };
        let writer = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(|source| OpenError::Io { doing: "start the writer of", dir: dir.into(), source })?;
        Ok(Self { jobs: Some(jobs), writer: Some(writer), shared, _lock: opened.lock })
    }

    /// Counters since the store was opened.
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            fsyncs: self.shared.fsyncs.load(Ordering::Relaxed),
        }
    }
}

impl Drop for SledStore {
    /// What was handed in is finished, then the files are closed.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // The writer catches its panics; there is nothing left to report.
            let _ = writer.join();
        }
        self.shared.bells.close();
    }
}

fn get(db: &Db, in_flight: &InFlight, key: &[u8]) -> Result<Seen<Option<Entry>>, Broken> {
    let tree_key = layout::tree_key(key);
    Ok(match db.get(&tree_key)? {
        Some(value) => {
            let entry = layout::entry_of(&tree_key, &value).ok_or_else(Broken::garbled)?;
            Seen { version: entry.version, what: Some(entry) }
        }
        None if in_flight.deleted.contains(key) => Seen { version: in_flight.up_to, what: None },
        None => Seen { version: 0, what: None },
    })
}

fn scan(
    db: &Db,
    in_flight: &InFlight,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Seen<Page>, Broken> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let mut page = Page::new();
    for pair in db.range((from.map(layout::tree_key), Bound::Unbounded)).take(limit) {
        let (tree_key, value) = pair?;
        let entry = layout::entry_of(&tree_key, &value).ok_or_else(Broken::garbled)?;
        if !entry.key.starts_with(prefix) {
            break;
        }
        page.push(entry);
    }
    let newest = page.iter().map(|entry| entry.version).max().unwrap_or(0);
    let deleted = in_flight.deleted.range::<[u8], _>((from, Bound::Unbounded)).next();
    let misses_a_deleted = deleted.is_some_and(|key| key.starts_with(prefix));
    let version = if misses_a_deleted { in_flight.up_to } else { newest };
    Ok(Seen { what: page, version })
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        let key = Bytes::copy_from_slice(key);
        Box::pin(async move {
            // On the worker: 2.5 us from the cache, less than a change of thread.
            let seen = self.shared.read(|db, in_flight| get(db, in_flight, &key))?;
            self.shared.when_durable(seen).await
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
            let read =
                move || shared.read(|db, in_flight| scan(db, in_flight, &prefix, after.as_deref(), limit));
            let seen = if limit <= INLINE_PAGE {
                read()?
            } else {
                tokio::task::spawn_blocking(read).await.map_err(|_| self.shared.refusal())??
            };
            self.shared.when_durable(seen).await
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
