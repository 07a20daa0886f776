//! The vault: secrets at rest in the store, write-only for all but this crate.
//!
//! Each tenant has a data key, wrapped by the master key; each secret is
//! sealed by its tenant's data key and bound to tenant and name. Nothing is
//! cached: opening a secret is two reads and two decryptions, some microseconds,
//! and so a secret that any host sets or deletes holds everywhere at once.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use host_model::name::{SecretName, TenantId};
use host_store::key::{self, Key};
use host_store::{Commit, Store, StoreError};
use secrecy::{ExposeSecret, SecretString};

use crate::seal::{MasterKey, SealingKey};

/// The most bytes of one secret: a long chain of certificates, with room.
pub const MAX_SECRET: usize = 16 << 10;
/// The most secrets of one tenant: ten times what a large one needs; bounds
/// what [`Vault::names`] gives and what a `set` counts.
pub const MAX_SECRETS: usize = 1_000;
/// Entries read at once: at most 1.6 MiB of ciphertext in memory.
const PAGE: usize = 100;

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
        "secret `{name}` of tenant `{tenant}` does not open: the master key is not the one it was stored under, or the store is damaged; restore the key, or set the secret again"
    )]
    NotOpened {
        /// Whose it is.
        tenant: TenantId,
        /// Which secret.
        name: SecretName,
    },
    /// The tenant's data key does not open.
    #[error(
        "the data key of tenant `{0}` does not open: the master key is not the one it was wrapped by, or the store is damaged; restore the master key"
    )]
    KeyNotOpened(TenantId),
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
    master: MasterKey,
}

impl Vault {
    /// The secrets in `store`, under this master key.
    pub fn new(store: Arc<dyn Store>, master: MasterKey) -> Self {
        Self { store, master }
    }

    /// Stores a secret, in place of any earlier one.
    pub async fn set(
        &self,
        tenant: &TenantId,
        name: &SecretName,
        value: SecretString,
    ) -> Result<(), VaultError> {
        let plain = value.expose_secret().as_bytes();
        if plain.is_empty() {
            return Err(VaultError::Empty(name.clone()));
        }
        if plain.len() > MAX_SECRET {
            return Err(VaultError::TooLarge { name: name.clone(), size: plain.len() });
        }
        let key = secret_key(tenant, name);
        if self.store.get(&key).await?.is_none() && self.names(tenant).await?.len() >= MAX_SECRETS {
            return Err(VaultError::TooMany(tenant.clone()));
        }
        let data_key = match self.data_key(tenant).await? {
            Some(data_key) => data_key,
            None => self.create_data_key(tenant).await?,
        };
        let sealed = data_key.seal(&context("secret", tenant, name.as_str()), plain);
        self.store.commit(Commit::default().put(key, sealed.map_err(VaultError::Random)?)).await?;
        Ok(())
    }

    /// Deletes a secret; whether there was one.
    pub async fn delete(&self, tenant: &TenantId, name: &SecretName) -> Result<bool, VaultError> {
        let key = secret_key(tenant, name);
        let found = self.store.get(&key).await?.is_some();
        if found {
            self.store.commit(Commit::default().delete(key)).await?;
        }
        Ok(found)
    }

    /// The names of a tenant's secrets, in order.
    pub async fn names(&self, tenant: &TenantId) -> Result<Vec<SecretName>, VaultError> {
        let prefix = secrets(tenant).prefix();
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
        let Some(sealed) = self.store.get(&secret_key(tenant, name)).await? else {
            return Ok(None);
        };
        let not_opened = || VaultError::NotOpened { tenant: tenant.clone(), name: name.clone() };
        let data_key = self.data_key(tenant).await?.ok_or_else(not_opened)?;
        let plain = data_key.open(&context("secret", tenant, name.as_str()), &sealed.value);
        let text = String::from_utf8(plain.map_err(|_| not_opened())?).map_err(|_| not_opened())?;
        Ok(Some(SecretString::from(text)))
    }

    /// A secret's value, for whoever verifies webhooks: nothing else may see one.
    pub async fn reveal_for_verification(
        &self,
        tenant: &TenantId,
        name: &SecretName,
    ) -> Result<Option<SecretString>, VaultError> {
        self.reveal_for_injection(tenant, name).await
    }

    async fn data_key(&self, tenant: &TenantId) -> Result<Option<SealingKey>, VaultError> {
        let Some(wrapped) = self.store.get(&data_key_key(tenant)).await? else { return Ok(None) };
        let opened = self.master.0.unwrap_key(&context("data-key", tenant, ""), &wrapped.value);
        opened.map(Some).map_err(|_| VaultError::KeyNotOpened(tenant.clone()))
    }

    /// Two hosts may try at once: the first commit stands, the other reads it.
    async fn create_data_key(&self, tenant: &TenantId) -> Result<SealingKey, VaultError> {
        let fresh = SealingKey::generate().map_err(VaultError::Random)?;
        let wrapped =
            self.master.0.wrap(&context("data-key", tenant, ""), &fresh).map_err(VaultError::Random)?;
        let key = data_key_key(tenant);
        match self.store.commit(Commit::default().absent(key.clone()).put(key, wrapped)).await {
            Ok(_) => Ok(fresh),
            Err(StoreError::Conflict) => {
                self.data_key(tenant).await?.ok_or_else(|| VaultError::KeyNotOpened(tenant.clone()))
            }
            Err(error) => Err(error.into()),
        }
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

fn secrets(tenant: &TenantId) -> Key {
    key::tenant(tenant).kind("secret")
}

fn secret_key(tenant: &TenantId, name: &SecretName) -> Key {
    secrets(tenant).name(name.as_str())
}

fn data_key_key(tenant: &TenantId) -> Key {
    key::tenant(tenant).kind("secret-key")
}

#[cfg(test)]
mod tests {
    use host_store::MemoryStore;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn secret(name: &str) -> SecretName {
        name.parse().unwrap()
    }

    fn vault() -> (Arc<MemoryStore>, Vault) {
        let store = Arc::new(MemoryStore::default());
        (store.clone(), Vault::new(store, MasterKey::generate().unwrap()))
    }

    async fn set(vault: &Vault, of: &str, name: &str, value: &str) {
        vault.set(&tenant(of), &secret(name), value.into()).await.unwrap();
    }

    async fn reveal(vault: &Vault, of: &str, name: &str) -> Option<String> {
        let revealed = vault.reveal_for_injection(&tenant(of), &secret(name)).await.unwrap();
        revealed.map(|value| value.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_secret_is_its_tenants_until_it_is_replaced_or_deleted() {
        let (_, vault) = vault();
        set(&vault, "acme", "key", "one").await;
        set(&vault, "other", "key", "theirs").await;
        assert_eq!(reveal(&vault, "acme", "key").await.as_deref(), Some("one"));
        assert_eq!(reveal(&vault, "acme", "other").await, None);
        set(&vault, "acme", "key", "two").await;
        assert_eq!(reveal(&vault, "acme", "key").await.as_deref(), Some("two"));
        assert!(vault.delete(&tenant("acme"), &secret("key")).await.unwrap());
        assert!(!vault.delete(&tenant("acme"), &secret("key")).await.unwrap());
        assert_eq!(reveal(&vault, "acme", "key").await, None);
        assert_eq!(reveal(&vault, "other", "key").await.as_deref(), Some("theirs"));
    }

    #[tokio::test]
    async fn names_come_in_order_over_any_number_of_pages_for_one_tenant() {
        let (_, vault) = vault();
        set(&vault, "acme-2", "theirs", "x").await;
        let names: Vec<_> = (0..PAGE * 2 + 1).map(|at| format!("key-{at:04}")).collect();
        for name in names.iter().rev() {
            set(&vault, "acme", name, "x").await;
        }
        let listed = vault.names(&tenant("acme")).await.unwrap();
        assert_eq!(listed.iter().map(SecretName::as_str).collect::<Vec<_>>(), names);
        assert!(vault.names(&tenant("nobody")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_store_holds_no_value() {
        let (store, vault) = vault();
        set(&vault, "acme", "key", "hunter22").await;
        let all = store.scan(b"", None, 100).await.unwrap();
        assert_eq!(all.len(), 2, "the secret and the data key");
        assert!(!all.iter().any(|entry| entry.value.windows(8).any(|part| part == b"hunter22")));
        assert_eq!(format!("{vault:?}"), "Vault(***)");
    }

    #[tokio::test]
    async fn a_value_moved_to_another_name_or_tenant_does_not_open() {
        let (store, vault) = vault();
        set(&vault, "acme", "key", "one").await;
        set(&vault, "other", "key", "theirs").await;
        let moved = store.get(&secret_key(&tenant("other"), &secret("key"))).await.unwrap().unwrap().value;
        let own = store.get(&secret_key(&tenant("acme"), &secret("key"))).await.unwrap().unwrap().value;
        let puts = [("key", moved), ("copy", own)];
        for (name, value) in puts {
            let commit = Commit::default().put(secret_key(&tenant("acme"), &secret(name)), value);
            store.commit(commit).await.unwrap();
            let error = vault.reveal_for_injection(&tenant("acme"), &secret(name)).await.unwrap_err();
            assert!(matches!(error, VaultError::NotOpened { .. }), "{error}");
        }
        // The other tenant's data key does not help either: it is bound to its tenant.
        let wrapped = store.get(&data_key_key(&tenant("other"))).await.unwrap().unwrap().value;
        store.commit(Commit::default().put(data_key_key(&tenant("acme")), wrapped)).await.unwrap();
        let error = vault.reveal_for_injection(&tenant("acme"), &secret("key")).await.unwrap_err();
        assert!(matches!(error, VaultError::KeyNotOpened(_)), "{error}");
    }

    #[tokio::test]
    async fn another_master_key_opens_nothing_and_says_what_to_do() {
        let (store, vault) = vault();
        set(&vault, "acme", "key", "one").await;
        let other = Vault::new(store, MasterKey::generate().unwrap());
        let error = other.reveal_for_injection(&tenant("acme"), &secret("key")).await.unwrap_err();
        assert!(error.to_string().contains("restore the master key"), "{error}");
        let error = other.set(&tenant("acme"), &secret("key"), "two".into()).await.unwrap_err();
        assert!(matches!(error, VaultError::KeyNotOpened(_)), "nothing is overwritten: {error}");
    }

    #[tokio::test]
    async fn empty_and_oversized_values_are_refused() {
        let (_, vault) = vault();
        let check = async |value: String| vault.set(&tenant("acme"), &secret("key"), value.into()).await;
        assert!(matches!(check(String::new()).await, Err(VaultError::Empty(_))));
        assert!(check("x".repeat(MAX_SECRET)).await.is_ok());
        let error = check("x".repeat(MAX_SECRET + 1)).await.unwrap_err();
        assert!(matches!(error, VaultError::TooLarge { size, .. } if size == MAX_SECRET + 1));
        assert!(!error.to_string().contains("xxx"));
    }

    #[tokio::test]
    async fn a_lost_race_for_the_data_key_uses_the_winners() {
        let (_, vault) = vault();
        let first = vault.create_data_key(&tenant("acme")).await.unwrap();
        let second = vault.create_data_key(&tenant("acme")).await.unwrap();
        assert_eq!(second.open(b"", &first.seal(b"", b"x").unwrap()).unwrap(), b"x");
    }
}
