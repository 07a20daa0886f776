//! The vault: secrets at rest in the store, write-only for all but this crate.
//!
//! Each tenant has a data key, wrapped by a master key; each value is sealed by
//! a data key of its tenant and bound to tenant and name. Nothing is cached:
//! opening a secret is two reads and two decryptions, some microseconds, and so
//! a secret that any host sets or deletes holds everywhere at once.
//!
//! Invariants
//! - What is sealed says under which key; old keys open until nothing needs them.
//! - A value is written only while the data key that it is sealed by is current.

mod records;
mod rotate;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use host_model::name::{SecretName, TenantId};
use host_store::key::{self, Key};
use host_store::{Commit, Store, StoreError, Version};
use parking_lot::RwLock;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::master::MasterKeys;
use crate::seal::{KeyId, SealingKey};

pub(crate) use self::records::record_key;
pub use self::rotate::{KeyReport, RotateError};

/// The most bytes of one secret: a long chain of certificates, with room.
pub const MAX_SECRET: usize = 16 << 10;
/// The most secrets of one tenant: ten times what a large one needs; bounds
/// what [`Vault::names`] gives and what a `set` counts.
pub const MAX_SECRETS: usize = 1_000;
/// Entries read at once: at most 1.6 MiB of ciphertext in memory.
const PAGE: usize = 100;
/// How often something is done again because somebody else changed it meanwhile:
/// each time another has succeeded, so this many at once for one tenant.
const ATTEMPTS: usize = 20;

/// Why the vault did not do what it was asked. Never carries a value.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// An empty value, which nobody means.
    #[error("secret `{0}` is empty: give it a value, or delete it")]
    Empty(SecretName),
    /// A value over the limit.
    #[error("secret `{name}` has {size} bytes, the limit is {MAX_SECRET}")]
    TooLarge {
        /// Which secret.
        name: SecretName,
        /// Its size.
        size: usize,
    },
    /// One more secret than a tenant may have.
    #[error("tenant `{0}` has {MAX_SECRETS} secrets, the limit: delete one first")]
    TooMany(TenantId),
    /// Stored, but it does not open.
    #[error(
        "secret `{name}` of tenant `{tenant}` does not open: its data key is gone, or the store is damaged; restore the store, or set the secret again"
    )]
    NotOpened {
        /// Whose it is.
        tenant: TenantId,
        /// Which secret.
        name: String,
    },
    /// The tenant's data key does not open.
    #[error(
        "a data key of tenant `{tenant}` does not open: it was wrapped by the master key {wrapped_by}, which is not among this host's, or the store is damaged; restore the master key, or name it under `older` in [secrets]"
    )]
    KeyNotOpened {
        /// Whose it is.
        tenant: TenantId,
        /// The name of the key that wrapped it.
        wrapped_by: String,
    },
    /// Others changed the same thing time and again.
    #[error("the secrets of tenant `{0}` are being changed by others: try again")]
    Contended(TenantId),
    /// The store failed.
    #[error("the vault's store: {0}")]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error("the system gives no random bytes to seal a secret with: {0}")]
    Random(getrandom::Error),
}

/// Secrets by tenant and name.
pub struct Vault {
    store: Arc<dyn Store>,
    /// Read for every secret, replaced by a rotation.
    master: RwLock<Arc<MasterKeys>>,
}

/// What is sealed: a tenant's thing of a kind, by its names. What a value is
/// bound to, and where it lies.
struct Place<'a> {
    tenant: &'a TenantId,
    kind: &'static str,
    /// Each ends in NUL in the key and has none itself, so no two places share one.
    names: &'a [&'a str],
}

/// Secrets that tenants set.
const SECRET: &str = "secret";
/// What authorization servers granted to connections.
pub(crate) const GRANT: &str = "oauth-grant";
/// Authorizations that somebody has begun.
pub(crate) const PENDING: &str = "oauth-pending";

impl Place<'_> {
    fn key(&self) -> Key {
        self.names.iter().fold(key::tenant(self.tenant).kind(self.kind), |key, name| key.name(name))
    }

    fn context(&self) -> Vec<u8> {
        context(self.kind, self.tenant, &self.names.join("\0"))
    }
}

/// A tenant's current data key, as of a version of the store.
struct DataKey {
    key: SealingKey,
    version: Version,
}

impl Vault {
    /// The secrets in `store`, under these master keys.
    pub fn new(store: Arc<dyn Store>, master: impl Into<MasterKeys>) -> Self {
        Self { store, master: RwLock::new(Arc::new(master.into())) }
    }

    /// Stores a secret, in place of any earlier one.
    pub async fn set(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        value: SecretString,
    ) -> Result<(), VaultError> {
        self.set_with(tenant, name, value, Commit::default()).await
    }

    /// The same, in one commit with what is `beside` it.
    pub async fn set_with(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        value: SecretString,
        beside: Commit,
    ) -> Result<(), VaultError> {
        let plain = value.expose_secret().as_bytes();
        if plain.is_empty() {
            return Err(VaultError::Empty(name.clone()));
        }
        if plain.len() > MAX_SECRET {
            return Err(VaultError::TooLarge { name: name.clone(), size: plain.len() });
        }
        let place = Place { tenant, kind: SECRET, names: &[name.as_str()] };
        if self.store.get(&place.key()).await?.is_none() && self.names(tenant).await?.len() >= MAX_SECRETS {
            return Err(VaultError::TooMany(tenant.clone()));
        }
        self.seal(&place, plain, beside).await
    }

    /// Deletes a secret; whether there was one.
    pub async fn delete(&self, tenant: &TenantId, name: &SecretName) -> Result<bool, VaultError> {
        self.delete_with(tenant, name, Commit::default()).await
    }

    /// The same, in one commit with what is `beside` it, if there is one.
    pub async fn delete_with(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        beside: Commit,
    ) -> Result<bool, VaultError> {
        let key = Place { tenant, kind: SECRET, names: &[name.as_str()] }.key();
        let found = self.store.get(&key).await?.is_some();
        if found {
            self.store.commit(beside.delete(key)).await?;
        }
        Ok(found)
    }

    /// The names of a tenant's secrets, in order.
    pub async fn names(&self, tenant: &TenantId) -> Result<Vec<SecretName>, VaultError> {
        let prefix = key::tenant(tenant).kind(SECRET).prefix();
        let mut names = Vec::new();
        let mut after: Option<Bytes> = None;
        // Hosts that set secrets at once may pass the limit by a few.
        while names.len() <= 2 * MAX_SECRETS {
            let page = self.store.scan(&prefix, after.as_deref(), PAGE).await?;
            names.extend(page.iter().filter_map(|entry| {
                // A name in a key ends in NUL.
                let name = key::tail(&prefix, &entry.key)?.strip_suffix(&[0])?;
                std::str::from_utf8(name).ok()?.parse::<SecretName>().ok()
            }));
            match page.last() {
                Some(last) => after = Some(last.key.clone()),
                None => break,
            }
        }
        Ok(names)
    }

    /// A secret's value. For `inject` only: nothing else may see one.
    pub(crate) async fn reveal_for_injection(
        &self,
        tenant: &TenantId,
        name: &SecretName,
    ) -> Result<Option<SecretString>, VaultError> {
        let place = Place { tenant, kind: SECRET, names: &[name.as_str()] };
        let Some((mut plain, _)) = self.open(&place).await? else { return Ok(None) };
        // Its capacity is its length, so the text takes the bytes over without a copy.
        let text = String::from_utf8(std::mem::take(&mut *plain));
        text.map(|text| Some(text.into())).map_err(|_| place.not_opened())
    }

    /// A secret's value, for whoever verifies webhooks: nothing else may see one.
    pub async fn reveal_for_verification(
        &self,
        tenant: &TenantId,
        name: &SecretName,
    ) -> Result<Option<SecretString>, VaultError> {
        self.reveal_for_injection(tenant, name).await
    }

    /// Seals a value into its place, whatever is there.
    async fn seal(&self, place: &Place<'_>, plain: &[u8], beside: Commit) -> Result<(), VaultError> {
        for _ in 0..ATTEMPTS {
            match self.store.commit(self.sealing(place, plain).await?.and(beside.clone())).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(drop)?),
            }
        }
        Err(VaultError::Contended(place.tenant.clone()))
    }

    /// The commit that seals a value into its place, if the data key stays current.
    async fn sealing(&self, place: &Place<'_>, plain: &[u8]) -> Result<Commit, VaultError> {
        let DataKey { key, version } = self.current_data_key(place.tenant).await?;
        let sealed = key.seal(&place.context(), plain).map_err(VaultError::Random)?;
        Ok(Commit::default().at(data_key_key(place.tenant), version).put(place.key(), sealed))
    }

    /// What is sealed in a place, and as of when.
    async fn open(&self, place: &Place<'_>) -> Result<Option<(Zeroizing<Vec<u8>>, Version)>, VaultError> {
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.store.get(&place.key()).await? else { return Ok(None) };
            let sealed_by = KeyId::of_sealed(&entry.value).ok_or_else(|| place.not_opened())?;
            if let Some(key) = self.data_key(place.tenant, sealed_by).await? {
                let plain = key.open(&place.context(), &entry.value).map_err(|_| place.not_opened())?;
                return Ok(Some((plain, entry.version)));
            }
            // A rotation is done with that key, and so with the value that was just read.
        }
        Err(place.not_opened())
    }

    /// The data key of this name: the current one, or one that is being rotated out.
    async fn data_key(&self, tenant: &TenantId, id: KeyId) -> Result<Option<SealingKey>, VaultError> {
        for key in [data_key_key(tenant), older_data_keys(tenant).name(&id.to_string())] {
            let Some(wrapped) = self.store.get(&key).await? else { continue };
            let data_key = self.unwrap(tenant, &wrapped.value)?;
            if data_key.id() == id {
                return Ok(Some(data_key));
            }
        }
        Ok(None)
    }

    /// What new values are sealed by; made if there is none. Two hosts may try
    /// at once: the first commit stands, the other reads it.
    async fn current_data_key(&self, tenant: &TenantId) -> Result<DataKey, VaultError> {
        let place = data_key_key(tenant);
        for _ in 0..ATTEMPTS {
            if let Some(entry) = self.store.get(&place).await? {
                return Ok(DataKey { key: self.unwrap(tenant, &entry.value)?, version: entry.version });
            }
            let key = SealingKey::generate().map_err(VaultError::Random)?;
            let wrapped = self.wrap(tenant, &key)?;
            match self.store.commit(Commit::default().absent(place.clone()).put(place.clone(), wrapped)).await
            {
                Ok(version) => return Ok(DataKey { key, version }),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Contended(tenant.clone()))
    }

    fn master(&self) -> Arc<MasterKeys> {
        Arc::clone(&self.master.read())
    }

    /// A data key, by the current master key.
    fn wrap(&self, tenant: &TenantId, key: &SealingKey) -> Result<Vec<u8>, VaultError> {
        self.master().current.0.wrap(&wrap_context(tenant), key).map_err(VaultError::Random)
    }

    /// A data key, by whichever master key wrapped it.
    fn unwrap(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<SealingKey, VaultError> {
        let wrapped_by = KeyId::of_sealed(wrapped);
        let master = self.master();
        let opened = wrapped_by
            .and_then(|id| master.find(id))
            .and_then(|key| key.unwrap_key(&wrap_context(tenant), wrapped).ok());
        opened.ok_or_else(|| VaultError::KeyNotOpened {
            tenant: tenant.clone(),
            wrapped_by: wrapped_by.map_or_else(|| "(unreadable)".to_owned(), |id| id.to_string()),
        })
    }
}

impl Place<'_> {
    fn not_opened(&self) -> VaultError {
        VaultError::NotOpened { tenant: self.tenant.clone(), name: self.names.join("/") }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

/// What a sealed value is bound to. Names have no NUL, so no two pairs share one.
fn context(what: &str, tenant: &TenantId, name: &str) -> Vec<u8> {
    format!("wharf {what}\0{tenant}\0{name}").into_bytes()
}

fn wrap_context(tenant: &TenantId) -> Vec<u8> {
    context("data-key", tenant, "")
}

fn data_key_key(tenant: &TenantId) -> Key {
    key::tenant(tenant).kind("secret-key")
}

/// Data keys that are being rotated out, by their public names.
fn older_data_keys(tenant: &TenantId) -> Key {
    key::tenant(tenant).kind("secret-key-older")
}
