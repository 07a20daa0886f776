//! Waking: parked runs whose time has come go back to the pending list. The
//! list of wakes is the host's, earliest first; nobody polls the runs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use host_model::clock::{Clock, Timestamp};
use host_model::name::TenantId;
use host_store::{Commit, Entry, StoreError};

use crate::park::{Roused, wakes_at};
use crate::settings::Stops;
use crate::shelf::parse;
use crate::{Runs, keys};

/// How many runs are woken at a time: their commits share an fsync.
const AT_ONCE: usize = 64;

/// After the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a wake is tried that others were quicker than.
const TRIES: usize = 5;

impl Runs {
    /// Sees to it that parked runs are woken. Once for each process: when it
    /// starts, or when its first run is parked.
    pub(crate) fn keep_waking(self: &Arc<Self>) {
        if self.waking.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let (runs, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        self.stops.spawn(wake(runs, clock, self.stops.clone(), self.shelf.store.watch(&keys::wakes())));
    }

    /// Wakes what is due. Gives when the next one is.
    async fn wake_due(&self) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let later = keys::wakes_after(self.clock.now());
            let page = self.shelf.store.scan(&keys::wakes(), None, AT_ONCE).await?;
            let due: Vec<&Entry> = page.iter().take_while(|entry| entry.key < later).collect();
            let woken = join_all(due.iter().map(|entry| self.wake_one(entry))).await;
            woken.into_iter().collect::<Result<(), StoreError>>()?;
            if due.len() < page.len() || page.is_empty() {
                return Ok(page
                    .get(due.len())
                    .and_then(|entry| keys::parse_wake(&entry.key))
                    .map(|(at, _)| at));
            }
        }
    }

    async fn wake_one(&self, entry: &Entry) -> Result<(), StoreError> {
        let Some((_, run)) = keys::parse_wake(&entry.key) else {
            return Err(StoreError::Engine("a wake is not what this host writes".into()));
        };
        let tenant: TenantId = parse(&entry.value)?;
        for _ in 0..TRIES {
            let found = self.shelf.record(&tenant, run).await?;
            let is_its = found.is_some_and(|(record, _)| {
                wakes_at(&record).is_some_and(|at| keys::wake(at, run) == entry.key)
            });
            let commit = Commit::default().at(entry.key.clone(), entry.version);
            let (commit, roused) = match is_its {
                true => self.rouse(&tenant, run, commit, |_| true).await?,
                false => (commit, Roused::Held),
            };
            // Of one that went on by itself, or was paused by hand, only the wake is left.
            let commit = if roused == Roused::Woken { commit } else { commit.delete(entry.key.clone()) };
            match self.shelf.store.commit(commit).await {
                Ok(_) => {
                    self.roused(&tenant, run, roused);
                    return Ok(());
                }
                Err(StoreError::Conflict) => {
                    // Gone, if somebody else woke it.
                    let there = self.shelf.store.get(&entry.key).await?;
                    if there.is_none_or(|there| there.version != entry.version) {
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.roused(&tenant, run, roused); // perhaps
                    return Err(error);
                }
            }
        }
        Ok(()) // its turn comes again with the next look
    }
}

async fn wake(runs: Weak<Runs>, clock: Arc<dyn Clock>, stops: Stops, mut bell: host_store::Doorbell) {
    loop {
        let Some(runs) = runs.upgrade() else { return };
        let next = runs.wake_due().await;
        drop(runs);
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!("cannot wake the runs that are due: {error}");
                if !stops.pause(PAUSE).await {
                    return;
                }
                continue;
            }
        };
        let due = async {
            match next {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stops.drain.cancelled() => return,
            // An earlier one may have been put.
            rung = bell.rung() => if !rung { return },
            () = due => {}
        }
    }
}
