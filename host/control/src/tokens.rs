//! API tokens: `wharf_{id}_{secret}`. The text is shown once, when it is made;
//! kept is the SHA-256 of its secret, which 32 random bytes need no salt for.
//!
//! Invariants
//! - A token is looked up by its id, then compared in constant time.
//! - Nothing is cached: a deleted token is refused from then on, everywhere.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host_model::clock::{Clock, Timestamp};
use host_model::digest::Digest;
use host_model::id::TokenId;
use host_model::name::TenantId;
use host_store::{Commit, Store, StoreError, key};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::access::Scope;

const PREFIX: &str = "wharf_";
const SECRET_BYTES: usize = 32;
/// How many tokens are looked at at once.
const PAGE: usize = 1_000;

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
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Record {
    token: Token,
    secret_sha256: Digest,
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
}

/// The tokens.
#[derive(Clone)]
pub struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

fn space() -> key::Key {
    key::host().kind("token")
}

fn slot(id: TokenId) -> key::RawKey {
    space().bytes(&id.to_bytes())
}

fn first_start() -> key::Key {
    key::host().kind("bootstrapped")
}

impl Tokens {
    /// The tokens in this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Makes the first operator token, once in the life of a store; `None` ever after.
    pub async fn bootstrap(&self) -> Result<Option<TokenText>, TokenError> {
        let (_, text, commit) = self.mint(Scope::Operator, "made at the first start".to_owned())?;
        let commit = commit.absent(first_start()).put(first_start(), "");
        match self.store.commit(commit).await {
            Ok(_) => Ok(Some(text)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(TokenError::Store("bootstrap", error)),
        }
    }

    /// Makes a token. Its text is not kept.
    pub async fn create(&self, scope: Scope, note: String) -> Result<(Token, TokenText), TokenError> {
        let (token, text, commit) = self.mint(scope, note)?;
        self.store.commit(commit).await.map_err(|error| TokenError::Store("create", error))?;
        Ok((token, text))
    }

    /// The token that this text is, if it is one.
    pub async fn find(&self, text: &str) -> Result<Option<Token>, TokenError> {
        let Some((id, secret)) = parse(text) else { return Ok(None) };
        let entry = self.store.get(&slot(id)).await.map_err(|error| TokenError::Store("read", error))?;
        let Some(entry) = entry else { return Ok(None) };
        let record = decode(&id.to_string(), &entry.value)?;
        let same: bool =
            Digest::of(secret.as_bytes()).as_bytes().ct_eq(record.secret_sha256.as_bytes()).into();
        Ok(same.then_some(record.token))
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
                let token = decode("?", &entry.value)?.token;
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
        let entry = self.store.get(&slot(id)).await.map_err(|error| TokenError::Store("read", error))?;
        entry.map(|entry| Ok(decode(&id.to_string(), &entry.value)?.token)).transpose()
    }

    /// Deletes a token; from then on it is refused. `false` if it was not there.
    pub async fn delete(&self, id: TokenId) -> Result<bool, TokenError> {
        let failed = |error| TokenError::Store("delete", error);
        let there = self.store.get(&slot(id)).await.map_err(failed)?.is_some();
        self.store.commit(Commit::default().delete(slot(id))).await.map_err(failed)?;
        Ok(there)
    }

    /// Deletes the tokens of a tenant that is gone; they are refused already.
    pub async fn delete_of(&self, tenant: &TenantId) -> Result<(), TokenError> {
        for token in self.list(Some(tenant), None, usize::MAX).await? {
            self.delete(token.id).await?;
        }
        Ok(())
    }

    fn mint(&self, scope: Scope, note: String) -> Result<(Token, TokenText, Commit), TokenError> {
        let (mut random, mut secret) = ([0; 10], [0; SECRET_BYTES]);
        getrandom::fill(&mut random).map_err(TokenError::Random)?;
        getrandom::fill(&mut secret).map_err(TokenError::Random)?;
        let created_at = self.clock.now();
        let token = Token { id: TokenId::new(created_at, random), scope, note, created_at };
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let record = Record { token: token.clone(), secret_sha256: Digest::of(secret.as_bytes()) };
        let bare = token.id.to_string();
        let text = format!("{PREFIX}{}_{secret}", bare.trim_start_matches("tok_"));
        let value = serde_json::to_vec(&record).map_err(|_| TokenError::Damaged(bare))?;
        Ok((
            token,
            TokenText(text.into()),
            Commit::default().absent(slot(record.token.id)).put(slot(record.token.id), value),
        ))
    }
}

/// The id and the secret of a token's text.
fn parse(text: &str) -> Option<(TokenId, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let id = format!("tok_{id}").parse().ok()?;
    // 32 bytes in base64 without padding.
    (secret.len() == 43).then_some((id, secret))
}

fn decode(id: &str, value: &[u8]) -> Result<Record, TokenError> {
    serde_json::from_slice(value).map_err(|_| TokenError::Damaged(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use host_model::clock::SimClock;
    use host_store::MemoryStore;

    fn tokens() -> Tokens {
        Tokens::new(Arc::new(MemoryStore::new()), Arc::new(SimClock::at(Timestamp::UNIX_EPOCH)))
    }

    #[tokio::test]
    async fn the_operators_first_token_is_made_once() {
        let tokens = tokens();
        let text = tokens.bootstrap().await.unwrap().expect("the first start makes one");
        assert!(tokens.bootstrap().await.unwrap().is_none());
        let token = tokens.find(text.reveal_once()).await.unwrap().expect("it is known");
        assert_eq!(token.scope, Scope::Operator);
        tokens.delete(token.id).await.unwrap();
        assert!(tokens.bootstrap().await.unwrap().is_none(), "not even after it was deleted");
    }

    #[tokio::test]
    async fn a_token_is_found_by_its_whole_text_until_it_is_deleted() {
        let tokens = tokens();
        let scope = Scope::of("acme".parse().unwrap(), Role::Admin);
        let (token, text) = tokens.create(scope, "ci".to_owned()).await.unwrap();
        let text = text.reveal_once();
        assert_eq!(text.len(), "wharf_".len() + 26 + 1 + 43);
        assert_eq!(tokens.find(text).await.unwrap(), Some(token.clone()));

        let last = if text.ends_with('A') { "B" } else { "A" };
        let forged = format!("{}{last}", &text[..text.len() - 1]);
        for bad in ["", "wharf_", forged.as_str(), &text[6..], &text.to_lowercase(), &text[..text.len() - 1]]
        {
            assert_eq!(tokens.find(bad).await.unwrap(), None, "{bad}");
        }
        assert!(tokens.delete(token.id).await.unwrap());
        assert_eq!(tokens.find(text).await.unwrap(), None);
        assert!(!tokens.delete(token.id).await.unwrap());
    }

    #[tokio::test]
    async fn neither_the_store_nor_a_listing_nor_a_log_has_a_usable_token() {
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::new(store.clone(), Arc::new(SimClock::at(Timestamp::UNIX_EPOCH)));
        let (_, text) = tokens.create(Scope::Operator, String::new()).await.unwrap();
        let secret = text.reveal_once().rsplit_once('_').unwrap().1.to_owned();
        let stored = store.scan(b"", None, 1_000).await.unwrap();
        let kept =
            stored.iter().map(|entry| String::from_utf8_lossy(&entry.value).into_owned()).collect::<String>();
        assert!(!kept.contains(&secret), "{kept}");
        let listed = serde_json::to_string(&tokens.list(None, None, 10).await.unwrap()).unwrap();
        assert!(!listed.contains(&secret) && !listed.contains("sha256"), "{listed}");
        assert!(!format!("{text:?}").contains(&secret));
    }
}
