//! What the readers and the writer share: the tree, what is in flight, how far
//! the store is durable, and whether it broke.
//!
//! A read must not show what a crash could take back. The tree shows a group as
//! soon as it is applied, a few hundred microseconds before it is durable. So a
//! read looks, under the lock that applying takes, at the tree and at the group
//! in flight: an entry newer than the durable version, or the absence of a key
//! that the group deletes, is held back until the group is durable. An entry
//! that is old enough was not changed by the group, so most reads never wait.
//! The lock also makes a page show each commit wholly or not at all.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use parking_lot::RwLock;
use sled::Db;
use tokio::sync::watch;

use crate::bells::Bells;
use crate::port::{StoreError, Version};

pub(super) struct Shared {
    /// `None` only while it is dropped.
    db: Option<Db>,
    pub(super) in_flight: RwLock<InFlight>,
    state: watch::Sender<State>,
    pub(super) bells: Bells,
    pub(super) commits: AtomicU64,
    pub(super) fsyncs: AtomicU64,
}

/// The group that is applied and not yet durable.
#[derive(Default)]
pub(super) struct InFlight {
    /// The version of its last commit.
    pub(super) up_to: Version,
    /// The keys that it deleted.
    pub(super) deleted: BTreeSet<Bytes>,
}

#[derive(Clone)]
struct State {
    durable: Version,
    broken: Option<Arc<str>>,
}

/// Why the engine cannot go on.
#[derive(Debug)]
pub(super) struct Broken(String);

/// Something read, and the version that must be durable before it is shown.
pub(super) struct Seen<T> {
    pub(super) what: T,
    pub(super) version: Version,
}

impl Shared {
    pub(super) fn new(db: Db, durable: Version) -> Self {
        Self {
            db: Some(db),
            in_flight: RwLock::default(),
            state: watch::Sender::new(State { durable, broken: None }),
            bells: Bells::default(),
            commits: AtomicU64::new(0),
            fsyncs: AtomicU64::new(0),
        }
    }

    pub(super) fn db(&self) -> Result<&Db, Broken> {
        self.db.as_ref().ok_or_else(|| Broken("it was closed".into()))
    }

    /// Reads the tree. Blocks for a page that is not cached, and while a group
    /// is applied (about 3 us a key).
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&Db, &InFlight) -> Result<Seen<T>, Broken>,
    ) -> Result<Seen<T>, StoreError> {
        self.usable()?;
        let in_flight = self.in_flight.read();
        // sled panics on some kinds of damage.
        let looked = catch_unwind(AssertUnwindSafe(|| look(self.db()?, &in_flight)));
        drop(in_flight);
        looked.unwrap_or_else(|_| Err(Broken::panicked())).map_err(|broken| {
            self.break_down(broken);
            self.refusal()
        })
    }

    /// Gives what was read when it is durable.
    pub(super) async fn when_durable<T>(&self, seen: Seen<T>) -> Result<T, StoreError> {
        if self.state.borrow().durable < seen.version {
            let mut state = self.state.subscribe();
            // Fails only when `self` is gone.
            let _ = state.wait_for(|state| state.durable >= seen.version || state.broken.is_some()).await;
            self.usable()?;
        }
        Ok(seen.what)
    }

    /// Everything up to `version` is durable; nothing is in flight.
    pub(super) fn durable(&self, version: Version) {
        self.state.send_modify(|state| state.durable = version);
        self.in_flight.write().deleted.clear();
    }

    /// Refuses everything from now on. The first reason stays.
    pub(super) fn break_down(&self, Broken(reason): Broken) {
        tracing::error!(%reason, "the store failed and refuses everything until the host is restarted");
        self.state.send_modify(|state| {
            state.broken.get_or_insert_with(|| reason.into());
        });
        self.bells.close();
    }

    pub(super) fn broken(&self) -> Option<Arc<str>> {
        self.state.borrow().broken.clone()
    }

    pub(super) fn usable(&self) -> Result<(), StoreError> {
        if self.state.borrow().broken.is_some() { Err(self.refusal()) } else { Ok(()) }
    }

    /// What a caller is told whose commit nobody answered.
    pub(super) fn refusal(&self) -> StoreError {
        StoreError::Engine(self.broken().unwrap_or_else(|| "it was closed".into()))
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
