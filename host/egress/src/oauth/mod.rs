//! OAuth 2: access tokens for connections, refreshed before their end.
//!
//! Takes a connection's credential, gives an access token that is good now.
//!
//! Invariants
//! - A grant is refreshed once, however many calls and hosts ask: one call a
//!   host, by a turn; one host, by a lease in the store that ends by itself.
//! - New tokens are durable before the first of them is used.
//! - A grant is given up on the server's clear word only. Whatever may pass,
//!   passes: while the access token lasts, it is used.

mod authorize;
mod endpoint;
mod grant;
mod lease;
mod records;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use host_model::clock::{Clock, Timestamp};
use host_model::manifest::Flow;
use host_model::notice::{Notice, Notices};
use host_model::resource::{Connection, Credential, Oauth2};
use host_store::{StoreError, Version};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

pub use self::authorize::{AuthorizeError, Begun, Pending};
use self::endpoint::{Endpoint, NoToken};
use self::grant::{Grant, GrantId};
pub use self::records::refused_grants;
use crate::error::EgressError;
use crate::policy::Policy;
use crate::pool::Pools;
use crate::vault::{Vault, VaultError};

/// How often a refresh that another host has begun is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long an endpoint that failed is left alone: calls in the meantime get
/// the same answer, or the token that still lasts.
const PAUSE: TimeDelta = TimeDelta::seconds(5);
/// The most grants whose turns a host remembers; a forgotten turn is one that
/// nobody waits for.
const MAX_TURNS: usize = 10_000;

/// A grant as of a version of the store.
type Stored = (Grant, Version);
/// One grant's turn in this process, and its last failure.
type Turn = Arc<tokio::sync::Mutex<Option<(Timestamp, EgressError)>>>;

/// Everything that knows of OAuth.
pub(crate) struct Oauth {
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    notices: Arc<dyn Notices>,
    endpoint: Endpoint,
    turns: Mutex<HashMap<GrantId, Turn>>,
    /// Refreshes under way: one that has begun ends, whoever asked for it and is gone.
    tasks: TaskTracker,
}

impl Oauth {
    pub(crate) fn new(
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        policy: Arc<Policy>,
        pools: Arc<Pools>,
        notices: Arc<dyn Notices>,
    ) -> Self {
        Self {
            vault,
            clock,
            notices,
            endpoint: Endpoint { policy, pools },
            turns: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// A grant whose access token is good now: the stored one, or a fresh one.
    pub(crate) async fn grant(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        credential: &Credential,
        oauth: &Arc<Oauth2>,
    ) -> Result<Grant, EgressError> {
        let id = GrantId::of(connection, &credential.name);
        if let Some((grant, _)) = self.stored(&id, oauth).await?
            && grant.is_fresh(self.clock.now())
        {
            return Ok(grant);
        }
        let turn = self.turn(&id);
        let mut failed = turn.lock().await;
        loop {
            let now = self.clock.now();
            let stored = self.stored(&id, oauth).await?;
            let usable = match &stored {
                Some((grant, _)) if grant.is_fresh(now) => return Ok(grant.clone()),
                Some((grant, _)) => Some(grant.clone()).filter(|grant| grant.is_valid(now)),
                None => None,
            };
            if oauth.flow == Flow::AuthorizationCode {
                match &stored {
                    Some((grant, _)) if grant.refused.is_none() => {}
                    _ => return Err(needs_authorization(&id)),
                }
            }
            if let Some((at, error)) = &*failed
                && (now - *at).abs() < PAUSE
            {
                return usable.ok_or_else(|| error.clone());
            }
            let Some(lease) = self.take_lease(&id).await.map_err(|error| self.internal(&id, &error))? else {
                // Another host refreshes. Its token comes into the store, or its lease ends.
                if let Some(grant) = usable {
                    return Ok(grant);
                }
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let refreshed = self.refresh_to_the_end(connection, credential, oauth, &id, lease).await;
            *failed = None;
            return match refreshed {
                Ok(grant) => Ok(grant),
                Err(error @ (EgressError::Denied(_) | EgressError::Other(_))) => Err(error),
                Err(error) => {
                    *failed = Some((now, error.clone()));
                    usable.ok_or(error)
                }
            };
        }
    }

    /// A refresh that goes on if its caller is gone: tokens that the server has
    /// given are kept, or the next refresh would show one that is worth nothing.
    async fn refresh_to_the_end(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        credential: &Credential,
        oauth: &Arc<Oauth2>,
        id: &GrantId,
        lease: Version,
    ) -> Result<Grant, EgressError> {
        let (this, connection, oauth) = (Arc::clone(self), Arc::clone(connection), Arc::clone(oauth));
        let (credential, id) = (credential.clone(), id.clone());
        let refreshing = self.tasks.spawn(async move {
            let refreshed = this.refresh(&connection, &credential, &oauth, &id).await;
            this.give_back(&id, lease).await;
            refreshed
        });
        let stopped = |_| EgressError::Other("the host is stopping".to_owned());
        refreshing.await.map_err(stopped)?
    }

    /// Waits for refreshes under way. For the end of the host.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Gets new tokens and keeps them. `Denied` is for good, `Other` the host's
    /// own failure; anything else may pass.
    async fn refresh(
        &self,
        connection: &Connection,
        credential: &Credential,
        oauth: &Oauth2,
        id: &GrantId,
    ) -> Result<Grant, EgressError> {
        // Between the look and the lease another host may have come and gone.
        let stored = match self.stored(id, oauth).await? {
            Some((grant, _)) if grant.is_fresh(self.clock.now()) => return Ok(grant),
            stored => stored,
        };
        let secret = self.client_secret(connection, credential).await?;
        let scopes = oauth.scopes.join(" ");
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        let before = stored.as_ref().and_then(|(grant, _)| grant.refresh_token.clone());
        match (oauth.flow, &before) {
            (Flow::ClientCredentials, _) => {
                parameters.push(("grant_type", "client_credentials"));
                if !scopes.is_empty() {
                    parameters.push(("scope", &scopes));
                }
                parameters.extend(oauth.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            }
            (Flow::AuthorizationCode, Some(token)) => {
                parameters.extend([("grant_type", "refresh_token"), ("refresh_token", token)]);
            }
            (Flow::AuthorizationCode, None) => {
                let why = "its access token has ended, and the server gave no refresh token";
                self.give_up(id, stored, why).await?;
                return Err(needs_authorization(id));
            }
        }
        let asked =
            self.endpoint.ask(connection, oauth, secret.expose_secret(), &parameters, self.clock.now());
        match asked.await {
            Ok(mut grant) => {
                // A server that does not rotate them leaves the one that was.
                grant.refresh_token = grant.refresh_token.take().or(before);
                match self.keep(id, &grant, stored.as_ref()).await {
                    Ok(()) => Ok(grant),
                    // Somebody has authorized anew meanwhile, and that counts.
                    Err(VaultError::Store(StoreError::Conflict)) => match self.stored(id, oauth).await? {
                        Some((theirs, _)) if theirs.is_valid(self.clock.now()) => Ok(theirs),
                        _ => Err(needs_authorization(id)),
                    },
                    Err(error) => Err(self.internal(id, &error)),
                }
            }
            Err(NoToken::Refused(why)) if oauth.flow == Flow::AuthorizationCode => {
                self.give_up(id, stored, &why).await?;
                Err(needs_authorization(id))
            }
            Err(NoToken::Refused(why) | NoToken::Misconfigured(why)) => Err(misconfigured(id, oauth, &why)),
            Err(NoToken::Gate(error)) => Err(error),
            Err(NoToken::Transient(why)) => {
                tracing::warn!(tenant.id = %id.tenant, connection.name = id.connection, "no new token for connection `{}`: {why}; its grant is kept", id.connection);
                Err(EgressError::ConnectionFailed(format!(
                    "the token endpoint of connection `{}` failed: {why}",
                    id.connection
                )))
            }
        }
    }

    /// Marks a grant as refused, unless somebody has authorized anew meanwhile.
    async fn give_up(&self, id: &GrantId, stored: Option<Stored>, why: &str) -> Result<(), EgressError> {
        let Some(before) = stored else { return Ok(()) };
        let mut grant = before.0.clone();
        grant.refused = Some(why.to_owned());
        match self.keep(id, &grant, Some(&before)).await {
            Ok(()) => {
                let notice =
                    Notice::NeedsAuthorization { connection: id.connection.clone(), why: why.to_owned() };
                self.notices.tell(&id.tenant, notice);
                Ok(())
            }
            Err(VaultError::Store(StoreError::Conflict)) => Ok(()),
            Err(error) => Err(self.internal(id, &error)),
        }
    }

    pub(crate) async fn client_secret(
        &self,
        connection: &Connection,
        credential: &Credential,
    ) -> Result<secrecy::SecretString, EgressError> {
        crate::inject::reveal(connection, &self.vault, &credential.secret).await
    }

    /// The stored grant, if it is of this server, client and scopes.
    async fn stored(&self, id: &GrantId, oauth: &Oauth2) -> Result<Option<Stored>, EgressError> {
        self.current(id, oauth).await.map_err(|error| self.internal(id, &error))
    }

    fn turn(&self, id: &GrantId) -> Turn {
        let mut turns = self.turns.lock();
        if turns.len() >= MAX_TURNS {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(id.clone()).or_default())
    }

    fn internal(&self, id: &GrantId, error: &dyn std::fmt::Display) -> EgressError {
        let GrantId { tenant, connection, .. } = id;
        tracing::error!(tenant.id = %tenant, connection.name = connection, %error, "cannot keep or read the grant of connection `{connection}`");
        EgressError::Other(format!(
            "the host could not keep or read the grant of connection `{connection}`; its operator's log says why"
        ))
    }
}

/// What to do about it, for whoever may.
fn needs_authorization(id: &GrantId) -> EgressError {
    EgressError::Denied(format!(
        "connection `{0}` needs authorization: run `wharf connection authorize {0}`",
        id.connection
    ))
}

fn misconfigured(id: &GrantId, oauth: &Oauth2, why: &str) -> EgressError {
    EgressError::Denied(format!(
        "connection `{}` gets no token from `{}`: {why}; check client id, scopes and the secret of its credential `{}`",
        id.connection, oauth.token_url, id.credential
    ))
}
