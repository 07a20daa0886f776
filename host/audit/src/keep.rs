//! Retention: what is old goes, and the chain says so.
//!
//! The removal is an entry itself, of the operation [`RETENTION`], with the
//! number and the hash of the last entry that went. The head begins there: its
//! `anchor`. So removing more by hand shows.

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_store::{Commit, StoreError};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Audit;
use crate::act::{Act, Deed};
use crate::chain::{Chain, Head};
use crate::entry::{Entry, Outcome};
use crate::shown::Shown;

/// The operation of the entry that tells of a removal.
pub(crate) const RETENTION: &str = "retention";
/// The fewest that are removed at once: one entry for each removal must not
/// keep the chain as long as it was.
const FEWEST: u64 = 100;
/// The most that one commit removes.
const MOST: u64 = 1_000;
/// How often counts are written and what is old is looked for.
const EVERY: std::time::Duration = std::time::Duration::from_secs(60);
/// How long a host that stops waits for what still changes something.
const LAST: std::time::Duration = std::time::Duration::from_secs(10);

/// What a removal says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Removal {
    /// The number of the last entry that went.
    pub(crate) to: u64,
    /// Its hash.
    pub(crate) anchor: Digest,
}

impl Removal {
    /// What this entry says was removed, if it does.
    pub(crate) fn told_by(entry: &Entry) -> Option<Self> {
        match &entry.after {
            Some(Shown::Whole { document }) if entry.operation == RETENTION => {
                Self::deserialize(document).ok()
            }
            _ => None,
        }
    }
}

impl Audit {
    /// Writes counts and removes what is old, until `stop`; then writes the
    /// entries of what still goes on.
    pub async fn keep(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            if let Err(error) = self.tidy().await {
                tracing::warn!(%error, "the audit log cannot be kept in order now; it is tried again");
            }
        }
        self.tasks.close();
        // What it waits for has no caller any more: they were drained.
        let _ = tokio::time::timeout(LAST, self.tasks.wait()).await;
        if let Err(error) = self.write_counts(true).await {
            tracing::warn!(%error, "how often things were repeated is lost to the audit log");
        }
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        self.write_counts(false).await?;
        for head in self.heads().await? {
            self.remove_old(&head.chain).await?;
        }
        Ok(())
    }

    /// Removes what is too old of a chain, or too much.
    pub async fn remove_old(&self, chain: &Chain) -> Result<(), StoreError> {
        let deeds = [Deed::new(chain.clone(), "audit", "")];
        loop {
            let _turns = self.take_turns(&deeds).await;
            let (mut head, version) = self.head(chain).await?;
            let Some(version) = version else { return Ok(()) };
            let until = self.first_to_stay(&head).await?;
            if until < head.first + FEWEST {
                return Ok(());
            }
            let until = until.min(head.first + MOST);
            let Some(last) = self.store.get(&chain.entry(until - 1)).await? else {
                // Somebody removed it: that is for whoever verifies the chain to tell.
                return Ok(());
            };
            let gone = (head.first..until).map(|seq| chain.entry(seq));
            let commit = gone.fold(Commit::default(), Commit::delete);
            let removal = Removal { to: until - 1, anchor: Digest::of(&last.value) };
            (head.first, head.anchor) = (until, removal.anchor);
            let [deed] = deeds.clone();
            let deed = deed
                .detail(&format!("removed the entries up to {}", removal.to))
                .change(None, serde_json::to_value(&removal).ok());
            let heads = [(chain.clone(), (head, Some(version)))].into();
            let entry = self.link(heads, &Act::of_host(RETENTION), &[deed], Outcome::Done, 1)?;
            match self.store.commit(commit.and(entry)).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The last entry always stays.
    async fn first_to_stay(&self, head: &Head) -> Result<u64, StoreError> {
        let keep = TimeDelta::from_std(self.settings.keep).unwrap_or(TimeDelta::MAX);
        let oldest = self.clock.now().checked_sub_signed(keep).unwrap_or(Timestamp::UNIX_EPOCH);
        let by_age = self.first_not_before(head, oldest).await?;
        let by_count = match head.chain {
            Chain::Host => 0,
            Chain::Tenant(_) => (head.seq + 1).saturating_sub(self.settings.tenant_entries.max(FEWEST)),
        };
        Ok(by_age.max(by_count).clamp(head.first, head.seq))
    }
}
