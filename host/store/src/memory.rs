//! The store in memory: for tests and for trying things out. Keeps every
//! promise of the port but durability.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use host_model::effects::BoxFuture;
use parking_lot::RwLock;

use crate::bells::Bells;
use crate::limits;
use crate::port::{Commit, Doorbell, Entry, MAX_PAGE, Page, Require, Store, StoreError, Version};

/// An ordered map behind a lock.
#[derive(Default)]
pub struct MemoryStore {
    held: RwLock<Held>,
    bells: Bells,
}

#[derive(Default)]
struct Held {
    entries: BTreeMap<Bytes, (Version, Bytes)>,
    version: Version,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Held {
    fn holds(&self, require: &Require) -> bool {
        match require {
            Require::Absent(key) => !self.entries.contains_key(key),
            Require::At(key, version) => self.entries.get(key).is_some_and(|(at, _)| at == version),
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<Version, StoreError> {
        if !commit.require.iter().all(|require| self.holds(require)) {
            return Err(StoreError::Conflict);
        }
        self.version += 1;
        for (key, value) in &commit.put {
            self.entries.insert(key.clone(), (self.version, value.clone()));
        }
        for key in &commit.delete {
            self.entries.remove(key);
        }
        Ok(self.version)
    }
}

fn entry((key, (version, value)): (&Bytes, &(Version, Bytes))) -> Entry {
    Entry { key: key.clone(), value: value.clone(), version: *version }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        let key = Bytes::copy_from_slice(key);
        Box::pin(async move { Ok(self.held.read().entries.get_key_value(&key).map(entry)) })
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, StoreError>> {
        let prefix = Bytes::copy_from_slice(prefix);
        let after = after.map(Bytes::copy_from_slice);
        Box::pin(async move {
            let from = match after {
                Some(after) if after >= prefix => Bound::Excluded(after),
                _ => Bound::Included(prefix.clone()),
            };
            let held = self.held.read();
            let below =
                held.entries.range((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(&prefix));
            Ok(below.take(limit.min(MAX_PAGE)).map(entry).collect())
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            limits::check(&commit)?;
            let mut held = self.held.write();
            let version = held.commit(&commit)?;
            // Rung while nobody can read: no change is seen before its bell.
            self.bells.ring(commit.put.iter().map(|(key, _)| key).chain(&commit.delete));
            Ok(version)
        })
    }

    fn watch(&self, prefix: &[u8]) -> Doorbell {
        self.bells.hang(prefix)
    }
}
