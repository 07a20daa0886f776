//! Deadlines: a run that has not ended by then is ended, wherever it is. In
//! memory its attempt sees to it; a parked one is woken for it
//! ([`crate::park::wakes_at`]). One that somebody paused is ended when it is
//! resumed, and what undoes a cancelled run has all the time it needs.

use std::sync::Arc;
use std::time::Duration;

use host_model::clock::Timestamp;
use host_model::outcome::{Bound, Exceeded, Outcome};
use host_model::run::RunStatus;
use host_store::StoreError;

use crate::Runs;
use crate::execute::{Attempt, nothing_more};
use crate::guests::HostFailure;
use crate::journal::Core;
use crate::ledger::Halt;
use crate::perform::Writer;
use crate::record::Record;

/// When a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Timestamp,
    limit_ms: u64,
}

fn ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}

impl Deadline {
    /// Of a run that goes on; none if it is being undone.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let at = record.deadline.filter(|_| record.status == RunStatus::Accepted)?;
        Some(Self { at, limit_ms: ms(record.accepted_at, at) })
    }

    /// How a run ends that is over it.
    pub(crate) fn exceeded(self, now: Timestamp) -> Exceeded {
        let used = self.limit_ms.saturating_add(ms(self.at, now));
        Exceeded { bound: Bound::Deadline, limit: self.limit_ms, used }
    }
}

impl Core {
    /// Stops the attempt when its deadline comes.
    pub(crate) async fn until_deadline<T>(
        self: &Arc<Self>,
        guest: impl Future<Output = Result<T, HostFailure>>,
    ) -> Result<T, HostFailure> {
        let Some(deadline) = self.deadline else { return guest.await };
        tokio::select! {
            ended = guest => ended,
            () = self.clock.sleep_until(deadline.at) => {
                self.halt(Halt::Overdue);
                Err(HostFailure("its deadline came".to_owned()))
            }
        }
    }

    /// How much longer calls may go on whose guest has ended.
    pub(crate) fn grace(&self, left: Duration) -> Duration {
        if self.halted() == Some(Halt::Overdue) { Duration::ZERO } else { left }
    }
}

impl Runs {
    /// Ends a run whose deadline came while it was not in memory; gives it back otherwise.
    pub(crate) async fn unless_overdue(&self, writer: Writer) -> Result<Result<Writer, Attempt>, StoreError> {
        let now = self.clock.now();
        let Some(deadline) = Deadline::of(&writer.record).filter(|deadline| deadline.at <= now) else {
            return Ok(Ok(writer));
        };
        let mut record = writer.record;
        if record.retries > 0 {
            // What it was trying when it was parked is what it failed of.
            let tries = self.shelf.tries(&record.tenant, record.id).await?;
            let last = tries.iter().max_by_key(|tries| tries.due);
            record.failed_step = last.map(|tries| tries.failed()).or(record.failed_step);
        }
        let outcome = Outcome::Exceeded(deadline.exceeded(now));
        match self.finish(record, writer.version, RunStatus::Failed, nothing_more(outcome)).await {
            Ok(()) => Ok(Err(Attempt::Ended)),
            Err(StoreError::Conflict) => Ok(Err(Attempt::Again)),
            Err(error) => Err(error),
        }
    }
}
