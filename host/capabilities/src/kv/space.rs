//! One connection's values in the store.
//!
//! A value is stored as eight bytes of expiry (milliseconds since 1970, 0 for
//! never) and the data. What a connection keeps is counted in one record, and
//! a change that makes a difference to it is committed together with it.

use std::sync::Arc;

use bytes::Bytes;
use host_model::clock::Timestamp;
use host_model::resource::Connection;
use host_store::{Commit, Entry, Store, StoreError};

use super::KvQuota;

/// How often a change is tried again when somebody else changed the same key
/// or the usage record. Each round lets one writer through, so this many
/// writers of one connection can meet.
const MAX_TRIES: usize = 64;
/// How many keys are looked at for expired ones when the quota is used up.
const SWEEP: usize = 1_000;

pub(super) struct Space {
    store: Arc<dyn Store>,
    /// Tenant and connection: every value's key begins with it.
    values: Bytes,
    /// Where the usage record is.
    usage: Bytes,
    quota: KvQuota,
    now_ms: u64,
}

/// A live value.
pub(super) struct Value {
    pub(super) data: Bytes,
    pub(super) version: u64,
}

/// Live keys, in order.
pub(super) struct Keys {
    pub(super) keys: Vec<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// Entries that were looked at, those that have expired too.
    pub(super) scanned: u64,
    /// The bytes of these: the store gives values with their keys.
    pub(super) bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SpaceError {
    #[error("the connection's quota is used up")]
    OverQuota,
    #[error("the value is not a counter")]
    NotACounter,
    #[error("somebody else kept changing the same key")]
    Contended,
    #[error(transparent)]
    Store(StoreError),
}

/// What a connection keeps.
#[derive(Clone, Copy, Default, PartialEq)]
struct Usage {
    keys: u64,
    bytes: u64,
}

/// What a key held before a change.
struct Before {
    entry: Option<Entry>,
    /// Whether the entry has not expired.
    live: bool,
}

impl Space {
    pub(super) fn new(
        store: Arc<dyn Store>,
        connection: &Connection,
        quota: KvQuota,
        now: Timestamp,
    ) -> Self {
        let space = |kind: &'static str| {
            host_store::key::tenant(&connection.tenant).kind(kind).name(connection.name.as_str()).prefix()
        };
        Self {
            store,
            values: space("kv"),
            usage: space("kv-usage"),
            quota,
            now_ms: u64::try_from(now.timestamp_millis()).unwrap_or(0),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Value>, SpaceError> {
        let before = self.read(key).await?;
        Ok(before.value())
    }

    /// Changes a key as `decide` says, given its live value: a new value with
    /// its time to live, or nothing. Asks again if somebody else was faster.
    pub(super) async fn change(
        &self,
        key: &str,
        mut decide: impl FnMut(Option<&Value>) -> Result<Option<(Vec<u8>, Option<u64>)>, SpaceError>,
    ) -> Result<Option<u64>, SpaceError> {
        let mut swept = false;
        for _ in 0..MAX_TRIES {
            let before = self.read(key).await?;
            let Some((data, ttl_ms)) = decide(before.value().as_ref())? else { return Ok(None) };
            let expiry = ttl_ms.map_or(0, |ttl| self.now_ms.saturating_add(ttl).max(1));
            let stored = [&expiry.to_be_bytes(), data.as_slice()].concat();
            match self.commit(key, &before, Some(stored)).await {
                Ok(version) => return Ok(Some(version)),
                Err(SpaceError::OverQuota) if !swept => {
                    swept = true;
                    self.sweep().await?;
                }
                Err(SpaceError::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(SpaceError::Contended)
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), SpaceError> {
        for _ in 0..MAX_TRIES {
            let before = self.read(key).await?;
            if before.entry.is_none() {
                return Ok(());
            }
            match self.commit(key, &before, None).await {
                Err(SpaceError::Store(StoreError::Conflict)) => {}
                done => return done.map(|_| ()),
            }
        }
        Err(SpaceError::Contended)
    }

    /// A page of live keys.
    pub(super) async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Keys, SpaceError> {
        let after = after.map(|after| self.key(after));
        let page = self.store.scan(&self.key(prefix), after.as_deref(), limit).await?;
        let full = page.len() == limit;
        let name = |entry: &Entry| {
            entry.key.get(self.values.len()..).map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let next = page.last().filter(|_| full).and_then(name);
        let live = page.iter().filter(|entry| self.is_live(entry));
        let bytes = page.iter().map(|entry| (entry.key.len() + entry.value.len()) as u64).sum();
        Ok(Keys { keys: live.filter_map(name).collect(), next, scanned: page.len() as u64, bytes })
    }

    fn key(&self, key: &str) -> Vec<u8> {
        [&*self.values, key.as_bytes()].concat()
    }

    fn is_live(&self, entry: &Entry) -> bool {
        let expiry = entry.value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        expiry == 0 || expiry > self.now_ms
    }

    async fn read(&self, key: &str) -> Result<Before, SpaceError> {
        let entry = self.store.get(&self.key(key)).await?;
        let live = entry.as_ref().is_some_and(|entry| self.is_live(entry));
        Ok(Before { entry, live })
    }

    /// Writes or deletes one key and counts it, in one commit.
    async fn commit(&self, key: &str, before: &Before, stored: Option<Vec<u8>>) -> Result<u64, SpaceError> {
        let name = self.key(key);
        let size = |stored: usize| (key.len() + stored) as u64;
        let counted = self.store.get(&self.usage).await?;
        let mut usage = counted.as_ref().map(Usage::read).unwrap_or_default();
        let was = usage;
        if let Some(entry) = &before.entry {
            usage.keys = usage.keys.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(size(entry.value.len()));
        }
        if let Some(stored) = &stored {
            usage.keys += 1;
            usage.bytes += size(stored.len());
            let grows = usage.bytes > was.bytes || usage.keys > was.keys;
            if grows && (usage.keys > self.quota.keys || usage.bytes > self.quota.bytes) {
                return Err(SpaceError::OverQuota);
            }
        }
        let mut commit = match &before.entry {
            Some(entry) => Commit::default().at(name.clone(), entry.version),
            None => Commit::default().absent(name.clone()),
        };
        // A change of the same size leaves the count alone, so counters do not meet there.
        if usage != was {
            commit = match &counted {
                Some(entry) => commit.at(self.usage.clone(), entry.version),
                None => commit.absent(self.usage.clone()),
            };
            commit = commit.put(self.usage.clone(), usage.write());
        }
        commit = match stored {
            Some(stored) => commit.put(name, stored),
            None => commit.delete(name),
        };
        Ok(self.store.commit(commit).await?)
    }

    /// Deletes some of what has expired.
    async fn sweep(&self) -> Result<(), SpaceError> {
        for entry in self.store.scan(&self.values, None, SWEEP).await? {
            if !self.is_live(&entry)
                && let Some(Ok(key)) = entry.key.get(self.values.len()..).map(std::str::from_utf8)
            {
                let before = Before { entry: Some(entry.clone()), live: false };
                match self.commit(key, &before, None).await {
                    Ok(_) | Err(SpaceError::Store(StoreError::Conflict)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Before {
    fn value(&self) -> Option<Value> {
        let entry = self.entry.as_ref().filter(|_| self.live)?;
        (entry.value.len() >= 8).then(|| Value { data: entry.value.slice(8..), version: entry.version })
    }
}

impl Usage {
    fn read(entry: &Entry) -> Self {
        let number = |at: usize| entry.value.get(at..).and_then(|rest| rest.first_chunk()).copied();
        Self { keys: number(0).map_or(0, u64::from_be_bytes), bytes: number(8).map_or(0, u64::from_be_bytes) }
    }

    fn write(self) -> Vec<u8> {
        [self.keys.to_be_bytes(), self.bytes.to_be_bytes()].concat()
    }
}

impl From<StoreError> for SpaceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
