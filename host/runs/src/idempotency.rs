//! Idempotency keys: who sends the same thing twice gets the same runs.
//!
//! What is remembered is committed with the runs, so either both are there or
//! neither; of several who send at once, the store lets one through.

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_store::{Commit, StoreError, Version};
use serde::{Deserialize, Serialize};

use crate::accept::Accepted;
use crate::shelf::{Shelf, parse};
use crate::{Runs, keys};

/// The most bytes of an idempotency key.
pub const MAX_KEY: usize = 255;

/// No key is forgotten sooner, whatever is set.
const KEEP_AT_LEAST: TimeDelta = TimeDelta::hours(24);

/// How many expired keys are forgotten in one commit, at two changes each.
const SWEEP: usize = 200;

/// A key that a caller gave with what it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose it is; keys of two tenants never meet.
    pub tenant: TenantId,
    /// For what: the connection and endpoint, or the workflow. The same key
    /// in two scopes is two keys.
    pub scope: String,
    /// The key, 1 to [`MAX_KEY`] bytes.
    pub key: String,
    /// The digest of what was sent with it.
    pub input: Digest,
    /// The HTTP status of the answer that the sender gets besides the runs, to
    /// be told again; remembered, not compared.
    pub answer: Option<u16>,
}

/// What is stored about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    input: Digest,
    runs: Vec<RunId>,
    until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<u16>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing, or nothing that still counts; the version of what is there.
    Never(Option<Version>),
    /// The same was sent with it.
    Same(Accepted),
    /// Something else was sent with it.
    Other,
}

impl Idempotency {
    /// A key's text is the caller's: only its hash becomes part of a storage key.
    fn hash(&self) -> [u8; 32] {
        let mut all = Vec::with_capacity(self.scope.len() + self.key.len() + 8);
        all.extend_from_slice(&(self.scope.len() as u64).to_be_bytes());
        all.extend_from_slice(self.scope.as_bytes());
        all.extend_from_slice(self.key.as_bytes());
        *Digest::of(&all).as_bytes()
    }

    /// What is known of it.
    pub(crate) async fn look_up(&self, shelf: &Shelf, now: Timestamp) -> Result<Seen, StoreError> {
        let key = keys::idempotency(&self.tenant, &self.hash());
        Ok(match shelf.read::<Remembered>(&key).await? {
            None => Seen::Never(None),
            Some((remembered, version)) if remembered.until <= now => Seen::Never(Some(version)),
            Some((remembered, _)) if remembered.input == self.input => {
                let Remembered { runs, answer, .. } = remembered;
                Seen::Same(Accepted { runs, repeated: true, answer })
            }
            Some(_) => Seen::Other,
        })
    }

    /// Adds to a commit that it is remembered, if nobody was quicker.
    pub(crate) fn remember(
        &self,
        commit: Commit,
        there: Option<Version>,
        runs: &[RunId],
        until: Timestamp,
    ) -> Result<Commit, serde_json::Error> {
        let hash = self.hash();
        let key = keys::idempotency(&self.tenant, &hash);
        let value = serde_json::to_vec(&Remembered {
            input: self.input,
            runs: runs.to_vec(),
            until,
            answer: self.answer,
        })?;
        let commit = match there {
            None => commit.absent(key.clone()),
            Some(version) => commit.at(key.clone(), version),
        };
        let whose = serde_json::to_vec(&self.tenant)?;
        Ok(commit.put(key, value).put(keys::expiry(until, &hash), whose))
    }
}

/// Until when a key of now is remembered.
pub(crate) fn until(now: Timestamp, keep: std::time::Duration) -> Timestamp {
    let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX).max(KEEP_AT_LEAST);
    now.checked_add_signed(keep).unwrap_or(Timestamp::MAX_UTC)
}

impl Runs {
    /// Forgets the idempotency keys whose time is over; gives how many.
    pub(crate) async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut forgotten = 0;
        loop {
            let due = keys::expiry(now, &[0; 32]);
            let page = self.shelf.store.scan(&keys::expiries(), None, SWEEP).await?;
            let page: Vec<_> = page.into_iter().filter(|entry| entry.key < due).collect();
            let mut commit = Commit::default();
            for entry in &page {
                commit = commit.delete(entry.key.clone());
                let Some(hash) = entry.key.last_chunk::<32>() else { continue };
                let key = keys::idempotency(&parse(&entry.value)?, hash);
                // It may have been used again since, and then has a later entry here.
                if let Some((remembered, version)) = self.shelf.read::<Remembered>(&key).await?
                    && remembered.until <= now
                {
                    commit = commit.at(key.clone(), version).delete(key);
                }
            }
            if page.is_empty() {
                return Ok(forgotten);
            }
            forgotten += page.len();
            match self.shelf.store.commit(commit).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
