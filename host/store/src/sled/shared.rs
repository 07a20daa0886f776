//! What the readers and the writer share: what is recent, the tree below it,
//! and whether the store broke.
//!
//! Both hold only what is durable: the writer shows a group after its fsync,
//! and the mover takes into the tree what is in the log. So a read waits for
//! nobody. A page holds the lock on what is recent while it reads the tree, so
//! that it shows each commit wholly or not at all; a single entry need not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use sled::Db;

use super::recent::Recent;
use super::tally::Tallies;
use crate::bells::Bells;
use crate::port::StoreError;

pub(super) struct Shared {
    /// `None` only while it is dropped.
    db: Option<Db>,
    pub(super) recent: RwLock<Recent>,
    broken: OnceLock<Arc<str>>,
    pub(super) tallies: Tallies,
    pub(super) bells: Bells,
    pub(super) commits: AtomicU64,
    pub(super) fsyncs: AtomicU64,
}

/// Why the engine cannot go on.
#[derive(Debug)]
pub(super) struct Broken(String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Shared {
    pub(super) fn new(db: Db, tallies: Tallies) -> Self {
        Self {
            db: Some(db),
            recent: RwLock::default(),
            broken: OnceLock::new(),
            tallies,
            bells: Bells::default(),
            commits: AtomicU64::new(0),
            fsyncs: AtomicU64::new(0),
        }
    }

    pub(super) fn db(&self) -> Result<&Db, Broken> {
        self.db.as_ref().ok_or_else(|| Broken("it was closed".into()))
    }

    /// Reads what is recent and the tree. Blocks for a page that is not cached.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&Db, &RwLock<Recent>) -> Result<T, Broken>,
    ) -> Result<T, StoreError> {
        self.usable()?;
        // sled panics on some kinds of damage.
        let looked = catch_unwind(AssertUnwindSafe(|| look(self.db()?, &self.recent)));
        looked.unwrap_or_else(|_| Err(Broken::panicked())).map_err(|broken| {
            self.break_down(broken);
            self.refusal()
        })
    }

    /// Refuses everything from now on. The first reason stays.
    pub(super) fn break_down(&self, Broken(reason): Broken) {
        tracing::error!(%reason, "the store failed and refuses everything until the host is restarted");
        self.broken.get_or_init(|| reason.into());
        self.bells.close();
    }

    pub(super) fn usable(&self) -> Result<(), StoreError> {
        if self.broken.get().is_some() { Err(self.refusal()) } else { Ok(()) }
    }

    /// What a caller is told whose commit nobody answered.
    pub(super) fn refusal(&self) -> StoreError {
        StoreError::Engine(self.broken.get().cloned().unwrap_or_else(|| "it was closed".into()))
    }
}

impl Drop for Shared {
    /// sled panics if its last sync fails. What we acknowledged is durable by then.
    fn drop(&mut self) {
        let db = self.db.take();
        if catch_unwind(AssertUnwindSafe(move || drop(db))).is_err() {
            tracing::warn!("the store could not be synced once more at its end");
        }
    }
}

impl Broken {
    pub(super) fn panicked() -> Self {
        Self("sled panicked; restart the host, and run `wharf doctor` if it happens again".into())
    }

    pub(super) fn garbled() -> Self {
        Self("an entry has no version; run `wharf doctor` to restore the last backup".into())
    }

    pub(super) fn stuck() -> Self {
        Self("what was committed cannot be moved into the tree; restart the host".into())
    }
}

impl From<sled::Error> for Broken {
    fn from(error: sled::Error) -> Self {
        Self(format!("sled: {error}; restart the host, and run `wharf doctor` if it happens again"))
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(format!("a commit could not be made durable: {error}; look at the disk, then restart the host"))
    }
}
