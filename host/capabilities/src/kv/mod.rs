//! `wharf:kv`: small values, private to one connection.
//!
//! Invariants
//! - The storage key begins with tenant and connection, both from the host;
//!   the guest's key is its last segment, so it cannot name anything else.
//! - A change and the usage it counts for are one commit.

mod space;

use std::sync::Arc;

use crate::Call;
use crate::bindings::connector::wharf::kv::store;
use crate::meter::copied;
use space::{Space, SpaceError, Value};

/// The longest key, in bytes, as `wit/deps/wharf-kv` says.
const MAX_KEY: usize = 256;
/// The longest value, in bytes: what the store takes, less our own framing.
const MAX_VALUE: usize = 60 << 10;
/// The most keys on one page.
const MAX_PAGE: usize = 100;

/// Fuel of reading one value: a microsecond, as [`Meter::work`](crate::Meter::work) counts.
const READ: u64 = 1_000;
/// Fuel of a change: its commit takes some 25 µs of the CPU, waiting for the disk apart.
const CHANGE: u64 = 25_000;
/// Fuel of finding where a page begins: 15 µs, also if there is nothing.
const SCAN: u64 = 15_000;
/// Fuel of each entry that is looked at for a page: 0.3 µs.
const SCANNED: u64 = 300;

/// What one connection may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvQuota {
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values together.
    pub bytes: u64,
}

impl Default for KvQuota {
    /// Enough for cursors, caches and deduplication; not a database.
    fn default() -> Self {
        Self { keys: 100_000, bytes: 64 << 20 }
    }
}

type Answer<T> = Result<T, store::Error>;

impl Call {
    /// The one way to a connection's values: by its grant.
    fn space(&self) -> Answer<Space> {
        let connection =
            self.connection().filter(|connection| connection.grants.kv).ok_or(store::Error::Denied)?;
        Ok(Space::new(Arc::clone(&self.host.store), connection, self.host.kv_quota, self.host.clock.now()))
    }

    fn space_for(&self, key: &str, value: usize) -> Answer<Space> {
        if key.is_empty() || key.len() > MAX_KEY || value > MAX_VALUE {
            return Err(store::Error::TooLarge);
        }
        self.space()
    }
}

/// Sends an early `Err` to the guest instead of trapping.
macro_rules! attempt {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error.into())),
        }
    };
}

impl store::Host for Call {
    async fn get(&mut self, key: String) -> wasmtime::Result<Answer<Option<store::Entry>>> {
        self.meter.host_call(key.len())?;
        self.meter.work(READ)?;
        let found = attempt!(attempt!(self.space_for(&key, 0)).get(&key).await);
        self.meter.bytes(found.as_ref().map_or(0, |found| found.data.len()))?;
        Ok(Ok(found.map(|found| store::Entry { value: found.data.to_vec(), version: found.version })))
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Answer<u64>> {
        self.meter.host_call(key.len() + value.len())?;
        self.meter.work(CHANGE)?;
        let space = attempt!(self.space_for(&key, value.len()));
        let change = |_: Option<&Value>| Ok(Some((value.clone(), ttl_ms)));
        Ok(Ok(attempt!(space.change(&key, change).await).unwrap_or_default()))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Answer<Option<u64>>> {
        self.meter.host_call(key.len() + value.len())?;
        self.meter.work(CHANGE)?;
        let space = attempt!(self.space_for(&key, value.len()));
        let change = |found: Option<&Value>| {
            let same = found.map(|found| found.version) == expected;
            Ok(same.then(|| (value.clone(), None)))
        };
        Ok(Ok(attempt!(space.change(&key, change).await)))
    }

    async fn increment(&mut self, key: String, by: i64) -> wasmtime::Result<Answer<i64>> {
        self.meter.host_call(key.len() + size_of::<i64>())?;
        self.meter.work(CHANGE)?;
        let space = attempt!(self.space_for(&key, 0));
        let mut sum = 0;
        let change = |found: Option<&Value>| {
            let have = match found {
                Some(found) => {
                    i64::from_be_bytes((*found.data).try_into().map_err(|_| SpaceError::NotACounter)?)
                }
                None => 0,
            };
            sum = have.checked_add(by).ok_or(SpaceError::NotACounter)?;
            Ok(Some((sum.to_be_bytes().to_vec(), None)))
        };
        attempt!(space.change(&key, change).await);
        Ok(Ok(sum))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Answer<()>> {
        self.meter.host_call(key.len())?;
        self.meter.work(CHANGE)?;
        attempt!(attempt!(self.space_for(&key, 0)).delete(&key).await);
        Ok(Ok(()))
    }

    async fn list_keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Answer<store::Page>> {
        self.meter.host_call(prefix.len() + after.as_ref().map_or(0, String::len))?;
        self.meter.work(SCAN)?;
        let space = attempt!(self.space());
        let limit = (limit as usize).clamp(1, MAX_PAGE);
        let page = attempt!(space.keys(&prefix, after.as_deref(), limit).await);
        self.meter.work(SCANNED * page.scanned + copied(page.bytes))?;
        self.meter.bytes(page.keys.iter().map(String::len).sum())?;
        Ok(Ok(store::Page { keys: page.keys, next: page.next }))
    }
}

impl From<SpaceError> for store::Error {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::OverQuota => Self::OverQuota,
            SpaceError::NotACounter => Self::NotACounter,
            SpaceError::Contended => Self::Contended,
            // The cause is the operator's business, not the guest's.
            SpaceError::Store(_) => Self::Other("the store is not available".to_owned()),
        }
    }
}
