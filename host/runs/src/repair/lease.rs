//! Leases: which processes are alive, for those that share a store.
//!
//! A run's record names the process that carries it. Another one may take the
//! run over only if that process has no lease that is still good, which the
//! commit of the take-over requires; then the first one's late writes are
//! refused by the record's version.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use host_model::clock::{Clock, Timestamp};
use host_store::{Commit, Store, StoreError, Version};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::shelf::parse;
use crate::{Runs, Settings, keys};

/// How many leases are looked at: far more processes than share a store.
const MAX_LEASES: usize = 1_000;

/// What is stored of a lease.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Until {
    until: Timestamp,
}

/// Whether this process may carry a run.
pub(crate) enum Grip {
    /// It may; its commit must have this in it.
    Free(Commit),
    /// A process that is alive has it.
    Theirs,
}

/// This process's lease, and what it knows of the others'.
pub(crate) struct Lease {
    process: u64,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    exclusive: bool,
    length: Duration,
    /// The version of what it last wrote.
    held: tokio::sync::Mutex<Option<Version>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Lease {
    /// Of this process. Nothing is written yet.
    pub(crate) fn new(
        process: u64,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        settings: &Settings,
    ) -> Self {
        Self {
            process,
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            exclusive: settings.exclusive,
            length: settings.lease,
            held: tokio::sync::Mutex::new(None),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Sees to it that there is a lease before the first run is taken.
    pub(crate) async fn hold(&self) -> Result<(), StoreError> {
        if self.exclusive {
            return Ok(());
        }
        let mut held = self.held.lock().await;
        if held.is_none() {
            *held = Some(self.write(None).await?);
        }
        Ok(())
    }

    async fn write(&self, at: Option<Version>) -> Result<Version, StoreError> {
        let length = TimeDelta::from_std(self.length).unwrap_or(TimeDelta::MAX);
        let until = self.clock.now().checked_add_signed(length).unwrap_or(Timestamp::MAX_UTC);
        let value = serde_json::to_vec(&Until { until })
            .map_err(|error| StoreError::Engine(error.to_string().into()))?;
        let key = keys::lease(self.process);
        let commit = match at {
            Some(version) => Commit::default().at(key.clone(), version),
            None => Commit::default().absent(key.clone()),
        };
        self.store.commit(commit.put(key, value)).await
    }

    /// Renews it. One that another process has ended meanwhile is taken anew:
    /// the runs that went with it are gone, their records say so.
    async fn renew(&self) -> Result<(), StoreError> {
        let mut held = self.held.lock().await;
        let written = match self.write(*held).await {
            Err(StoreError::Conflict) => {
                tracing::warn!(
                    "this process stalled for longer than its lease; others may have taken its runs"
                );
                self.write(None).await
            }
            written => written,
        };
        if let Err(StoreError::Conflict) = written {
            *held = None; // a renewal of unknown fate: the next one starts afresh from what is there
            if let Some(entry) = self.store.get(&keys::lease(self.process)).await? {
                *held = Some(entry.version);
            }
        }
        *held = Some(written?);
        Ok(())
    }

    /// Whether a run that this process has may be carried here.
    pub(crate) async fn grip(&self, taken_by: Option<u64>) -> Result<Grip, StoreError> {
        self.hold().await?;
        match taken_by {
            Some(other) if other != self.process && !self.exclusive => {
                let key = keys::lease(other);
                Ok(match self.store.get(&key).await? {
                    None => Grip::Free(Commit::default().absent(key)),
                    Some(entry) if parse::<Until>(&entry.value)?.until > self.clock.now() => Grip::Theirs,
                    Some(entry) => Grip::Free(Commit::default().at(key.clone(), entry.version).delete(key)),
                })
            }
            _ => Ok(Grip::Free(Commit::default())),
        }
    }

    /// The other processes whose leases are good; those that are over are ended.
    async fn others(&self) -> Result<BTreeSet<u64>, StoreError> {
        let mut alive = BTreeSet::new();
        for entry in self.store.scan(&keys::leases(), None, MAX_LEASES).await? {
            let Some(process) = keys::parse_lease(&entry.key).filter(|process| *process != self.process)
            else {
                continue;
            };
            if !self.exclusive && parse::<Until>(&entry.value)?.until > self.clock.now() {
                alive.insert(process);
                continue;
            }
            let end = Commit::default().at(entry.key.clone(), entry.version).delete(entry.key);
            match self.store.commit(end).await {
                Ok(_) => {}
                Err(StoreError::Conflict) => drop(alive.insert(process)), // renewed, at the last moment
                Err(error) => return Err(error),
            }
        }
        Ok(alive)
    }

    /// As the process dies: it is not given up, nobody renews it.
    #[cfg(test)]
    pub(crate) fn die(&self) {
        self.stop.cancel();
    }

    /// Gives it up, in good order.
    pub(crate) async fn release(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(version) = self.held.lock().await.take() {
            let key = keys::lease(self.process);
            if let Err(error) =
                self.store.commit(Commit::default().at(key.clone(), version).delete(key)).await
            {
                tracing::debug!("could not give the lease up, it runs out by itself: {error}");
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Runs {
    /// Ends the leases that are over, keeps this process's own, and takes up
    /// the runs of processes that lose theirs, until the host has stopped.
    pub(crate) async fn keep_lease(self: &Arc<Self>) -> Result<(), StoreError> {
        self.lease.hold().await?;
        let mut alive = self.lease.others().await?;
        if self.settings.exclusive {
            return Ok(());
        }
        let (runs, stop) = (Arc::downgrade(self), self.lease.stop.clone());
        let (clock, every) = (Arc::clone(&self.clock), self.settings.lease / 3);
        let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
        // Not one of the host's other tasks: it renews until the last of them is over.
        self.lease.tasks.spawn(async move {
            loop {
                let next = clock.now().checked_add_signed(every).unwrap_or(Timestamp::MAX_UTC);
                if stop.run_until_cancelled(clock.sleep_until(next)).await.is_none() {
                    return;
                }
                let Some(runs) = runs.upgrade() else { return };
                let beat = async {
                    runs.lease.renew().await?;
                    let now = runs.lease.others().await?;
                    if !alive.is_subset(&now) {
                        runs.find_pending().await?;
                    }
                    Ok::<_, StoreError>(now)
                };
                match beat.await {
                    Ok(now) => alive = now,
                    Err(error) => tracing::warn!("cannot renew this process's lease: {error}"),
                }
            }
        });
        Ok(())
    }
}
