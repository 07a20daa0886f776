//! Retention: runs that ended long enough ago are removed, in the background,
//! a few at a time.
//!
//! A run is removed by one commit. One that does not fit a commit is noted in
//! it instead, and what is left of the run is removed in further ones; a start
//! after a crash finds the note.
//!
//! Invariants
//! - Nothing of a run that has not ended is removed, nor of one whose starter
//!   has not ended: that one may still ask how it ended.
//! - From the commit on that removes its record, a run is absent.
//! - A blob is removed when no run has it: see [`blobs`].

mod blobs;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use futures::future::join_all;
use host_model::clock::{Clock, Timestamp};
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::retention::RetentionSpec;
use host_model::run::StartedBy;
use host_store::{Commit, StoreError, Version};

use crate::record::Record;
use crate::search::{Posted, unpost};
use crate::settings::Stops;
use crate::shelf::parse;
use crate::{Runs, keys};

/// How often old runs are looked for: days do not need more.
const EVERY: TimeDelta = TimeDelta::hours(1);
/// How many records are looked at before a pause: a few milliseconds of reads.
const LOOK: usize = 100;
/// How many runs are removed at a time; their commits share an fsync.
const AT_ONCE: usize = 25;
/// Between those: whoever waits for the store comes first, and still four
/// million runs go in a day.
const PAUSE: Duration = Duration::from_millis(500);
/// How many entries of a run are read at a time: 4 MiB at most.
const PAGE: usize = 64;

/// A run that may go.
struct Old {
    record: Record,
    version: Version,
}

/// Removes what is old, again and again, until the host stops.
pub(crate) async fn retain(runs: Weak<Runs>, clock: Arc<dyn Clock>, stops: Stops) {
    loop {
        let Some(this) = runs.upgrade() else { return };
        match this.remove_old(&stops).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed {count} runs that ended long ago"),
            Err(error) => tracing::warn!("cannot remove old runs now, they are tried again: {error}"),
        }
        match this.remove_blobs(&stops).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed {count} payloads that no run has any more"),
            Err(error) => tracing::warn!("cannot remove payloads now, they are tried again: {error}"),
        }
        drop(this);
        if !stops.pause_until(&*clock, clock.now() + EVERY).await {
            return;
        }
    }
}

impl Runs {
    /// Removes every tenant's old runs; gives how many.
    pub(crate) async fn remove_old(&self, stops: &Stops) -> Result<usize, StoreError> {
        self.finish_removals().await?;
        let mut removed = 0;
        for (tenant, retention) in self.guests.retention() {
            // No run that is newer can have ended long enough ago.
            let shortest =
                host_model::run::RunStatus::ALL.iter().filter_map(|end| retention.keeps(*end)).min();
            let Some(newest) = shortest.and_then(|keep| self.clock.now().checked_sub_signed(keep)) else {
                continue;
            };
            let mut after = Some(keys::record(&tenant, RunId::new(newest, [0xff; 10])));
            loop {
                let page = self.shelf.store.scan(&keys::records(&tenant), after.as_deref(), LOOK).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                let mut old = Vec::new();
                for entry in &page {
                    let record: Record = parse(&entry.value)?;
                    if self.may_go(&record, &retention).await? {
                        old.push(Old { record, version: entry.version });
                    }
                }
                for some in old.chunks(AT_ONCE) {
                    let gone = join_all(some.iter().map(|old| self.remove(old))).await;
                    removed += gone
                        .into_iter()
                        .collect::<Result<Vec<bool>, _>>()?
                        .into_iter()
                        .filter(|it| *it)
                        .count();
                    if !stops.pause(PAUSE).await {
                        return Ok(removed);
                    }
                }
                if stops.drain.is_cancelled() {
                    return Ok(removed);
                }
            }
        }
        Ok(removed)
    }

    async fn may_go(&self, record: &Record, retention: &RetentionSpec) -> Result<bool, StoreError> {
        let (Some(ended), Some(keep)) = (record.finished_at, retention.keeps(record.status)) else {
            return Ok(false);
        };
        // As long as a key is remembered, it is of a run that is there.
        let keep = keep.max(TimeDelta::from_std(self.settings.keep_keys).unwrap_or(TimeDelta::MAX));
        if ended.checked_add_signed(keep).is_none_or(|until: Timestamp| until > self.clock.now()) {
            return Ok(false);
        }
        Ok(match record.started_by {
            StartedBy::Run(by) => {
                let starter = self.shelf.record(&record.tenant, by).await?;
                starter.is_none_or(|(starter, _)| starter.status.is_over())
            }
            _ => true,
        })
    }

    /// Removes a run, unless it changed since; `true` if it did.
    async fn remove(&self, old: &Old) -> Result<bool, StoreError> {
        let Old { record, version } = old;
        let (tenant, run) = (&record.tenant, record.id);
        let key = keys::record(tenant, run);
        let mut commit = Commit::default()
            .at(key.clone(), *version)
            .delete(key)
            .delete(keys::given(tenant, run))
            .delete(keys::reply(tenant, run))
            .delete(keys::ending(tenant, run))
            .delete(keys::dead(tenant, run));
        commit = unpost(&Posted::of(record), commit);
        let mut whole = true;
        for part in parts(tenant, run) {
            let some = self.some_of(tenant, run, &part).await?;
            whole = some.len() < PAGE;
            commit.delete.extend(some);
            if !whole {
                break; // what comes later must not go before
            }
        }
        if !whole {
            commit = commit.put(keys::removed(tenant, run), Vec::new());
        }
        match self.shelf.store.commit(commit).await {
            Ok(_) if whole => Ok(true),
            Ok(_) => self.remove_rest(tenant, run).await.map(|()| true),
            // Somebody replayed it, which its record says; its time comes again.
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes what is left of a run whose record is gone, or never was.
    pub(crate) async fn remove_rest(&self, tenant: &TenantId, run: RunId) -> Result<(), StoreError> {
        for part in parts(tenant, run) {
            loop {
                let some = self.some_of(tenant, run, &part).await?;
                if some.is_empty() {
                    break;
                }
                self.shelf.store.commit(some.into_iter().fold(Commit::default(), Commit::delete)).await?;
            }
        }
        self.shelf.store.commit(Commit::default().delete(keys::removed(tenant, run))).await.map(drop)
    }

    async fn some_of(&self, tenant: &TenantId, run: RunId, part: &[u8]) -> Result<Vec<Bytes>, StoreError> {
        let page = self.shelf.store.scan(part, None, PAGE).await?;
        let mut some: Vec<_> = page.into_iter().map(|entry| entry.key).collect();
        let blobs = some.iter().filter_map(|key| keys::parse_blob(tenant, run, key));
        let users: Vec<_> = blobs.map(|digest| keys::blob_user(&digest, tenant, run)).collect();
        some.extend(users);
        Ok(some)
    }

    /// What a process before this one did not get to.
    async fn finish_removals(&self) -> Result<(), StoreError> {
        loop {
            let page = self.shelf.store.scan(&keys::all_removed(), None, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for entry in page {
                match keys::parse_removed(&entry.key) {
                    Some((tenant, run)) => self.remove_rest(&tenant, run).await?,
                    None => return Err(StoreError::Engine("a removal is not what this host writes".into())),
                }
            }
        }
    }
}

/// What a run has that may be many: its steps, its events, its tries, and last
/// what those name, its blobs.
fn parts(tenant: &TenantId, run: RunId) -> [Bytes; 4] {
    [
        keys::steps(tenant, run),
        keys::events(tenant, run),
        keys::all_tries(tenant, run),
        keys::blobs(tenant, run),
    ]
}

#[cfg(test)]
impl Runs {
    /// Removes a run that was seen like this.
    pub(crate) async fn remove_one(&self, record: Record, version: Version) -> Result<bool, StoreError> {
        self.remove(&Old { record, version }).await
    }
}
