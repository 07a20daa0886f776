//! Pausing, resuming, cancelling and terminating a run, wherever it is.

use std::sync::Arc;

use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::{CallError, Outcome};
use host_model::run::{Run, RunStatus};
use host_store::{Commit, StoreError, Version};

use super::decide::{Action, Unfit, decide};
use super::trace::{By, trace};
use crate::execute::nothing_more;
use crate::park::wakes_at;
use crate::record::Record;
use crate::{Runs, keys};

/// How often an order is tried again that a step of the run was quicker than.
const TRIES: usize = 20;

/// Why a run was not paused, resumed, cancelled or terminated.
#[derive(Debug, thiserror::Error)]
pub enum InterveneError {
    /// There is no such run of this tenant.
    #[error("there is no run {0}")]
    Absent(RunId),
    /// It is not a run to which that can be done.
    #[error("cannot {action} {run}: {why}")]
    Unfit {
        /// Which run.
        run: RunId,
        /// What was to be done.
        action: Action,
        /// Why not.
        why: Unfit,
    },
    /// The run changed again and again meanwhile.
    #[error("cannot {action} {run}: it changed {TRIES} times meanwhile; try again")]
    Contended {
        /// Which run.
        run: RunId,
        /// What was to be done.
        action: Action,
    },
    /// The store failed; whether it was done is not known: look at the run.
    #[error("cannot write it down")]
    Store(#[from] StoreError),
    /// A bug ended the task; whether it was done is not known.
    #[error("it was interrupted by a failure of the host; look at the run")]
    Interrupted,
}

impl Runs {
    /// Does that to the run, and notes who did and why in the same commit.
    pub async fn intervene(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        action: Action,
        by: By,
    ) -> Result<Run, InterveneError> {
        let (this, owner) = (Arc::clone(self), tenant.clone());
        // A task of its own: a caller that goes away must not leave an attempt that was ordered and not told.
        let order = self.stops.tasks.spawn(async move { this.order(&owner, run, action, &by).await });
        order.await.unwrap_or(Err(InterveneError::Interrupted))?;
        self.shelf.run(tenant, run).await?.ok_or(InterveneError::Absent(run))
    }

    async fn order(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        action: Action,
        by: &By,
    ) -> Result<(), InterveneError> {
        for attempt in 0..TRIES {
            // Once what the attempt knows was out of date, only the store knows.
            let done = match self.live.of(tenant, run).filter(|_| attempt == 0) {
                Some(core) => {
                    let mut writer = core.writer.lock().await;
                    let (record, version) = (writer.record.clone(), writer.version);
                    match self.change(record, version, action, by).await {
                        Ok(Some((record, version))) => {
                            (writer.record, writer.version) = (record, version);
                            core.order(false);
                            Ok(())
                        }
                        Ok(None) => {
                            // What it would still write is refused: its version is older than the end.
                            core.order(true);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                None => {
                    let found = self.shelf.record(tenant, run).await?;
                    let (record, version) = found.ok_or(InterveneError::Absent(run))?;
                    self.change(record, version, action, by).await.map(drop)
                }
            };
            match done {
                Err(InterveneError::Store(StoreError::Conflict)) => {}
                Ok(()) => {
                    // One that is in memory is looked at again when it has left its place.
                    if matches!(action, Action::Resume | Action::Cancel) {
                        self.places.wait_in_store(tenant, Some(run));
                    }
                    tracing::info!(
                        tenant.id = %tenant, run.id = %run,
                        "run `{run}` was {} {}", action.done(), by.said(),
                    );
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Err(InterveneError::Contended { run, action })
    }

    /// Changes the record; `None` if that was its end.
    async fn change(
        &self,
        mut record: Record,
        version: Version,
        action: Action,
        by: &By,
    ) -> Result<Option<(Record, Version)>, InterveneError> {
        let run = record.id;
        let next = decide(record.status, action).map_err(|why| InterveneError::Unfit { run, action, why })?;
        trace(&mut record, self.clock.now(), action.done().to_owned(), by);
        let pending = keys::pending(&record.tenant, run);
        let mut list = match wakes_at(&record).filter(|_| record.status == RunStatus::Waiting) {
            Some(at) => Commit::default().delete(keys::wake(at, run)),
            None => Commit::default(),
        };
        record.waits.clear();
        list = match next {
            RunStatus::Terminated => {
                let outcome = Outcome::Declined(CallError::Permanent(format!("terminated {}", by.said())));
                self.finish_with(record, version, next, nothing_more(outcome), None, list).await?;
                return Ok(None);
            }
            RunStatus::Paused => list.delete(pending),
            _ => list.put(pending, Vec::new()),
        };
        record.status = next;
        let version = self.shelf.write_record_and(&mut record, version, list).await?;
        Ok(Some((record, version)))
    }
}
