//! API tokens: `wharf_{id}_{secret}`. The text is shown once, when it is made;
//! kept is the SHA-256 of its secret, which 32 random bytes need no salt for.
//!
//! Invariants
//! - A token is looked up by its id, then compared in constant time.
//! - Nothing is cached: a deleted token is refused from then on, everywhere.
//! - Whoever shows too many that are none is refused before the store is asked.

pub(crate) mod failures;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use host_audit::{Act, Audit, Chain, Deed};
use host_model::clock::{Clock, Timestamp};
use host_model::id::TokenId;
use host_model::name::TenantId;
use host_store::{Commit, Store, StoreError, Version, key};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::failures::Failures;
use self::record::{Before, Record, new_secret, parse, slot, space};
use crate::access::Scope;

/// How many tokens are looked at at once.
const PAGE: usize = 1_000;
/// How exactly the last use is known: at most one write a minute for each token.
const USE_EVERY: TimeDelta = TimeDelta::minutes(1);
/// The most tokens of one tenant: people and programs, with room for sessions.
const MAX_OF_TENANT: usize = 1_000;
/// How long an expired token is still listed, for whoever wonders why it is refused.
const KEEP_EXPIRED: TimeDelta = TimeDelta::days(7);
/// The most logins of one person in one scope: their machines and browsers.
/// Beyond, the oldest ends.
const MAX_OF_PERSON: usize = 10;
/// How often a change that another one overtook is tried again.
const ATTEMPTS: usize = 20;

/// What is kept of a token: all but what would let somebody use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Token {
    /// Its id, which is not secret.
    #[schema(value_type = String)]
    pub id: TokenId,
    /// Whose things it names, and as what.
    #[serde(flatten)]
    #[schema(value_type = crate::access::Written)]
    pub scope: Scope,
    /// For people: who has it.
    #[serde(default)]
    pub note: String,
    /// Of a login: who logged in, `oidc:{issuer}:{sub}`. The note is what the
    /// issuer called them then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

/// A token that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whose things it names, and as what.
    pub scope: Scope,
    /// For people: who will have it.
    pub note: String,
    /// Of a login: who logged in.
    pub subject: Option<String>,
    /// After how long it ends by itself; never if `None`.
    pub lasts: Option<Duration>,
}

impl NewToken {
    /// One that lasts until it is deleted.
    pub fn lasting(scope: Scope, note: impl Into<String>) -> Self {
        Self { scope, note: note.into(), subject: None, lasts: None }
    }
}

/// A token's text. Prints as stars; shown once, to whoever made it.
#[derive(Clone)]
pub struct TokenText(Box<str>);

impl TokenText {
    /// For the answer that creates it, and for the first start's message.
    pub fn reveal_once(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wharf_***")
    }
}

/// Why the tokens could not be asked or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The store failed.
    #[error("cannot {0} tokens")]
    Store(&'static str, #[source] StoreError),
    /// The operating system gave no randomness.
    #[error("cannot make a token: no randomness: {0}")]
    Random(getrandom::Error),
    /// A record that this host did not write.
    #[error("token `{0}` is damaged in the store: delete it and make another")]
    Damaged(String),
    /// The tenant has as many as it may.
    #[error("tenant `{0}` has {MAX_OF_TENANT} tokens, which are the most: delete some")]
    TooMany(TenantId),
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum NoEntry {
    /// The text is no token that is good now.
    #[error("the token is unknown, expired or revoked")]
    Unknown,
    /// Too many such texts came from there; worth trying again after this.
    #[error("too many tokens that are none came from there")]
    TooMany(Duration),
    /// The tokens could not be asked.
    #[error(transparent)]
    Failed(#[from] TokenError),
}

/// The tokens. Clones are the same ones.
#[derive(Clone)]
pub struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
    failures: Arc<Failures>,
    /// Those whose last use is being written, each once.
    touched: Arc<Mutex<BTreeSet<TokenId>>>,
}

/// The word for a token in the log.
const KIND: &str = "token";

fn deed(token: &Token) -> Deed {
    Deed::new(Chain::of(token.scope.tenant()), KIND, &token.id.to_string())
}

/// A token as the log shows it; it has no secret.
fn shown(token: &Token) -> Option<serde_json::Value> {
    serde_json::to_value(token).ok()
}

fn first_start() -> key::Key {
    key::host().kind("bootstrapped")
}

impl Tokens {
    /// The tokens in this store; what becomes of them goes into the log.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, audit: Arc<Audit>) -> Self {
        Self { store, clock, audit, failures: Arc::default(), touched: Arc::default() }
    }

    /// The time, by the clock that tokens expire by.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes the first operator token, once in the life of a store; `None` ever after.
    pub async fn bootstrap(&self) -> Result<Option<TokenText>, TokenError> {
        let wanted = NewToken::lasting(Scope::Operator, "made at the first start");
        let (token, text, commit) = self.mint(wanted)?;
        let commit = commit.absent(first_start()).put(first_start(), "");
        let deed = deed(&token).change(None, shown(&token));
        match self.audit.commit(&Act::of_host("bootstrap"), vec![deed], commit).await {
            Ok(_) => Ok(Some(text)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(TokenError::Store("bootstrap", error)),
        }
    }

    /// Makes a token. Its text is not kept.
    pub async fn create(&self, wanted: NewToken, act: &Act) -> Result<(Token, TokenText), TokenError> {
        self.make_room(&wanted, act).await?;
        let (token, text, commit) = self.mint(wanted)?;
        let deed = deed(&token).change(None, shown(&token));
        let done = self.audit.commit(act, vec![deed], commit).await;
        done.map_err(|error| TokenError::Store("create", error))?;
        Ok((token, text))
    }

    /// Lets somebody in who shows this text, and remembers that they came.
    pub async fn enter(&self, text: &str, from: Option<IpAddr>) -> Result<Token, NoEntry> {
        let now = self.clock.now();
        if let Some(wait) = self.held_back(from) {
            return Err(NoEntry::TooMany(wait));
        }
        let Some((record, version)) = self.find(text, now).await? else {
            self.failed(from);
            return Err(NoEntry::Unknown);
        };
        let token = record.token.clone();
        self.used(record, version, now).await;
        Ok(token)
    }

    /// How long nobody is let in from there, if so: too many tokens or logins
    /// that were none came from that address.
    pub(crate) fn held_back(&self, from: Option<IpAddr>) -> Option<Duration> {
        self.failures.wait(from, self.clock.now())
    }

    /// Counts what was shown and is no token, or no login.
    pub(crate) fn failed(&self, from: Option<IpAddr>) {
        if self.failures.count(from, self.clock.now()) {
            let from = from.map(|from| from.to_string());
            tracing::warn!(from, "too many tokens that are none: refused from there for a while");
        }
    }

    async fn find(&self, text: &str, now: Timestamp) -> Result<Option<(Record, Version)>, TokenError> {
        let Some((id, secret)) = parse(text) else { return Ok(None) };
        let Some((record, version)) = self.read(id).await? else { return Ok(None) };
        Ok(record.opens_to(secret, now).then_some((record, version)))
    }

    /// Writes the last use, unless it is known well enough. A use that cannot
    /// be written does not keep anybody out.
    async fn used(&self, mut record: Record, version: Version, now: Timestamp) {
        if record.token.last_used_at.is_some_and(|last| (now - last).abs() < USE_EVERY) {
            return;
        }
        let id = record.token.id;
        let Some(_once) = Once::take(&self.touched, id) else { return };
        record.token.last_used_at = Some(now);
        let Ok(value) = record.encode() else { return };
        match self.store.commit(Commit::default().at(slot(id), version).put(slot(id), value)).await {
            // A conflict: somebody rotated or deleted it, or another host wrote the same.
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => tracing::warn!(token.id = %id, %error, "cannot write when the token was used last"),
        }
    }

    async fn read(&self, id: TokenId) -> Result<Option<(Record, Version)>, TokenError> {
        let entry = self.store.get(&slot(id)).await.map_err(|error| TokenError::Store("read", error))?;
        entry.map(|entry| Ok((Record::decode(&id.to_string(), &entry.value)?, entry.version))).transpose()
    }

    /// Gives a token a new text. The old one is good until `overlap` is over;
    /// one that was good from an earlier overlap is not any more.
    pub async fn rotate(
        &self,
        id: TokenId,
        overlap: Duration,
        act: &Act,
    ) -> Result<Option<(Token, TokenText)>, TokenError> {
        for _ in 0..ATTEMPTS {
            let Some((mut record, version)) = self.read(id).await? else { return Ok(None) };
            let (secret_sha256, text) = new_secret(id)?;
            let until = self.clock.now() + overlap;
            let old = std::mem::replace(&mut record.secret_sha256, secret_sha256);
            record.before = (!overlap.is_zero()).then_some(Before { secret_sha256: old, until });
            let commit = Commit::default().at(slot(id), version).put(slot(id), record.encode()?);
            let deed = deed(&record.token).detail(&format!("overlap {} s", overlap.as_secs()));
            match self.audit.commit(act, vec![deed], commit).await {
                Ok(_) => return Ok(Some((record.token, text))),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(TokenError::Store("rotate", error)),
            }
        }
        Err(TokenError::Store("rotate", StoreError::Conflict))
    }

    /// A page of tokens, oldest first, without what would let anybody use
    /// them: all, or one tenant's.
    pub async fn list(
        &self,
        of: Option<&TenantId>,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<Token>, TokenError> {
        let failed = |error| TokenError::Store("list", error);
        let mut after = after.map(|after| slot(after).prefix());
        let mut tokens = Vec::new();
        loop {
            let page = self.store.scan(&space(), after.as_deref(), PAGE).await.map_err(failed)?;
            after = page.last().map(|entry| entry.key.clone());
            for entry in &page {
                let token = Record::decode("?", &entry.value)?.token;
                if of.is_none() || token.scope.tenant() == of {
                    tokens.push(token);
                }
                if tokens.len() == limit {
                    return Ok(tokens);
                }
            }
            if after.is_none() {
                return Ok(tokens);
            }
        }
    }

    /// One token, without what would let anybody use it.
    pub async fn show(&self, id: TokenId) -> Result<Option<Token>, TokenError> {
        Ok(self.read(id).await?.map(|(record, _)| record.token))
    }

    /// Deletes a token; from then on it is refused. `false` if it was not there.
    pub async fn delete(&self, id: TokenId, act: &Act) -> Result<bool, TokenError> {
        let failed = |error| TokenError::Store("delete", error);
        let token = match self.read(id).await {
            Ok(None) => return Ok(false),
            Ok(Some((record, _))) => Some(record.token),
            // One that cannot be read any more can still be deleted.
            Err(TokenError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        let gone = |token: &Token| deed(token).change(shown(token), None);
        let deed = token.as_ref().map_or_else(|| Deed::new(Chain::Host, KIND, &id.to_string()), gone);
        let commit = Commit::default().delete(slot(id));
        self.audit.commit(act, vec![deed], commit).await.map_err(failed)?;
        Ok(true)
    }

    /// Deletes the tokens of a tenant that is gone; they are refused already.
    pub async fn delete_of(&self, tenant: &TenantId, act: &Act) -> Result<(), TokenError> {
        for token in self.list(Some(tenant), None, usize::MAX).await? {
            self.delete(token.id, act).await?;
        }
        Ok(())
    }

    /// Removes what expired long ago, and of logins what expired; ends the oldest
    /// login of whoever has too many. Says no if there are too many all the same.
    async fn make_room(&self, wanted: &NewToken, act: &Act) -> Result<(), TokenError> {
        let tenant = wanted.scope.tenant();
        if tenant.is_none() && wanted.subject.is_none() {
            return Ok(()); // the operator keeps its own tokens
        }
        let failed = |error| TokenError::Store("delete", error);
        let mut tokens = self.list(tenant, None, usize::MAX).await?;
        tokens.retain(|token| token.scope.tenant() == tenant);
        let (now, long_ago) = (self.clock.now(), self.clock.now() - KEEP_EXPIRED);
        let is_over = |token: &mut Token| {
            let until = if token.subject.is_some() { now } else { long_ago };
            token.expires_at.is_some_and(|at| at < until)
        };
        for gone in tokens.extract_if(.., is_over) {
            // Nobody's doing, so in nobody's log: it was refused already.
            self.store.commit(Commit::default().delete(slot(gone.id))).await.map_err(failed)?;
        }
        let theirs = tokens.iter().filter(|token| token.subject.is_some() && token.subject == wanted.subject);
        let theirs: Vec<_> = theirs.map(|token| token.id).collect();
        let too_many = (theirs.len() + 1).saturating_sub(MAX_OF_PERSON);
        for oldest in theirs.into_iter().take(too_many) {
            self.delete(oldest, act).await?;
        }
        match tenant {
            Some(tenant) if tokens.len() - too_many >= MAX_OF_TENANT => {
                Err(TokenError::TooMany(tenant.clone()))
            }
            _ => Ok(()),
        }
    }

    fn mint(&self, wanted: NewToken) -> Result<(Token, TokenText, Commit), TokenError> {
        let NewToken { scope, note, subject, lasts } = wanted;
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(TokenError::Random)?;
        let created_at = self.clock.now();
        let expires_at = lasts.map(|lasts| created_at + lasts);
        let id = TokenId::new(created_at, random);
        let token = Token { id, scope, note, subject, created_at, expires_at, last_used_at: None };
        let (secret_sha256, text) = new_secret(id)?;
        let record = Record { token: token.clone(), secret_sha256, before: None };
        let commit = Commit::default().absent(slot(id)).put(slot(id), record.encode()?);
        Ok((token, text, commit))
    }
}

/// One of those whose last use is being written; gives the place back when dropped.
struct Once<'a>(&'a Mutex<BTreeSet<TokenId>>, TokenId);

impl<'a> Once<'a> {
    fn take(all: &'a Mutex<BTreeSet<TokenId>>, id: TokenId) -> Option<Self> {
        let fresh = all.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        fresh.then_some(Self(all, id))
    }
}

impl Drop for Once<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
