//! Where grants lie: sealed in the vault, changed only as of the version that was read.

use host_model::manifest::Flow;
use host_model::name::{ConnectionName, TenantId};
use host_model::resource::{Connection, CredentialPlace, Oauth2};
use host_store::{StoreError, Version};

use super::Oauth;
use super::grant::{Grant, GrantId, fingerprint};
use crate::vault::{GRANT, VaultError};

impl Oauth {
    /// A grant, as of a version of the store.
    pub(super) async fn load(&self, id: &GrantId) -> Result<Option<(Grant, Version)>, VaultError> {
        let names = [id.connection.as_str(), id.credential.as_str()];
        let Some((plain, version)) = self.vault.open_record(&id.tenant, GRANT, &names).await? else {
            return Ok(None);
        };
        Ok(Grant::read(&plain).map(|grant| (grant, version)))
    }

    /// The same, if it is of this server, client and scopes.
    pub(super) async fn current(
        &self,
        id: &GrantId,
        oauth: &Oauth2,
    ) -> Result<Option<(Grant, Version)>, VaultError> {
        Ok(self.load(id).await?.filter(|(grant, _)| grant.of == fingerprint(oauth)))
    }

    /// Keeps a grant in place of the one that was read; a conflict if another is there now.
    pub(super) async fn keep(
        &self,
        id: &GrantId,
        grant: &Grant,
        before: Option<&(Grant, Version)>,
    ) -> Result<(), VaultError> {
        let names = [id.connection.as_str(), id.credential.as_str()];
        let plain = grant.write();
        let mut version = before.map(|(_, version)| *version);
        loop {
            match self.vault.seal_record(&id.tenant, GRANT, &names, &plain, version).await {
                Err(VaultError::Store(StoreError::Conflict)) => {}
                done => return done,
            }
            // A rotation of data keys seals it anew and changes nothing else.
            match (self.load(id).await?, before) {
                (Some((now, at)), Some((before, _))) if now.is_same(before) && Some(at) != version => {
                    version = Some(at);
                }
                _ => return Err(StoreError::Conflict.into()),
            }
        }
    }

    /// Why a connection cannot be used before somebody authorizes it, if so.
    pub(crate) async fn unauthorized(&self, connection: &Connection) -> Result<Option<String>, VaultError> {
        for credential in &connection.credentials {
            let CredentialPlace::Oauth2(oauth) = &credential.place else { continue };
            if oauth.flow != Flow::AuthorizationCode {
                continue;
            }
            match self.current(&GrantId::of(connection, &credential.name), oauth).await? {
                None => return Ok(Some("nobody has authorized it yet".to_owned())),
                Some((grant, _)) => {
                    if let Some(why) = &grant.refused {
                        return Ok(Some(why.clone()));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Connections whose grants were refused: what `wharf doctor` tells.
pub async fn refused_grants(
    vault: &crate::vault::Vault,
) -> Result<Vec<(TenantId, ConnectionName, String)>, VaultError> {
    let mut found = Vec::new();
    for tenant in vault.tenants().await? {
        for (names, plain) in vault.records(&tenant, GRANT).await? {
            let name = names.split('\0').next().and_then(|name| name.parse::<ConnectionName>().ok());
            if let (Some(name), Some(grant)) = (name, Grant::read(&plain))
                && let Some(why) = &grant.refused
            {
                found.push((tenant.clone(), name, why.clone()));
            }
        }
    }
    Ok(found)
}
