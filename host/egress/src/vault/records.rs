//! Sealed records of the host's own, beside the secrets that tenants set: what
//! authorization servers granted. Changed as of the version that was read.

use std::sync::Arc;

use host_model::name::TenantId;
use host_store::key::{self, Key};
use host_store::{Commit, Require, Store, StoreError, Version};
use secrecy::zeroize::Zeroizing;

use super::{ATTEMPTS, Place, Vault, VaultError, context};
use crate::seal::KeyId;

/// Where a record lies.
pub(crate) fn record_key(tenant: &TenantId, kind: &'static str, names: &[&str]) -> Key {
    Place { tenant, kind, names }.key()
}

impl Vault {
    /// The store that all of it lies in.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// A record, and as of when.
    pub(crate) async fn open_record(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        names: &[&str],
    ) -> Result<Option<(Zeroizing<Vec<u8>>, Version)>, VaultError> {
        self.open(&Place { tenant, kind, names }).await
    }

    /// Seals a record in place of the one of this version, or where there is
    /// none; [`StoreError::Conflict`] if another is there.
    pub(crate) async fn seal_record(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        names: &[&str],
        plain: &[u8],
        version: Option<Version>,
    ) -> Result<(), VaultError> {
        let place = Place { tenant, kind, names };
        let key = place.key();
        for _ in 0..ATTEMPTS {
            let mut commit = self.sealing(&place, plain).await?;
            commit.require.push(match version {
                Some(version) => Require::At(key.clone().into(), version),
                None => Require::Absent(key.clone().into()),
            });
            match self.store.commit(commit).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(drop)?),
            }
            // Was it the record, or the data key that is being rotated?
            if self.store.get(&key).await?.map(|entry| entry.version) != version {
                return Err(StoreError::Conflict.into());
            }
        }
        Err(VaultError::Contended(tenant.clone()))
    }

    /// Seals a record, whatever is there.
    pub(crate) async fn replace_record(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        names: &[&str],
        plain: &[u8],
    ) -> Result<(), VaultError> {
        self.seal(&Place { tenant, kind, names }, plain, Commit::default()).await
    }

    /// Every record of a kind, by its names, which NUL divides. One that does
    /// not open is left out: its owner is told when it is used.
    pub(crate) async fn records(
        &self,
        tenant: &TenantId,
        kind: &'static str,
    ) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>, VaultError> {
        let prefix = key::tenant(tenant).kind(kind).prefix();
        let (mut found, mut after) = (Vec::new(), None);
        while let Some(page) = self.page(tenant, kind, &mut after).await? {
            for entry in page {
                let names = key::tail(&prefix, &entry.key).and_then(|names| names.strip_suffix(&[0]));
                let names = names.and_then(|names| std::str::from_utf8(names).ok());
                let (Some(names), Some(by)) = (names, KeyId::of_sealed(&entry.value)) else { continue };
                let Some(data_key) = self.data_key(tenant, by).await? else { continue };
                if let Ok(plain) = data_key.open(&context(kind, tenant, names), &entry.value) {
                    found.push((names.to_owned(), plain));
                }
            }
        }
        Ok(found)
    }
}
