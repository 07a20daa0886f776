//! The authorization code flow with PKCE (RFC 6749, 4.1; RFC 7636): somebody
//! is sent to the authorization server, and comes back with a code.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::manifest::Flow;
use host_model::name::{ConnectionName, FieldName, TenantId};
use host_model::resource::{Connection, Credential, CredentialPlace, Oauth2};
use host_store::key::{self, Key};
use host_store::{Commit, StoreError};
use ring::digest::{SHA256, digest};
use secrecy::ExposeSecret;
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::{Deserialize, Serialize};

use super::endpoint::NoToken;
use super::grant::{GrantId, fingerprint};
use super::{Oauth, misconfigured};
use crate::client::Egress;
use crate::error::EgressError;
use crate::vault::{PENDING, VaultError};

/// How long somebody has to authorize: long enough to log in and read.
const TIME: TimeDelta = TimeDelta::minutes(10);
/// Bytes of a state and of a verifier: RFC 7636 asks for 32.
const RANDOM: usize = 32;
/// The most authorizations of one tenant that nobody has come back from yet:
/// as many people as may try at once.
const MAX_PENDING: usize = 100;
/// The longest code and state that is looked at.
const MAX_CODE: usize = 4 << 10;

/// Where to send somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The authorization server's page, with everything that it needs.
    pub url: String,
    /// Until when somebody may come back from there.
    pub until: Timestamp,
}

/// An authorization that was begun, and is taken up once.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    /// Whose connection.
    pub tenant: TenantId,
    /// Which one.
    pub connection: ConnectionName,
    /// Who began it.
    pub by: String,
    credential: FieldName,
    /// The server, client and scopes that it was begun with.
    of: Digest,
    redirect_uri: String,
    verifier: String,
    until: Timestamp,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.verifier.zeroize();
    }
}

/// Whose a state is; what it stands for is sealed with that tenant's things.
#[derive(Serialize, Deserialize)]
struct State {
    tenant: TenantId,
    until: Timestamp,
}

/// Why nobody is authorized. The texts may be shown to whoever tried.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The connection has no such credential.
    #[error("connection `{0}` has no credential that somebody authorizes (`flow = \"authorization-code\"`)")]
    NotNeeded(ConnectionName),
    /// Too many were begun and not ended.
    #[error("{MAX_PENDING} authorizations are under way: end some, or wait ten minutes")]
    TooMany,
    /// The state is not known, was used, or its time is over.
    #[error("this authorization is not known, was used before, or took too long: begin it anew")]
    Unknown,
    /// The connection is another than when it was begun.
    #[error("connection `{0}` was changed since this authorization was begun: begin it anew")]
    Changed(ConnectionName),
    /// The server said no.
    #[error(transparent)]
    Refused(EgressError),
    /// The host failed. For the log.
    #[error(transparent)]
    Host(#[from] VaultError),
}

impl Oauth {
    /// Begins an authorization of a connection. `by` says who.
    async fn begin(
        &self,
        connection: &Connection,
        redirect_uri: &str,
        by: &str,
    ) -> Result<Begun, AuthorizeError> {
        let (credential, oauth) =
            authorized(connection).ok_or_else(|| AuthorizeError::NotNeeded(connection.name.clone()))?;
        let state = random().map_err(VaultError::Random)?;
        let verifier = random().map_err(VaultError::Random)?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let until = self.clock.now() + TIME;
        let pending = Pending {
            tenant: connection.tenant.clone(),
            connection: connection.name.clone(),
            by: by.to_owned(),
            credential: credential.name.clone(),
            of: fingerprint(oauth),
            redirect_uri: redirect_uri.to_owned(),
            verifier: verifier.to_string(),
            until,
        };
        let name = name_of(&state);
        let plain = Zeroizing::new(serde_json::to_vec(&pending).unwrap_or_default());
        if self.forget_late(&connection.tenant).await? >= MAX_PENDING {
            return Err(AuthorizeError::TooMany);
        }
        self.vault.seal_record(&connection.tenant, PENDING, &[&name], &plain, None).await?;
        let whose = State { tenant: connection.tenant.clone(), until };
        let whose = serde_json::to_vec(&whose).unwrap_or_default();
        self.vault
            .store()
            .commit(Commit::default().put(state_key(&name), whose))
            .await
            .map_err(VaultError::from)?;

        let mut url = oauth.authorize_url.clone().unwrap_or_else(|| oauth.token_url.clone());
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &oauth.client_id)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("state", &state)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
            if !oauth.scopes.is_empty() {
                query.append_pair("scope", &oauth.scopes.join(" "));
            }
            query.extend_pairs(&oauth.extra);
        }
        Ok(Begun { url: url.into(), until })
    }

    /// Takes up what a state stands for: once, and in time.
    async fn take_up(&self, state: &str) -> Result<Pending, AuthorizeError> {
        if state.is_empty() || state.len() > MAX_CODE {
            return Err(AuthorizeError::Unknown);
        }
        let (name, store) = (name_of(state), self.vault.store());
        let place = state_key(&name);
        let entry = store.get(&place).await.map_err(VaultError::from)?.ok_or(AuthorizeError::Unknown)?;
        let State { tenant, .. } =
            serde_json::from_slice(&entry.value).map_err(|_| AuthorizeError::Unknown)?;
        let sealed = self.vault.open_record(&tenant, PENDING, &[&name]).await?;
        // Whoever deletes it may use it; a second time there is nothing.
        let taken = Commit::default()
            .at(place.clone(), entry.version)
            .delete(place)
            .delete(crate::vault::record_key(&tenant, PENDING, &[&name]));
        match store.commit(taken).await {
            Ok(_) => {}
            Err(StoreError::Conflict) => return Err(AuthorizeError::Unknown),
            Err(error) => return Err(VaultError::from(error).into()),
        }
        let (plain, _) = sealed.ok_or(AuthorizeError::Unknown)?;
        let pending: Pending = serde_json::from_slice(&plain).map_err(|_| AuthorizeError::Unknown)?;
        if self.clock.now() >= pending.until {
            return Err(AuthorizeError::Unknown);
        }
        Ok(pending)
    }

    /// Exchanges a code for tokens and keeps them.
    async fn complete(
        &self,
        connection: &Connection,
        pending: Pending,
        code: &str,
    ) -> Result<(), AuthorizeError> {
        let name = &connection.name;
        let changed = || AuthorizeError::Changed(name.clone());
        let (credential, oauth) = authorized(connection).ok_or_else(changed)?;
        let same = pending.tenant == connection.tenant
            && pending.connection == *name
            && pending.credential == credential.name
            && pending.of == fingerprint(oauth);
        if !same {
            return Err(changed());
        }
        if code.is_empty() || code.len() > MAX_CODE {
            return Err(AuthorizeError::Unknown);
        }
        let id = GrantId::of(connection, &credential.name);
        let secret = self.client_secret(connection, credential).await.map_err(AuthorizeError::Refused)?;
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", pending.redirect_uri.as_str()),
            ("code_verifier", pending.verifier.as_str()),
        ];
        let now = self.clock.now();
        let asked = self.endpoint.ask(connection, oauth, secret.expose_secret(), &parameters, now);
        let grant = asked.await.map_err(|error| {
            AuthorizeError::Refused(match error {
                NoToken::Gate(error) => error,
                NoToken::Refused(why) | NoToken::Misconfigured(why) => misconfigured(&id, oauth, &why),
                NoToken::Transient(why) => EgressError::ConnectionFailed(format!(
                    "the token endpoint of connection `{name}` failed: {why}; begin the authorization anew"
                )),
            })
        })?;
        // Whatever a refresh did meanwhile, what somebody has just consented to counts.
        let names = [id.connection.as_str(), id.credential.as_str()];
        Ok(self.vault.replace_record(&id.tenant, crate::vault::GRANT, &names, &grant.write()).await?)
    }

    /// Forgets a tenant's authorizations that nobody came back from; how many are left.
    async fn forget_late(&self, tenant: &TenantId) -> Result<usize, VaultError> {
        let (now, mut left) = (self.clock.now(), 0);
        for (name, plain) in self.vault.records(tenant, PENDING).await? {
            let pending = serde_json::from_slice::<Pending>(&plain);
            if pending.is_ok_and(|pending| now < pending.until) {
                left += 1;
            } else {
                let record = crate::vault::record_key(tenant, PENDING, &[&name]);
                let forget = Commit::default().delete(record).delete(state_key(&name));
                self.vault.store().commit(forget).await?;
            }
        }
        Ok(left)
    }
}

impl Egress {
    /// Why a connection cannot be used before somebody authorizes it, if so.
    pub async fn unauthorized(&self, connection: &Connection) -> Result<Option<String>, VaultError> {
        self.0.injector.oauth.unauthorized(connection).await
    }

    /// Begins an authorization of a connection: where to send somebody, who
    /// comes back to `redirect_uri`. `by` says who began it.
    pub async fn begin_authorization(
        &self,
        connection: &Connection,
        redirect_uri: &str,
        by: &str,
    ) -> Result<Begun, AuthorizeError> {
        self.0.injector.oauth.begin(connection, redirect_uri, by).await
    }

    /// Takes up what a state stands for: once, and in time.
    pub async fn pending_authorization(&self, state: &str) -> Result<Pending, AuthorizeError> {
        self.0.injector.oauth.take_up(state).await
    }

    /// Exchanges the code that somebody came back with for tokens, and keeps them.
    pub async fn complete_authorization(
        &self,
        connection: &Connection,
        pending: Pending,
        code: &str,
    ) -> Result<(), AuthorizeError> {
        self.0.injector.oauth.complete(connection, pending, code).await
    }
}

/// The credential that somebody authorizes: a connection's first.
fn authorized(connection: &Connection) -> Option<(&Credential, &Oauth2)> {
    connection.credentials.iter().find_map(|credential| match &credential.place {
        CredentialPlace::Oauth2(oauth) if oauth.flow == Flow::AuthorizationCode => {
            Some((credential, &**oauth))
        }
        _ => None,
    })
}

/// Only a state's hash is kept: whoever reads the store cannot come back with it.
fn name_of(state: &str) -> String {
    hex::encode(digest(&SHA256, state.as_bytes()))
}

fn state_key(name: &str) -> Key {
    key::host().kind("oauth-state").name(name)
}

fn random() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; RANDOM]);
    getrandom::fill(bytes.as_mut())?;
    Ok(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}
