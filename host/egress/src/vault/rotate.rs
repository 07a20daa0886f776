//! Rotation, while values are read and written: of master keys, by wrapping
//! every data key anew; of data keys, by sealing every value of a tenant anew.
//!
//! Invariants
//! - A value can be read before, during and after each commit of a rotation.
//! - A rotation that was cut off is finished by asking for it again.
//! - A key is forgotten only when nothing is under it, and nothing can come to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use host_model::name::TenantId;
use host_store::{Commit, Entry, StoreError, key};
use serde::Serialize;

use super::{
    ATTEMPTS, DataKey, GRANT, PAGE, PENDING, SECRET, Vault, VaultError, context, data_key_key,
    older_data_keys,
};
use crate::master::MasterKeys;
use crate::seal::{KeyId, SealingKey};

/// Every kind of thing that is sealed by a tenant's data key.
const SEALED: [&str; 3] = [SECRET, GRANT, PENDING];

/// Why keys were not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The key in use would be lost, and all that it wraps with it.
    #[error(
        "the master key in use, {0}, is not among the new ones: name it under `older` in [secrets] and try again"
    )]
    WouldLose(KeyId),
    /// The vault, or its store.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<StoreError> for RotateError {
    fn from(error: StoreError) -> Self {
        Self::Vault(error.into())
    }
}

/// Which keys hold what. Public names and counts, no values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// The master key that wraps new data keys.
    pub current: String,
    /// Data keys that it wraps.
    pub data_keys: usize,
    /// Data keys that an older master key wraps, by that key's name.
    pub under_older: BTreeMap<String, usize>,
    /// Data keys that no known master key opens, by the name of the one that wrapped them.
    pub unreadable: BTreeMap<String, usize>,
    /// Values that are kept.
    pub values: usize,
    /// Values under a data key that is being rotated out.
    pub values_under_older: usize,
    /// Values whose data key, for all that is known, does not open.
    pub values_unreadable: usize,
}

impl Vault {
    /// The public name of the master key that wraps now.
    pub fn current_master_key(&self) -> KeyId {
        self.master().current.id()
    }

    /// Uses these master keys from now on, and older ones that were known, until
    /// the host stops. What is wrapped stays as it is until [`Self::rewrap`].
    pub fn adopt(&self, mut keys: MasterKeys) -> Result<(), RotateError> {
        let mut master = self.master.write();
        if keys.find(master.current.id()).is_none() {
            return Err(RotateError::WouldLose(master.current.id()));
        }
        for known in &master.older {
            if keys.find(known.id()).is_none() {
                keys.older.push(known.clone());
            }
        }
        *master = Arc::new(keys);
        Ok(())
    }

    /// Wraps every data key that is under an older master key by the current
    /// one; how many there were.
    pub async fn rewrap(&self) -> Result<usize, RotateError> {
        let mut rewrapped = 0;
        for tenant in self.tenants().await? {
            for entry in self.data_keys(&tenant).await? {
                rewrapped += usize::from(self.rewrap_one(&tenant, entry).await?);
            }
        }
        Ok(rewrapped)
    }

    async fn rewrap_one(&self, tenant: &TenantId, mut entry: Entry) -> Result<bool, VaultError> {
        for _ in 0..ATTEMPTS {
            let current = self.master().current.id();
            if KeyId::of_sealed(&entry.value) == Some(current) {
                return Ok(false);
            }
            let wrapped = self.wrap(tenant, &self.unwrap(tenant, &entry.value)?)?;
            let commit =
                Commit::default().at(entry.key.clone(), entry.version).put(entry.key.clone(), wrapped);
            match self.store.commit(commit).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|_| true)?),
            }
            match self.store.get(&entry.key).await? {
                Some(changed) => entry = changed,
                None => return Ok(false),
            }
        }
        Err(VaultError::Contended(tenant.clone()))
    }

    /// Gives a tenant a fresh data key and seals all of its values by it; how
    /// many were sealed anew. If an earlier rotation was cut off, finishes that
    /// one instead. A tenant without a value has no data key, and gets none.
    pub async fn rotate_data(&self, tenant: &TenantId) -> Result<usize, VaultError> {
        if self.older(tenant).await?.is_empty() && !self.begin(tenant).await? {
            return Ok(0);
        }
        let mut sealed = 0;
        for _ in 0..ATTEMPTS {
            let current = self.current_data_key(tenant).await?;
            for kind in SEALED {
                sealed += self.reseal(tenant, kind, &current.key).await?;
            }
            // Nothing new can come to be under an older key while this one is current.
            let mut forget = Commit::default().at(data_key_key(tenant), current.version);
            for entry in self.older(tenant).await? {
                forget = forget.delete(entry.key);
            }
            match self.store.commit(forget).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|_| sealed)?),
            }
        }
        Err(VaultError::Contended(tenant.clone()))
    }

    /// The tenants that have a data key.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, VaultError> {
        let mut tenants = Vec::new();
        let mut after = key::host().end();
        // From owner to owner, not from entry to entry: there may be millions.
        while let Some(entry) = self.store.scan(b"", Some(&after), 1).await?.pop() {
            let owner = key::owner(&entry.key).and_then(|name| name.parse::<TenantId>().ok());
            let Some(tenant) = owner else {
                after = entry.key;
                continue;
            };
            after = key::tenant(&tenant).end();
            if self.store.get(&data_key_key(&tenant)).await?.is_some() {
                tenants.push(tenant);
            }
        }
        Ok(tenants)
    }

    /// Which keys hold what. Reads every value's header.
    pub async fn key_report(&self) -> Result<KeyReport, VaultError> {
        let master = self.master();
        let mut report = KeyReport { current: master.current.id().to_string(), ..KeyReport::default() };
        for tenant in self.tenants().await? {
            let mut current = None;
            let mut known = Vec::new();
            for entry in self.data_keys(&tenant).await? {
                let wrapped_by = KeyId::of_sealed(&entry.value);
                let name = wrapped_by.map_or_else(|| "(unreadable)".to_owned(), |id| id.to_string());
                let Ok(data_key) = self.unwrap(&tenant, &entry.value) else {
                    *report.unreadable.entry(name).or_default() += 1;
                    continue;
                };
                if wrapped_by == Some(master.current.id()) {
                    report.data_keys += 1;
                } else {
                    *report.under_older.entry(name).or_default() += 1;
                }
                if *entry.key == *data_key_key(&tenant) {
                    current = Some(data_key.id());
                }
                known.push(data_key.id());
            }
            for kind in SEALED {
                let mut after = None;
                while let Some(page) = self.page(&tenant, kind, &mut after).await? {
                    for entry in page {
                        let sealed_by = KeyId::of_sealed(&entry.value);
                        let opens = sealed_by.is_some_and(|id| known.contains(&id));
                        report.values += 1;
                        report.values_unreadable += usize::from(!opens);
                        report.values_under_older += usize::from(opens && sealed_by != current);
                    }
                }
            }
        }
        Ok(report)
    }

    /// Makes a fresh data key current and keeps the one before; whether there was one.
    async fn begin(&self, tenant: &TenantId) -> Result<bool, VaultError> {
        let place = data_key_key(tenant);
        for _ in 0..ATTEMPTS {
            if self.store.get(&place).await?.is_none() {
                return Ok(false);
            }
            let DataKey { key: before, version } = self.current_data_key(tenant).await?;
            let fresh = SealingKey::generate().map_err(VaultError::Random)?;
            let commit = Commit::default()
                .at(place.clone(), version)
                .put(place.clone(), self.wrap(tenant, &fresh)?)
                .put(older_data_keys(tenant).name(&before.id().to_string()), self.wrap(tenant, &before)?);
            match self.store.commit(commit).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|_| true)?),
            }
        }
        Err(VaultError::Contended(tenant.clone()))
    }

    /// Seals every value of a kind by this data key; how many were under another.
    async fn reseal(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        key: &SealingKey,
    ) -> Result<usize, VaultError> {
        let mut sealed = 0;
        let mut after = None;
        while let Some(page) = self.page(tenant, kind, &mut after).await? {
            for entry in page {
                sealed += usize::from(self.reseal_one(tenant, kind, key, &entry).await?);
            }
        }
        Ok(sealed)
    }

    async fn reseal_one(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        key: &SealingKey,
        entry: &Entry,
    ) -> Result<bool, VaultError> {
        let prefix = key::tenant(tenant).kind(kind).prefix();
        let names = key::tail(&prefix, &entry.key).and_then(|names| names.strip_suffix(&[0]));
        let names = names.and_then(|names| std::str::from_utf8(names).ok()).unwrap_or_default();
        let not_opened = || VaultError::NotOpened { tenant: tenant.clone(), name: names.replace('\0', "/") };
        let sealed_by = KeyId::of_sealed(&entry.value).ok_or_else(not_opened)?;
        if sealed_by == key.id() {
            return Ok(false);
        }
        let Some(before) = self.data_key(tenant, sealed_by).await? else { return Err(not_opened()) };
        let context = context(kind, tenant, names);
        let plain = before.open(&context, &entry.value).map_err(|_| not_opened())?;
        let value = key.seal(&context, &plain).map_err(VaultError::Random)?;
        // Whoever changed or deleted it meanwhile has used the current key.
        let commit = Commit::default().at(entry.key.clone(), entry.version).put(entry.key.clone(), value);
        match self.store.commit(commit).await {
            Err(StoreError::Conflict) => Ok(false),
            done => Ok(done.map(|_| true)?),
        }
    }

    /// The tenant's current data key and those that are being rotated out, wrapped.
    async fn data_keys(&self, tenant: &TenantId) -> Result<Vec<Entry>, VaultError> {
        let mut keys = self.older(tenant).await?;
        keys.extend(self.store.get(&data_key_key(tenant)).await?);
        Ok(keys)
    }

    /// There is one at most but for hosts that rotate at once, so a page is all.
    async fn older(&self, tenant: &TenantId) -> Result<Vec<Entry>, VaultError> {
        Ok(self.store.scan(&older_data_keys(tenant).prefix(), None, PAGE).await?)
    }

    /// The next values of a kind; `None` after the last.
    pub(super) async fn page(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        after: &mut Option<Bytes>,
    ) -> Result<Option<Vec<Entry>>, VaultError> {
        let prefix = key::tenant(tenant).kind(kind).prefix();
        let page = self.store.scan(&prefix, after.as_deref(), PAGE).await?;
        *after = page.last().map(|last| last.key.clone());
        Ok((!page.is_empty()).then_some(page))
    }
}
