//! A lease: one host refreshes a grant, the others wait for what it stores. It
//! ends by itself, so a host that dies with one delays the others and no more.

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_store::key::{self, Key};
use host_store::{Commit, StoreError, Version};
use serde::{Deserialize, Serialize};

use super::Oauth;
use super::grant::GrantId;

/// How long a lease lasts: a token request's time three times over, for clocks
/// that differ and a store that is slow.
const LEASE: TimeDelta = TimeDelta::seconds(30);

#[derive(Serialize, Deserialize)]
struct Lease {
    until: Timestamp,
}

impl Oauth {
    /// Takes the lease of a grant; `None` if another host has it.
    pub(super) async fn take_lease(&self, id: &GrantId) -> Result<Option<Version>, StoreError> {
        let (store, place, now) = (self.vault.store(), place(id), self.clock.now());
        let lease = serde_json::to_vec(&Lease { until: now + LEASE }).unwrap_or_default();
        let commit = match store.get(&place).await? {
            None => Commit::default().absent(place.clone()),
            Some(entry) => {
                let held = serde_json::from_slice::<Lease>(&entry.value).ok();
                // One that ends later than any was given is of a clock that was set back.
                if held.is_some_and(|held| now < held.until && held.until <= now + LEASE) {
                    return Ok(None);
                }
                Commit::default().at(place.clone(), entry.version)
            }
        };
        match store.commit(commit.put(place, lease)).await {
            Ok(version) => Ok(Some(version)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a lease back; one that is another's by now stays.
    pub(super) async fn give_back(&self, id: &GrantId, lease: Version) {
        let place = place(id);
        // If this fails, the lease ends by itself.
        self.vault.store().commit(Commit::default().at(place.clone(), lease).delete(place)).await.ok();
    }
}

fn place(id: &GrantId) -> Key {
    let GrantId { tenant, connection, credential } = id;
    key::tenant(tenant).kind("oauth-lease").name(connection).name(credential.as_str())
}
