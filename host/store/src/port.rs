//! The port: four operations. Everything durable is built on them, so each
//! engine gives the same promises (kept by [`crate::contract`]).

use std::sync::Arc;

use bytes::Bytes;
use host_model::effects::BoxFuture;

use crate::holds::Hold;

/// The most bytes a value may have; larger payloads are blobs. sled puts
/// values over 128 KiB into files that it never syncs.
pub const MAX_VALUE: usize = 64 << 10;
/// The most bytes a key may have.
pub const MAX_KEY: usize = 1 << 10;
/// The most requirements, puts and deletes of one commit together: a webhook's
/// hundred messages for five workflows each, a handful of keys for every run;
/// a thousand documents applied, each with its entry and its chain's head.
pub const MAX_COMMIT: usize = 6_000;
/// The most entries that one page gives, whatever was asked.
pub const MAX_PAGE: usize = 1_000;

/// When a key last changed: the number of the commit that did it, from 1 on.
/// Grows with every commit of the store.
pub type Version = u64;

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// When it last changed.
    pub version: Version,
}

/// What must hold for a commit to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Require {
    /// The key is not there.
    Absent(Bytes),
    /// The key is there, unchanged since this version.
    At(Bytes, Version),
}

/// Changes that happen together or not at all. A key appears once in `put`
/// and `delete` together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// What must hold.
    pub require: Vec<Require>,
    /// What is written.
    pub put: Vec<(Bytes, Bytes)>,
    /// What is deleted; absent keys are fine.
    pub delete: Vec<Bytes>,
    /// The blobs that it is about to name. An engine lets go of them when what
    /// is written can be read, or never will be.
    pub holds: Vec<Hold>,
}

impl Commit {
    /// Requires that the key is not there.
    #[must_use]
    pub fn absent(mut self, key: impl Into<Bytes>) -> Self {
        self.require.push(Require::Absent(key.into()));
        self
    }

    /// Requires that the key is unchanged since `version`.
    #[must_use]
    pub fn at(mut self, key: impl Into<Bytes>, version: Version) -> Self {
        self.require.push(Require::At(key.into(), version));
        self
    }

    /// Writes the key.
    #[must_use]
    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.put.push((key.into(), value.into()));
        self
    }

    /// Keeps a blob until it is named.
    #[must_use]
    pub fn hold(mut self, hold: Hold) -> Self {
        self.holds.push(hold);
        self
    }

    /// Does what the other one does, too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Self { require, put, delete, holds } = other;
        self.require.extend(require);
        self.put.extend(put);
        self.delete.extend(delete);
        self.holds.extend(holds);
        self
    }

    /// How many requirements, puts and deletes it has.
    pub fn changes(&self) -> usize {
        self.require.len() + self.put.len() + self.delete.len()
    }

    /// Bytes that what it puts [counts](crate::key::counted_bytes).
    pub fn bytes(&self) -> u64 {
        self.put.iter().map(|(key, value)| crate::key::counted_bytes(key, value.len())).sum()
    }

    /// Deletes the key.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.delete.push(key.into());
        self
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A requirement of the commit does not hold; nothing was changed.
    #[error("the key was changed by somebody else")]
    Conflict,
    /// A key, a value or a commit over its limit; nothing was changed.
    #[error("{what} is {size}, the store's limit is {limit}")]
    TooLarge {
        /// `key bytes`, `value bytes` or `changes in one commit`.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The engine failed. Whether a commit happened is not known; after an
    /// fsync error the engine refuses everything until the host is restarted.
    #[error("the store failed: {0}")]
    Engine(Arc<str>),
}

/// A page of entries in key order.
pub type Page = Vec<Entry>;

/// A bell for changes below a prefix. It may ring once for many changes; it
/// never stays silent after one.
pub struct Doorbell(pub(crate) tokio::sync::watch::Receiver<u64>);

impl Doorbell {
    /// Waits for the next change since the last ring, or since `watch`. `false`
    /// if the store is gone and nothing will change any more.
    pub async fn rung(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// A durable, ordered map with atomic commits.
///
/// Promises of every engine: a commit is atomic, checked against all commits
/// before it, and durable (fsynced) when it returns; a read never shows what a
/// crash could take back; after a crash the store holds every commit that
/// returned, and of those under way each one wholly or not at all.
pub trait Store: Send + Sync + 'static {
    /// The entry under `key`.
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Entry>, StoreError>>;

    /// Entries whose keys start with `prefix` and sort after `after`, in key
    /// order, at most `limit` and at most [`MAX_PAGE`].
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// Makes the changes if every requirement holds; gives their version.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>>;

    /// A bell for commits that change a key below `prefix`.
    fn watch(&self, prefix: &[u8]) -> Doorbell;
}
