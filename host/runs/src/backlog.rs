//! What waits in the store: picked up when a place frees, found again at a
//! start.

use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::TimeDelta;
use host_model::id::RunId;
use host_store::StoreError;

use crate::places::{Places, Turn};
use crate::retention::retain;
use crate::settings::Stops;
use crate::{Runs, keys};

/// How many waiting runs are looked at when a place is free: those in memory
/// sort among them and are passed over.
const LOOK: usize = 32;

/// After the store could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// How often expired idempotency keys are forgotten.
const SWEEP_EVERY: TimeDelta = TimeDelta::hours(1);

/// Why the accepted runs could not be found.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the runs that were accepted before; no run is lost, start again once the store works")]
pub struct RecoverError(#[from] StoreError);

/// Fills each place that frees, until the host stops.
pub(crate) async fn dispatch(runs: Weak<Runs>, places: Arc<Places>, stops: Stops) {
    while stops.drain.run_until_cancelled(places.rung()).await.is_some() {
        while let Some(turn) = places.next() {
            let Some(runs) = runs.upgrade().filter(|_| !stops.drain.is_cancelled()) else { return };
            match runs.waiting(&turn).await {
                Ok(found) => {
                    if let Some(place) = places.fill(&turn, &found) {
                        runs.start(place);
                    }
                }
                Err(error) => {
                    drop(runs);
                    tracing::warn!(tenant.id = %turn.tenant, "cannot read which runs wait: {error}");
                    places.wait_in_store(&turn.tenant, None);
                    stops.pause(PAUSE).await;
                    break;
                }
            }
        }
    }
}

impl Runs {
    /// Takes up every accepted run that has not ended, oldest first and tenant
    /// by tenant in turn, and begins to forget expired idempotency keys. Once, at start.
    pub async fn recover(self: &Arc<Self>) -> Result<(), RecoverError> {
        self.keep_lease().await?;
        self.find_pending().await?;
        self.keep_waking();
        let runs = Arc::downgrade(self);
        let (clock, stops) = (Arc::clone(&self.clock), self.stops.clone());
        self.stops.spawn(retain(Weak::clone(&runs), Arc::clone(&clock), stops.clone()));
        self.stops.spawn(async move {
            loop {
                match runs.upgrade() {
                    Some(runs) => match runs.sweep().await {
                        Ok(0) => {}
                        Ok(count) => tracing::info!(count, "forgot {count} expired idempotency keys"),
                        Err(error) => tracing::warn!("cannot forget expired idempotency keys: {error}"),
                    },
                    None => return,
                }
                if !stops.pause_until(&*clock, clock.now() + SWEEP_EVERY).await {
                    return;
                }
            }
        });
        Ok(())
    }

    /// Has the runs of every tenant that has any looked at.
    pub(crate) async fn find_pending(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.shelf.store.scan(&keys::all_pending(), after.as_deref(), 1).await?;
            let Some((tenant, _)) = page.first().and_then(|entry| keys::parse_pending(&entry.key)) else {
                return Ok(());
            };
            self.places.wait_in_store(&tenant, None);
            // On to the next tenant: past every run that this one can have.
            after = Some(keys::pending(&tenant, RunId::from_bytes([0xff; 16])));
        }
    }

    /// Runs that wait after the turn's mark, oldest first.
    async fn waiting(&self, turn: &Turn) -> Result<Vec<RunId>, StoreError> {
        let after = turn.after.map(|run| keys::pending(&turn.tenant, run));
        let page = self.shelf.store.scan(&keys::pending_of(&turn.tenant), after.as_deref(), LOOK).await?;
        Ok(page.iter().filter_map(|entry| keys::parse_pending(&entry.key)).map(|(_, run)| run).collect())
    }
}
